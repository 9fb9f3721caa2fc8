"""Scorers inside scikit-learn's model selection."""

import pickle
from typing import NamedTuple

import numpy as np
import pytest
import sklearn
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_degu.metrics import (
    gaussian_crps,
    gaussian_crps_scorer,
    gaussian_nll,
    gaussian_nll_scorer,
    interval_coverage,
    interval_coverage_scorer,
    interval_width,
    interval_width_scorer,
)
from sklearn_degu.sequences import SequenceEncoder
from tests.toys import tiny_conv_net, tiny_ensemble

GAUSSIAN = pytest.mark.parametrize(
    ("make_scorer", "loss"),
    [(gaussian_nll_scorer, gaussian_nll), (gaussian_crps_scorer, gaussian_crps)],
)
SCORERS = {
    "nll": gaussian_nll_scorer(),
    "crps": gaussian_crps_scorer("epistemic"),
    "coverage": interval_coverage_scorer,
    "width": interval_width_scorer,
}
EVERY = pytest.mark.parametrize("scorer", SCORERS.values(), ids=SCORERS)


class Interval(NamedTuple):
    mean: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


class FixedIntervals(RegressorMixin, BaseEstimator):
    """Say a multiple of the confidence level about the mean of y, and know kinds."""

    def __init__(self, confidence_level=0.9, factor=1.0):
        self.confidence_level = confidence_level
        self.factor = factor

    def fit(self, X, y, sample_weight=None):
        self.mean_ = np.average(y, axis=0, weights=sample_weight)
        return self

    def predict(self, X, return_std=False, kind=None):
        mean = np.full((len(X), *np.shape(self.mean_)), self.mean_)
        return (mean, np.full_like(mean, self.factor)) if return_std else mean

    def predict_interval(self, X):
        mean = self.predict(X)
        half = self.factor * np.asarray(self.confidence_level)
        center = mean if half.ndim == 0 else mean[..., np.newaxis]
        return Interval(mean, center - half, center + half)


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.fixture(params=[False, True], ids=["routing off", "routing on"])
def either_routing(request):
    with sklearn.config_context(enable_metadata_routing=request.param):
        yield


class TestScore:
    @GAUSSIAN
    def test_is_minus_the_loss_of_the_prediction(self, make_scorer, loss, table):
        X, y = table
        ensemble = tiny_ensemble().fit(X, y)
        expected = -loss(y, *ensemble.predict(X, return_std=True))
        assert make_scorer()(ensemble, X, y) == expected
        assert make_scorer("epistemic")(ensemble, X, y) == expected

    @GAUSSIAN
    def test_passes_the_kind_on(self, make_scorer, loss, table):
        X, y = table
        ensemble = tiny_ensemble(aleatoric="heteroscedastic").fit(X, y)
        scores = []
        for kind in ("epistemic", "aleatoric", "total"):
            expected = -loss(y, *ensemble.predict(X, return_std=True, kind=kind))
            scores.append(make_scorer(kind)(ensemble, X, y))
            assert scores[-1] == expected
        assert len(set(scores)) == 3
        assert make_scorer()(ensemble, X, y) == scores[-1]

    def test_of_a_kind_that_the_model_lacks_is_refused(self, table):
        ensemble = tiny_ensemble().fit(*table)
        with pytest.raises(ValueError, match="aleatoric"):
            gaussian_nll_scorer("aleatoric")(ensemble, *table)

    def test_of_intervals_is_their_coverage_and_minus_their_width(self, table):
        X, y = table
        model = FixedIntervals(factor=2.0).fit(X, y)
        _, lower, upper = model.predict_interval(X)
        coverage = interval_coverage_scorer(model, X, y)
        assert coverage == interval_coverage(y, lower, upper)
        assert 0 < coverage < 1
        assert interval_width_scorer(model, X, y) == -interval_width(lower, upper)

    def test_of_unbounded_intervals_is_full_coverage_and_infinite_width(self, table):
        X, y = table
        model = FixedIntervals(factor=np.inf).fit(X, y)
        assert interval_coverage_scorer(model, X, y) == 1
        assert interval_width_scorer(model, X, y) == -np.inf

    @EVERY
    def test_leaves_missing_measurements_out(self, scorer, table):
        X, y = table
        model = FixedIntervals(factor=2.0).fit(X, y)
        missing = y.copy()
        missing[::3] = np.nan
        kept = ~np.isnan(missing)
        assert scorer(model, X, missing) == pytest.approx(scorer(model, X[kept], y[kept]))

    @EVERY
    def test_weighs_rows(self, scorer, table):
        X, y = table
        model = FixedIntervals(factor=2.0).fit(X, y)
        weight = np.arange(40) % 3
        repeated = scorer(model, np.repeat(X, weight, axis=0), np.repeat(y, weight))
        assert scorer(model, X, y, sample_weight=weight) == pytest.approx(repeated)

    @EVERY
    def test_of_several_targets_is_their_mean(self, scorer, table):
        X, y = table
        both = scorer(FixedIntervals().fit(X, np.c_[y, y**2]), X, np.c_[y, y**2])
        alone = [scorer(FixedIntervals().fit(X, t), X, t) for t in (y, y**2)]
        assert both == pytest.approx(np.mean(alone))


