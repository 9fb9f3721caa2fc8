"""The error that remains when uncertain predictions are rejected."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import mean_absolute_error, mean_squared_error

from sklearn_degu.metrics import error_rejection_area, error_rejection_curve
from tests.metrics.strategies import examples, gaussians, seeds

ERRORS = {"mse": mean_squared_error, "mae": mean_absolute_error}
EITHER = pytest.mark.parametrize("error", ERRORS)


def random_rows(seed, n=20):
    y, mean, std = np.random.default_rng(seed).normal(size=(3, n))
    return y, mean, np.abs(std)


class TestCurve:
    @EITHER
    @examples
    @given(seed=seeds)
    def test_is_the_error_of_the_rows_that_remain(self, error, seed):
        y, mean, std = random_rows(seed)
        certain_first = np.argsort(std)
        fraction, remaining = error_rejection_curve(y, mean, std, error=error)
        np.testing.assert_allclose(fraction, np.arange(20) / 20)
        for rejected, value in enumerate(remaining):
            kept = certain_first[: 20 - rejected]
            assert value == pytest.approx(ERRORS[error](y[kept], mean[kept]))

    def test_averages_over_the_orders_of_rows_that_tie(self):
        y, mean, std = np.array([1.0, 2.0, 5.0, 3.0]), np.zeros(4), np.array([1.0, 2.0, 2.0, 2.0])
        broken = [
            error_rejection_curve(y, mean, std + np.r_[0, order])[1]
            for order in itertools.permutations([0.1, 0.2, 0.3])
        ]
        _, remaining = error_rejection_curve(y, mean, std)
        np.testing.assert_allclose(remaining, np.mean(broken, axis=0))

    def test_of_constant_deviations_is_level(self):
        y, mean, _ = random_rows(0)
        _, remaining = error_rejection_curve(y, mean, np.ones(20))
        np.testing.assert_allclose(remaining, mean_squared_error(y, mean))

    def test_of_several_targets_has_a_column_for_each(self):
        y, mean, std = (a.reshape(10, 2) for a in random_rows(0))
        fraction, remaining = error_rejection_curve(y, mean, std)
        assert fraction.shape == (10,)
        for t in range(2):
            alone = error_rejection_curve(y[:, t], mean[:, t], std[:, t])[1]
            np.testing.assert_array_equal(remaining[:, t], alone)

    def test_of_targets_with_fewer_measurements_rejects_the_same_fraction_rounded_down(self):
        y, mean, std = (a.reshape(10, 2) for a in random_rows(0))
        y[:2], y[2:5, 1] = np.nan, np.nan
        fraction, remaining = error_rejection_curve(y, mean, std)
        np.testing.assert_allclose(fraction, np.arange(8) / 8)
        alone = error_rejection_curve(y[5:, 1], mean[5:, 1], std[5:, 1])[1]
        np.testing.assert_array_equal(remaining[:, 1], alone[np.floor(fraction * 5).astype(int)])
        alone = error_rejection_curve(y[2:, 0], mean[2:, 0], std[2:, 0])[1]
        np.testing.assert_array_equal(remaining[:, 0], alone)


class TestArea:
    @EITHER
    @examples
    @given(seed=seeds, power=st.sampled_from([0.5, 1.0, 3.0]))
    def test_of_an_oracle_is_one(self, error, seed, power):
        y, mean, _ = random_rows(seed)
        oracle = np.abs(y - mean) ** power
        assert error_rejection_area(y, mean, oracle, error=error) == pytest.approx(1)

    @EITHER
    @examples
    @given(rows=gaussians(same_std=True))
    def test_is_at_most_one_and_zero_for_a_constant(self, error, rows):
        y, mean, std = rows
        y[0] = mean[0] + 1 + np.abs(y - mean).max()
        assert error_rejection_area(y, mean, std, error=error) <= 1 + 1e-9
        constant = error_rejection_area(y, mean, np.ones_like(std), error=error)
        assert constant == pytest.approx(0, abs=1e-9)

    @EITHER
    def test_of_a_random_order_is_zero_on_average(self, error):
        y, mean, _ = random_rows(0)
        orders = np.random.default_rng(1).random((500, 20))
        areas = [error_rejection_area(y, mean, order, error=error) for order in orders]
        assert np.mean(areas) == pytest.approx(0, abs=0.1)

    def test_of_an_order_that_misleads_is_negative(self):
        y, mean, _ = random_rows(0)
        assert error_rejection_area(y, mean, 1 / np.abs(y - mean)) < -0.5

    @examples
    @given(seed=seeds, factor=st.floats(0.01, 100), shift=st.floats(-100, 100))
    def test_has_no_unit(self, seed, factor, shift):
        y, mean, std = random_rows(seed)
        moved = error_rejection_area(factor * y + shift, factor * mean + shift, std**2)
        assert moved == pytest.approx(error_rejection_area(y, mean, std), abs=1e-6)

    @EITHER
    def test_is_made_of_the_areas_under_the_curves(self, error):
        y, mean, std = random_rows(3)
        ours, oracle = (
            error_rejection_curve(y, mean, order, error=error)[1].mean()
            for order in (std, np.abs(y - mean))
        )
        chance = ERRORS[error](y, mean)
        expected = (chance - ours) / (chance - oracle)
        assert error_rejection_area(y, mean, std, error=error) == pytest.approx(expected)

    @pytest.mark.parametrize("error", [0.0, 0.1, 3.0])
    @pytest.mark.parametrize("mean", [[0.2], [0.0, 0.3, 7.0]])
    def test_of_errors_equal_up_to_rounding_is_nan_with_a_warning(self, mean, error):
        y = np.asarray(mean) + error
        with pytest.warns(UndefinedMetricWarning, match=f"The {len(y)} errors .* are all equal"):
            assert np.isnan(error_rejection_area(y, mean, np.arange(len(y))))

    def test_of_a_target_without_gain_leaves_the_others(self):
        y, mean, std = (a.reshape(10, 2) for a in random_rows(0))
        mean[:, 0] = y[:, 0]
        with pytest.warns(UndefinedMetricWarning):
            areas = error_rejection_area(y, mean, std, multioutput="raw_values")
        assert np.isnan(areas).tolist() == [True, False]


@pytest.mark.parametrize("metric", [error_rejection_curve, error_rejection_area])
def test_refuses_other_errors(metric):
    with pytest.raises(ValueError, match="error must be 'mse' or 'mae', got 'rmse'"):
        metric([0.0, 1.0], [0.0, 0.0], [1.0, 1.0], error="rmse")
