"""Prediction intervals with guaranteed coverage."""

import math
import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mapie.conformity_scores import ResidualNormalisedScore
from mapie.regression import SplitConformalRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_degu import EnsembleRegressor
from sklearn_degu.conformal import ConformalRegressor
from sklearn_degu.recipes import mlp_net
from tests.known import KNOWN, conformal, covered, heteroscedastic
from tests.toys import tiny_ensemble


@pytest.mark.filterwarnings("ignore:Confidence level 0.9 needs 9 calibration rows")
@parametrize_with_checks(
    [
        ConformalRegressor(Ridge(), conformity_score="absolute"),
        ConformalRegressor(EnsembleRegressor(mlp_net(max_epochs=30), n_estimators=2)),
    ]
)
def test_estimator_passes_scikit_learn_check(estimator, check):
    check(estimator)


class TestTextbook:
    @given(
        st.integers(9, 40).flatmap(
            lambda n: arrays(
                np.float64, (n, 3), elements=st.floats(-100, 100, width=32), fill=st.nothing()
            )
        ),
        st.integers(1, 90).map(lambda n: n / 100),
        st.sampled_from(["normalized", "absolute"]),
    )
    def test_bounds_are_the_scores_of_the_right_rank(self, rows, level, conformity_score):
        y, mean, std = rows[:, 0], rows[:, 1], 0.1 + np.abs(rows[:, 2])
        X = np.c_[mean, std]
        model = conformal(confidence_level=level, conformity_score=conformity_score).fit(X, y)
        unit = std if conformity_score == "normalized" else np.ones(len(y))
        rank = math.ceil((len(y) + 1) * Fraction(str(level)))
        quantile = np.sort(np.abs(y - mean) / unit)[rank - 1]
        interval = model.predict_interval(X)
        np.testing.assert_array_equal(interval.mean, mean)
        np.testing.assert_allclose(interval.lower, mean - quantile * unit, rtol=1e-12)
        np.testing.assert_allclose(interval.upper, mean + quantile * unit, rtol=1e-12)

    @pytest.mark.parametrize("n", [99, 100, 107, 199])
    @pytest.mark.parametrize(
        ("name", "score"),
        [
            ("absolute", "absolute"),
            ("gamma", "gamma"),
            ("residual_normalized", ResidualNormalisedScore(random_state=0)),
        ],
    )
    def test_scores_of_mapie_give_its_intervals(self, n, name, score):
        X, y = heteroscedastic(n)
        X[:, 0] += 10
        y += 10
        levels = [0.5, 0.8, 0.9, 0.95]
        expected = SplitConformalRegressor(KNOWN, levels, score).conformalize(X, y)
        _, bounds = expected.predict_interval(X)
        mine = name if isinstance(score, str) else score
        interval = conformal(confidence_level=levels, conformity_score=mine).fit(X, y)
        _, lower, upper = interval.predict_interval(X)
        np.testing.assert_allclose(lower, bounds[:, 0], rtol=1e-12)
        np.testing.assert_allclose(upper, bounds[:, 1], rtol=1e-12)

    def test_a_deviation_of_zero_leaves_no_room(self):
        X, y = heteroscedastic(20)
        X[:2, 1] = 0
        y[0] = X[0, 0]
        model = conformal(confidence_level=[0.5, 0.95]).fit(X, y)
        assert model.n_calibration_ == [20]
        _, lower, upper = model.predict_interval(np.array([[1.0, 0.0], [1.0, 2.0]]))
        # The second row's score is infinite, and so is the highest of 20.
        np.testing.assert_array_equal(lower[0], [1, -np.inf])
        np.testing.assert_array_equal(upper[0], [1, np.inf])
        assert np.isfinite([lower[1, 0], upper[1, 0]]).all()

    def test_units_of_y_may_be_large(self):
        X, y = heteroscedastic(20)
        for name in ("normalized", "absolute"):
            small = conformal(conformity_score=name).fit(X, y).predict_interval(X)
            large = (
                conformal(conformity_score=name).fit(1e12 * X, 1e12 * y).predict_interval(1e12 * X)
            )
            np.testing.assert_allclose(large.upper, 1e12 * small.upper)


