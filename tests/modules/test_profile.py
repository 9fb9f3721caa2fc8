"""The profile network against a plain one-dimensional reference."""

import pytest
import torch
from torch import nn

from sklearn_degu.modules import Dropout, ProfileNet
from tests.modules.reference import assert_computes_the_same, n_parameters, non_linearities


def by_hand(n_outputs):
    """Count the parameters; none depends on the length."""
    convolutions = (4 * 64 * 25 + 64) + 9 * (64 * 64 * 3 + 64)
    norms = 10 * 2 * 64
    return convolutions + norms + (64 * n_outputs * 25 + n_outputs) + 64 * n_outputs


class Residual(nn.Module):
    def __init__(self, n, dilation):
        super().__init__()
        dilated = nn.Conv1d(n, n, 3, padding="same", dilation=dilation)
        self.stack = nn.Sequential(dilated, nn.BatchNorm1d(n, eps=1e-3), nn.ReLU())

    def forward(self, x):
        return x + self.stack(x)


class Reference(nn.Module):
    def __init__(self, n_outputs, n_positions, n_filters):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv1d(4, n_filters, 25, padding="same"),
            nn.BatchNorm1d(n_filters, eps=1e-3),
            nn.ReLU(),
            *(Residual(n_filters, dilation) for dilation in (2, 4, 8)),
        )
        self.profile = nn.Conv1d(n_filters, n_outputs, 25, padding="same")
        self.level = nn.Linear(n_filters, n_outputs, bias=False)
        self.n_positions = n_positions

    def forward(self, x):
        features = self.features(x)
        start = (x.shape[2] - self.n_positions) // 2
        profile = self.profile(features)[:, :, start : start + self.n_positions]
        return profile + self.level(features.mean(dim=2))[:, :, None]


@pytest.mark.parametrize("seq_len", [1000, 300])
@pytest.mark.parametrize(("n_outputs", "expected"), [(1, 120_577), (4, 125_572)])
def test_has_as_many_parameters_as_its_layers(seq_len, n_outputs, expected):
    assert n_parameters(ProfileNet(n_outputs, seq_len)) == expected == by_hand(n_outputs)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("seq_len", "n_positions"), [(40, 40), (41, 10), (5, 1)])
def test_equals_its_layers_computed_in_one_dimension(seq_len, n_positions, training):
    module = ProfileNet(2, seq_len, n_positions=n_positions, n_dilations=3, width=0.25, dropout=0.0)
    assert_computes_the_same(
        module, Reference(2, n_positions, n_filters=16), (5, 4, seq_len), training
    )


def test_predicts_all_positions_or_those_in_the_middle():
    x = torch.rand(3, 4, 60)
    assert ProfileNet(2, 60, width=0.1)(x).shape == (3, 2, 60)
    torch.manual_seed(0)
    everywhere = ProfileNet(2, 60, width=0.1).eval()
    middle = ProfileNet(2, 60, n_positions=20, width=0.1).eval()
    middle.load_state_dict(everywhere.state_dict())
    torch.testing.assert_close(middle(x), everywhere(x)[:, :, 20:40])


def test_an_output_sees_as_far_as_the_documentation_says():
    module = ProfileNet(1, 2301, width=0.05).double().eval()
    # The level sees all.
    nn.init.zeros_(module.level[1].weight)
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)
    x = torch.ones(1, 4, 2301, dtype=torch.float64, requires_grad=True)
    module(x)[0, 0, 1150].backward()
    seen = x.grad.sum(dim=(0, 1)).nonzero().flatten()
    assert (seen.min(), seen.max()) == (1150 - 1046, 1150 + 1046)


def test_every_non_linearity_is_a_module_of_its_own():
    assert non_linearities(ProfileNet(2, 249, width=0.1)) == ["ReLU"] * 10


def test_dropout_stands_in_every_residual_convolution():
    drops = [m.p for m in ProfileNet(2, dropout=0.3).modules() if isinstance(m, Dropout)]
    assert drops == [0.3] * 9


def test_hidden_layers_are_as_wide_as_asked():
    module = ProfileNet(3, 50, width=0.5)
    assert module.profile.in_channels == 32
    assert ProfileNet(2, 50, width=1e-9)(torch.zeros(2, 4, 50)).shape == (2, 2, 50)


def test_reads_other_numbers_of_channels():
    assert ProfileNet(1, 32, n_channels=6)(torch.zeros(2, 6, 32)).shape == (2, 1, 32)


@pytest.mark.parametrize("n_positions", [0, 51])
def test_more_positions_than_the_sequence_has_are_refused(n_positions):
    with pytest.raises(ValueError, match=f"between 1 and seq_len=50, got {n_positions}"):
        ProfileNet(1, 50, n_positions=n_positions)


def test_members_run_as_one_by_vmap():
    members = [ProfileNet(2, 60, n_positions=20, width=0.1).double().eval() for _ in range(3)]
    parameters, buffers = torch.func.stack_module_state(members)
    x = torch.rand(4, 4, 60, dtype=torch.float64)

    def run(parameters, buffers):
        return torch.func.functional_call(members[0], (parameters, buffers), (x,))

    together = torch.vmap(run)(parameters, buffers)
    torch.testing.assert_close(together, torch.stack([member(x) for member in members]))
