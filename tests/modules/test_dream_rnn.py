"""DREAM-RNN against the published layer table and a plain one-dimensional reference."""

import pytest
import torch
from torch import nn

from sklearn_degu.modules import DreamRNN, Dropout
from tests.modules.reference import assert_computes_the_same, n_parameters, non_linearities

KERAS_HAS_ONE_BIAS_A_GATE = 2 * 4 * 320


def by_hand(n_outputs):
    """Count the parameters of the layer table; none depends on the length."""
    first = (4 * 160 * 9 + 160) + (4 * 160 * 15 + 160)
    # A direction of an LSTM has four gates, which see 320 inputs and 320 states.
    recurrent = 2 * 4 * (320 * 320 + 320 * 320 + 320)
    second = (640 * 160 * 9 + 160) + (640 * 160 * 15 + 160)
    norms = 4 * 2 * 160
    last = 320 * 256 + 256
    return first + recurrent + second + norms + last + 256 * n_outputs + n_outputs


class Blocks(nn.Module):
    def __init__(self, n_in, n_out):
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(n_in, n_out, k, padding="same"),
                nn.BatchNorm1d(n_out, eps=1e-3),
                nn.ReLU(),
            )
            for k in (9, 15)
        )

    def forward(self, x):
        return torch.cat([block(x) for block in self.blocks], dim=1)


class Recurrent(nn.Module):
    def __init__(self, n_in, n_out):
        super().__init__()
        self.lstm = nn.LSTM(n_in, n_out, bidirectional=True)

    def forward(self, x):
        return self.lstm(x.permute(2, 0, 1))[0].permute(1, 2, 0)


class Mean(nn.Module):
    def forward(self, x):
        return x.mean(dim=2)


def reference(n_outputs, filters, recurrent, last):
    return nn.Sequential(
        *(Blocks(4, filters), Recurrent(2 * filters, recurrent), Blocks(2 * recurrent, filters)),
        *(nn.Conv1d(2 * filters, last, 1), Mean(), nn.Linear(last, n_outputs)),
    )


@pytest.mark.parametrize(("n_outputs", "expected"), [(2, 4_201_090), (4, 4_201_604)])
def test_has_the_published_number_of_parameters(n_outputs, expected):
    counted = n_parameters(DreamRNN(n_outputs))
    assert counted == expected == by_hand(n_outputs) + KERAS_HAS_ONE_BIAS_A_GATE


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("seq_len", [1, 33])
def test_equals_the_layer_table_computed_in_one_dimension(seq_len, training):
    module = DreamRNN(3, width=0.1)
    for layer in module.modules():
        if isinstance(layer, Dropout):
            layer.p = 0.0
    other = reference(3, filters=16, recurrent=32, last=26)
    assert_computes_the_same(module, other, (5, 4, seq_len), training)


def test_computes_the_same_on_one_hot_sequences():
    module = DreamRNN(2, width=0.05).eval()
    x = torch.eye(4)[torch.arange(60).reshape(3, 20) % 7 % 4].transpose(1, 2).contiguous()
    torch.testing.assert_close(module(x), module(x.clone().requires_grad_()))


def test_every_non_linearity_of_the_convolutions_is_a_module_of_its_own():
    assert non_linearities(DreamRNN(2, width=0.05)) == ["ReLU"] * 4


def test_every_dropout_can_be_set():
    drops = [m.p for m in DreamRNN(2, width=0.1, dropout=0.0).modules() if isinstance(m, Dropout)]
    assert set(drops) == {0.0}


def test_dropout_is_as_published_and_draws_from_our_generator():
    module = DreamRNN(2)
    drops = [m.p for m in module.modules() if isinstance(m, Dropout)]
    assert drops == [0.2, 0.2, 0.2, 0.2, 0.5]
    assert module.recurrent.dropout == 0


def test_hidden_layers_are_as_wide_as_asked():
    module = DreamRNN(2, width=0.5)
    assert (module.recurrent.input_size, module.recurrent.hidden_size) == (160, 160)
    assert module.output.in_features == 128
    assert DreamRNN(2, width=1e-9)(torch.zeros(2, 4, 5)).shape == (2, 2)


def test_reads_other_numbers_of_channels():
    assert DreamRNN(1, 6, width=0.05)(torch.zeros(2, 6, 32)).shape == (2, 1)