class TestCoverage:
    def test_is_the_confidence_level_on_average(self):
        """Over 400 calibrations with 39 rows, whose coverages deviate by .05 each."""
        X, y = heteroscedastic(400 * 139)
        draws = zip(X.reshape(400, 139, 2), y.reshape(400, 139), strict=True)
        levels = np.array([0.8, 0.9, 0.95])
        coverage = [
            covered(
                conformal(confidence_level=levels).fit(x[:39], t[:39]).predict_interval(x[39:]),
                t[39:, np.newaxis],
            ).mean(axis=0)
            for x, t in draws
        ]
        np.testing.assert_allclose(np.mean(coverage, axis=0), levels, atol=0.01)

    def test_is_even_over_the_deviation_only_if_normalized(self):
        X, y = heteroscedastic(40_000)
        tertile = np.digitize(X[20_000:, 1], np.quantile(X[:, 1], [1 / 3, 2 / 3]))
        by_score = {}
        for name in ("normalized", "absolute"):
            model = conformal(conformity_score=name).fit(X[:20_000], y[:20_000])
            inside = covered(model.predict_interval(X[20_000:]), y[20_000:])
            by_score[name] = [inside[tertile == t].mean() for t in range(3)]
            assert inside.mean() == pytest.approx(0.9, abs=0.01)
        np.testing.assert_allclose(by_score["normalized"], 0.9, atol=0.02)
        assert by_score["absolute"][0] > 0.98
        assert by_score["absolute"][2] < 0.8

    def test_is_reached_by_a_fitted_ensemble(self):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(2000, 6))
        y = X[:, 0] + rng.normal(size=2000)
        model = conformal(tiny_ensemble(), calibration=0.8, random_state=0).fit(X[:1000], y[:1000])
        assert covered(model.predict_interval(X[1000:]), y[1000:]).mean() == pytest.approx(
            0.9, abs=0.04
        )


class TestLevels:
    def test_of_one_level_bounds_have_the_shape_of_y(self):
        X, y = heteroscedastic(50)
        interval = conformal().fit(X, y).predict_interval(X[:7])
        assert interval.mean.shape == interval.lower.shape == interval.upper.shape == (7,)

    @pytest.mark.parametrize("levels", [[0.9], (0.5, 0.9), np.array([0.5, 0.9, 0.8])])
    def test_several_levels_are_a_last_axis(self, levels):
        X, y = heteroscedastic(50)
        interval = conformal(confidence_level=levels).fit(X, y).predict_interval(X[:7])
        assert interval.mean.shape == (7,)
        assert interval.lower.shape == interval.upper.shape == (7, len(levels))
        for i, level in enumerate(levels):
            alone = conformal(confidence_level=level).fit(X, y).predict_interval(X[:7])
            np.testing.assert_array_equal(interval.lower[:, i], alone.lower)
            np.testing.assert_array_equal(interval.upper[:, i], alone.upper)

    @pytest.mark.parametrize("name", ["normalized", "absolute", "gamma"])
    def test_a_higher_level_contains_a_lower_one(self, name):
        X, y = heteroscedastic(60)
        X[:, 0] += 20
        model = conformal(confidence_level=np.arange(1, 20) / 20, conformity_score=name)
        interval = model.fit(X, y + 20).predict_interval(X)
        assert (np.diff(interval.lower) <= 0).all()
        assert (np.diff(interval.upper) >= 0).all()

    def test_set_after_fit_take_effect_when_calibrated_anew(self):
        X, y = heteroscedastic(50)
        model = conformal().fit(X, y).set_params(confidence_level=[0.5, 0.8])
        assert model.predict_interval(X).lower.shape == (50,)
        assert model.conformalize(X, y).predict_interval(X).lower.shape == (50, 2)


class TestTargets:
    def test_are_calibrated_one_by_one(self):
        X, y = np.hstack([heteroscedastic(60, seed)[0] for seed in range(3)]), None
        y = np.stack([heteroscedastic(60, seed)[1] for seed in range(3)], axis=1)
        interval = conformal(confidence_level=[0.8, 0.9]).fit(X, y).predict_interval(X)
        assert interval.mean.shape == (60, 3)
        assert interval.lower.shape == (60, 3, 2)
        for t in range(3):
            columns = X[:, 2 * t : 2 * t + 2]
            alone = conformal(confidence_level=[0.8, 0.9]).fit(columns, y[:, t])
            np.testing.assert_array_equal(
                interval.upper[:, t], alone.predict_interval(columns).upper
            )

    def test_of_one_column_keep_it(self, table):
        X, y = table
        model = conformal(tiny_ensemble(), confidence_level=0.5).fit(X, y[:, np.newaxis])
        assert model.predict_interval(X).lower.shape == (40, 1)

    def test_missing_measurements_are_left_out_target_by_target(self):
        X, y = heteroscedastic(60)
        both = np.c_[y, y]
        both[:20, 1] = np.nan
        model = conformal().fit(np.hstack([X, X]), both)
        np.testing.assert_array_equal(model.n_calibration_, [60, 40])
        np.testing.assert_array_equal(model.quantiles_[0], conformal().fit(X, y).quantiles_[0])
        np.testing.assert_array_equal(
            model.quantiles_[1], conformal().fit(X[20:], y[20:]).quantiles_[0]
        )

    def test_of_another_shape_than_the_prediction_are_refused(self):
        X, y = heteroscedastic(20)
        with pytest.raises(ValueError, match=r"y has shape \(20, 2\), but .* predicts \(20,\)"):
            conformal().fit(X, np.c_[y, y])


