"""Calibration error, sharpness, and the correlation with the error."""

import numpy as np
import pytest
from hypothesis import given
from scipy.stats import ConstantInputWarning

from sklearn_degu.metrics import (
    expected_normalized_calibration_error,
    sharpness,
    uncertainty_error_correlation,
)
from tests.metrics.strategies import examples, floats, gaussians, seeds


def calibrated(seed, n=6000):
    rng = np.random.default_rng(seed)
    std = rng.uniform(1, 4, size=n)
    mean = rng.normal(size=n)
    return rng.normal(mean, std), mean, std


class TestENCE:
    @pytest.mark.parametrize("n_bins", [1, 5, 20])
    @pytest.mark.parametrize("seed", range(5))
    def test_is_near_zero_if_deviations_are_right(self, seed, n_bins):
        ence = expected_normalized_calibration_error(*calibrated(seed), n_bins=n_bins)
        assert ence < 3 * np.sqrt(n_bins / (np.pi * 6000))

    def test_of_right_deviations_is_on_average_what_the_documentation_says(self):
        values = [
            expected_normalized_calibration_error(*calibrated(seed, 1000)) for seed in range(200)
        ]
        assert np.mean(values) == pytest.approx(0.056, abs=0.003)

    @pytest.mark.parametrize("factor", [0.5, 0.8, 2.0])
    @pytest.mark.parametrize("seed", range(5))
    def test_is_the_relative_error_of_the_deviations(self, seed, factor):
        y, mean, std = calibrated(seed)
        ence = expected_normalized_calibration_error(y, mean, factor * std)
        assert ence == pytest.approx(abs(1 - 1 / factor), abs=0.1)

    def test_sees_deviations_that_are_right_on_average_only(self):
        y, mean, std = calibrated(0)
        constant = np.full_like(std, np.sqrt(np.mean(std**2)))
        swapped = 5 - std
        assert expected_normalized_calibration_error(y, mean, constant) < 0.05
        assert expected_normalized_calibration_error(y, mean, swapped) > 0.5

    def test_is_its_formula(self):
        y, mean, std = [3.0, 4.0, 1.0, 8.0], np.zeros(4), [1.0, 7.0, 2.0, 10.0]
        rmv, rmse = np.sqrt([2.5, 74.5]), np.sqrt([5.0, 40.0])
        assert expected_normalized_calibration_error(y, mean, std, n_bins=2) == pytest.approx(
            np.mean(np.abs(rmv - rmse) / rmv)
        )

    def test_bins_that_cannot_be_equal_have_a_row_more_first(self):
        y, mean, std = [1.0, 2.0, 6.0], np.zeros(3), [1.0, 2.0, 3.0]
        assert expected_normalized_calibration_error(y, mean, std, n_bins=2) == pytest.approx(0.5)

    def test_rows_that_tie_across_an_edge_count_in_both_bins(self):
        y, mean, std = [0.0, 2.0, 2.0, 0.0], np.zeros(4), np.ones(4)
        ence = expected_normalized_calibration_error(y, mean, std, n_bins=2)
        assert ence == pytest.approx(np.sqrt(2) - 1)

    @examples
    @given(rows=gaussians(min_rows=3), shift=floats(), factor=floats(0.1, 10))
    def test_has_no_unit(self, rows, shift, factor):
        y, mean, std = rows
        moved = (factor * y + shift, factor * mean + shift, factor * std)
        value = expected_normalized_calibration_error(*moved, n_bins=3)
        expected = expected_normalized_calibration_error(*rows, n_bins=3)
        assert value == pytest.approx(expected, rel=1e-4, abs=1e-4)

    @pytest.mark.parametrize(
        ("n_bins", "error", "message"),
        [(0, ValueError, "n_bins == 0"), (2.0, TypeError, "n_bins"), (4, ValueError, "n_bins=4")],
    )
    def test_refuses_numbers_of_bins_that_cannot_be(self, n_bins, error, message):
        with pytest.raises(error, match=message):
            expected_normalized_calibration_error(
                [1.0, 2.0, 3.0, np.nan], np.zeros(4), np.ones(4), n_bins=n_bins
            )


class TestSharpness:
    def test_is_the_root_mean_square_of_each_target(self):
        std = np.array([[1.0, 0.0], [7.0, 2.0]])
        np.testing.assert_allclose(sharpness(std, multioutput="raw_values"), [5, np.sqrt(2)])
        assert sharpness(std) == pytest.approx((5 + np.sqrt(2)) / 2)

    def test_of_calibrated_deviations_is_the_root_mean_square_error(self):
        y, mean, std = calibrated(0)
        assert sharpness(std) == pytest.approx(np.sqrt(np.mean((y - mean) ** 2)), rel=0.03)

    @pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
    def test_refuses_what_is_no_deviation(self, bad):
        with pytest.raises(ValueError, match="y_std"):
            sharpness([1.0, bad])

    def test_refuses_three_axes(self):
        with pytest.raises(ValueError, match=r"got y_std \(2, 3, 4\)"):
            sharpness(np.ones((2, 3, 4)))


class TestUncertaintyErrorCorrelation:
    @examples
    @given(seed=seeds)
    def test_is_one_if_deviations_order_the_errors(self, seed):
        y, mean, _ = calibrated(seed, 20)
        error = np.abs(y - mean)
        assert uncertainty_error_correlation(y, mean, error**3) == pytest.approx(1)
        assert uncertainty_error_correlation(y, mean, 1 / error) == pytest.approx(-1)

    def test_of_right_deviations_is_what_the_documentation_says(self):
        assert uncertainty_error_correlation(*calibrated(0)) == pytest.approx(0.4, abs=0.05)

    def test_of_a_constant_deviation_is_nan_with_a_warning(self):
        with pytest.warns(ConstantInputWarning):
            assert np.isnan(uncertainty_error_correlation([1.0, 2.0], [0.0, 0.0], [1.0, 1.0]))

    def test_needs_two_measurements(self):
        with pytest.raises(ValueError, match=r"for a correlation: 1, expected at least 2"):
            uncertainty_error_correlation([1.0, np.nan], [0.0, 0.0], [1.0, 2.0])
