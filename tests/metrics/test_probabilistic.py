"""The likelihood and the CRPS of normal distributions."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from scipy.integrate import quad
from scipy.stats import norm

from sklearn_degu.metrics import gaussian_crps, gaussian_nll
from tests.metrics.strategies import examples, floats, gaussians

BOTH = pytest.mark.parametrize("score", [gaussian_nll, gaussian_crps])


@examples
@given(rows=gaussians())
def test_nll_is_its_formula(rows):
    y, mean, std = rows
    expected = np.mean(0.5 * np.log(2 * math.pi * std**2) + (y - mean) ** 2 / (2 * std**2))
    assert gaussian_nll(y, mean, std) == pytest.approx(expected)


@examples
@given(y=floats(-5, 5), mean=floats(-5, 5), std=floats(0.1, 5))
def test_crps_is_the_integral_that_defines_it(y, mean, std):
    def integral(function, low, high):
        # The function changes near the mean alone, where quadrature may miss a narrow step.
        inside = [x for x in mean + std * np.arange(-8.0, 9.0) if low < x < high]
        parts = pairwise([low, *inside, high])
        return sum(quad(lambda x: function(x, mean, std) ** 2, *part)[0] for part in parts)

    below, above = integral(norm.cdf, y - 80, y), integral(norm.sf, y, y + 80)
    assert gaussian_crps([y], [mean], [std]) == pytest.approx(below + above, abs=1e-6)


@examples
@given(rows=gaussians(), shift=floats(), factor=floats(0.1, 10))
def test_units_shift_the_nll_and_scale_the_crps(rows, shift, factor):
    y, mean, std = rows
    moved = (factor * y + shift, factor * mean + shift, factor * std)
    assert gaussian_nll(*moved) == pytest.approx(gaussian_nll(*rows) + math.log(factor), rel=1e-6)
    assert gaussian_crps(*moved) == pytest.approx(factor * gaussian_crps(*rows), rel=1e-6)


@BOTH
@examples
@given(rows=gaussians())
def test_is_symmetric(score, rows):
    y, mean, std = rows
    assert score(-y, -mean, std) == pytest.approx(score(y, mean, std))


@examples
@given(rows=gaussians())
def test_crps_lies_between_zero_and_the_absolute_error_and_falls_to_it(rows):
    y, mean, std = rows
    error = np.mean(np.abs(y - mean))
    assert 0 <= gaussian_crps(y, mean, std) <= error + std.mean() * math.sqrt(2 / math.pi)
    assert gaussian_crps(y, mean, np.zeros_like(std)) == error
    assert gaussian_crps(y, mean, 1e-9 * std) == pytest.approx(error, abs=1e-6)


def test_crps_of_a_certain_and_exact_prediction_is_zero():
    assert gaussian_crps([2.0], [2.0], [0.0]) == 0


@BOTH
@pytest.mark.parametrize("wrong", [0.6, 1.7])
@pytest.mark.parametrize("seed", range(5))
def test_is_proper(score, seed, wrong):
    std = np.random.default_rng(seed).uniform(0.5, 3, size=2000)
    y, mean = np.random.default_rng(seed + 1).normal(0, std), np.zeros(2000)
    assert score(y, mean, std) < score(y, mean, wrong * std)
    assert score(y, mean, std) < score(y, mean + 0.8, std)
    assert score(y, mean, std) < score(y, mean, np.full(2000, std.mean()))
