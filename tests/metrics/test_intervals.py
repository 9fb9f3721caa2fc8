"""Coverage, width and score of prediction intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mapie.metrics.regression import (
    regression_coverage_score,
    regression_mean_width_score,
    regression_mwi_score,
)
from scipy.stats import norm

from sklearn_degu.metrics import (
    coverage_by_bin,
    interval_coverage,
    interval_score,
    interval_width,
)
from tests.metrics.strategies import examples, floats, intervals, seeds

INF = np.inf
UNBOUNDED = ([0.0, -INF], [1.0, INF])


def noisy(seed, n=3000):
    """Return y and its deviation, which spans a factor of four."""
    rng = np.random.default_rng(seed)
    std = rng.uniform(1, 4, size=n)
    return rng.normal(0, std), std


def finite_intervals(seed, n=12):
    y, center = np.random.default_rng(seed).normal(size=(2, n))
    width = np.random.default_rng(seed + 1).uniform(0, 2, size=n)
    return y, center - width, center + width


@examples
@given(seed=seeds, level=st.floats(0.05, 0.95))
def test_of_bounded_intervals_is_what_mapie_says(seed, level):
    y, lower, upper = finite_intervals(seed)
    bounds = np.stack([lower, upper], axis=1)[:, :, np.newaxis]
    assert interval_coverage(y, lower, upper) == pytest.approx(
        regression_coverage_score(y, bounds)[0]
    )
    assert interval_width(lower, upper) == pytest.approx(regression_mean_width_score(bounds)[0])
    assert interval_score(y, lower, upper, confidence_level=level) == pytest.approx(
        regression_mwi_score(y, bounds, level)
    )


class TestCoverage:
    @examples
    @given(rows=intervals())
    def test_is_a_fraction_of_the_rows(self, rows):
        coverage = interval_coverage(*rows)
        assert 0 <= coverage <= 1
        assert coverage * len(rows[0]) == pytest.approx(round(coverage * len(rows[0])))

    @examples
    @given(rows=intervals(), more=floats(0.0, 50.0))
    def test_grows_with_the_intervals(self, rows, more):
        y, lower, upper = rows
        assert interval_coverage(y, lower - more, upper + more) >= interval_coverage(*rows)

    def test_counts_measurements_on_the_bounds(self):
        assert interval_coverage([0.0, 1.0, 1.0], [0.0, 0.0, 1.0], [1.0, 1.0, 1.0]) == 1

    def test_counts_unbounded_intervals(self):
        y, low, high = [5.0, 5.0, 5.0, 5.0], [-INF, -INF, 6.0, 4.0], [INF, 4.0, INF, INF]
        assert interval_coverage(y, low, high) == 0.5


class TestWidth:
    @examples
    @given(seed=seeds, shift=st.floats(-100, 100), factor=st.floats(0.01, 100))
    def test_shifts_with_nothing_and_scales_with_y(self, seed, shift, factor):
        _, lower, upper = finite_intervals(seed)
        width = interval_width(factor * lower + shift, factor * upper + shift)
        assert width == pytest.approx(factor * interval_width(lower, upper), abs=1e-9)

    def test_of_unbounded_intervals_is_infinite_for_their_target(self):
        lower, upper = np.zeros((2, 2)), np.ones((2, 2))
        lower[0, 1] = -INF
        assert interval_width(lower, upper, multioutput="raw_values").tolist() == [1, INF]
        assert interval_width(lower, upper) == INF

    def test_leaves_out_rows_of_weight_zero(self):
        assert interval_width(*UNBOUNDED, sample_weight=[1, 0]) == 1
        assert interval_width([0.0, 0.0], [1.0, 2.0], sample_weight=[3, 1]) == 1.25

    @pytest.mark.parametrize(
        ("lower", "upper", "message"),
        [
            ([0.0, 2.0], [1.0, 1.0], r"y_lower must not be greater .* first at index \(1,\)"),
            ([0.0, np.nan], [1.0, 1.0], "y_lower must not be NaN; .* -inf"),
            ([0.0, 0.0], [1.0, np.nan], "y_upper must not be NaN; .* inf"),
            ([0.0, INF], [1.0, INF], "y_lower must not be inf"),
            ([0.0, -INF], [1.0, -INF], "nor y_upper -inf"),
            ([0.0, 0.0], [[1.0], [1.0]], "Expected one shape"),
            (np.zeros((2, 3, 2)), np.ones((2, 3, 2)), r"as y_lower\[..., 0\]"),
        ],
    )
    def test_refuses_what_is_no_interval(self, lower, upper, message):
        with pytest.raises(ValueError, match=message):
            interval_width(lower, upper)
        with pytest.raises(ValueError, match=message):
            interval_coverage([0.0, 0.0], lower, upper)

    def test_refuses_bounds_of_several_levels(self):
        with pytest.raises(ValueError, match=r"y_true \(2,\), .* \(2, 4\).* y_lower\[..., 0\]"):
            interval_coverage([0.0, 0.0], np.zeros((2, 4)), np.ones((2, 4)))


class TestScore:
    def test_of_unbounded_intervals_is_infinite(self):
        assert interval_score([0.0, 0.0], *UNBOUNDED, confidence_level=0.9) == INF

    @examples
    @given(seed=seeds, factor=st.floats(0.01, 100), shift=st.floats(-100, 100))
    def test_scales_with_y(self, seed, factor, shift):
        rows = finite_intervals(seed)
        moved = interval_score(*(factor * row + shift for row in rows), confidence_level=0.8)
        expected = factor * interval_score(*rows, confidence_level=0.8)
        assert moved == pytest.approx(expected, abs=1e-9)

    @pytest.mark.parametrize("wrong", [0.6, 1.7])
    @pytest.mark.parametrize("level", [0.5, 0.8, 0.95])
    @pytest.mark.parametrize("seed", range(5))
    def test_is_proper(self, seed, level, wrong):
        y, std = noisy(seed)
        half = norm.ppf(0.5 + level / 2) * std

        def score(half, shift=0.0):
            return interval_score(y, shift - half, shift + half, confidence_level=level)

        assert score(half) < score(wrong * half)
        assert score(half) < score(half, shift=1.5)

    @pytest.mark.parametrize(
        ("level", "error"),
        [(0, ValueError), (1.0, ValueError), (90, ValueError), ("0.9", TypeError)],
    )
    def test_refuses_levels_that_are_none(self, level, error):
        with pytest.raises(error, match="confidence_level"):
            interval_score([0.0], [0.0], [1.0], confidence_level=level)


class TestCoverageByBin:
    @examples
    @given(rows=intervals(min_rows=6), seed=seeds)
    def test_has_the_coverage_as_its_mean_if_bins_are_equal(self, rows, seed):
        rows = [row[:6] for row in rows]
        by = np.random.default_rng(seed).integers(0, 4, size=6)
        bins = coverage_by_bin(*rows, by)
        assert bins.shape == (3,)
        assert ((bins >= 0) & (bins <= 1)).all()
        assert bins.mean() == pytest.approx(interval_coverage(*rows))

    @pytest.mark.parametrize("seed", range(5))
    def test_is_level_where_intervals_adapt_and_falls_where_they_do_not(self, seed):
        y, std = noisy(seed)
        adapted = coverage_by_bin(y, -1.645 * std, 1.645 * std, std)
        np.testing.assert_allclose(adapted, 0.9, atol=0.05)
        half = np.full_like(std, 4.5)
        low, middle, high = coverage_by_bin(y, -half, half, std)
        assert low > middle > high

    def test_goes_from_the_lowest_rows_up_in_any_order_of_the_rows(self):
        y, by = np.array([1.0, 0.0, 1.0, 0.0]), [3, 1, 2, 0]
        assert coverage_by_bin(y, y * 0 - 0.5, y * 0 + 0.5, by, n_bins=2).tolist() == [1, 0]

    def test_shares_rows_that_tie_across_an_edge(self):
        y, by = np.array([0.0, 0.0, 1.0, 1.0]), [0, 1, 1, 2]
        bins = coverage_by_bin(y, y * 0 - 0.5, y * 0 + 0.5, by, n_bins=2)
        assert bins.tolist() == [0.75, 0.25]

    def test_has_larger_bins_first(self):
        y, by = np.array([0.0, 1.0, 1.0]), [0, 1, 2]
        bins = coverage_by_bin(y, y * 0 - 0.5, y * 0 + 0.5, by, n_bins=2)
        assert bins.tolist() == [0.5, 0]

    def test_bins_each_target_by_its_own_column_or_all_by_one(self):
        rng = np.random.default_rng(0)
        y, lower, upper = (a.reshape(20, 2) for a in finite_intervals(0, 40))
        y[rng.random(y.shape) < 0.2] = np.nan
        by = rng.normal(size=y.shape)
        own = coverage_by_bin(y, lower, upper, by)
        shared = coverage_by_bin(y, lower, upper, by[:, 0])
        assert own.shape == shared.shape == (3, 2)
        for t in range(2):
            kept = ~np.isnan(y[:, t])
            rows = (y[kept, t], lower[kept, t], upper[kept, t])
            np.testing.assert_array_equal(own[:, t], coverage_by_bin(*rows, by[kept, t]))
            np.testing.assert_array_equal(shared[:, t], coverage_by_bin(*rows, by[kept, 0]))

    def test_orders_infinite_widths_last(self):
        y, lower, upper = np.zeros(4), np.array([1, -INF, 1, -INF]), np.array([2, INF, 3, INF])
        bins = coverage_by_bin(y, lower, upper, upper - lower, n_bins=2)
        assert bins.tolist() == [0, 1]

    @pytest.mark.parametrize(
        ("by", "n_bins", "error", "message"),
        [
            (np.zeros((3, 1)), 3, ValueError, r"by has shape \(3, 1\).*needs the same shape, or"),
            (np.zeros(2), 3, ValueError, r"by has shape \(2,\), but y_true has \(3,\)"),
            ([0, np.nan, 1], 3, ValueError, "by must not be NaN"),
            (np.zeros(3), 4, ValueError, "too few measurements for n_bins=4: 3"),
            (np.zeros(3), 0, ValueError, "n_bins == 0"),
            (np.zeros(3), 1.5, TypeError, "n_bins"),
        ],
    )
    def test_refuses_what_makes_no_bins(self, by, n_bins, error, message):
        with pytest.raises(error, match=message):
            coverage_by_bin(np.zeros(3), np.zeros(3), np.ones(3), by, n_bins=n_bins)
