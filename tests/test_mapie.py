"""The estimators directly in MAPIE's classes, in every form of X, and what MAPIE itself refuses.

What works in each class is what these tables say; the comments name what does not and what to do
instead.
"""

import warnings

import numpy as np
import pandas as pd
import pytest
from mapie.regression import (
    ConformalizedQuantileRegressor,
    CrossConformalRegressor,
    JackknifeAfterBootstrapRegressor,
    SplitConformalRegressor,
)
from mapie.subsample import Subsample
from sklearn.pipeline import make_pipeline

from sklearn_degu import DistilledRegressor
from sklearn_degu.quantiles import quantile_estimators
from sklearn_degu.sequences import SequenceEncoder
from tests.toys import tiny_conv_net, tiny_ensemble, tiny_net

LEVEL = 0.8
TRAIN, CALIBRATE = slice(0, 20), slice(20, 40)
# MAPIE's bounds are NaN if a row is in every resampling.
OUT_OF_BAG_FOR_EVERY_ROW = Subsample(n_resamplings=6, n_samples=16, replace=False, random_state=0)


def of_table(make):
    return make(tiny_net(max_epochs=1))


def of_sequences(make):
    return make(tiny_conv_net(max_epochs=1))


def of_strings(make):
    return make_pipeline(SequenceEncoder(), of_sequences(make))


FORMS = {
    "2-D": (of_table, lambda table, X, strings: table),
    "3-D": (of_sequences, lambda table, X, strings: X),
    "flattened view": (of_sequences, lambda table, X, strings: X.reshape(len(X), -1)),
    "strings": (of_strings, lambda table, X, strings: strings),
    "Series of strings": (of_strings, lambda table, X, strings: pd.Series(strings)),
}


@pytest.fixture(params=FORMS)
def form(request, table, sequences, strings):
    """Return how to build an estimator for a form of X, X in this form, and y."""
    build, choose = FORMS[request.param]
    y = sequences[1][:, 0] if request.param != "2-D" else table[1]
    return build, choose(table[0], sequences[0], strings), y


@pytest.fixture(params=["ensemble", "distilled"])
def make(request):
    """Return what makes an estimator of a net."""
    if request.param == "ensemble":
        return tiny_ensemble
    return lambda net: DistilledRegressor(tiny_ensemble(net), random_state=0)


SCORES = pytest.mark.parametrize("score", ["absolute", "std_normalized"])


def check_intervals(conformal, X):
    points, intervals = conformal.predict_interval(X)
    assert points.shape == (len(X),)
    assert intervals.shape == (len(X), 2, 1)
    assert np.isfinite(intervals).all()
    assert (intervals[:, 0] < intervals[:, 1]).all()


@SCORES
class TestPointPredictors:
    def test_split_of_a_fitted_estimator(self, form, make, score):
        build, X, y = form
        fitted = build(make).fit(X[TRAIN], y[TRAIN])
        conformal = SplitConformalRegressor(
            fitted, prefit=True, confidence_level=LEVEL, conformity_score=score
        )
        conformal.conformalize(X[CALIBRATE], y[CALIBRATE])
        check_intervals(conformal, X)
        np.testing.assert_array_equal(conformal.predict(X), fitted.predict(X))

    def test_split_that_fits(self, form, make, score):
        build, X, y = form
        estimator = build(make)
        conformal = SplitConformalRegressor(
            estimator, prefit=False, confidence_level=LEVEL, conformity_score=score
        )
        conformal.fit(X[TRAIN], y[TRAIN]).conformalize(X[CALIBRATE], y[CALIBRATE])
        check_intervals(conformal, X)
        expected = build(make).fit(X[TRAIN], y[TRAIN]).predict(X)
        np.testing.assert_array_equal(conformal.predict(X), expected)

    @pytest.mark.parametrize("method", ["plus", "base", "minmax"])
    def test_cross(self, form, make, score, method):
        build, X, y = form
        conformal = CrossConformalRegressor(
            build(make), confidence_level=LEVEL, conformity_score=score, method=method, cv=2
        )
        check_intervals(conformal.fit_conformalize(X, y), X)

    @pytest.mark.parametrize("method", ["plus", "minmax"])
    def test_jackknife_after_bootstrap(self, form, make, score, method):
        build, X, y = form
        conformal = JackknifeAfterBootstrapRegressor(
            build(make),
            confidence_level=LEVEL,
            conformity_score=score,
            method=method,
            resampling=OUT_OF_BAG_FOR_EVERY_ROW,
        )
        check_intervals(conformal.fit_conformalize(X, y), X)


