"""Recalibrated standard deviations: what is learned, where it holds, and what is refused."""

import pickle
import warnings

import numpy as np
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from mapie.regression import SplitConformalRegressor
from scipy import sparse
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_degu import DistilledRegressor
from sklearn_degu.conformal import ConformalRegressor
from sklearn_degu.metrics import expected_normalized_calibration_error, gaussian_nll
from sklearn_degu.recalibration import RecalibratedRegressor
from sklearn_degu.sequences import SequenceEncoder
from tests.toys import tiny_conv_net, tiny_ensemble, tiny_net

METHODS = pytest.mark.parametrize("method", ["scalar", "isotonic"])
MANY = pytest.mark.filterwarnings("ignore:Recalibration on .* rows is rough")


class Given(RegressorMixin, BaseEstimator):
    """A fitted model whose mean is 0 and whose deviations are X, of the aleatoric kind 2 X."""

    def fit(self, X, y):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def predict(self, X, return_std=False, kind=None):
        X = np.asarray(X, dtype=float)
        std = X * {None: 1.0, "aleatoric": 2.0}[kind]
        return (np.zeros(X.shape), std) if return_std else np.zeros(X.shape)


class Blind(Given):
    """A fitted model that reads rows of any form, and says the same of each."""

    def predict(self, X, return_std=False):
        rows = np.ones(X.shape[0] if sparse.issparse(X) else len(X))
        return (0 * rows, rows) if return_std else 0 * rows


def recalibrated(std, y, *, method="scalar", **params):
    """Return the recalibration of given deviations on measurements around zero."""
    return RecalibratedRegressor(FrozenEstimator(Given()), method=method).fit(std, y, **params)


def of(model, std):
    return model.predict(std, return_std=True)[1]


def simulate(n, distort, seed):
    """Return distorted deviations, spanning a factor of ten, and Gaussian errors of the true."""
    rng = np.random.default_rng(seed)
    std = np.exp(rng.uniform(np.log(0.3), np.log(3), n))
    return distort(std), std * rng.normal(size=n)


def doubled(std):
    return 2 * std


def overconfident(std):
    """Too small everywhere, and the more the larger: no factor mends it."""
    return 0.2 * std**0.3


def bent(std):
    """Right below 1 and far too large above."""
    return np.where(std < 1, std, std**3)


# Without a deadline, which a busy machine misses.
few_examples = settings(max_examples=25, deadline=None)
samples = st.integers(0, 2**32 - 1).map(np.random.default_rng)


@MANY
class TestScalar:
    def test_factor_is_the_root_mean_square_of_the_standardised_errors(self):
        std, y = np.array([1.0, 2.0, 4.0]), np.array([3.0, -2.0, 8.0])
        model = recalibrated(std, y)
        factor = np.sqrt((3**2 + 1**2 + 2**2) / 3)
        np.testing.assert_allclose(of(model, np.array([1.0, 5.0])), [factor, 5 * factor])

    @few_examples
    @given(samples, st.floats(-0.5, 0.5).filter(lambda change: abs(change) > 1e-3))
    def test_factor_has_the_highest_likelihood_of_all(self, rng, change):
        std, y = rng.uniform(0.1, 10, size=30), rng.normal(size=30)
        best = of(recalibrated(std, y), std)
        assert gaussian_nll(y, 0 * y, best) < gaussian_nll(y, 0 * y, best * np.exp(change))

    def test_leaves_missing_measurements_out_target_by_target(self):
        rng = np.random.default_rng(0)
        std, y = rng.uniform(1, 2, size=(60, 2)), rng.normal(size=(60, 2))
        y[:30, 1] = np.nan
        expected = np.c_[
            of(recalibrated(std[:, 0], y[:, 0]), std[:, 0]),
            of(recalibrated(std[30:, 1], y[30:, 1]), std[:, 1]),
        ]
        np.testing.assert_allclose(of(recalibrated(std, y), std), expected)

    @METHODS
    def test_weight_of_zero_leaves_a_row_out(self, method):
        rng = np.random.default_rng(0)
        std, y = rng.uniform(1, 2, size=60), rng.normal(size=60)
        weight = np.r_[np.zeros(20), np.full(40, 3.0)]
        weighed = recalibrated(std, y, method=method, sample_weight=weight)
        alone = recalibrated(std[20:], y[20:], method=method)
        np.testing.assert_allclose(of(weighed, std), of(alone, std))

    def test_weight_of_two_counts_a_row_twice(self):
        rng = np.random.default_rng(0)
        std, y = rng.uniform(1, 2, size=60), rng.normal(size=60)
        weighed = recalibrated(std, y, sample_weight=np.r_[np.full(20, 2.0), np.ones(40)])
        repeated = recalibrated(np.r_[std, std[:20]], np.r_[y, y[:20]])
        np.testing.assert_allclose(of(weighed, std), of(repeated, std))