class TestEstimator:
    @pytest.mark.usefixtures("either_routing")
    def test_may_be_a_pipeline_of_strings(self, strings, sequences):
        X, y = sequences
        pipeline = make_pipeline(SequenceEncoder(), tiny_ensemble(tiny_conv_net()))
        pipeline.fit(strings, y)
        for scorer in (gaussian_nll_scorer(), gaussian_crps_scorer("epistemic")):
            assert scorer(pipeline, strings, y) == scorer(pipeline[-1], X, y)

    @pytest.mark.usefixtures("either_routing")
    @pytest.mark.parametrize("scorer", [interval_coverage_scorer, interval_width_scorer])
    def test_may_be_a_pipeline_that_ends_in_intervals(self, scorer, table):
        X, y = table
        alone = scorer(FixedIntervals().fit(X, y), X, y)
        for pipeline in (
            make_pipeline(StandardScaler(), FixedIntervals()),
            make_pipeline(FixedIntervals()),
            make_pipeline(StandardScaler(), make_pipeline(FixedIntervals())),
        ):
            assert scorer(pipeline.fit(X, y), X, y) == alone

    def test_of_intervals_sees_what_the_pipeline_transformed(self, strings, sequences):
        y = sequences[1]

        class OfSequences(FixedIntervals):
            def predict(self, X, return_std=False, kind=None):
                assert X.shape[1:] == (4, 12)
                return super().predict(X, return_std, kind)

        pipeline = make_pipeline(SequenceEncoder(), OfSequences()).fit(strings, y)
        assert 0 <= interval_coverage_scorer(pipeline, strings, y) <= 1

    @EVERY
    def test_may_be_a_search_or_frozen(self, scorer, table):
        X, y = table
        fitted = FixedIntervals(factor=2.0).fit(X, y)
        expected = scorer(fitted, X, y)
        search = GridSearchCV(FixedIntervals(), {"factor": [2.0]}, cv=2).fit(X, y)
        assert scorer(search, X, y) == expected
        assert scorer(FrozenEstimator(fitted), X, y) == expected

    @GAUSSIAN
    def test_may_be_of_scikit_learn_and_know_no_kinds(self, make_scorer, loss, table):
        X, y = table
        process = GaussianProcessRegressor(RBF(length_scale_bounds="fixed"), alpha=0.1).fit(
            X[:30], y[:30]
        )
        expected = -loss(y[30:], *process.predict(X[30:], return_std=True))
        assert make_scorer()(process, X[30:], y[30:]) == expected
        with pytest.raises(TypeError, match=r"predict\(X, return_std=True, kind='total'\)"):
            make_scorer("total")(process, X, y)

    @GAUSSIAN
    def test_without_deviation_is_told_what_is_needed(self, make_scorer, loss, table):
        with pytest.raises(TypeError, match=r"needs predict\(X, return_std=True\) .* Linear"):
            make_scorer()(LinearRegression().fit(*table), *table)

    @pytest.mark.parametrize("scorer", [interval_coverage_scorer, interval_width_scorer])
    def test_without_intervals_is_told_what_is_needed(self, scorer, table):
        with pytest.raises(TypeError, match=r"predict_interval, got Ridge: .* ConformalRegressor"):
            scorer(Ridge().fit(*table), *table)

    @pytest.mark.parametrize("scorer", [interval_coverage_scorer, interval_width_scorer])
    @pytest.mark.parametrize("n_targets", [1, 2])
    def test_with_several_levels_is_refused(self, scorer, table, n_targets):
        X, y = table
        Y = y if n_targets == 1 else np.c_[y, y]
        for model in (
            FixedIntervals([0.5, 0.9]).fit(X, Y),
            Pipeline([("last", FixedIntervals([0.5, 0.9]))]).fit(X, Y),
        ):
            with pytest.raises(ValueError, match=r"one confidence level, .*=\[0.5, 0.9\]: set"):
                scorer(model, X, Y)