class TestQuantiles:
    def test_of_a_fitted_estimator_in_every_form(self, form, make):
        build, X, y = form
        fitted = build(make).fit(X[TRAIN], y[TRAIN])
        conformal = ConformalizedQuantileRegressor(
            quantile_estimators(fitted, LEVEL), confidence_level=LEVEL, prefit=True
        )
        with warnings.catch_warnings():
            # MAPIE warns of estimators that do not look fitted.
            warnings.simplefilter("error")
            conformal.conformalize(X[CALIBRATE], y[CALIBRATE])
        check_intervals(conformal, X)
        np.testing.assert_array_equal(conformal.predict(X), fitted.predict(X))

    def test_covers_at_the_nominal_level(self):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(4200, 2))
        y = X[:, 0] + np.exp(X[:, 1] / 2) * rng.normal(size=4200)
        fitted = tiny_ensemble(aleatoric="heteroscedastic").fit(X[:200], y[:200])
        conformal = ConformalizedQuantileRegressor(
            quantile_estimators(fitted, 0.9), confidence_level=0.9, prefit=True
        )
        conformal.conformalize(X[200:2200], y[200:2200])
        _, intervals = conformal.predict_interval(X[2200:])
        covered = (intervals[:, 0, 0] <= y[2200:]) & (y[2200:] <= intervals[:, 1, 0])
        assert covered.mean() == pytest.approx(0.9, abs=0.02)

    def test_one_target_of_several(self, sequences):
        X, y = sequences
        fitted = tiny_ensemble(tiny_conv_net()).fit(X[TRAIN], y[TRAIN])
        views = quantile_estimators(fitted, LEVEL, target=1)
        conformal = ConformalizedQuantileRegressor(views, confidence_level=LEVEL, prefit=True)
        conformal.conformalize(X[CALIBRATE], y[CALIBRATE, 1])
        check_intervals(conformal, X)
        np.testing.assert_array_equal(conformal.predict(X), fitted.predict(X)[:, 1])

    def test_refuses_our_estimators_unless_adapted(self, table):
        # MAPIE's quantile class fits only the classes that it lists.
        conformal = ConformalizedQuantileRegressor(tiny_ensemble(), prefit=False)
        with pytest.raises(ValueError, match="base model is not supported"):
            conformal.fit(*table)


class TestKind:
    @pytest.mark.parametrize("kind", ["epistemic", "aleatoric", "total"])
    def test_normalises_by_the_kind_that_predict_params_name(self, table, kind):
        X, y = table
        fitted = tiny_ensemble(aleatoric="heteroscedastic").fit(X[TRAIN], y[TRAIN])
        conformal = SplitConformalRegressor(
            fitted, confidence_level=LEVEL, conformity_score="std_normalized"
        )
        conformal.conformalize(X[CALIBRATE], y[CALIBRATE], predict_params={"kind": kind})
        points, intervals = conformal.predict_interval(X)
        half_width = intervals[:, 1, 0] - points
        ratio = half_width / fitted.predict_uncertainty(X, kind=kind)
        np.testing.assert_allclose(ratio, ratio[0])
        # MAPIE hands them to every predict, that of the points too.
        np.testing.assert_array_equal(conformal.predict(X), fitted.predict(X))


class TestWhatMapieRefuses:
    def test_a_list_of_strings_but_not_its_array(self, strings, sequences):
        y = sequences[1][:, 0]
        pipeline = of_strings(tiny_ensemble).fit(strings[TRAIN], y[TRAIN])
        with pytest.raises(TypeError, match="number of features"):
            SplitConformalRegressor(pipeline).conformalize(list(strings[CALIBRATE]), y[CALIBRATE])
        conformal = SplitConformalRegressor(pipeline)
        conformal.conformalize(np.asarray(list(strings[CALIBRATE])), y[CALIBRATE])
        check_intervals(conformal, strings)

    def test_residual_models_of_sequences_but_not_of_the_flattened_view(self, sequences):
        # "residual_normalized" fits a linear model of X, which knows two axes only.
        X, y = sequences[0], sequences[1][:, 0]
        fitted = tiny_ensemble(tiny_conv_net()).fit(X[TRAIN], y[TRAIN])
        settings = {"confidence_level": 0.5, "conformity_score": "residual_normalized"}
        with pytest.raises(ValueError, match="array with dim 3"):
            SplitConformalRegressor(fitted, **settings).conformalize(X[CALIBRATE], y[CALIBRATE])
        flat = X.reshape(len(X), -1)
        conformal = SplitConformalRegressor(fitted, **settings)
        check_intervals(conformal.conformalize(flat[CALIBRATE], y[CALIBRATE]), flat)

    def test_several_targets(self, sequences):
        # One target at a time by quantile_estimators(target=...); all at once by
        # sklearn_degu.conformal.ConformalRegressor.
        X, y = sequences
        fitted = tiny_ensemble(tiny_conv_net()).fit(X[TRAIN], y[TRAIN])
        with pytest.raises(ValueError, match="1d array"):
            SplitConformalRegressor(fitted).conformalize(X[CALIBRATE], y[CALIBRATE])
