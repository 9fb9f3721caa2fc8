"""Likelihoods of counts by nets that predict logarithms of rates."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import nn

from sklearn_degu.nets import MultinomialCountLoss
from sklearn_degu.nets.count_losses import RateLoss, predicts_rates, with_squared_error
from sklearn_degu.recipes import mlp_net, profile_net
from tests.toys import tiny_profile_net

SHAPE = (3, 2, 5)
log_rates = arrays.arrays(np.float64, SHAPE, elements=st.floats(-5, 5)).map(torch.from_numpy)
counts = arrays.arrays(np.int64, SHAPE, elements=st.integers(0, 50)).map(
    lambda drawn: torch.from_numpy(drawn).double()
)
weights = st.floats(0.01, 10)


def multinomial_and_poisson(log_rate, y, weight):
    """Return the loss of every profile as the docstring has it."""
    log_total = log_rate.logsumexp(-1)
    shape = -(y * torch.log_softmax(log_rate, dim=-1)).sum(-1)
    return shape + weight * (log_total.exp() - y.sum(-1) * log_total)


class TestMultinomialCountLoss:
    @settings(deadline=None)
    @given(log_rates, counts)
    def test_is_poissons_if_the_total_weighs_as_much(self, log_rate, y):
        poisson = nn.PoissonNLLLoss(reduction="none")(log_rate, y)
        ours = MultinomialCountLoss(reduction="none")(log_rate, y)
        torch.testing.assert_close(ours, poisson)

    @settings(deadline=None)
    @given(log_rates, counts, weights)
    def test_sums_to_the_likelihood_of_shape_and_total(self, log_rate, y, weight):
        parts = MultinomialCountLoss(weight, reduction="none")(log_rate, y)
        torch.testing.assert_close(parts.sum(-1), multinomial_and_poisson(log_rate, y, weight))
        mean = MultinomialCountLoss(weight)(log_rate, y)
        torch.testing.assert_close(mean, parts.mean())

    @settings(deadline=None)
    @given(log_rates, counts, weights)
    def test_is_least_where_rates_are_counts(self, log_rate, y, weight):
        loss = MultinomialCountLoss(weight, reduction="none")
        excess = (loss(log_rate, y) - loss.least(y)).sum(-1)
        assert (excess > -1e-9 * (1 + y.sum(-1) ** 2)).all()
        perfect = loss(torch.log(y + 1e-300), y)
        torch.testing.assert_close(perfect.sum(-1), loss.least(y).sum(-1))

    def test_of_present_positions_is_that_of_a_shorter_profile(self):
        rng = torch.Generator().manual_seed(0)
        log_rate, y = torch.randn(SHAPE, generator=rng), torch.rand(SHAPE, generator=rng)
        present = torch.arange(5).expand(SHAPE) < 3
        loss = MultinomialCountLoss(0.3, reduction="none")
        parts = loss(log_rate, torch.where(present, y, 0), present)
        torch.testing.assert_close(parts[..., :3], loss(log_rate[..., :3], y[..., :3]))

    @pytest.mark.parametrize("weight", [0, -1, float("inf"), float("nan")])
    def test_needs_a_positive_weight(self, weight):
        with pytest.raises(ValueError, match="count_weight must be a positive number, got"):
            MultinomialCountLoss(weight)

    def test_is_not_a_sum(self):
        with pytest.raises(ValueError, match="reduction must be 'mean' or 'none', got 'sum'"):
            MultinomialCountLoss(reduction="sum")

    def test_trains_a_net_without_an_estimator(self, sequences):
        X = sequences[0].astype(np.float32)
        y = np.random.default_rng(0).poisson(2.0, size=(len(X), 2, 8)).astype(np.float32)
        net = profile_net(
            criterion=MultinomialCountLoss,
            module__n_outputs=2,
            module__seq_len=12,
            module__n_positions=8,
            module__n_dilations=1,
            module__width=0.1,
            max_epochs=15,
            callbacks=None,
        ).fit(X, y)
        assert net.history[-1, "train_loss"] < net.history[0, "train_loss"]


class TestRateLoss:
    def test_is_the_same_by_both_likelihoods(self):
        rng = torch.Generator().manual_seed(0)
        log_rate, y = torch.randn(4, 6, generator=rng), torch.rand(4, 6, generator=rng)
        poisson = RateLoss(nn.PoissonNLLLoss)(log_rate, y)
        multinomial = RateLoss(MultinomialCountLoss, n_positions=3)(log_rate, y)
        torch.testing.assert_close(poisson, multinomial)
        assert poisson > 0

    @pytest.mark.parametrize("criterion", [nn.PoissonNLLLoss, MultinomialCountLoss])
    def test_is_zero_where_rates_are_counts(self, criterion):
        y = torch.tensor([[1.0, 3, 2, 5]])
        loss = RateLoss(criterion, n_positions=2)(y.log(), y)
        torch.testing.assert_close(loss, torch.tensor(0.0))

    def test_leaves_missing_positions_out(self):
        rng = torch.Generator().manual_seed(0)
        log_rate, y = torch.randn(4, 6, generator=rng), torch.rand(4, 6, generator=rng)
        weight = torch.ones(4, 6)
        weight[:, 2] = weight[:, 5] = 0
        loss = RateLoss(MultinomialCountLoss, n_positions=3, count_weight=0.2)
        masked = loss(log_rate, (torch.where(weight > 0, y, 0), weight))
        kept = [0, 1, 3, 4]
        shorter = RateLoss(MultinomialCountLoss, n_positions=2, count_weight=0.2)
        torch.testing.assert_close(masked, shorter(log_rate[:, kept], y[:, kept]))

    def test_has_a_gradient_where_a_profile_is_missing(self):
        log_rate = torch.zeros(2, 6, requires_grad=True)
        weight = torch.ones(2, 6)
        weight[0, :3] = 0
        target = (weight.clone(), weight)
        RateLoss(MultinomialCountLoss, n_positions=3, count_weight=0.2)(log_rate, target).backward()
        assert torch.isfinite(log_rate.grad).all()
        assert (log_rate.grad[0, :3] == 0).all()

    @pytest.mark.parametrize("shape", [(4, 2, 3), (4, 6)])
    def test_reads_profiles_with_or_without_their_axis(self, shape):
        y = torch.rand(4, 6, generator=torch.Generator().manual_seed(0))
        loss = RateLoss(MultinomialCountLoss, n_positions=3)
        torch.testing.assert_close(loss(torch.zeros(shape), y), loss(torch.zeros(4, 6), y))


class TestPredictsRates:
    def test_by_the_criterion(self):
        assert not predicts_rates([mlp_net()])
        assert not predicts_rates([])
        assert predicts_rates([mlp_net(criterion=nn.PoissonNLLLoss)])
        assert predicts_rates([profile_net(criterion=MultinomialCountLoss)] * 2)

    def test_refuses_nets_of_both_kinds(self):
        with pytest.raises(ValueError, match=r"criterion of one kind; got MSELoss, PoissonNLLLoss"):
            predicts_rates([mlp_net(), mlp_net(criterion=nn.PoissonNLLLoss)])

    def test_refuses_rates_that_could_be_negative(self):
        with pytest.raises(ValueError, match="log_input=False, but its outputs are linear"):
            predicts_rates([mlp_net(criterion=nn.PoissonNLLLoss, criterion__log_input=False)])

    def test_squared_error_takes_the_place_of_a_likelihood_and_its_parameters(self):
        net = tiny_profile_net(criterion=MultinomialCountLoss, criterion__count_weight=0.5)
        other = with_squared_error(net)
        assert other.criterion is nn.MSELoss
        assert not other.get_params_for("criterion")
        assert net.get_params_for("criterion") == {"count_weight": 0.5}
