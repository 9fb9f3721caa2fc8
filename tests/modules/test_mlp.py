"""The multilayer perceptron."""

import pytest
import torch
from torch import nn

from sklearn_degu.modules import MLP, Dropout, Standardize
from tests.modules.reference import n_parameters


def kinds(module):
    return [type(layer) for layer in module.layers]


@pytest.mark.parametrize(
    ("hidden", "expected"), [((64, 64), 5 * 64 + 64 + 64 * 64 + 64 + 64 * 2 + 2), ((), 5 * 2 + 2)]
)
def test_has_as_many_parameters_as_its_layers(hidden, expected):
    assert n_parameters(MLP(5, 2, hidden)) == expected


def test_activates_and_drops_behind_every_hidden_layer():
    hidden = [nn.Linear, nn.SiLU]
    assert kinds(MLP(5, 2, (3, 4))) == [Standardize, *hidden, *hidden, nn.Linear]
    dropped = MLP(5, 2, (3, 4), dropout=0.1)
    assert kinds(dropped) == [Standardize, *hidden, Dropout, *hidden, Dropout, nn.Linear]
    assert dropped.layers[3].p == 0.1


def test_flattens_what_has_more_axes():
    module = MLP(6, 2)
    x = torch.rand(3, 2, 3)
    torch.testing.assert_close(module(x), module(x.flatten(1)))