@MANY
class TestIsotonic:
    @few_examples
    @given(samples, st.integers(2, 200))
    def test_curve_is_positive_and_never_falls(self, rng, n):
        # Errors that shrink where deviations grow are the worst case.
        std = rng.choice([0.0, 0.5, *rng.uniform(0, 5, size=n)], size=n)
        std[0] = 1.0
        model = recalibrated(std, rng.normal(size=n) / (1 + std), method="isotonic")
        grid = np.r_[0.0, np.sort(rng.uniform(0, 20, size=50))]
        curve = of(model, grid)
        assert (curve > 0).all()
        assert (np.diff(curve) >= -1e-12).all()

    @few_examples
    @given(samples, st.floats(0.01, 100))
    def test_unit_of_the_given_deviations_does_not_matter(self, rng, unit):
        std, y = rng.uniform(0.1, 5, size=100), rng.normal(size=100)
        expected = of(recalibrated(std, y, method="isotonic"), std)
        rescaled = of(recalibrated(unit * std, y, method="isotonic"), unit * std)
        np.testing.assert_allclose(rescaled, expected)

    @METHODS
    @few_examples
    @given(rng=samples, unit=st.floats(0.01, 100))
    def test_is_in_the_unit_of_y(self, method, rng, unit):
        std, y = rng.uniform(0.1, 5, size=100), rng.normal(size=100)
        expected = unit * of(recalibrated(std, y, method=method), std)
        rescaled = of(recalibrated(std, unit * y, method=method), std)
        np.testing.assert_allclose(rescaled, expected)

    def test_does_not_follow_the_smallest_error(self):
        # Plain isotonic regression has a deviation of 0 there, whatever the other rows say.
        std, y = simulate(400, doubled, seed=0)
        y[np.argmin(std)] = 0.0
        smallest = of(recalibrated(std, y, method="isotonic"), std).min()
        assert smallest > 0.15  # of a true 0.3

    def test_is_constant_below_what_it_was_calibrated_on(self):
        std, y = simulate(1000, doubled, seed=0)
        below = of(recalibrated(std, y, method="isotonic"), np.array([0.0, 0.01, 0.3]))
        np.testing.assert_array_equal(below, below[0])
        assert below[0] == pytest.approx(0.3, rel=0.5)

    def test_is_proportional_above_what_it_was_calibrated_on(self):
        std, y = simulate(1000, doubled, seed=0)
        above = of(recalibrated(std, y, method="isotonic"), np.array([10.0, 20.0, 100.0]))
        np.testing.assert_allclose(above / above[0], [1, 2, 10])
        assert above[0] == pytest.approx(10 / 2, rel=0.3)

    def test_equal_deviations_become_the_root_mean_square_error(self):
        rng = np.random.default_rng(0)
        y, weight = rng.normal(size=100), rng.uniform(size=100)
        model = recalibrated(np.full(100, 7.0), y, method="isotonic", sample_weight=weight)
        expected = np.sqrt(np.average(y**2, weights=weight)) * np.array([1, 1, 2])
        np.testing.assert_allclose(of(model, np.array([1.0, 7.0, 14.0])), expected)

    def test_rows_without_error_get_a_thousandth_of_the_root_mean_square_error(self):
        std = np.repeat([1.0, 2.0], 50)
        y = np.repeat([0.0, 3.0], 50)
        floor = 1e-3 * np.sqrt((y**2).mean())
        assert of(recalibrated(std, y, method="isotonic"), std).min() == pytest.approx(floor)

    def test_reads_deviations_of_zero(self):
        std, y = np.repeat([0.0, 2.0], 50), np.repeat([1.0, -3.0], 50)
        model = recalibrated(std, y, method="isotonic")
        np.testing.assert_allclose(of(model, np.array([0.0, 2.0])), [1.0, 3.0])


