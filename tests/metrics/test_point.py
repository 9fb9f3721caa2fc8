"""Correlations of measurements and predictions."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import ConstantInputWarning

from sklearn_degu.metrics import pearson_correlation, spearman_correlation
from tests.metrics.strategies import examples, seeds

BOTH = pytest.mark.parametrize("correlation", [pearson_correlation, spearman_correlation])


def related(seed, n=15):
    y_true, noise = np.random.default_rng(seed).normal(size=(2, n))
    return y_true, y_true + noise


@BOTH
@examples
@given(seed=seeds, scale=st.floats(0.01, 100), shift=st.floats(-100, 100))
def test_is_blind_to_offset_and_scale(correlation, seed, scale, shift):
    y_true, y_pred = related(seed)
    value = correlation(y_true, y_pred)
    assert correlation(y_true, scale * y_pred + shift) == pytest.approx(value)
    assert correlation(y_true, shift - scale * y_pred) == pytest.approx(-value)
    assert correlation(y_pred, y_true) == pytest.approx(value)
    assert -1 <= value <= 1


@examples
@given(seed=seeds)
def test_pearson_is_covariance_over_deviations(seed):
    y_true, y_pred = related(seed)
    expected = np.corrcoef(y_true, y_pred)[0, 1]
    assert pearson_correlation(y_true, y_pred) == pytest.approx(expected)


@examples
@given(seed=seeds)
def test_spearman_sees_the_order_alone(seed):
    y_true, y_pred = related(seed)
    value = spearman_correlation(y_true, y_pred)
    assert spearman_correlation(np.exp(y_true), y_pred**3) == pytest.approx(value)
    assume(abs(value) < 1)
    assert pearson_correlation(np.exp(y_true), y_pred**3) != pytest.approx(value)


@BOTH
@pytest.mark.parametrize("which", [0, 1])
def test_of_a_constant_is_nan_with_a_warning(correlation, which):
    y_true, y_pred = np.random.default_rng(0).normal(size=(2, 8, 2))
    (y_true, y_pred)[which][:, 1] = 3.0
    with pytest.warns(ConstantInputWarning):
        first, second = correlation(y_true, y_pred, multioutput="raw_values")
    assert np.isfinite(first)
    assert np.isnan(second)
    with pytest.warns(ConstantInputWarning):
        assert np.isnan(correlation(y_true, y_pred))


@BOTH
def test_of_one_measurement_is_refused(correlation):
    with pytest.raises(ValueError, match=r"Target 0 .* correlation: 1, expected at least 2"):
        correlation([1.0, np.nan], [1.0, 2.0])
