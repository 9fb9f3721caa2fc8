"""DeepSTARR against the published layer table and a plain one-dimensional reference."""

import pytest
import torch
from torch import nn

from sklearn_degu.modules import DeepSTARR, Dropout
from tests.modules.reference import assert_computes_the_same, n_parameters, non_linearities


def by_hand(seq_len, n_outputs):
    """Count the parameters of the layer table: convolutions, batch norms, dense layers."""
    convolutions = (4 * 256 * 7 + 256) + (256 * 60 * 3 + 60) + (60 * 60 * 5 + 60)
    convolutions += 60 * 120 * 3 + 120
    norms = 2 * (256 + 60 + 60 + 120) + 2 * (256 + 256)
    dense = (120 * (seq_len // 16) * 256 + 256) + (256 * 256 + 256)
    return convolutions + norms + dense + 256 * n_outputs + n_outputs


def reference(seq_len, n_outputs):
    """Return the layers of the table as torch has them, without dropout."""
    blocks, n_in = [], 4
    for n_out, width in ((256, 7), (60, 3), (60, 5), (120, 3)):
        convolution = nn.Conv1d(n_in, n_out, width, padding="same")
        blocks += [convolution, nn.BatchNorm1d(n_out, eps=1e-3), nn.ReLU(), nn.MaxPool1d(2)]
        n_in = n_out
    dense, n_in = [], 120 * (seq_len // 16)
    for _ in range(2):
        dense += [nn.Linear(n_in, 256), nn.BatchNorm1d(256, eps=1e-3), nn.ReLU()]
        n_in = 256
    return nn.Sequential(*blocks, nn.Flatten(), *dense, nn.Linear(256, n_outputs))


@pytest.mark.parametrize(
    ("seq_len", "n_outputs", "expected"), [(249, 2, 622_722), (249, 4, 623_236), (200, 6, 531_590)]
)
def test_has_the_published_number_of_parameters(seq_len, n_outputs, expected):
    module = DeepSTARR(n_outputs, seq_len)
    assert n_parameters(module) == expected == by_hand(seq_len, n_outputs)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("seq_len", [16, 41, 249])
def test_equals_the_layer_table_computed_in_one_dimension(seq_len, training):
    module = DeepSTARR(3, seq_len, dropout=0.0)
    assert_computes_the_same(module, reference(seq_len, 3), (5, 4, seq_len), training)


def test_every_non_linearity_is_a_module_of_its_own():
    used = non_linearities(DeepSTARR(2, seq_len=249))
    assert used == ["ReLU"] * 6


def test_hidden_layers_are_as_wide_as_asked():
    module = DeepSTARR(2, 50, width=0.5)
    widths = [m.out_channels for m in module.modules() if isinstance(m, nn.Conv2d)]
    assert widths == [128, 30, 30, 60]
    assert module.output.in_features == 128
    assert DeepSTARR(2, 50, width=1e-9)(torch.zeros(2, 4, 50)).shape == (2, 2)


def test_dropout_stands_behind_each_dense_layer():
    drops = [m.p for m in DeepSTARR(2, dropout=0.3).modules() if isinstance(m, Dropout)]
    assert drops == [0.3, 0.3]


def test_reads_other_numbers_of_channels():
    assert DeepSTARR(1, 32, n_channels=6)(torch.zeros(2, 6, 32)).shape == (2, 1)


def test_sequences_too_short_are_refused():
    DeepSTARR(1, 16)
    with pytest.raises(ValueError, match="at least 16 positions, got seq_len=15"):
        DeepSTARR(1, 15)
