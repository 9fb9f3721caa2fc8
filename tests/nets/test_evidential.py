"""The loss of evidential regression is the one of the paper, and safe in float32."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch.nn.functional import softplus

from sklearn_degu.nets.data import split_targets
from sklearn_degu.nets.evidential import EvidentialLoss, NormalInverseGamma


def distribution(gamma, nu, alpha, beta):
    columns = (torch.tensor([[value]], dtype=torch.float64) for value in (gamma, nu, alpha, beta))
    return NormalInverseGamma(*columns)


def nll(y, **parameters):
    y = torch.tensor([[y]], dtype=torch.float64)
    return float(distribution(**parameters).negative_log_likelihood(y))


def outputs(n=5, n_targets=1, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 4 * n_targets, generator=generator, dtype=dtype)


positive = st.floats(1e-3, 1e3)


class TestLikelihood:
    @settings(max_examples=50, deadline=None)
    @given(
        y=st.floats(-20, 20), gamma=st.floats(-20, 20), nu=positive, excess=positive, beta=positive
    )
    def test_is_that_of_a_student_distribution(self, y, gamma, nu, excess, beta):
        alpha = 1 + excess
        student = stats.t(2 * alpha, loc=gamma, scale=np.sqrt(beta * (1 + nu) / (nu * alpha)))
        actual = nll(y, gamma=gamma, nu=nu, alpha=alpha, beta=beta)
        np.testing.assert_allclose(actual, -student.logpdf(y), rtol=1e-8, atol=1e-8)

    def test_equals_the_formula_of_the_paper_by_hand(self):
        # omega = 2 * 1 * (1 + 1) = 4; Gamma(2) / Gamma(5/2) = 4 / (3 sqrt(pi)).
        by_hand = 0.5 * np.log(np.pi) - 2 * np.log(4) + 2.5 * np.log(4 + 4)
        by_hand += np.log(4 / (3 * np.sqrt(np.pi)))
        np.testing.assert_allclose(nll(3, gamma=1, nu=1, alpha=2, beta=1), by_hand, rtol=1e-12)

    @settings(max_examples=20, deadline=None)
    @given(nu=positive, other=positive)
    def test_does_not_say_how_the_total_variance_divides(self, nu, other):
        # beta (1 + nu) / nu = 2 with either: what the docstring warns of.
        one, two = (nll(0.7, gamma=0, nu=nu, alpha=3, beta=2 * nu / (1 + nu)) for nu in (nu, other))
        np.testing.assert_allclose(one, two, rtol=1e-9)

    def test_in_float32_is_that_in_float64(self):
        alpha = 1 + torch.logspace(-6, 3, 200, dtype=torch.float64)[:, None]
        double = NormalInverseGamma(torch.zeros_like(alpha), alpha, alpha, alpha)
        single = NormalInverseGamma(*(part.float() for part in double))
        y = torch.ones_like(alpha)
        expected = double.negative_log_likelihood(y)
        actual = single.negative_log_likelihood(y.float()).double()
        torch.testing.assert_close(actual, expected, rtol=0, atol=1e-3)


class TestParameters:
    def test_variances_are_those_of_the_distribution(self):
        parameters = distribution(gamma=0, nu=4, alpha=3, beta=1)
        assert float(parameters.aleatoric_variance) == 0.5
        assert float(parameters.epistemic_variance) == 0.125

    def test_total_variance_is_that_of_the_student_distribution(self):
        parameters = distribution(gamma=0, nu=0.5, alpha=2.5, beta=1.5)
        total = float(parameters.aleatoric_variance + parameters.epistemic_variance)
        student = stats.t(5, scale=np.sqrt(1.5 * 1.5 / (0.5 * 2.5)))
        np.testing.assert_allclose(total, student.var())

    def test_are_the_quarters_of_the_outputs_in_their_ranges(self):
        raw = outputs(n_targets=2)
        gamma, nu, alpha, beta = raw.split(2, dim=1)
        expected = (gamma, softplus(nu), 1 + softplus(alpha), softplus(beta))
        torch.testing.assert_close(tuple(NormalInverseGamma.of(raw)), expected, rtol=0, atol=1e-5)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize("extreme", [-1e3, 1e3])
    @pytest.mark.parametrize("which", [1, 2, 3])
    def test_extreme_outputs_have_finite_losses_and_gradients(self, dtype, extreme, which):
        raw = torch.zeros(3, 4, dtype=dtype)
        raw[:, which] = extreme
        raw.requires_grad_()
        y = torch.tensor([[-1e3], [0.0], [1e3]], dtype=dtype)
        loss = EvidentialLoss()(raw, y)
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(raw.grad).all()

    @pytest.mark.parametrize("extreme", [-1e3, 1e3])
    def test_extreme_outputs_have_finite_positive_variances(self, extreme):
        parameters = NormalInverseGamma.of(torch.full((1, 4), extreme, dtype=torch.float64))
        for variance in (parameters.aleatoric_variance, parameters.epistemic_variance):
            assert 0 < float(variance) < np.inf


class TestLoss:
    def test_prices_evidence_by_the_error(self):
        raw, y = outputs(), torch.ones(5, 1, dtype=torch.float64)
        parameters = NormalInverseGamma.of(raw)
        price = (y - parameters.gamma).abs() * (2 * parameters.nu + parameters.alpha)
        difference = EvidentialLoss(0.3)(raw, y) - EvidentialLoss(0.0)(raw, y)
        torch.testing.assert_close(difference, 0.3 * price.mean())

    def test_of_two_targets_is_the_mean_of_each(self):
        raw, y = outputs(n_targets=2), outputs(n_targets=2)[:, :2]
        alone = [EvidentialLoss()(raw[:, t::2], y[:, t : t + 1]) for t in (0, 1)]
        torch.testing.assert_close(EvidentialLoss()(raw, y), sum(alone) / 2)

    def test_leaves_missing_targets_out(self):
        raw, y = outputs(n_targets=2), outputs(n_targets=2)[:, :2].numpy().copy()
        y[:, 1] = np.nan
        target = tuple(map(torch.from_numpy, split_targets(y, None)))
        first = EvidentialLoss()(raw[:, ::2], torch.from_numpy(y[:, :1].copy()))
        torch.testing.assert_close(EvidentialLoss()(raw, target), first)

    def test_of_a_weight_of_two_is_that_of_a_row_twice(self):
        raw, y = outputs(), outputs()[:, :1]
        weights = torch.tensor([2.0, 1, 1, 1, 1], dtype=torch.float64)[:, None]
        twice = EvidentialLoss()(torch.cat([raw, raw[:1]]), torch.cat([y, y[:1]]))
        torch.testing.assert_close(EvidentialLoss()(raw, (y, weights)), twice)

    @pytest.mark.parametrize("shape", [(5,), (5, 1), (5, 3), (1, 4), (5, 4, 2), (5, 2, 2, 1)])
    def test_refuses_outputs_that_torch_would_broadcast(self, shape):
        with pytest.raises(ValueError, match=r"need \(5, 4\)"):
            EvidentialLoss()(torch.zeros(shape), torch.zeros(5, 1))

    def test_refuses_targets_without_a_column(self):
        with pytest.raises(ValueError, match="targets of shape"):
            EvidentialLoss()(torch.zeros(5, 4), torch.zeros(5))
