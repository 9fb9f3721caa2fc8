"""The loss of a batch."""

import numpy as np
import pytest
import torch
from torch import nn

from sklearn_degu.nets.data import split_targets
from sklearn_degu.nets.losses import WeightedLoss


def tensors(*arrays):
    return [torch.tensor(array, dtype=torch.float64) for array in arrays]


@pytest.mark.parametrize("criterion", [nn.MSELoss, nn.L1Loss, nn.HuberLoss])
def test_without_weights_is_the_mean(criterion):
    prediction, y = torch.rand(5, 2), torch.rand(5, 2)
    torch.testing.assert_close(WeightedLoss(criterion)(prediction, y), criterion()(prediction, y))


def test_is_the_weighted_mean():
    prediction, y, weight = tensors([[1, 2], [3, 4]], [[0, 0], [0, 0]], [[1, 1], [3, 3]])
    expected = (1 + 4 + 3 * (9 + 16)) / 8
    assert WeightedLoss()(prediction, (y, weight)).item() == pytest.approx(expected)


def test_of_missing_targets_is_the_mean_over_the_others():
    rng = np.random.default_rng(0)
    prediction, measured = rng.normal(size=(2, 30, 3))
    measured[rng.random((30, 3)) < 0.4] = np.nan
    target = tensors(*split_targets(measured, None))
    expected = np.nanmean((prediction - measured) ** 2)
    assert WeightedLoss()(*tensors(prediction), target).item() == pytest.approx(expected)


def test_gives_missing_targets_no_gradient():
    prediction = torch.ones(2, 2, requires_grad=True)
    WeightedLoss()(prediction, tensors([[0, 0], [5, 5]], [[1, 0], [1, 1]])).backward()
    assert prediction.grad[0, 1] == 0
    assert (prediction.grad != 0).sum() == 3


@pytest.mark.parametrize("shape", [(4,), (4, 2), (1, 1)])
def test_refuses_shapes_that_torch_would_broadcast(shape):
    with pytest.raises(ValueError, match=r"targets of shape \(4, 1\) need \(4, 1\). The module must"):
        WeightedLoss()(torch.zeros(shape), torch.zeros(4, 1))


def test_passes_parameters_on_but_for_the_reduction():
    loss = WeightedLoss(nn.HuberLoss, delta=0.5, reduction="sum")
    assert loss.criterion.delta == 0.5
    assert loss.criterion.reduction == "none"


@pytest.mark.parametrize("criterion", [nn.Identity.forward, nn.Flatten])
def test_refuses_a_criterion_that_is_not_element_wise(criterion):
    with pytest.raises(ValueError, match="must be a class that takes reduction='none'"):
        WeightedLoss(criterion)
