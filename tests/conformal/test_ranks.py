"""Levels, ranks and quantiles of conformal prediction."""

from decimal import ROUND_CEILING, Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sklearn_degu.conformal.ranks import (
    check_levels,
    conformal_quantiles,
    effective_sample_size,
    n_rows_needed,
    weighted_conformal_quantiles,
)

PERCENT = st.integers(1, 999).map(lambda n: n / 1000)
SCORES = st.integers(0, 60).flatmap(
    lambda n: arrays(np.float64, n, elements=st.floats(0, 1e6)).map(np.sort)
)


def textbook(scores, level):
    """Return the score of rank ceil((n + 1) level), counted in decimals."""
    n = len(scores)
    rank = int((Decimal(n + 1) * Decimal(str(level))).to_integral_value(ROUND_CEILING))
    return sorted(scores)[rank - 1] if rank <= n else np.inf


class TestLevels:
    @pytest.mark.parametrize(
        "level", [0.9, np.float64(0.9), np.float32(0.9), Fraction(9, 10), np.array(0.9)]
    )
    def test_are_the_decimals_that_they_were_written_as(self, level):
        assert check_levels(level) == (Fraction(9, 10),)

    @pytest.mark.parametrize("levels", [[0.8, 0.95], (0.8, 0.95), np.array([0.8, 0.95])])
    def test_stay_in_order(self, levels):
        assert check_levels(levels) == (Fraction(4, 5), Fraction(19, 20))

    @pytest.mark.parametrize(
        "level",
        [0, 1, 0.0, 1.0, 90, -0.1, np.nan, True, None, "0.9", [], [0.9, 1.0], [[0.9]], [0.9, "a"]],
    )
    def test_outside_0_to_1_are_refused(self, level):
        with pytest.raises(ValueError, match="confidence_level must be a number strictly between"):
            check_levels(level)


class TestRowsNeeded:
    @pytest.mark.parametrize(
        ("level", "n"), [(0.5, 1), (0.8, 4), (0.9, 9), (0.95, 19), (0.99, 99), (0.91, 11)]
    )
    def test_are_known(self, level, n):
        assert n_rows_needed(*check_levels(level)) == n

    @given(PERCENT)
    def test_are_the_fewest_with_a_finite_bound(self, level):
        levels = check_levels(level)
        needed = n_rows_needed(*levels)
        assert np.isfinite(conformal_quantiles(np.zeros(needed), levels)).all()
        assert np.isinf(conformal_quantiles(np.zeros(needed - 1), levels)).all()


class TestUnweighted:
    @given(SCORES, PERCENT)
    def test_is_the_textbooks(self, scores, level):
        assert conformal_quantiles(scores, check_levels(level)) == [[textbook(scores, level)]]

    def test_is_counted_in_decimals(self):
        assert 0.55 * 100 > 55
        assert conformal_quantiles(np.arange(1.0, 100), check_levels(0.55)) == 55


class TestWeighted:
    @given(SCORES, PERCENT, st.floats(1e-3, 1e3), st.integers(0, 3))
    def test_by_a_constant_is_the_unweighted(self, scores, level, constant, n_new):
        weighted = weighted_conformal_quantiles(
            scores, np.full(len(scores), constant), np.full(n_new, constant), check_levels(level)
        )
        assert weighted.tolist() == [[textbook(scores, level)]] * n_new

    @given(st.data(), SCORES, PERCENT)
    def test_is_the_papers(self, data, scores, level):
        positive = st.integers(1, 20).map(float)
        weights = data.draw(arrays(np.float64, len(scores), elements=positive))
        new = data.draw(arrays(np.float64, 3, elements=positive))
        quantiles = weighted_conformal_quantiles(scores, weights, new, check_levels(level))
        for weight, quantile in zip(new, quantiles[:, 0], strict=True):
            share = [
                Fraction(int(weights[scores <= score].sum()), int(weights.sum() + weight))
                for score in scores
            ]
            reached = [
                score for score, p in zip(scores, share, strict=True) if p >= Fraction(str(level))
            ]
            assert quantile == min(reached, default=np.inf)

    def test_by_whole_numbers_repeats_rows(self):
        scores, weights = np.array([1.0, 2.0, 3.0]), np.array([4.0, 1.0, 7.0])
        repeated = np.repeat(scores, [4, 1, 7])
        levels = check_levels([0.1, 0.3, 0.5, 0.9, 0.95])
        np.testing.assert_array_equal(
            weighted_conformal_quantiles(scores, weights, np.ones(1), levels),
            conformal_quantiles(repeated, levels),
        )

    def test_of_a_heavy_new_row_is_infinite(self):
        quantiles = weighted_conformal_quantiles(
            np.arange(100.0), np.ones(100), np.array([1.0, 1000.0]), check_levels(0.9)
        )
        assert np.isfinite(quantiles).tolist() == [[True], [False]]


class TestEffectiveSampleSize:
    def test_of_equal_weights_is_their_number(self):
        assert effective_sample_size(np.full(7, 3.0)) == pytest.approx(7)

    def test_of_one_heavy_weight_is_near_one(self):
        assert effective_sample_size(np.array([1000.0, 1.0, 1.0])) == pytest.approx(1, abs=0.01)

    def test_of_none_is_zero(self):
        assert effective_sample_size(np.zeros(0)) == 0
