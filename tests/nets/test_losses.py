"""The loss of a batch."""

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from torch import nn

from sklearn_degu.nets.data import split_targets
from sklearn_degu.nets.losses import (
    LOG_VARIANCE_FLOOR,
    BetaGaussianLoss,
    GaussianLoss,
    LaplaceLoss,
    ReplicateLoss,
    SampledTeacherLoss,
    WeightedLoss,
)

LIKELIHOODS = [GaussianLoss, BetaGaussianLoss, LaplaceLoss]


def tensors(*arrays):
    return [torch.tensor(array, dtype=torch.float64) for array in arrays]


def outputs(mean, deviation):
    """Return what a net says that predicts these means and standard deviations."""
    both = np.hstack([mean, 2 * np.log(np.broadcast_to(deviation, np.shape(mean)))])
    return torch.tensor(both, dtype=torch.float64, requires_grad=True)


def gradient(loss, prediction, *target):
    """Return the gradient of the summed loss of rows and targets."""
    prediction.grad = None
    loss.each(prediction, *tensors(*target)).sum().backward()
    return prediction.grad.numpy()


@pytest.fixture
def noise():
    """Return y, means and deviations of shape (50, 2)."""
    rng = np.random.default_rng(0)
    y, mean = rng.normal(size=(2, 50, 2))
    return y, mean, np.exp(rng.uniform(-1, 1, size=(50, 2)))


class TestElementwise:
    @pytest.mark.parametrize("criterion", [nn.MSELoss, nn.L1Loss, nn.HuberLoss])
    def test_without_weights_is_the_mean(self, criterion):
        prediction, y = torch.rand(5, 2), torch.rand(5, 2)
        torch.testing.assert_close(
            WeightedLoss(criterion)(prediction, y), criterion()(prediction, y)
        )

    def test_is_the_weighted_mean(self):
        prediction, y, weight = tensors([[1, 2], [3, 4]], [[0, 0], [0, 0]], [[1, 1], [3, 3]])
        expected = (1 + 4 + 3 * (9 + 16)) / 8
        assert WeightedLoss()(prediction, (y, weight)).item() == pytest.approx(expected)

    def test_of_missing_targets_is_the_mean_over_the_others(self):
        rng = np.random.default_rng(0)
        prediction, measured = rng.normal(size=(2, 30, 3))
        measured[rng.random((30, 3)) < 0.4] = np.nan
        target = tensors(*split_targets(measured, None))
        expected = np.nanmean((prediction - measured) ** 2)
        assert WeightedLoss()(*tensors(prediction), target).item() == pytest.approx(expected)

    def test_gives_missing_targets_no_gradient(self):
        prediction = torch.ones(2, 2, requires_grad=True)
        WeightedLoss()(prediction, tensors([[0, 0], [5, 5]], [[1, 0], [1, 1]])).backward()
        assert prediction.grad[0, 1] == 0
        assert (prediction.grad != 0).sum() == 3

    def test_passes_parameters_on_but_for_the_reduction(self):
        loss = WeightedLoss(nn.HuberLoss, delta=0.5, reduction="sum")
        assert loss.criterion.delta == 0.5
        assert loss.criterion.reduction == "none"

    @pytest.mark.parametrize("criterion", [nn.Identity.forward, nn.Flatten])
    def test_refuses_a_criterion_that_is_not_element_wise(self, criterion):
        with pytest.raises(ValueError, match="must be a class that takes reduction='none'"):
            WeightedLoss(criterion)