class TestCalibration:
    """On 4,000 new rows of simulated data, whose true deviations are known."""

    def calibration_error(self, method, distort):
        model = recalibrated(*simulate(4000, distort, seed=0), method=method)
        std, y = simulate(4000, distort, seed=1)
        before, after = (
            expected_normalized_calibration_error(y, 0 * y, deviation)
            for deviation in (std, of(model, std))
        )
        return before, after

    @METHODS
    def test_is_restored_where_all_deviations_are_wrong_by_one_factor(self, method):
        before, after = self.calibration_error(method, doubled)
        assert before > 0.4
        assert after < 0.05

    @pytest.mark.parametrize("distort", [overconfident, bent])
    def test_is_restored_by_a_curve_where_deviations_are_distorted(self, distort):
        before, after = self.calibration_error("isotonic", distort)
        assert before > 0.25
        assert after < 0.05

    @pytest.mark.parametrize("distort", [overconfident, bent])
    def test_is_not_restored_by_a_factor_where_deviations_are_distorted(self, distort):
        assert self.calibration_error("scalar", distort)[1] > 0.2

    @pytest.mark.parametrize(
        ("method", "distort"),
        [
            ("scalar", doubled),
            ("isotonic", doubled),
            ("isotonic", overconfident),
            ("isotonic", bent),
        ],
    )
    def test_recovers_the_true_deviations(self, method, distort):
        std, y = simulate(4000, distort, seed=0)
        true = simulate(4000, lambda std: std, seed=0)[0]
        ratio = of(recalibrated(std, y, method=method), std) / true
        assert np.quantile(ratio, [0.05, 0.95]) == pytest.approx([1, 1], abs=0.15)

    @METHODS
    def test_that_is_right_stays_right(self, method):
        before, after = self.calibration_error(method, lambda std: std)
        assert after < before + 0.02

    @METHODS
    def test_of_each_target_by_itself(self, method):
        first, second = simulate(4000, doubled, seed=0), simulate(4000, lambda std: std / 5, seed=1)
        model = recalibrated(
            *(np.c_[pair] for pair in zip(first, second, strict=True)), method=method
        )
        std, y = (
            np.c_[pair]
            for pair in zip(
                simulate(4000, doubled, seed=2),
                simulate(4000, lambda std: std / 5, seed=3),
                strict=True,
            )
        )
        errors = expected_normalized_calibration_error(
            y, 0 * y, of(model, std), multioutput="raw_values"
        )
        assert (errors < 0.05).all()

    @METHODS
    def test_of_members_that_agree_about_what_they_all_miss(self, method):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(1500, 3))
        y = X[:, 0] + rng.normal(size=1500)
        ensemble = tiny_ensemble(tiny_net(batch_size=256), n_estimators=4)
        model = RecalibratedRegressor(ensemble, method=method, random_state=0)
        mean, std = model.fit(X[:1000], y[:1000]).predict(X[1000:], return_std=True)
        before, after = (
            expected_normalized_calibration_error(y[1000:], mean, deviation)
            for deviation in (model.estimator_.predict_uncertainty(X[1000:]), std)
        )
        assert after < before / 2


