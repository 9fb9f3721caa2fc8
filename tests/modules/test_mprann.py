"""MPRAnn against the published layer table and a plain one-dimensional reference."""

import pytest
import torch
from torch import nn

from sklearn_degu.modules import Dropout, MPRAnn
from tests.modules.reference import assert_computes_the_same, n_parameters, non_linearities


def by_hand(seq_len, n_outputs):
    """Count the parameters of the layer table: convolutions, batch norms, dense layers."""
    convolutions = (4 * 250 * 7 + 250) + (250 * 250 * 8 + 250) + (250 * 250 * 3 + 250)
    convolutions += 250 * 100 * 2 + 100
    norms = 2 * (250 + 250 + 250 + 100)
    n_positions = (seq_len - 6 - 7) // 2 - 2 - 1
    dense = (100 * n_positions * 300 + 300) + (300 * 200 + 200)
    return convolutions + norms + dense + 200 * n_outputs + n_outputs


def reference(seq_len, n_outputs):
    """Return the layers of the table as torch has them, without dropout."""

    def convolution(n_in, n_out, width, activation):
        return nn.Conv1d(n_in, n_out, width), activation, nn.BatchNorm1d(n_out, eps=1e-3)

    n_positions = (seq_len - 13) // 2 - 3
    return nn.Sequential(
        *convolution(4, 250, 7, nn.ReLU()),
        *(*convolution(250, 250, 8, nn.Softmax(dim=1)), nn.MaxPool1d(2)),
        *convolution(250, 250, 3, nn.Softmax(dim=1)),
        *(*convolution(250, 100, 2, nn.Softmax(dim=1)), nn.MaxPool1d(1), nn.Flatten()),
        *(nn.Linear(100 * n_positions, 300), nn.Sigmoid(), nn.Linear(300, 200), nn.Sigmoid()),
        nn.Linear(200, n_outputs),
    )


@pytest.mark.parametrize(
    ("seq_len", "n_outputs", "expected"),
    [(230, 1, 3_957_751), (230, 3, 3_958_153), (249, 2, 4_257_952)],
)
def test_has_the_published_number_of_parameters(seq_len, n_outputs, expected):
    assert n_parameters(MPRAnn(n_outputs, seq_len)) == expected == by_hand(seq_len, n_outputs)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("seq_len", [21, 40])
def test_equals_the_layer_table_computed_in_one_dimension(seq_len, training):
    module = MPRAnn(3, seq_len)
    for layer in module.modules():
        if isinstance(layer, Dropout):
            layer.p = 0.0
    assert_computes_the_same(module, reference(seq_len, 3), (5, 4, seq_len), training)


def test_every_non_linearity_is_a_module_of_its_own():
    used = non_linearities(MPRAnn(2, seq_len=249))
    assert used == ["ReLU", *["Softmax"] * 3, *["Sigmoid"] * 2]


def test_every_dropout_can_be_set():
    drops = [m.p for m in MPRAnn(2, dropout=0.0).modules() if isinstance(m, Dropout)]
    assert set(drops) == {0.0}


def test_dropout_is_as_published():
    drops = [m.p for m in MPRAnn(2).modules() if isinstance(m, Dropout)]
    assert drops == [0.1, 0.1, 0.3]


def test_begins_with_the_weights_of_keras():
    module = MPRAnn(2)
    hidden = module.dense[1]
    bound = (6 / (hidden.in_features + hidden.out_features)) ** 0.5
    assert 0.99 * bound < hidden.weight.abs().max() <= bound
    biases = [m.bias for m in module.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert len(biases) == 7
    assert not any(bias.any() for bias in biases)


def test_hidden_layers_are_as_wide_as_asked():
    module = MPRAnn(2, 50, width=0.1)
    widths = [m.out_channels for m in module.modules() if isinstance(m, nn.Conv2d)]
    assert widths == [25, 25, 25, 10]
    assert module.output.in_features == 20
    assert MPRAnn(2, 50, width=1e-9)(torch.zeros(2, 4, 50)).shape == (2, 2)


def test_reads_other_numbers_of_channels():
    assert MPRAnn(1, 32, n_channels=6)(torch.zeros(2, 6, 32)).shape == (2, 1)


def test_sequences_too_short_are_refused():
    MPRAnn(1, 21)
    with pytest.raises(ValueError, match="at least 21 positions, got seq_len=20"):
        MPRAnn(1, 20)