class TestModelSelection:
    @pytest.mark.usefixtures("either_routing")
    def test_cross_validates_by_all_at_once(self, table):
        X, y = table
        results = cross_validate(
            FixedIntervals(), X, y, cv=KFold(2), scoring=SCORERS, error_score="raise", params={}
        )
        fitted = FixedIntervals().fit(X[20:], y[20:])
        for name, scorer in SCORERS.items():
            assert results[f"test_{name}"][0] == scorer(fitted, X[:20], y[:20])

    @pytest.mark.usefixtures("either_routing")
    @GAUSSIAN
    def test_cross_validates_nets_in_a_pipeline(self, make_scorer, loss, strings, sequences):
        pipeline = make_pipeline(SequenceEncoder(), tiny_ensemble(tiny_conv_net()))
        results = cross_validate(
            pipeline,
            strings,
            sequences[1],
            cv=2,
            scoring=make_scorer(),
            error_score="raise",
            params={},  # None fails in scikit-learn 1.6 with metadata routing
        )
        assert np.isfinite(results["test_score"]).all()
        assert (results["test_score"] < 0).all()

    def test_searches_nets_for_the_best_deviation(self, table):
        grid = {"aleatoric": ["heteroscedastic"], "net__max_epochs": [1, 20]}
        search = GridSearchCV(
            tiny_ensemble(), grid, cv=2, scoring=gaussian_nll_scorer("total"), error_score="raise"
        ).fit(*table)
        assert search.best_params_["net__max_epochs"] == 20

    @GAUSSIAN
    def test_searches_a_gaussian_process(self, make_scorer, loss):
        rng = np.random.default_rng(0)
        X = rng.uniform(-3, 3, size=(60, 1))
        y = np.sin(X[:, 0]) + rng.normal(scale=0.5, size=60)
        kernel = RBF(length_scale_bounds="fixed")
        process, grid = GaussianProcessRegressor(kernel), {"alpha": [1e-4, 0.25]}
        search = GridSearchCV(process, grid, cv=2, scoring=make_scorer(), error_score="raise")
        assert search.fit(X, y).best_params_ == {"alpha": 0.25}

    def test_searches_the_narrowest_intervals(self, table):
        grid = {"factor": [3.0, 1.0, 2.0]}
        search = GridSearchCV(FixedIntervals(), grid, cv=2, scoring=interval_width_scorer)
        assert search.fit(*table).best_params_ == {"factor": 1.0}

    def test_nests_searches(self, table):
        X, y = table
        search = GridSearchCV(
            FixedIntervals(), {"factor": [1.0, 3.0]}, cv=2, scoring=gaussian_nll_scorer()
        )
        scoring = {"nll": gaussian_nll_scorer(), "coverage": interval_coverage_scorer}
        outer = cross_validate(search, X, y, cv=2, scoring=scoring, error_score="raise")
        default = cross_validate(search, X, y, cv=2, error_score="raise")
        np.testing.assert_array_equal(outer["test_nll"], default["test_score"])


class TestWeights:
    @EVERY
    def test_are_routed_on_request(self, scorer, table, routing):
        X, y = table
        weight = np.arange(40.0) % 4
        model = FixedIntervals(factor=2.0).set_fit_request(sample_weight=False)
        results = cross_validate(
            model,
            X,
            y,
            cv=KFold(2),
            scoring=scorer.set_score_request(sample_weight="importance"),
            params={"importance": weight},
            error_score="raise",
        )
        fitted = FixedIntervals(factor=2.0).fit(X[20:], y[20:])
        expected = scorer(fitted, X[:20], y[:20], sample_weight=weight[:20])
        assert results["test_score"][0] == expected
        assert expected != scorer(fitted, X[:20], y[:20]) or scorer is interval_width_scorer

    @EVERY
    def test_need_a_request(self, scorer, table, routing):
        model = FixedIntervals().set_fit_request(sample_weight=True)
        search = GridSearchCV(model, {"factor": [1.0]}, cv=2, scoring=scorer)
        with pytest.raises(ValueError, match=r"sample_weight.* not explicitly set as requested"):
            search.fit(*table, sample_weight=np.ones(40))

    def test_may_be_declined(self, table, routing):
        X, y = table
        model = FixedIntervals().set_fit_request(sample_weight=True)
        scorer = gaussian_nll_scorer().set_score_request(sample_weight=False)
        results = cross_validate(
            model, X, y, cv=2, scoring=scorer, params={"sample_weight": np.arange(40.0)}
        )
        fitted = FixedIntervals().fit(X[20:], y[20:], sample_weight=np.arange(20.0, 40))
        assert results["test_score"][0] == scorer(fitted, X[:20], y[:20])

    def test_go_to_several_scorers_of_a_search_without_routing(self, table):
        X, y = table
        search = GridSearchCV(
            FixedIntervals(), {"factor": [2.0]}, cv=2, scoring=SCORERS, refit=False
        )
        search.fit(X, y, sample_weight=np.ones(40))
        assert np.isfinite(search.cv_results_["mean_test_coverage"]).all()

    @EVERY
    def test_are_requested_of_a_new_scorer(self, scorer):
        asking = scorer.set_score_request(sample_weight=True)
        assert asking is not scorer
        assert asking != scorer
        assert scorer.weight_request is None
        assert asking.set_score_request(sample_weight=None) == scorer


class TestObject:
    @EVERY
    def test_survives_pickle_and_clone(self, scorer, table):
        X, y = table
        model = FixedIntervals().fit(X, y)
        search = GridSearchCV(model, {}, scoring=scorer)
        for copy in (pickle.loads(pickle.dumps(scorer)), clone(search).scoring):
            assert copy == scorer
            assert copy(model, X, y) == scorer(model, X, y)

    def test_shows_how_it_is_made(self):
        assert repr(gaussian_nll_scorer("total")) == "gaussian_nll_scorer(kind='total')"
        assert repr(gaussian_crps_scorer()) == "gaussian_crps_scorer(kind=None)"
        assert repr(interval_width_scorer) == "interval_width_scorer"