@MANY
class TestEstimator:
    @METHODS
    def test_fits_on_some_rows_and_recalibrates_on_the_others(self, table, method):
        X, y = table
        splitter = KFold(2)
        model = RecalibratedRegressor(tiny_ensemble(), method=method, calibration=splitter)
        model.fit(X, y)
        train, calibration = next(splitter.split(X))
        fitted = tiny_ensemble().fit(X[train], y[train])
        by_hand = RecalibratedRegressor(FrozenEstimator(fitted), method=method)
        by_hand.fit(X[calibration], y[calibration])
        for got, expected in zip(
            model.predict(X, return_std=True), by_hand.predict(X, return_std=True), strict=True
        ):
            np.testing.assert_array_equal(got, expected)
        np.testing.assert_array_equal(model.predict(X), fitted.predict(X))

    @pytest.mark.parametrize("kind", ["epistemic", "aleatoric", "total"])
    def test_recalibrates_the_kind_asked_for(self, table, kind):
        X, y = table
        fitted = tiny_ensemble(aleatoric="heteroscedastic").fit(X[:20], y[:20])
        model = RecalibratedRegressor(FrozenEstimator(fitted), kind=kind).fit(X[20:], y[20:])
        ratio = model.predict_uncertainty(X) / fitted.predict_uncertainty(X, kind=kind)
        np.testing.assert_allclose(ratio, ratio[0])

    def test_a_kind_set_later_is_that_of_the_next_fit(self, table):
        X, y = table
        ensemble = tiny_ensemble(aleatoric="heteroscedastic")
        model = RecalibratedRegressor(ensemble, kind="total", random_state=0).fit(X, y)
        before = model.predict_uncertainty(X)
        model.set_params(kind="epistemic")
        np.testing.assert_array_equal(model.predict_uncertainty(X), before)

    def test_recalibrated_deviation_is_the_total_one(self, table):
        model = RecalibratedRegressor(tiny_ensemble(), kind="epistemic", random_state=0).fit(*table)
        assert model.uncertainty_kinds_ == ("total",)
        np.testing.assert_array_equal(
            model.predict_uncertainty(table[0], kind="total"), model.predict_uncertainty(table[0])
        )

    @METHODS
    def test_of_several_targets_with_missing_measurements(self, table, method):
        X, y = table
        Y = np.c_[y, -y, y**2]
        Y[np.random.default_rng(0).random(Y.shape) < 0.2] = np.nan
        some = ~np.isnan(Y).all(axis=1)
        model = RecalibratedRegressor(tiny_ensemble(), method=method, calibration=0.5)
        mean, std = model.set_params(random_state=0).fit(X[some], Y[some]).predict(X, True)
        assert mean.shape == std.shape == Y.shape
        assert (std > 0).all()

    @pytest.mark.parametrize("n_targets", [1, 2])
    def test_shape_is_that_of_y(self, table, n_targets):
        X, y = table
        model = RecalibratedRegressor(tiny_ensemble(), random_state=0)
        mean, std = model.fit(X, np.c_[y, -y][:, :n_targets]).predict(X, return_std=True)
        assert mean.shape == std.shape == (40, n_targets)

    @pytest.mark.parametrize(
        "make",
        [
            lambda: tiny_ensemble(tiny_conv_net()),
            lambda: DistilledRegressor(tiny_ensemble(tiny_conv_net())),
        ],
        ids=["ensemble", "distilled"],
    )
    def test_of_a_pipeline_of_strings_equals_that_of_sequences(self, strings, sequences, make):
        X, y = sequences
        pipeline = make_pipeline(SequenceEncoder(), make().set_params(random_state=1))
        of_strings = RecalibratedRegressor(pipeline, random_state=0).fit(strings, y)
        of_arrays = RecalibratedRegressor(make().set_params(random_state=1), random_state=0)
        np.testing.assert_array_equal(
            of_strings.predict_uncertainty(strings), of_arrays.fit(X, y).predict_uncertainty(X)
        )

    def test_of_an_estimator_of_scikit_learn(self, table):
        X, y = table
        process = GaussianProcessRegressor(alpha=1.0, random_state=0)
        model = RecalibratedRegressor(process, random_state=0).fit(X, y)
        ratio = model.predict_uncertainty(X) / model.estimator_.predict(X, return_std=True)[1]
        np.testing.assert_allclose(ratio, model.recalibrations_[0].factor)

    def test_is_decided_by_one_seed(self, table):
        first, second = (
            RecalibratedRegressor(tiny_ensemble(random_state=None), random_state=seed)
            .fit(*table)
            .predict_uncertainty(table[0])
            for seed in (3, 3)
        )
        np.testing.assert_array_equal(first, second)

    @METHODS
    def test_survives_pickling(self, table, method):
        model = RecalibratedRegressor(tiny_ensemble(), method=method, random_state=0).fit(*table)
        twin = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(
            twin.predict_uncertainty(table[0]), model.predict_uncertainty(table[0])
        )

    def test_does_not_fit_what_it_was_given(self, table):
        ensemble = tiny_ensemble()
        RecalibratedRegressor(ensemble, random_state=0).fit(*table)
        assert not hasattr(ensemble, "estimators_")

    def test_is_searched_by_parameters_of_the_net(self, table):
        grid = {"estimator__net__lr": [1e-9, 0.1], "method": ["scalar"]}
        model = RecalibratedRegressor(tiny_ensemble(tiny_net(max_epochs=20)), random_state=0)
        search = GridSearchCV(model, grid, cv=2, error_score="raise").fit(*table)
        assert search.best_params_["estimator__net__lr"] == 0.1

    def test_stands_at_the_end_of_a_pipeline(self, table):
        X, y = table
        model = RecalibratedRegressor(tiny_ensemble(), random_state=0)
        pipeline = make_pipeline(StandardScaler(), model).fit(X, y)
        mean, std = pipeline.predict(X, return_std=True, kind="total")
        assert mean.shape == std.shape == y.shape
        with sklearn.config_context(enable_metadata_routing=True):
            np.testing.assert_array_equal(pipeline.predict(X, return_std=True)[1], std)


