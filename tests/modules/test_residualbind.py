"""ResidualBind against the published layer table and a plain one-dimensional reference."""

import pytest
import torch
from torch import nn

from sklearn_degu.modules import Dropout, ResidualBind
from tests.modules.reference import assert_computes_the_same, n_parameters, non_linearities


def by_hand(n_outputs):
    """Count the parameters of the layer table; none depends on the length."""
    convolutions = (4 * 196 * 19 + 196) + 6 * (196 * 196 * 3) + (196 * 256 * 7 + 256)
    dense = 2 * (256 * 256 + 256)
    norms = 2 * 196 + 6 * 2 * 196 + 3 * 2 * 256
    return convolutions + dense + norms + 256 * n_outputs + n_outputs


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        layers = []
        for dilation in (None, 1, 2, 4, 8, 16):
            layers += [] if dilation is None else [nn.ReLU()]
            layers += [nn.Conv1d(196, 196, 3, padding="same", dilation=dilation or 1, bias=False)]
            layers += [nn.BatchNorm1d(196, eps=1e-3)]
        self.stack = nn.Sequential(*layers)

    def forward(self, x):
        return nn.functional.silu(x + self.stack(x))


class Pointwise(nn.Module):
    """A dense layer at every position."""

    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(256, 256)

    def forward(self, x):
        return self.dense(x.transpose(1, 2)).transpose(1, 2)


class Mean(nn.Module):
    def forward(self, x):
        return x.mean(dim=2)


def reference(n_outputs):
    def norm(n):
        return nn.BatchNorm1d(n, eps=1e-3)

    return nn.Sequential(
        *(nn.Conv1d(4, 196, 19, padding="same"), norm(196), nn.SiLU()),
        *(Residual(), nn.MaxPool1d(5)),
        *(nn.Conv1d(196, 256, 7, padding="same"), norm(256), nn.SiLU(), nn.MaxPool1d(5)),
        *(Pointwise(), norm(256), nn.SiLU(), Mean()),
        *(nn.Linear(256, 256), norm(256), nn.SiLU(), nn.Linear(256, n_outputs)),
    )


@pytest.mark.parametrize("seq_len", [230, 100])
@pytest.mark.parametrize(
    ("n_outputs", "expected"), [(1, 1_194_189), (2, 1_194_446), (6, 1_195_474)]
)
def test_has_the_published_number_of_parameters(seq_len, n_outputs, expected):
    module = ResidualBind(n_outputs, seq_len=seq_len)
    assert n_parameters(module) == expected == by_hand(n_outputs)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("seq_len", [25, 63])
def test_equals_the_layer_table_computed_in_one_dimension(seq_len, training):
    module = ResidualBind(2, seq_len=seq_len)
    for layer in module.modules():
        if isinstance(layer, Dropout):
            layer.p = 0.0
    assert_computes_the_same(module, reference(2), (4, 4, seq_len), training)


def test_every_non_linearity_is_a_module_of_its_own():
    used = non_linearities(ResidualBind(2, seq_len=249))
    assert used == ["SiLU", *["ReLU"] * 5, *["SiLU"] * 4]


def test_every_dropout_can_be_set():
    drops = [
        m.p for m in ResidualBind(2, head_width=4, dropout=0.0).modules() if isinstance(m, Dropout)
    ]
    assert set(drops) == {0.0}


def test_dropout_is_as_published():
    drops = [m.p for m in ResidualBind(2).modules() if isinstance(m, Dropout)]
    assert drops == [0.2, *[0.1] * 5, 0.2, 0.2, 0.5, 0.5]


def test_reads_other_numbers_of_channels():
    assert ResidualBind(1, 6, 32)(torch.zeros(2, 6, 32)).shape == (2, 1)


def test_width_scales_every_hidden_layer():
    narrow = ResidualBind(2, seq_len=32, width=0.25)
    widths = {
        m.num_features for m in narrow.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)
    }
    assert widths == {49, 64}
    assert narrow(torch.zeros(3, 4, 32)).shape == (3, 2)


def test_sequences_too_short_are_refused():
    ResidualBind(1, seq_len=25)
    with pytest.raises(ValueError, match="at least 25 positions, got seq_len=24"):
        ResidualBind(1, seq_len=24)


class TestSeparateHeads:
    @pytest.mark.parametrize(("n_outputs", "expected"), [(1, 1_202_189), (3, 1_218_703)])
    def test_have_the_published_number_of_parameters(self, n_outputs, expected):
        trunk = by_hand(0)
        heads = n_outputs * (256 * 32 + 32 + 32 * 1 + 1)
        assert n_parameters(ResidualBind(n_outputs, head_width=32)) == expected == trunk + heads

    def test_depend_on_no_weight_of_each_other(self):
        module = ResidualBind(3, seq_len=25, head_width=4).eval()
        module(torch.rand(2, 4, 25))[:, 1].sum().backward()
        moved = [bool(head[0].weight.grad.any()) for head in module.output.heads]
        assert moved == [False, True, False]

    def test_are_not_linear(self):
        heads = ResidualBind(2, seq_len=25, head_width=4).output.eval()
        x = torch.randn(5, 256)
        ends, middle = (heads(x) + heads(-x)) / 2, heads(torch.zeros_like(x))
        assert not torch.allclose(ends, middle)
        assert [m.p for m in heads.modules() if isinstance(m, Dropout)] == [0.5, 0.5]

    def test_without_hidden_units_are_refused(self):
        with pytest.raises(ValueError, match=r"head_width must be a positive integer.* got 0"):
            ResidualBind(1, head_width=0)