class TestTooFewRows:
    def test_give_infinite_bounds_and_a_warning_with_the_number_needed(self):
        X, y = heteroscedastic(9)
        model = conformal(confidence_level=[0.8, 0.9, 0.95])
        with pytest.warns(
            UserWarning, match="level 0.95 needs 19 calibration rows .* target 0 has 9"
        ):
            model.fit(X, y)
        _, lower, upper = model.predict_interval(X)
        assert np.isfinite(lower[:, :2]).all()
        assert np.isfinite(upper[:, :2]).all()
        assert (lower[:, 2] == -np.inf).all()
        assert (upper[:, 2] == np.inf).all()

    def test_of_an_asymmetric_score_are_twice_as_many(self):
        X, y = heteroscedastic(18)
        X[:, 0] += 20
        model = conformal(conformity_score="gamma")
        with pytest.warns(
            UserWarning, match="level 0.9 needs 19 calibration rows .* target 0 has 18"
        ):
            interval = model.fit(X, y + 20).predict_interval(X)
        assert np.isinf(interval.lower).all()

    def test_just_enough_give_no_warning(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            conformal().fit(*heteroscedastic(9))

    def test_of_ones_own_are_refused_and_the_calibration_stays(self):
        X, y = heteroscedastic(50)
        model = conformal().fit(X, y)
        before = model.predict_interval(X)
        with pytest.raises(ValueError, match=r"needs 9 calibration rows .* has 8\. Pass more rows"):
            model.conformalize(X[:8], y[:8])
        np.testing.assert_array_equal(model.predict_interval(X).lower, before.lower)

    def test_without_any_measurement_are_too_few(self):
        X, y = heteroscedastic(20)
        with pytest.warns(UserWarning, match="target 1 has 0"):
            model = conformal().fit(np.hstack([X, X]), np.c_[y, np.full(20, np.nan)])
        assert np.isinf(model.predict_interval(np.hstack([X, X])).upper[:, 1]).all()


class TestConformalize:
    def test_replaces_the_calibration_of_fit(self):
        X, y = heteroscedastic(100)
        model = conformal().fit(X[:40], y[:40]).conformalize(list(X[40:]), list(y[40:]))
        np.testing.assert_array_equal(model.quantiles_, conformal().fit(X[40:], y[40:]).quantiles_)
        assert model.n_calibration_ == [60]

    def test_leaves_the_estimator_as_it_is(self, table):
        X, y = table
        model = conformal(Ridge(), conformity_score="absolute", confidence_level=0.5)
        model.fit(X[:20], y[:20])
        fitted, mean = model.estimator_, model.predict(X)
        model.conformalize(X[20:], y[20:])
        assert model.estimator_ is fitted
        np.testing.assert_array_equal(model.predict(X), mean)

    def test_before_fit_is_refused(self):
        for call in (
            lambda: conformal(Ridge()).conformalize(*heteroscedastic(20)),
            lambda: conformal(Ridge()).predict_interval(heteroscedastic(20)[0]),
        ):
            with pytest.raises(NotFittedError):
                call()

    def test_of_unequal_lengths_is_refused(self):
        X, y = heteroscedastic(50)
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            conformal().fit(X, y).conformalize(X, y[:20])


def test_parameters_set_after_the_fit_leave_its_calibration_alone():
    X = np.arange(200.0)[:, np.newaxis]
    y = np.random.default_rng(0).normal(size=200)
    model = ConformalRegressor(Ridge(), conformity_score="absolute", random_state=0).fit(X, y)
    before = model.predict_interval(X)
    model.set_params(confidence_level=0.5, mondrian=len, likelihood_ratio=len, kind="total")
    for one, other in zip(before, model.predict_interval(X), strict=True):
        np.testing.assert_array_equal(one, other)
    assert model.confidence_level_ == 0.9