@MANY
class TestFitParameters:
    def test_weights_reach_fit_and_recalibration(self, table):
        X, y = table
        weight = np.random.default_rng(0).uniform(0.5, 2, size=40)
        model = RecalibratedRegressor(tiny_ensemble(), calibration=KFold(2))
        model.fit(X, y, sample_weight=weight)
        fitted = tiny_ensemble().fit(X[20:], y[20:], sample_weight=weight[20:])
        by_hand = RecalibratedRegressor(FrozenEstimator(fitted))
        by_hand.fit(X[:20], y[:20], sample_weight=weight[:20])
        np.testing.assert_array_equal(model.predict_uncertainty(X), by_hand.predict_uncertainty(X))

    def test_groups_stay_whole(self, table):
        X, y = table
        groups = np.repeat(np.arange(8), 5)
        model = RecalibratedRegressor(tiny_ensemble(), calibration=GroupKFold(4))
        model.fit(X, y, groups=groups)
        held_out = groups[~model.estimator_.seen(X)]
        assert len(held_out) == 10
        assert len(set(held_out)) == 2

    def test_groups_reach_the_end_of_a_pipeline(self, table):
        X, y = table
        groups = np.arange(len(X)) // 4
        pipeline = make_pipeline(StandardScaler(), tiny_ensemble(validation=0.25))
        model = RecalibratedRegressor(pipeline, random_state=0).fit(X, y, groups=groups)
        scaled = model.estimator_[0].transform(X)
        seen = model.estimator_[-1].seen(scaled)
        known = groups[seen]
        held_out = known[model.estimator_[-1].validation_indices_]
        assert not set(held_out) & set(np.delete(known, model.estimator_[-1].validation_indices_))

    def test_are_routed_on_request(self, table):
        X, y = table
        weight = np.random.default_rng(0).uniform(0.5, 2, size=40)
        given = {"sample_weight": weight, "groups": np.repeat(np.arange(8), 5)}
        with sklearn.config_context(enable_metadata_routing=True):
            ensemble = tiny_ensemble().set_fit_request(sample_weight=True, groups=False)
            routed = RecalibratedRegressor(ensemble, random_state=0).fit(X, y, **given)
        plain = RecalibratedRegressor(tiny_ensemble(), random_state=0).fit(X, y, **given)
        np.testing.assert_array_equal(routed.predict_uncertainty(X), plain.predict_uncertainty(X))


class TestInside:
    @METHODS
    def test_a_conformal_regressor(self, method):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(4000, 2))
        y = X[:, 0] + np.exp(X[:, 1] / 2) * rng.normal(size=4000)
        inner = RecalibratedRegressor(tiny_ensemble(), method=method)
        model = ConformalRegressor(inner, confidence_level=0.9, calibration=0.5, random_state=0)
        mean, lower, upper = model.fit(X[:2000], y[:2000]).predict_interval(X[2000:])
        assert ((lower <= y[2000:]) & (y[2000:] <= upper)).mean() == pytest.approx(0.9, abs=0.03)
        std = model.estimator_.predict_uncertainty(X[2000:])
        ratio = (upper - mean) / std
        np.testing.assert_allclose(ratio, ratio[0])

    @MANY
    @pytest.mark.parametrize("make", [sparse.csr_array, lambda X: ["ACGT"] * len(X)])
    def test_a_conformal_regressor_of_rows_that_are_no_array_of_numbers(self, table, make):
        X, y = table
        model = RecalibratedRegressor(Blind(), random_state=0).fit(make(X), y)
        conformal = ConformalRegressor(FrozenEstimator(model)).fit(make(X), y)
        assert conformal.n_calibration_ == [40]

    @MANY
    def test_mapie(self, table):
        X, y = table
        fitted = RecalibratedRegressor(tiny_ensemble(), random_state=0).fit(X[:20], y[:20])
        conformal = SplitConformalRegressor(
            fitted, confidence_level=0.8, conformity_score="std_normalized"
        )
        points, intervals = conformal.conformalize(X[20:], y[20:]).predict_interval(X)
        ratio = (intervals[:, 1, 0] - points) / fitted.predict_uncertainty(X)
        np.testing.assert_allclose(ratio, ratio[0])

    @MANY
    def test_a_clone(self, table):
        model = RecalibratedRegressor(tiny_ensemble(), method="isotonic", kind="epistemic")
        twin = clone(model.set_params(random_state=0).fit(*table))
        assert not hasattr(twin, "recalibrations_")
        np.testing.assert_array_equal(
            twin.fit(*table).predict_uncertainty(table[0]), model.predict_uncertainty(table[0])
        )


