"""Quantiles of a fitted estimator's Gaussian predictive distribution."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from sklearn_degu.quantiles import GaussianQuantileRegressor, quantile_estimators
from sklearn_degu.sequences import SequenceEncoder
from tests.toys import tiny_conv_net, tiny_ensemble

# A busy machine misses any.
without_deadline = settings(deadline=None)


class Known(RegressorMixin, BaseEstimator):
    """A model whose mean is X and whose deviations are 2, of the epistemic kind 1."""

    def __init__(self, n_features_in_=2):
        self.n_features_in_ = n_features_in_

    def fit(self, X, y):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def predict(self, X, return_std=False, kind=None):
        X = np.asarray(X, dtype=float)
        return (X, np.full(X.shape, {None: 2.0, "epistemic": 1.0}[kind])) if return_std else X


X = np.array([[0.0, 10.0], [1.0, 20.0], [-1.0, 30.0]])


class TestPrediction:
    @without_deadline
    @given(st.floats(0.001, 0.999))
    def test_is_the_gaussian_quantile(self, quantile):
        predicted = GaussianQuantileRegressor(Known(), quantile, target=1).predict(X)
        np.testing.assert_allclose(predicted, norm.ppf(quantile, loc=X[:, 1], scale=2.0))

    def test_is_of_the_kind_asked_for(self):
        predicted = GaussianQuantileRegressor(Known(), 0.9, kind="epistemic", target=0).predict(X)
        np.testing.assert_allclose(predicted, norm.ppf(0.9, loc=X[:, 0], scale=1.0))

    @pytest.mark.parametrize("column", [X[:, 0], X[:, :1]], ids=["(n,)", "(n, 1)"])
    @pytest.mark.parametrize("target", [None, 0, np.int64(0)])
    def test_of_a_single_target_has_one_axis(self, column, target):
        view = GaussianQuantileRegressor(Known(), target=target)
        np.testing.assert_array_equal(view.predict(column), X[:, 0])

    def test_reads_an_estimator_of_scikit_learn(self):
        y = X[:, 0]
        process = GaussianProcessRegressor(alpha=0.5).fit(X, y)
        mean, std = process.predict(X + 1, return_std=True)
        for model in (process, FrozenEstimator(process)):
            view = GaussianQuantileRegressor(model, 0.25)
            np.testing.assert_allclose(view.predict(X + 1), norm.ppf(0.25, mean, std))

    def test_reads_a_pipeline_of_strings(self, strings, sequences):
        y = sequences[1]
        pipeline = make_pipeline(SequenceEncoder(), tiny_ensemble(tiny_conv_net()))
        mean, std = pipeline.fit(strings, y).predict(strings, return_std=True)
        view = GaussianQuantileRegressor(pipeline, 0.9, kind="epistemic", target=1)
        np.testing.assert_allclose(view.predict(strings), norm.ppf(0.9, mean, std)[:, 1])


class TestView:
    def test_fit_changes_nothing(self, table):
        ensemble = tiny_ensemble().fit(*table)
        before = ensemble.predict(table[0])
        view = GaussianQuantileRegressor(ensemble)
        assert view.fit(table[0], -table[1]) is view
        np.testing.assert_array_equal(view.predict(table[0]), before)

    def test_a_clone_sees_the_same_estimator_and_has_its_own_parameters(self):
        view = GaussianQuantileRegressor(Known(), 0.9, kind="epistemic", target=1)
        twin = clone(view)
        assert twin.get_params(deep=False) == view.get_params(deep=False)
        twin.set_params(quantile=0.1)
        assert view.quantile == 0.9

    def test_survives_a_grid_search(self, table):
        ensemble = tiny_ensemble().fit(*table)
        grid = {"quantile": [0.001, 0.5]}
        search = GridSearchCV(GaussianQuantileRegressor(ensemble), grid, cv=2).fit(*table)
        assert search.best_params_ == {"quantile": 0.5}

    def test_is_fitted_if_the_estimator_is(self, table):
        unfitted = GaussianQuantileRegressor(tiny_ensemble())
        assert not unfitted.is_fitted
        with pytest.raises(NotFittedError):
            check_is_fitted(unfitted)
        with pytest.raises(NotFittedError):
            unfitted.fit()
        fitted = GaussianQuantileRegressor(tiny_ensemble().fit(*table))
        assert fitted.is_fitted
        check_is_fitted(fitted)

    def test_knows_the_features_that_the_estimator_knows(self, table, strings, sequences):
        scaled = make_pipeline(StandardScaler(), tiny_ensemble()).fit(*table)
        assert GaussianQuantileRegressor(scaled).n_features_in_ == 6
        pipeline = make_pipeline(SequenceEncoder(), tiny_ensemble(tiny_conv_net()))
        view = GaussianQuantileRegressor(pipeline.fit(strings, sequences[1]))
        assert not hasattr(view, "n_features_in_")


class TestQuantileEstimators:
    @without_deadline
    @given(st.floats(0.01, 0.99))
    def test_are_the_bounds_and_the_median_in_the_order_of_mapie(self, level):
        lower, upper, median = (
            view.predict(X) for view in quantile_estimators(Known(), level, target=0)
        )
        expected = norm.interval(level, loc=X[:, 0], scale=2.0)
        np.testing.assert_allclose([lower, upper], expected, atol=1e-12)
        np.testing.assert_array_equal(median, X[:, 0])

    def test_pass_kind_and_target_on(self):
        lower, upper, median = (
            view.predict(X) for view in quantile_estimators(Known(), kind="epistemic", target=1)
        )
        expected = norm.interval(0.9, loc=X[:, 1], scale=1.0)
        np.testing.assert_allclose([lower, upper], expected)
        np.testing.assert_array_equal(median, X[:, 1])

    def test_of_an_unfitted_estimator_do_not_exist(self):
        with pytest.raises(NotFittedError):
            quantile_estimators(tiny_ensemble())


class TestErrors:
    @pytest.mark.parametrize("level", [0, 1, 1.5, float("nan"), "0.9", None, [0.8, 0.9]])
    def test_confidence_level_outside_of_0_and_1(self, level):
        with pytest.raises(ValueError, match=r"confidence_level must be a number between 0 and 1"):
            quantile_estimators(Known(), level)

    @pytest.mark.parametrize("quantile", [0, 1, -0.1, None])
    def test_quantile_outside_of_0_and_1(self, quantile):
        with pytest.raises(ValueError, match="quantile must be a number between 0 and 1"):
            GaussianQuantileRegressor(Known(), quantile, target=0).predict(X)

    def test_several_targets_and_none_chosen(self):
        with pytest.raises(ValueError, match=r"predicts 2 targets.* pass target, from 0 to 1"):
            GaussianQuantileRegressor(Known()).predict(X)

    @pytest.mark.parametrize("target", [2, -1, 1.0, True, "a"])
    def test_target_that_is_not_there(self, target):
        with pytest.raises(ValueError, match="target must be None or an integer from 0 to 1"):
            GaussianQuantileRegressor(Known(), target=target).predict(X)

    def test_kind_that_the_estimator_lacks(self, table):
        views = quantile_estimators(tiny_ensemble().fit(*table), kind="aleatoric")
        with pytest.raises(ValueError, match="no 'aleatoric' uncertainty; it has epistemic"):
            views[0].predict(table[0])

    def test_estimator_without_deviations(self, table):
        linear = LinearRegression().fit(*table)
        with pytest.raises(TypeError, match="return_std"):
            GaussianQuantileRegressor(linear).predict(table[0])
