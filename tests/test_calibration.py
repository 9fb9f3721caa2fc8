"""What estimators share that fit a clone on some rows and calibrate it on the others."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import sparse
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.exceptions import NotFittedError, UnsetMetadataPassedError
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklearn_degu._calibration import CalibratedRegressor, last_step, predict_with_std
from sklearn_degu._splitting import HoldOut
from tests.toys import tiny_ensemble


class Remembering(RegressorMixin, BaseEstimator):
    """A regressor that remembers what it was given."""

    def __init__(self, random_state=None):
        self.random_state = random_state

    def fit(self, X, y, sample_weight=None, groups=None, X_val=None, y_val=None, X_unlabeled=None):
        self.X_, self.y_, self.sample_weight_, self.groups_ = X, y, sample_weight, groups
        self.X_val_, self.y_val_, self.X_unlabeled_ = X_val, y_val, X_unlabeled
        return self

    def predict(self, X, return_std=False, kind="total"):
        mean = np.arange(len(X), dtype=float)
        return (
            (mean, {"total": 2.0, "epistemic": 1.0}[kind] * np.ones(len(X)))
            if return_std
            else (mean)
        )


class Calibrated(CalibratedRegressor):
    """The least that a subclass does: keep the rows."""

    def __init__(self, estimator, *, calibration=0.2, random_state=0):
        self.estimator = estimator
        self.calibration = calibration
        self.random_state = random_state

    def fit(self, X, y, *, groups=None, **fit_params):
        self.rows_ = self._fit_estimator(X, y, groups, fit_params)
        return self


X, y = np.arange(80.0).reshape(40, 2), np.arange(40.0)


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def rows_of(values):
    """Return which of the 40 rows these are."""
    return (np.asarray(values).reshape(len(values), -1)[:, 0] / 2).astype(int)


class TestSplit:
    def test_every_row_is_either_fitted_or_held_out(self):
        model = Calibrated(Remembering(), calibration=0.25).fit(X, y)
        fitted, held_out = rows_of(model.estimator_.X_), rows_of(model.rows_.X)
        assert len(held_out) == 10
        assert sorted([*fitted, *held_out]) == list(range(40))
        np.testing.assert_array_equal(model.estimator_.y_, y[fitted])
        np.testing.assert_array_equal(model.rows_.y, y[held_out])
        assert model.rows_.held_out

    def test_random_state_decides_it(self):
        first, same, other = (
            set(Calibrated(Remembering(), random_state=seed).fit(X, y).rows_.y)
            for seed in (0, 0, 1)
        )
        assert first == same != other

    def test_a_fraction_keeps_groups_together(self):
        groups = np.repeat(np.arange(8), 5)
        model = Calibrated(Remembering()).fit(X, y, groups=list(groups))
        held_out = groups[rows_of(model.rows_.X)]
        assert len(set(held_out)) == 2
        assert not set(held_out) & set(groups[rows_of(model.estimator_.X_)])

    def test_of_a_splitter_the_first_split_is_taken(self):
        model = Calibrated(Remembering(), calibration=KFold(4)).fit(X, y)
        np.testing.assert_array_equal(rows_of(model.rows_.X), np.arange(10))

    @pytest.mark.parametrize("calibration", [0, 1, 2, True, None, "prefit", [0.1]])
    def test_anything_else_is_refused(self, calibration):
        with pytest.raises(ValueError, match="calibration must be a fraction between 0 and 1, or"):
            Calibrated(Remembering(), calibration=calibration).fit(X, y)

    @pytest.mark.parametrize(
        ("calibration", "message"),
        [
            (GroupKFold(2), "cannot split the 40 training rows: .*groups"),
            (KFold(50), "cannot split the 40 training rows"),
            (PredefinedSplit([0] * 40), "leaves 0 of 40 rows to train on and 40 to calibrate on"),
            (PredefinedSplit([-1] * 40), "leaves 0 of 40 rows to train on and 0 to calibrate on"),
            (PredefinedSplit([-1, 0] * 30), "asks for row 59, .* made for other data"),
        ],
    )
    def test_what_cannot_split_the_rows_is_refused(self, calibration, message):
        with pytest.raises(ValueError, match=message):
            Calibrated(Remembering(), calibration=calibration).fit(X, y)

    def test_a_parameter_of_another_name_names_what_else_it_may_be(self):
        with pytest.raises(ValueError, match="validation must be None, a fraction between"):
            HoldOut("validation", "no", "validate on", otherwise="None, ").split(X, y, None, 0)

    @pytest.mark.parametrize("target", [None, y[:39], np.full(40, np.inf), ["a"] * 40])
    def test_targets_that_are_none_are_refused_before_the_training(self, target):
        with pytest.raises(
            ValueError, match=r"y to be passed|inconsistent numbers|infinity|string"
        ):
            Calibrated(Remembering()).fit(X, target)

    def test_several_targets_and_missing_ones_are_welcome(self):
        Y = np.c_[y, y]
        Y[::2, 0] = np.nan
        assert Calibrated(Remembering()).fit(X, Y).rows_.y.shape == (8, 2)


class TestKindsOfX:
    @pytest.mark.parametrize(
        "make",
        [
            pd.DataFrame,
            sparse.csr_array,
            list,
            lambda X: [f"{value:.0f}" for value in X[:, 0]],
            lambda X: np.array([f"{value:.0f}" for value in X[:, 0]]),
            lambda X: np.repeat(X[:, :1], 12, axis=1).reshape(40, 4, 3),
        ],
        ids=["DataFrame", "sparse", "list", "strings", "array of strings", "3-D"],
    )
    def test_rows_keep_their_type(self, make):
        given = make(X)
        model = Calibrated(Remembering()).fit(given, pd.Series(y))
        assert type(model.rows_.X) is type(model.estimator_.X_) is type(given)
        for rows, target in ((model.rows_.X, model.rows_.y), (model.estimator_.X_, None)):
            target = model.estimator_.y_ if target is None else target
            dense = rows.toarray() if sparse.issparse(rows) else rows
            first = np.asarray(dense, dtype=float).reshape(len(target), -1)[:, 0]
            np.testing.assert_array_equal(first, 2 * np.asarray(target))


class TestFitParameters:
    def test_of_rows_are_those_of_the_fitted_rows(self):
        model = Calibrated(Remembering()).fit(X, y, sample_weight=list(y), groups=y)
        np.testing.assert_array_equal(model.estimator_.sample_weight_, model.estimator_.y_)
        np.testing.assert_array_equal(model.estimator_.groups_, model.estimator_.y_)
        np.testing.assert_array_equal(model.rows_.sample_weight, model.rows_.y)

    def test_of_other_rows_stay_as_they_are_even_if_they_are_as_many(self):
        model = Calibrated(Remembering()).fit(X, y, X_val=X, y_val=y, X_unlabeled=X)
        assert model.estimator_.X_val_ is model.estimator_.X_unlabeled_ is X
        assert model.estimator_.y_val_ is y
        assert model.rows_.sample_weight is None

    def test_reach_a_step_of_a_pipeline_by_its_name(self):
        pipeline = make_pipeline(StandardScaler(), Remembering())
        model = Calibrated(pipeline).fit(X, y, remembering__sample_weight=y, remembering__X_val=X)
        last = model.estimator_[-1]
        np.testing.assert_array_equal(last.sample_weight_, last.y_)
        assert last.X_val_ is X

    def test_groups_are_not_forced_on_an_estimator_without_them(self):
        Calibrated(Ridge()).fit(X, y, groups=np.repeat(np.arange(8), 5))

    @pytest.mark.parametrize("nested", [False, True])
    def test_groups_reach_the_end_of_a_pipeline(self, nested):
        pipeline = make_pipeline(StandardScaler(), Remembering())
        pipeline = make_pipeline(FunctionTransformer(), pipeline) if nested else pipeline
        last = last_step(Calibrated(pipeline).fit(X, y, groups=y).estimator_)
        np.testing.assert_array_equal(last.groups_, last.y_)

    def test_groups_are_not_forced_on_the_end_of_a_pipeline_without_them(self):
        model = Calibrated(make_pipeline(StandardScaler(), Ridge()))
        assert len(model.fit(X, y, groups=np.repeat(np.arange(8), 5)).rows_.y) == 10

    def test_with_routing_groups_reach_the_end_of_a_pipeline_that_requests_them(self, routing):
        inner = Remembering().set_fit_request(groups=True)
        model = Calibrated(make_pipeline(StandardScaler(), inner)).fit(X, y, groups=y)
        np.testing.assert_array_equal(model.estimator_[-1].groups_, model.estimator_[-1].y_)

    def test_with_routing_groups_without_a_request_are_refused(self, routing):
        model = Calibrated(make_pipeline(StandardScaler(), Remembering()))
        with pytest.raises(UnsetMetadataPassedError, match=r"\[groups\] are passed but"):
            model.fit(X, y, groups=y)

    def test_that_the_estimator_lacks_are_refused(self):
        with pytest.raises(TypeError, match="replicates"):
            Calibrated(Ridge()).fit(X, y, replicates=y)

    def test_with_routing_are_what_the_estimator_requests(self, routing):
        inner = Remembering().set_fit_request(sample_weight=True, groups=False)
        model = Calibrated(inner).fit(X, y, sample_weight=y, groups=np.repeat(np.arange(8), 5))
        np.testing.assert_array_equal(model.estimator_.sample_weight_, model.estimator_.y_)
        assert model.estimator_.groups_ is None
        np.testing.assert_array_equal(model.rows_.sample_weight, model.rows_.y)

    def test_with_routing_are_refused_unless_requested(self, routing):
        with pytest.raises(UnsetMetadataPassedError, match=r"\[sample_weight\] are passed but"):
            Calibrated(Remembering()).fit(X, y, sample_weight=y)

    def test_with_routing_a_search_passes_weights_and_groups_on(self, routing):
        inner = Remembering().set_fit_request(sample_weight=True, groups=True)
        model = Calibrated(inner).set_score_request(sample_weight=False)
        search = GridSearchCV(model, {"calibration": [0.3]}, cv=GroupKFold(2), error_score="raise")
        groups = np.repeat(np.arange(8), 5)
        last = search.fit(X, y, sample_weight=y, groups=groups).best_estimator_.estimator_
        np.testing.assert_array_equal(last.sample_weight_, last.y_)
        np.testing.assert_array_equal(last.groups_, groups[last.y_.astype(int)])


class TestSeeds:
    def test_one_random_state_decides_an_estimator_without_its_own(self):
        first, same, other = (
            Calibrated(make_pipeline(StandardScaler(), Remembering()), random_state=seed)
            .fit(X, y)
            .estimator_[-1]
            .random_state
            for seed in (0, 0, 1)
        )
        assert first == same != other

    def test_a_random_state_of_its_own_stays(self):
        assert Calibrated(Remembering(random_state=7)).fit(X, y).estimator_.random_state == 7

    def test_repeated_fits_agree(self, table):
        models = [Calibrated(tiny_ensemble(random_state=None)).fit(*table) for _ in range(2)]
        np.testing.assert_array_equal(models[0].predict(table[0]), models[1].predict(table[0]))


class TestEstimator:
    def test_is_cloned(self):
        inner = Remembering()
        assert Calibrated(inner).fit(X, y).estimator_ is not inner
        assert not hasattr(inner, "X_")

    def test_frozen_is_not_fitted_and_all_rows_calibrate_it(self):
        frozen = FrozenEstimator(Remembering().fit(X[:3], y[:3]))
        model = Calibrated(frozen, calibration="not read").fit(X, y, sample_weight=y)
        assert model.estimator_ is frozen
        assert len(frozen.X_) == 3
        np.testing.assert_array_equal(model.rows_.y, y)
        np.testing.assert_array_equal(model.rows_.sample_weight, y)
        assert not model.rows_.held_out

    def test_frozen_but_not_fitted_is_refused(self):
        with pytest.raises(NotFittedError):
            Calibrated(FrozenEstimator(Ridge())).fit(X, y)

    @pytest.mark.parametrize("estimator", [Ridge, "ridge", None, StandardScaler()])
    def test_that_does_not_predict_is_refused(self, estimator):
        with pytest.raises(TypeError, match="needs an estimator instance that predicts, such as"):
            Calibrated(estimator).fit(X, y)

    def test_that_classifies_is_refused(self):
        with pytest.raises(TypeError, match="needs a regressor, got LogisticRegression"):
            Calibrated(LogisticRegression()).fit(X, y)

    def test_parameters_are_nested(self):
        model = clone(Calibrated(Ridge())).set_params(estimator__alpha=3.0)
        assert model.fit(X, y).estimator_.alpha == 3.0
        assert Calibrated(Ridge()).get_params()["estimator__alpha"] == 1.0

    def test_tags_are_those_of_the_estimator(self):
        tags = sklearn.utils.get_tags(Calibrated(tiny_ensemble()))
        assert tags.target_tags.multi_output
        assert tags.input_tags.three_d_array
        assert not sklearn.utils.get_tags(
            Calibrated(GridSearchCV(Ridge(), {}))
        ).target_tags.one_d_labels

    def test_features_and_kinds_are_those_of_the_estimator(self, table):
        model = Calibrated(make_pipeline(StandardScaler(), tiny_ensemble()))
        assert not hasattr(model, "n_features_in_")
        model.fit(pd.DataFrame(table[0], columns=[*"abcdef"]), table[1])
        assert model.n_features_in_ == 6
        assert [*model.feature_names_in_] == [*"abcdef"]
        assert model.uncertainty_kinds_ == ("epistemic",)
        model.fit(*table)
        assert not hasattr(model, "feature_names_in_")
        assert not hasattr(Calibrated(Ridge()).fit(X, y), "uncertainty_kinds_")


class TestPrediction:
    def test_is_the_estimators(self):
        model = Calibrated(Remembering()).fit(X, y)
        np.testing.assert_array_equal(model.predict(X), np.arange(40))
        mean, std = model.predict(X, return_std=True)
        np.testing.assert_array_equal(mean, np.arange(40))
        np.testing.assert_array_equal(std, np.full(40, 2.0))
        np.testing.assert_array_equal(model.predict_uncertainty(X, kind="epistemic"), np.ones(40))

    def test_the_mean_is_the_same_for_every_kind(self):
        model = Calibrated(Remembering()).fit(X, y)
        np.testing.assert_array_equal(model.predict(X, kind="epistemic"), model.predict(X))

    def test_a_kind_of_an_estimator_without_any_is_refused(self):
        model = Calibrated(make_pipeline(StandardScaler(), Ridge())).fit(X, y)
        with pytest.raises(TypeError, match="takes no return_std=True"):
            model.predict(X, kind="total")

    def test_before_fit_is_refused(self):
        for method in ("predict", "predict_uncertainty"):
            with pytest.raises(NotFittedError):
                getattr(Calibrated(Remembering()), method)(X)

    def test_without_a_deviation_there_is_no_uncertainty(self):
        model = Calibrated(make_pipeline(StandardScaler(), Ridge())).fit(X, y)
        assert not hasattr(model, "predict_uncertainty")
        with pytest.raises(TypeError, match="Ridge predicts no standard deviation"):
            model.predict(X, return_std=True)

    def test_score_is_the_estimators(self, table):
        features, target = table
        missing = np.where(np.arange(40) < 5, np.nan, target)
        model = Calibrated(tiny_ensemble()).fit(*table)
        assert model.score(features, missing) == model.estimator_.score(features, missing)
        ridge = Calibrated(Ridge()).fit(X, y)
        assert ridge.score(X, y**2, y) == ridge.estimator_.score(X, y**2, y) != ridge.score(X, y**2)

    def test_routes_uncertainty_through_a_pipeline_without_a_request(self, routing):
        pipeline = make_pipeline(FunctionTransformer(), Calibrated(Remembering())).fit(X, y)
        _, std = pipeline.predict(X, return_std=True, kind="epistemic")
        np.testing.assert_array_equal(std, np.ones(40))


def test_the_last_step_is_found_behind_wrappers():
    ridge = Ridge()
    assert last_step(FrozenEstimator(make_pipeline(StandardScaler(), ridge))) is ridge


def test_deviations_of_scikit_learn_are_predicted():
    gaussian_process = GaussianProcessRegressor(alpha=0.1).fit(X[:5], y[:5])
    mean, std = predict_with_std(make_pipeline(FunctionTransformer(), gaussian_process), X, None)
    assert mean.shape == std.shape == (40,)