class TestWarnings:
    def test_few_rows(self):
        std, y = simulate(20, doubled, seed=0)
        with pytest.warns(UserWarning, match=r"on 20 rows is rough: .* about 16%. With 50 rows"):
            recalibrated(std, y)

    def test_few_measurements_of_one_target(self):
        std, y = (np.c_[part, part] for part in simulate(100, doubled, seed=0))
        y[12:, 1] = np.nan
        with pytest.warns(UserWarning, match="on 12 rows"):
            recalibrated(std, y)

    def test_none_with_enough_rows(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            recalibrated(*simulate(50, doubled, seed=0))

    def test_held_out_copies_of_training_rows(self, table):
        X, y = (np.repeat(part, 4, axis=0) for part in table)
        model = RecalibratedRegressor(tiny_ensemble(), random_state=0, calibration=0.5)
        with pytest.warns(UserWarning, match="calibration rows equal rows .* Pass groups"):
            model.fit(X, y)


@MANY
class TestErrors:
    def test_rows_that_a_frozen_estimator_was_trained_on(self, table):
        X, y = table
        fitted = tiny_ensemble().fit(X[:20], y[:20])
        model = RecalibratedRegressor(FrozenEstimator(fitted))
        with pytest.raises(ValueError, match=r"5 of the 25 calibration rows .* Leave these rows"):
            model.fit(X[15:], y[15:])

    def test_rows_that_a_frozen_pipeline_was_trained_on(self, strings, sequences):
        y = sequences[1]
        pipeline = make_pipeline(SequenceEncoder(), tiny_ensemble(tiny_conv_net()))
        model = RecalibratedRegressor(FrozenEstimator(pipeline.fit(strings, y)))
        with pytest.raises(ValueError, match="40 of the 40 calibration rows"):
            model.fit(strings, y)

    @pytest.mark.parametrize("method", ["platt", None, "SCALAR", ["scalar"]])
    def test_unknown_method(self, table, method):
        with pytest.raises(ValueError, match="method must be 'scalar' or 'isotonic'"):
            RecalibratedRegressor(tiny_ensemble(), method=method).fit(*table)

    def test_estimator_without_deviations_before_it_is_fitted(self, table):
        for model in (LinearRegression(), make_pipeline(StandardScaler(), LinearRegression())):
            with pytest.raises(TypeError, match=r"standard deviation.*LinearRegression has none"):
                RecalibratedRegressor(model).fit(*table)

    @pytest.mark.parametrize("estimator", [StandardScaler(), tiny_ensemble, None])
    def test_estimator_that_is_none(self, table, estimator):
        with pytest.raises(TypeError, match="RecalibratedRegressor needs an estimator instance"):
            RecalibratedRegressor(estimator).fit(*table)

    def test_kind_that_the_estimator_lacks(self, table):
        model = RecalibratedRegressor(tiny_ensemble(), kind="aleatoric")
        with pytest.raises(ValueError, match="no 'aleatoric' uncertainty; it has epistemic"):
            model.fit(*table)

    def test_kind_of_an_estimator_that_has_no_kinds(self, table):
        model = RecalibratedRegressor(GaussianProcessRegressor(), kind="total")
        with pytest.raises(ValueError, match="GaussianProcessRegressor has one and takes no kind"):
            model.fit(*table)

    def test_rows_of_a_recalibration_for_an_interval(self, table):
        X, y = table
        model = RecalibratedRegressor(tiny_ensemble(), random_state=0).fit(X, y)
        conformal = ConformalRegressor(FrozenEstimator(model), confidence_level=0.5)
        with pytest.raises(ValueError, match="40 of the 40 calibration rows equal rows"):
            conformal.fit(X, y)
        conformal.fit(X + 1, y)

    def test_rows_of_a_recalibration_of_an_estimator_that_cannot_say_what_it_was_trained_on(
        self, table
    ):
        X, y = table
        model = RecalibratedRegressor(GaussianProcessRegressor(alpha=0.1), random_state=0).fit(X, y)
        with pytest.raises(ValueError, match="8 of the 40 calibration rows equal rows"):
            ConformalRegressor(FrozenEstimator(model)).fit(X, y)

    def test_rows_of_a_recalibration_on_the_flattened_view_of_the_other_strand(self, sequences):
        X, y = sequences
        model = RecalibratedRegressor(tiny_ensemble(tiny_conv_net()), random_state=0).fit(X, y)
        flat = X[:, ::-1, ::-1].reshape(len(X), -1)
        with pytest.raises(ValueError, match="40 of the 40 calibration rows equal rows"):
            ConformalRegressor(FrozenEstimator(model)).fit(flat, y)

    def test_kind_of_before_recalibration(self, table):
        model = RecalibratedRegressor(tiny_ensemble(), random_state=0).fit(*table)
        with pytest.raises(ValueError, match=r"'total' one, got kind='epistemic'.*estimator_"):
            model.predict(table[0], return_std=True, kind="epistemic")
        np.testing.assert_array_equal(
            model.predict(table[0], kind="total"), model.predict(table[0])
        )

    @METHODS
    @pytest.mark.parametrize("n", [0, 1])
    def test_target_with_too_few_measurements(self, method, n):
        std, y = (np.c_[part, part] for part in simulate(60, doubled, seed=0))
        y[n:, 1] = np.nan
        with pytest.raises(ValueError, match=rf"Target 1 .*\b{n}\b.* at least 2"):
            recalibrated(std, y, method=method)

    def test_deviation_of_zero_for_a_factor(self):
        std, y = simulate(60, doubled, seed=0)
        std[:3] = 0
        with pytest.raises(ValueError, match=r"target 0 is zero in 3 of 60 .* method='isotonic'"):
            recalibrated(std, y)

    def test_deviation_of_zero_everywhere(self):
        with pytest.raises(ValueError, match="target 0 is zero in all 60 calibration rows"):
            recalibrated(np.zeros(60), np.ones(60), method="isotonic")

    @METHODS
    def test_no_error_at_all(self, method):
        with pytest.raises(ValueError, match="Target 0 is predicted without any error in all 60"):
            recalibrated(np.ones(60), np.zeros(60), method=method)

    @METHODS
    @pytest.mark.parametrize("wrong", [-1.0, np.nan, np.inf])
    def test_deviation_that_is_none(self, method, wrong):
        std, y = simulate(60, doubled, seed=0)
        std[7] = wrong
        with pytest.raises(ValueError, match="y_std"):
            recalibrated(std, y, method=method)

    def test_y_of_another_shape(self):
        std, y = simulate(60, doubled, seed=0)
        with pytest.raises(ValueError, match=r"y_true \(60, 2\), y_pred \(60, 1\)"):
            recalibrated(std, np.c_[y, y])

    def test_infinite_y(self):
        std, y = simulate(60, doubled, seed=0)
        y[0] = np.inf
        with pytest.raises(ValueError, match="infinity"):
            recalibrated(std, y)

    @pytest.mark.parametrize("weight", [np.ones(59), -np.ones(60), np.full(60, np.nan)])
    def test_weights(self, weight):
        std, y = simulate(60, doubled, seed=0)
        with pytest.raises(ValueError, match="sample_weight"):
            recalibrated(std, y, sample_weight=weight)

    @pytest.mark.parametrize("calibration", [0, 1, 1.5, "a", None])
    def test_calibration_that_is_no_part_of_the_rows(self, table, calibration):
        with pytest.raises(ValueError, match="calibration must be a fraction between 0 and 1"):
            RecalibratedRegressor(tiny_ensemble(), calibration=calibration).fit(*table)


@parametrize_with_checks(
    [
        RecalibratedRegressor(GaussianProcessRegressor(optimizer=None)),
        RecalibratedRegressor(GaussianProcessRegressor(optimizer=None), method="isotonic"),
        RecalibratedRegressor(tiny_ensemble()),
    ]
)
@MANY
def test_passes_scikit_learn_check(estimator, check):
    check(estimator)