class TestShapes:
    """torch would broadcast (n,) against (n, 1) to (n, n)."""

    @pytest.mark.parametrize("loss", [WeightedLoss, ReplicateLoss, *LIKELIHOODS])
    @pytest.mark.parametrize(
        "shape", [(4,), (4, 3), (1, 2), (2, 4), (8, 1), (4, 2, 2), (4, 2, 1, 1), (4, 0)]
    )
    def test_of_predictions_that_do_not_fit_are_refused(self, loss, shape):
        y = torch.zeros(4, 2 // loss.outputs_a_column)
        with pytest.raises(ValueError, match=r"need \(4, 2\). The module must return"):
            loss()(torch.zeros(shape), y)

    @pytest.mark.parametrize("loss", [WeightedLoss, ReplicateLoss, *LIKELIHOODS])
    def test_of_targets_without_columns_are_refused(self, loss):
        for shape in ((4,), (4, 1), (4, 4)):
            with pytest.raises(ValueError, match=r"targets of shape \(4,\) need"):
                loss()(torch.zeros(shape), torch.zeros(4))

    @pytest.mark.parametrize("loss", [WeightedLoss, *LIKELIHOODS])
    def test_of_one_output_for_mean_and_noise_are_told_apart(self, loss):
        y, prediction = torch.zeros(4, 1), torch.zeros(4, loss.outputs_a_column)
        assert loss()(prediction, y).shape == ()
        with pytest.raises(ValueError, match="The net's output has shape"):
            loss()(torch.zeros(4, 3 - loss.outputs_a_column), y)

    @pytest.mark.parametrize("loss", [WeightedLoss, ReplicateLoss, *LIKELIHOODS])
    def test_of_weights_that_do_not_fit_are_refused(self, loss):
        y = torch.zeros(4, 4)
        prediction = torch.zeros(4, 4 * loss.outputs_a_column)
        for shape in ((4,), (4, 1), (1, 4), (2,), (1, 1), ()):
            with pytest.raises(ValueError, match=r"weights have shape .* of the targets, \(4, 4\)"):
                loss()(prediction, (y, torch.ones(shape)))


class TestLikelihood:
    @pytest.mark.parametrize(
        ("loss", "distribution", "unit"),
        [(GaussianLoss, stats.norm, 1), (LaplaceLoss, stats.laplace, math.sqrt(0.5))],
    )
    def test_is_that_of_scipy_up_to_a_constant(self, noise, loss, distribution, unit):
        y, mean, deviation = noise
        each = loss().each(outputs(mean, deviation), *tensors(y)).detach().numpy()
        difference = each + distribution.logpdf(y, mean, unit * deviation)
        np.testing.assert_allclose(difference, difference[0, 0], atol=1e-3)

    def test_of_y_is_the_weighted_mean_over_rows_and_targets(self, noise):
        y, mean, deviation = noise
        weight = np.random.default_rng(1).random(y.shape)
        prediction, loss = outputs(mean, deviation), GaussianLoss()
        each = loss.each(prediction, *tensors(y)).detach().numpy()
        weighted = loss(prediction, tensors(y, weight)).item()
        assert weighted == pytest.approx(np.average(each, weights=weight))

    @pytest.mark.parametrize("loss", LIKELIHOODS)
    def test_of_missing_targets_has_no_gradient(self, noise, loss):
        y, mean, deviation = noise
        y[0, 1] = np.nan
        prediction = outputs(mean, deviation)
        loss()(prediction, tensors(*split_targets(y, None))).backward()
        assert torch.isfinite(prediction.grad).all()
        assert torch.equal(prediction.grad[0, [1, 3]], torch.zeros(2).double())
        assert (prediction.grad == 0).sum() == 2

    def test_with_beta_weighs_the_gradient_by_the_deviation(self, noise):
        y, mean, deviation = noise
        prediction = outputs(mean, deviation)
        plain, weighted = (
            gradient(loss, prediction, y) for loss in (GaussianLoss(), BetaGaussianLoss())
        )
        np.testing.assert_allclose(weighted, plain * np.hstack([deviation] * 2), rtol=1e-4)
        # Of the mean that leaves an error over a deviation, where the likelihood has a variance.
        np.testing.assert_allclose(weighted[:, :2], (mean - y) / deviation, rtol=1e-4)

    @pytest.mark.parametrize("loss", LIKELIHOODS)
    def test_on_validation_rows_is_least_at_the_true_deviation(self, loss):
        """A value with another minimum would stop a training where deviations are wrong."""
        distribution = stats.laplace(scale=math.sqrt(0.5)) if loss is LaplaceLoss else stats.norm()
        y = distribution.ppf((np.arange(2000) + 0.5) / 2000)[:, np.newaxis]
        deviations = np.exp(np.linspace(-0.5, 0.5, 21))
        values = [
            loss().eval()(outputs(np.zeros_like(y), deviation), *tensors(y)).item()
            for deviation in deviations
        ]
        assert deviations[np.argmin(values)] == pytest.approx(1)


def of_tails(kappa):
    """Return the loss of replicates whose noise varies so much from row to row."""
    loss = ReplicateLoss()
    nn.init.constant_(loss.log_kappa, math.log(kappa))
    return loss.double()


class TestReplicates:
    """Their sample variance over the true one has an F distribution."""

    @pytest.mark.parametrize("kappa", [0.5, 3, 50])
    def test_are_as_likely_as_scipy_says_with_any_degrees_of_freedom(self, kappa):
        rng = np.random.default_rng(0)
        freedom = rng.integers(1, 9, size=(50, 1))
        variance = rng.chisquare(freedom) / freedom
        said, likelihood = [], []
        for deviation in np.exp(rng.uniform(-1, 1, size=(2, 50, 1))):
            target = np.hstack([0 * variance, variance])
            each = of_tails(kappa).each(outputs(0 * variance, deviation), *tensors(target))
            said.append((freedom / 2) * each[:, 1:].detach().numpy())
            f = stats.f(freedom, kappa * freedom, scale=deviation**2)
            likelihood.append(f.logpdf(variance))
        np.testing.assert_allclose(said[0] - said[1], likelihood[1] - likelihood[0], atol=1e-3)

    def test_of_different_tails_are_as_likely_as_scipy_says(self):
        variance = np.random.default_rng(0).chisquare(2, size=(50, 1)) / 2
        target = tensors(np.hstack([0 * variance, variance]))
        one, other = (
            of_tails(kappa).each(outputs(0 * variance, 1.5), *target)[:, 1:].detach().numpy()
            for kappa in (2, 30)
        )
        f, g = (stats.f(2, 2 * kappa, scale=1.5**2) for kappa in (2, 30))
        np.testing.assert_allclose(one - other, g.logpdf(variance) - f.logpdf(variance), atol=1e-4)

    def test_that_agree_with_the_net_leave_nothing_to_learn(self, noise):
        y, mean, deviation = noise
        target = np.hstack([y, deviation**2])
        found = gradient(ReplicateLoss(), outputs(mean, deviation), target)
        np.testing.assert_allclose(found[:, 2:], 0, atol=1e-4)

    @pytest.mark.parametrize("wild", [1e2, 1e4, 1e8])
    def test_of_which_one_failed_do_not_upset_the_training(self, wild):
        found = gradient(of_tails(3), outputs(np.zeros((1, 1)), 1.0), [[0.0, wild]])
        assert -3 <= found[0, 1] < -2

    def test_teach_how_heavy_their_tails_are(self):
        """Gaussian ones push the tails away, those of which some failed pull them in."""
        variance = np.random.default_rng(0).chisquare(2, size=(500, 1)) / 2
        slopes = []
        for some in (variance, np.where(np.arange(500)[:, np.newaxis] % 10, variance, 100)):
            loss = of_tails(3)
            target = tensors(np.hstack([0 * some, some]))
            loss(outputs(0 * some, 1.0), *target).backward()
            slopes.append(loss.log_kappa.grad.item())
        assert slopes[0] < 0 < slopes[1]

    @pytest.mark.parametrize("criterion", [nn.MSELoss, nn.HuberLoss])
    def test_leave_the_mean_to_the_criterion(self, noise, criterion):
        y, mean, deviation = noise
        target, prediction = np.hstack([y, deviation]), outputs(mean, deviation)
        each = ReplicateLoss(criterion).each(prediction, *tensors(target)).detach()
        torch.testing.assert_close(
            each[:, :2], criterion(reduction="none")(*tensors(mean, y)), check_dtype=False
        )
        wilder = ReplicateLoss(criterion).each(outputs(mean, 9 * deviation), *tensors(target))
        torch.testing.assert_close(wilder[:, :2].detach(), each[:, :2])

    def test_leave_the_noise_to_the_likelihood(self, noise):
        y, mean, deviation = noise
        target = np.hstack([y, deviation**2])
        found = [
            gradient(ReplicateLoss(), outputs(mean + shift, 2 * deviation), target)[:, 2:]
            for shift in (0, 5)
        ]
        np.testing.assert_array_equal(*found)
        assert (found[0] > 0).all()

    def test_that_are_missing_have_no_gradient(self, noise):
        y, mean, deviation = noise
        deviation[3, 0] = np.nan
        prediction = outputs(mean, np.nan_to_num(deviation, nan=1.0))
        target = split_targets(np.hstack([y, deviation]), None)
        ReplicateLoss()(prediction, tensors(*target)).backward()
        assert torch.isfinite(prediction.grad).all()
        assert prediction.grad[3, 2] == 0
        assert prediction.grad[3, 0] != 0


class TestFloor:
    @pytest.mark.parametrize("loss", [ReplicateLoss, *LIKELIHOODS])
    @settings(max_examples=30, deadline=None)
    @example(np.array([[0.0, 0.0, -9.0, -9.0]]).repeat(3, axis=0), np.full((3, 4), 1e-5))
    @given(
        hnp.arrays(np.float64, (3, 4), elements=st.floats(-50, 50)),
        hnp.arrays(np.float64, (3, 4), elements=st.floats(1e-5, 1e3)),
    )
    def test_keeps_losses_finite_and_above_zero(self, loss, prediction, y):
        """Callbacks watch for an improvement by a part of the loss: below zero that is a rise."""
        target = y[:, : 4 // loss.outputs_a_column]
        each = loss().each(*tensors(prediction, target))
        assert torch.isfinite(each).all()
        assert (each >= 0).all()

    @pytest.mark.parametrize("loss", [ReplicateLoss, *LIKELIHOODS])
    def test_lets_a_deviation_that_is_too_small_come_back(self, loss):
        prediction = torch.tensor([[0.0, LOG_VARIANCE_FLOOR - 5]], requires_grad=True)
        target = torch.ones(1, 2 // loss.outputs_a_column)
        loss()(prediction, target).backward()
        assert torch.isfinite(prediction.grad).all()
        assert prediction.grad[0, 1] < 0

    @pytest.mark.parametrize("loss", [ReplicateLoss, *LIKELIHOODS])
    def test_bounds_what_an_exact_fit_is_worth(self, loss):
        target = torch.zeros(1, 2 // loss.outputs_a_column, dtype=torch.float64)
        least = [
            loss()(torch.tensor([[0.0, log_variance]]).double(), target).item()
            for log_variance in (LOG_VARIANCE_FLOOR - 10, LOG_VARIANCE_FLOOR - 1000)
        ]
        assert least[0] == pytest.approx(least[1], abs=1e-3)


class TestSampledTeacher:
    def variances_of(self, n_members, rng, deviation, n=40_000):
        """Return means and unbiased variances of so many draws, as targets of one mean."""
        drawn = rng.normal(0, deviation, size=(n, n_members))
        ddof = min(1, n_members - 1)
        return np.c_[drawn.mean(axis=1), drawn.var(axis=1, ddof=ddof)]

    @pytest.mark.parametrize("n_members", [1, 2, 5])
    @pytest.mark.parametrize("deviation", [0.5, 1.0, 2.0])
    def test_is_least_where_the_variance_is_that_of_the_members(self, n_members, deviation):
        rng = np.random.default_rng(0)
        targets = self.variances_of(n_members, rng, deviation)
        loss = SampledTeacherLoss(n_members=n_members, scales=(1.5,))
        log_variance = torch.tensor(2 * math.log(deviation) / 1.5)
        prediction = torch.stack([torch.tensor(0.0), log_variance]).expand(len(targets), 2)
        slope = gradient(loss, prediction.clone().double().requires_grad_(), targets)[:, 1]
        # The mean of the gradients vanishes but for its error.
        assert abs(slope.mean()) < 4 * slope.std() / math.sqrt(len(slope))

    def test_of_one_member_takes_the_variance_as_told_in_validation(self):
        loss = SampledTeacherLoss(n_members=1).eval()
        prediction, y = tensors([[0.0, 0.0]], [[3.0, 1.0]])
        deviance = loss.each(prediction, y)[0, 1]
        assert deviance == 0

    def test_measures_ones_own_deviation_in_the_units_of_the_variance(self):
        loss = SampledTeacherLoss(n_members=1, mean_variances=(4.0,))
        told = SampledTeacherLoss(n_members=2)
        prediction, y, same = tensors([[1.0, 0.3]], [[3.0, 0.0]], [[3.0, 16.0]])
        torch.testing.assert_close(loss.each(prediction, y), told.each(prediction, same))

    def test_does_not_pull_the_mean_by_its_own_deviation(self):
        prediction = torch.tensor([[1.0, -2.0]], requires_grad=True)
        slope = gradient(SampledTeacherLoss(n_members=1), prediction, [[3.0, 0.0]])
        assert slope[0, 0] == pytest.approx(2 * (1.0 - 3.0))

    def test_leaves_the_noise_to_what_it_was_told(self):
        """Heads: mean, epistemic, aleatoric."""
        loss = SampledTeacherLoss(n_members=1, scales=(1.0, 1.0))
        prediction = torch.zeros(1, 3)
        for noise in (0.5, 2.0):
            each = loss.each(prediction, torch.tensor([[0.0, 0.0, noise]]))
            assert each[0, 2] == pytest.approx(0.5 * (noise - 1 - math.log(noise)))

    def test_is_never_negative(self):
        prediction, y = tensors([[0.0, -9.0], [0.0, 9.0]], [[0.0, 1e-6], [0.0, 1e-6]])
        assert (SampledTeacherLoss().each(prediction, y) >= 0).all()

    def test_is_finite_where_a_member_says_what_the_student_says(self):
        prediction = torch.zeros(1, 2)
        assert SampledTeacherLoss(n_members=1).each(prediction, torch.zeros(1, 2)).isfinite().all()
