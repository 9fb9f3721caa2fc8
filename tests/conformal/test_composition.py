"""Conformal prediction around, inside and beside what scikit-learn builds from estimators."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from mapie.conformity_scores import (
    AbsoluteConformityScore,
    GammaConformityScore,
    ResidualNormalisedScore,
    StdConformityScore,
)
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import RandomForestRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklearn_degu import DistilledRegressor
from sklearn_degu.conformal import ConformalRegressor
from sklearn_degu.recalibration import RecalibratedRegressor
from sklearn_degu.sequences import SequenceEncoder
from tests.known import KNOWN, Known, conformal, heteroscedastic
from tests.toys import tiny_conv_net, tiny_ensemble, tiny_net


def absolute(estimator, **params):
    return ConformalRegressor(
        estimator, **{"conformity_score": "absolute", "confidence_level": 0.5, **params}
    )


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


class TestAround:
    def test_a_pipeline_of_strings_equals_encoded_sequences(self, strings, sequences):
        X, y = sequences
        params = {"confidence_level": 0.5, "random_state": 0}
        net = tiny_ensemble(tiny_conv_net())
        alone = conformal(net, **params).fit(X, y).predict_interval(X)
        for given in (strings, list(strings), pd.Series(strings)):
            model = conformal(make_pipeline(SequenceEncoder(), net), **params).fit(given, y)
            interval = model.predict_interval(given)
            np.testing.assert_array_equal(interval.lower, alone.lower)
            np.testing.assert_array_equal(interval.mean, model.predict(given))

    @pytest.mark.filterwarnings("ignore:Recalibration on 16 rows")
    def test_a_student_and_a_recalibrated_estimator(self, table):
        X, y = table
        student = DistilledRegressor(tiny_ensemble(), tiny_net())
        for inner in (student, RecalibratedRegressor(tiny_ensemble(), calibration=0.5)):
            model = conformal(inner, confidence_level=0.5, random_state=0).fit(X, y)
            assert model.n_calibration_ == [8]
            assert np.isfinite(model.predict_interval(X).lower).all()

    def test_a_gaussian_process(self):
        X, y = heteroscedastic(60)
        inner = make_pipeline(StandardScaler(), GaussianProcessRegressor(alpha=1.0))
        interval = conformal(inner, random_state=0).fit(X, y).predict_interval(X)
        std = conformal(inner, random_state=0).fit(X, y).predict_uncertainty(X)
        width = interval.upper - interval.lower
        np.testing.assert_allclose(width / std, np.full(60, width[0] / std[0]))

    def test_any_regressor_with_the_absolute_score(self):
        X, y = heteroscedastic(60)
        for inner in (RandomForestRegressor(2), DummyRegressor(), GridSearchCV(Ridge(), {})):
            assert absolute(inner).fit(pd.DataFrame(X), y).predict_interval(
                pd.DataFrame(X)
            ).lower.shape == (60,)

    def test_a_frozen_estimator_is_not_fitted_again(self):
        X, y = heteroscedastic(60)
        fitted = LinearRegression().fit(X[:20], y[:20])
        model = absolute(FrozenEstimator(fitted)).fit(X[20:], y[20:])
        assert model.n_calibration_ == [40]
        np.testing.assert_array_equal(model.predict(X), fitted.predict(X))

    def test_rows_are_predicted_once_for_all_targets_groups_and_levels(self):
        calls = []

        class Counting(Known):
            def predict(self, X, return_std=False):
                calls.append(len(X))
                return super().predict(X, return_std=return_std)

        X = np.hstack([heteroscedastic(60)[0]] * 3)
        model = conformal(
            FrozenEstimator(Counting().fit(X, X)),
            confidence_level=[0.5, 0.8],
            mondrian=lambda X: X[:, 0] < 0,
        )
        model.fit(X, X[:, ::2] + 1).predict_interval(X[:7])
        assert calls == [60, 7]


class TestInside:
    def test_a_pipeline_predicts_deviations(self, table):
        X, y = table
        pipeline = make_pipeline(StandardScaler(), conformal(tiny_ensemble(), confidence_level=0.5))
        mean, std = pipeline.fit(X, y).predict(X, return_std=True, kind="epistemic")
        assert mean.shape == std.shape == (40,)
        assert pipeline[-1].predict_interval(pipeline[:-1].transform(X)).lower.shape == (40,)

    def test_a_search_tunes_the_estimator(self):
        X, y = heteroscedastic(80)
        grid = {"estimator__alpha": [1e-3, 1e6], "calibration": [0.2, 0.3]}
        search = GridSearchCV(absolute(Ridge(), random_state=0), grid, cv=2, error_score="raise")
        best = search.fit(X, y).best_estimator_
        assert best.estimator_.alpha == search.best_params_["estimator__alpha"] == 1e-3
        assert best.predict_interval(X).lower.shape == (80,)

    def test_a_search_tunes_the_net(self, table):
        grid = {"estimator__net__lr": [1e-9, 0.05]}
        model = conformal(tiny_ensemble(tiny_net(max_epochs=30)), confidence_level=0.5)
        search = GridSearchCV(model, grid, cv=2, error_score="raise").fit(*table)
        assert search.best_params_["estimator__net__lr"] == 0.05

    def test_cross_validation_scores_the_estimator(self, table):
        model = absolute(Ridge(), random_state=0)
        assert (cross_val_score(model, *table, cv=3, error_score="raise") > 0.9).all()

    def test_clone_is_unfitted_and_equal(self):
        model = absolute(Ridge(), mondrian=len, likelihood_ratio=len, allow_overlap=True)
        copy = clone(model)
        assert copy.get_params(deep=False).keys() == model.get_params(deep=False).keys()
        assert copy.mondrian is len
        assert copy.estimator is not model.estimator
        assert not hasattr(copy, "n_calibration_")

    def test_a_pickle_predicts_the_same(self, table):
        model = conformal(tiny_ensemble(), confidence_level=[0.3, 0.5]).fit(*table)
        loaded = pickle.loads(pickle.dumps(model))
        for ours, theirs in zip(
            model.predict_interval(table[0]), loaded.predict_interval(table[0]), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)

    def test_random_state_decides_everything(self, table):
        first, same, other = (
            conformal(tiny_ensemble(random_state=None), confidence_level=0.5, random_state=seed)
            .fit(*table)
            .predict_interval(table[0])
            .upper
            for seed in (0, 0, 1)
        )
        np.testing.assert_array_equal(first, same)
        assert not np.array_equal(first, other)


class TestMetadata:
    def test_weights_of_the_fitted_rows_reach_the_estimator(self):
        X, y = heteroscedastic(80)
        weight = np.where(np.arange(80) < 40, 1.0, 1e-9)
        weighted = absolute(LinearRegression(), random_state=0).fit(X, y, sample_weight=weight)
        plain = absolute(LinearRegression(), random_state=0).fit(X, y)
        assert not np.allclose(weighted.estimator_.coef_, plain.estimator_.coef_)
        pipeline = make_pipeline(FunctionTransformer(), LinearRegression())
        named = absolute(pipeline, random_state=0).fit(X, y, linearregression__sample_weight=weight)
        np.testing.assert_allclose(named.estimator_[-1].coef_, weighted.estimator_.coef_)

    def test_weights_are_routed_on_request(self, routing):
        X, y = heteroscedastic(80)
        weight = np.where(np.arange(80) < 40, 1.0, 1e-9)
        inner = LinearRegression().set_fit_request(sample_weight=True)
        pipeline = make_pipeline(FunctionTransformer(), absolute(inner, random_state=0))
        routed = pipeline.fit(X, y, sample_weight=weight)[-1]
        with sklearn.config_context(enable_metadata_routing=False):
            expected = absolute(LinearRegression(), random_state=0).fit(X, y, sample_weight=weight)
        np.testing.assert_array_equal(routed.estimator_.coef_, expected.estimator_.coef_)

    def test_groups_are_held_out_together_within_a_search(self, routing):
        X, y = heteroscedastic(80)
        groups = np.repeat(np.arange(8), 10)
        search = GridSearchCV(
            absolute(Ridge(), calibration=GroupKFold(4)),
            {"estimator__alpha": [1.0]},
            cv=GroupKFold(2),
            error_score="raise",
        ).fit(X, y, groups=groups)
        assert search.best_estimator_.n_calibration_ == [20]


class TestScores:
    def test_of_mapie_may_be_objects(self):
        X, y = heteroscedastic(60)
        X, y = np.abs(X) + 5, np.abs(y) + 5
        for name, score in (
            ("absolute", AbsoluteConformityScore()),
            ("gamma", GammaConformityScore()),
        ):
            by_name, by_object = (
                conformal(conformity_score=given).fit(X, y).predict_interval(X)
                for given in (name, score)
            )
            np.testing.assert_array_equal(by_name.lower, by_object.lower)

    def test_are_copied(self):
        score = ResidualNormalisedScore()
        model = conformal(conformity_score=score, confidence_level=0.5).fit(*heteroscedastic(60))
        assert not hasattr(score, "residual_estimator_")
        assert score.random_state is None
        assert model.n_calibration_ == [45]

    def test_that_draw_at_random_are_decided_by_random_state(self):
        X, y = heteroscedastic(100)
        first, same, other = (
            conformal(conformity_score="residual_normalized", random_state=seed)
            .fit(X, y)
            .predict_interval(X)
            .upper
            for seed in (0, 0, 1)
        )
        np.testing.assert_array_equal(first, same)
        assert not np.array_equal(first, other)

    def test_of_each_target_and_group_are_fitted_on_their_own(self):
        X, y = heteroscedastic(100)
        model = conformal(
            conformity_score=ResidualNormalisedScore(random_state=0),
            confidence_level=0.5,
            mondrian=lambda X: X[:, 0] < 0,
        ).fit(X, y)
        for rows in (X[:, 0] < 0, X[:, 0] >= 0):
            alone = conformal(
                conformity_score=ResidualNormalisedScore(random_state=0), confidence_level=0.5
            ).fit(X[rows], y[rows])
            np.testing.assert_allclose(
                model.predict_interval(X).upper[rows], alone.predict_interval(X[rows]).upper
            )

    def test_kind_chooses_the_deviation(self, table):
        X, y = table
        model = conformal(tiny_ensemble(), kind="epistemic", confidence_level=0.5, random_state=0)
        interval = model.fit(X, y).predict_interval(X)
        half = (interval.upper - interval.lower) / 2
        std = model.predict_uncertainty(X, kind="epistemic")
        np.testing.assert_allclose(half, std * model.quantiles_[0, 0, 1])
        with pytest.raises(ValueError, match="no 'aleatoric' uncertainty"):
            model.set_params(kind="aleatoric").fit(X, y)


class Broken(RegressorMixin, BaseEstimator):
    """A regressor that predicts what no interval can be made of."""

    def __init__(self, mean=0.0, std=1.0, columns=None):
        self.mean, self.std, self.columns = mean, std, columns

    def fit(self, X, y):
        self.fitted_ = True
        return self

    def predict(self, X, return_std=False):
        mean = np.full(len(X), self.mean)
        shape = len(X) if self.columns is None else (len(X), self.columns)
        return (mean, np.full(shape, self.std)) if return_std else mean


class TestBadInput:
    @pytest.mark.parametrize(
        "score", ["std_normalized", "Absolute", None, 1, AbsoluteConformityScore]
    )
    def test_unknown_scores_are_refused(self, score):
        with pytest.raises(
            ValueError, match="conformity_score must be one of 'normalized', 'absol"
        ):
            conformal(conformity_score=score).fit(*heteroscedastic(20))

    def test_scores_with_bounds_of_their_own_are_refused(self):
        with pytest.raises(ValueError, match=r"StdConformityScore makes .*='normalized'"):
            conformal(conformity_score=StdConformityScore()).fit(*heteroscedastic(20))

    def test_normalized_without_a_deviation_is_refused_before_the_training(self):
        inner = make_pipeline(StandardScaler(), Ridge())
        with pytest.raises(ValueError, match=r"predict of Ridge takes no return_std=True\. Set co"):
            conformal(inner).fit(*heteroscedastic(20))

    def test_kind_without_normalized_is_refused(self):
        with pytest.raises(ValueError, match=r"kind='total' .*='absolute' divides by none"):
            absolute(KNOWN, kind="total").fit(*heteroscedastic(20))

    @pytest.mark.parametrize("level", [0, 1, 90, [], [0.9, 2], None])
    def test_levels_outside_0_to_1_are_refused_before_the_training(self, level):
        with pytest.raises(ValueError, match=r"confidence_level must be .* between 0 and 1"):
            conformal(confidence_level=level).fit(*heteroscedastic(20))

    @pytest.mark.parametrize(
        ("broken", "message"),
        [
            (Broken(mean=np.nan), r"predicts NaN or infinite values \(20 of 20\)"),
            (Broken(std=-1.0), "20 standard deviations that are negative, .* -1.0"),
            (Broken(std=np.nan), "20 standard deviations .* nan"),
            (
                Broken(columns=2),
                r"mean of shape \(20,\), but a standard deviation of shape \(20, 2\)",
            ),
        ],
    )
    def test_predictions_without_an_interval_are_refused(self, broken, message):
        with pytest.raises(ValueError, match=message):
            conformal(FrozenEstimator(broken.fit(None, None))).fit(*heteroscedastic(20))

    def test_infinite_targets_are_refused(self):
        X, y = heteroscedastic(20)
        with pytest.raises(ValueError, match="y contains infinity"):
            conformal().fit(X, y).conformalize(X, np.where(y > 0, np.inf, y))
