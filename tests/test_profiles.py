"""Sums of profiles over bins, measured and predicted."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import config_context
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline

from sklearn_degu import ConformalRegressor, DistilledRegressor, load, save
from sklearn_degu.nets import MultinomialCountLoss
from sklearn_degu.profiles import BinnedProfileRegressor, bin_profile
from sklearn_degu.recalibration import RecalibratedRegressor
from sklearn_degu.sequences import SequenceEncoder
from sklearn_degu.variants import variant_effect
from tests.toys import TinyProfile, tiny_ensemble, tiny_profile_net

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture(scope="module")
def data(sequences, counts):
    return sequences[0], counts


@pytest.fixture(scope="module")
def fitted(data):
    X, y = data
    net = tiny_profile_net(criterion=MultinomialCountLoss)
    return tiny_ensemble(net, 3).fit(X, y)


@pytest.fixture(scope="module")
def noisy(data):
    X, y = data
    return tiny_ensemble(tiny_profile_net(), 3, aleatoric="heteroscedastic").fit(X, y)


@pytest.fixture
def new_rows(data):
    X, _ = data
    return np.random.default_rng(2).permuted(X, axis=2)


def binned(model, bin_size=None):
    return BinnedProfileRegressor(FrozenEstimator(model), bin_size).fit(None, None)


class TestBinProfile:
    @given(st.tuples(*(st.integers(1, 4) for _ in range(4))), st.integers(0, 2**31 - 1))
    @settings(deadline=None)
    def test_keeps_the_total_and_the_order(self, sizes, seed):
        n, t, n_bins, bin_size = sizes
        y = np.random.default_rng(seed).normal(size=(n, t, n_bins * bin_size))
        sums = bin_profile(y, bin_size).reshape(n, t, n_bins)
        for b in range(n_bins):
            np.testing.assert_allclose(
                sums[..., b], y[..., b * bin_size : (b + 1) * bin_size].sum(axis=2)
            )
        np.testing.assert_allclose(bin_profile(y).reshape(n, t), y.sum(axis=2))

    def test_a_single_column_has_one_axis(self):
        assert bin_profile(np.ones((3, 1, 4))).shape == (3,)
        assert bin_profile(np.ones((3, 2, 4))).shape == (3, 2)
        assert bin_profile(np.ones((3, 1, 4)), 2).shape == (3, 2)

    def test_of_a_missing_position_is_missing(self):
        y = np.ones((1, 1, 4))
        y[..., 3] = np.nan
        np.testing.assert_array_equal(bin_profile(y, 2), [[2, np.nan]])

    @pytest.mark.parametrize("shape", [(4,), (4, 2), (1, 1, 2, 2)])
    def test_needs_three_axes(self, shape):
        with pytest.raises(ValueError, match=r"Profiles have shape .* but y has \("):
            bin_profile(np.ones(shape))

    def test_needs_bins_that_fill_the_profile(self):
        with pytest.raises(ValueError, match="8 positions cannot be cut into bins of bin_size=3"):
            bin_profile(np.ones((1, 1, 8)), 3)


class TestPredictions:
    @pytest.mark.parametrize("bin_size", [None, 1, 4, 8])
    def test_are_sums_of_the_profile(self, data, fitted, bin_size):
        X, _ = data
        expected = bin_profile(fitted.predict(X), bin_size)
        np.testing.assert_allclose(binned(fitted, bin_size).predict(X), expected)

    def test_of_flattened_profiles_are_the_same(self, data, fitted):
        X, y = data
        net = tiny_profile_net(criterion=MultinomialCountLoss, module__n_positions=8)
        flat = tiny_ensemble(net, 3).fit(X, y.reshape(len(y), -1))
        np.testing.assert_allclose(binned(flat, 4).predict(X), binned(fitted, 4).predict(X))

    def test_epistemic_deviation_is_that_of_the_members_sums(self, data, fitted):
        X, _ = data
        sums = np.stack([bin_profile(y, 4) for y in fitted.predict_members(X)])
        mean, std = binned(fitted, 4).predict(X, return_std=True)
        np.testing.assert_allclose(mean, sums.mean(axis=0))
        np.testing.assert_allclose(std, sums.std(axis=0))
        # Which the deviations of positions do not tell, whether they are dependent or not.
        positions = fitted.predict_uncertainty(X).reshape(len(X), -1, 4)
        assert not np.allclose(std, positions.sum(axis=2), rtol=0.01)
        assert not np.allclose(std, np.sqrt((positions**2).sum(axis=2)), rtol=0.01)

    def test_aleatoric_variance_is_that_of_independent_positions(self, data, noisy):
        X, _ = data
        model = binned(noisy)
        variance = bin_profile(noisy.predict_uncertainty(X, kind="aleatoric") ** 2)
        aleatoric = model.predict_uncertainty(X, kind="aleatoric")
        np.testing.assert_allclose(aleatoric**2, variance)
        epistemic = model.predict_uncertainty(X, kind="epistemic")
        np.testing.assert_allclose(model.predict_uncertainty(X) ** 2, aleatoric**2 + epistemic**2)
        assert model.uncertainty_kinds_ == ("epistemic", "aleatoric", "total")

    def test_of_single_positions_are_those_of_the_ensemble(self, data, noisy):
        X, _ = data
        for kind in noisy.uncertainty_kinds_:
            np.testing.assert_allclose(
                binned(noisy, 1).predict_uncertainty(X, kind=kind),
                noisy.predict_uncertainty(X, kind=kind).reshape(len(X), -1),
            )

    def test_memory_does_not_hold_all_members(self, data, fitted, monkeypatch):
        alive = []

        def one_after_another(rows):
            for member in original(rows):
                alive.append(member["mean"])
                yield member

        original = fitted._members
        monkeypatch.setattr(fitted, "_members", one_after_another)
        monkeypatch.setattr(fitted, "predict_members", None)
        binned(fitted).predict(data[0], return_std=True)
        assert len(alive) == 3

    def test_student_predicts_sums_but_no_deviation_of_them(self, data, fitted):
        X, y = data
        student = DistilledRegressor(FrozenEstimator(fitted), random_state=0).fit(X, y)
        model = binned(student)
        np.testing.assert_allclose(model.predict(X), bin_profile(student.predict(X)))
        assert model.uncertainty_kinds_ == ()
        with pytest.raises(ValueError, match=r"DistilledRegressor knows .* y=bin_profile\(y\)"):
            model.predict(X, return_std=True)

    def test_score_is_of_the_sums(self, data, fitted):
        X, y = data
        model = binned(fitted, 4)
        expected = r2_score(bin_profile(y, 4), model.predict(X))
        assert model.score(X, y) == pytest.approx(expected)
        assert model.score(X, bin_profile(y, 4)) == pytest.approx(expected)
        assert model.score(X, y.reshape(len(y), -1)) == pytest.approx(expected)
        weight = np.arange(1.0, len(X) + 1)
        expected = r2_score(bin_profile(y, 4), model.predict(X), sample_weight=weight)
        assert model.score(X, y, weight) == pytest.approx(expected)


class TestFit:
    def test_fits_a_clone_on_the_profiles(self, data):
        X, y = data
        inner = tiny_ensemble(tiny_profile_net())
        model = BinnedProfileRegressor(inner).fit(X, y, sample_weight=np.ones(len(X)))
        assert not hasattr(inner, "estimators_")
        np.testing.assert_allclose(model.predict(X), bin_profile(inner.fit(X, y).predict(X)))
        assert model.n_features_in_ == 48
        assert model.input_shape_ == (4, 12)

    def test_reads_strings_through_a_pipeline(self, strings, counts):
        pipeline = make_pipeline(SequenceEncoder(), tiny_ensemble(tiny_profile_net()))
        model = BinnedProfileRegressor(pipeline, 4).fit(strings, counts)
        mean, std = model.predict(strings, return_std=True)
        assert mean.shape == std.shape == (40, 4)
        assert model.seen(strings).all()

    def test_clone_and_scikit_learns_cross_validation(self, data):
        X, y = data
        model = clone(BinnedProfileRegressor(tiny_ensemble(tiny_profile_net()), 4))
        assert np.isfinite(cross_val_score(model, X, y, cv=2)).all()
        model.set_params(bin_size=8, estimator__n_estimators=3)
        assert model.fit(X, y).predict(X).shape == (40, 2)

    def test_routes_metadata(self, data):
        X, y = data
        with config_context(enable_metadata_routing=True):
            inner = tiny_ensemble(tiny_profile_net()).set_fit_request(sample_weight=True)
            model = BinnedProfileRegressor(inner).fit(X, y, sample_weight=np.ones(len(X)))
        assert model.predict(X).shape == (40, 2)

    def test_names_of_columns_are_those_of_the_estimator(self, data, fitted):
        X, y = data
        named = pd.DataFrame(X.reshape(len(X), -1)).add_prefix("base ")
        model = BinnedProfileRegressor(tiny_ensemble(tiny_profile_net())).fit(named, y)
        assert list(model.feature_names_in_) == list(named.columns)
        assert not hasattr(binned(fitted), "feature_names_in_")

    @pytest.mark.parametrize("estimator", [Ridge(), FrozenEstimator(Ridge()), None])
    def test_needs_an_estimator_of_profiles(self, data, estimator):
        with pytest.raises(TypeError, match="needs a regressor of profiles of this package"):
            BinnedProfileRegressor(estimator).fit(*data)

    def test_refuses_an_ensemble_of_plain_targets(self, table):
        with pytest.raises(ValueError, match="fitted on plain targets, and predicts no profiles"):
            BinnedProfileRegressor(tiny_ensemble()).fit(*table)

    def test_refuses_bins_before_a_training(self, data):
        model = BinnedProfileRegressor(tiny_ensemble(tiny_profile_net(lr="wrong")), 3)
        with pytest.raises(ValueError, match="8 positions cannot be cut into bins of bin_size=3"):
            model.fit(*data)

    def test_the_mean_is_the_same_for_every_kind(self, data, fitted):
        model = binned(fitted)
        np.testing.assert_allclose(
            model.predict(data[0], kind="epistemic"), model.predict(data[0]), rtol=1e-6
        )

    def test_refuses_a_kind_that_there_is_not(self, data, fitted):
        with pytest.raises(ValueError, match="no 'aleatoric' uncertainty"):
            binned(fitted).predict_uncertainty(data[0], kind="aleatoric")

    def test_refuses_to_score_other_sums(self, data, fitted):
        X, y = data
        with pytest.raises(ValueError, match=r"\(40, 4\), but the profiles .* sums over bins 2"):
            binned(fitted).score(X, bin_profile(y, 4))
        with pytest.raises(ValueError, match="X has 40 samples, but y has 39"):
            binned(fitted).score(X, y[:-1])


class TestWrapped:
    @pytest.mark.parametrize("score", ["normalized", "absolute"])
    @pytest.mark.parametrize("bin_size", [None, 4])
    def test_conformal_intervals_of_sums(self, data, fitted, new_rows, score, bin_size):
        _, y = data
        model = ConformalRegressor(
            FrozenEstimator(binned(fitted, bin_size)), conformity_score=score, confidence_level=0.8
        )
        sums = bin_profile(y, bin_size)
        mean, lower, upper = model.fit(new_rows, sums).predict_interval(new_rows)
        assert mean.shape == lower.shape == sums.shape
        covered = (lower <= sums) & (sums <= upper)
        assert (covered.mean(axis=0) >= 0.8).all()

    @pytest.mark.parametrize("flat", [False, True])
    @pytest.mark.parametrize("wrapper", [ConformalRegressor, RecalibratedRegressor])
    def test_is_fitted_and_calibrated_on_profiles(self, data, wrapper, flat):
        X, y = data
        net = tiny_profile_net(**({"module__n_positions": y.shape[2]} if flat else {}))
        model = wrapper(BinnedProfileRegressor(tiny_ensemble(net), 4), random_state=0)
        given = y.reshape(len(y), -1) if flat else y
        fitted = clone(model).fit(X, given)
        on_sums = clone(model).set_params(estimator=FrozenEstimator(fitted.estimator_))
        held_out = ~fitted.estimator_.seen(X)
        on_sums.fit(X[held_out], bin_profile(y[held_out], 4))
        for of in ("predict_interval", "predict_uncertainty"):
            if hasattr(wrapper, of):
                one, other = getattr(fitted, of)(X), getattr(on_sums, of)(X)
                np.testing.assert_allclose(one, other, rtol=1e-12)

    def test_intervals_of_recalibrated_sums_are_calibrated_on_profiles(self, data, fitted):
        X, y = data
        inner = RecalibratedRegressor(
            BinnedProfileRegressor(tiny_ensemble(tiny_profile_net())), random_state=0
        )
        model = ConformalRegressor(inner, confidence_level=0.5, random_state=0).fit(X, y)
        assert model.predict_interval(X).mean.shape == (40, 2)

    def test_rows_of_the_training_are_known_again(self, data, fitted):
        X, y = data
        model = ConformalRegressor(FrozenEstimator(binned(fitted)))
        with pytest.raises(ValueError, match="40 of the 40 calibration rows equal rows"):
            model.fit(X, bin_profile(y))

    def test_intervals_of_other_bins_than_were_calibrated_are_refused(self, data, fitted, new_rows):
        model = ConformalRegressor(FrozenEstimator(binned(fitted)), confidence_level=0.8)
        model.fit(new_rows, data[1])
        model.estimator_.estimator.set_params(bin_size=4)
        with pytest.raises(ValueError, match="predicts 4 targets, but 2 were calibrated"):
            model.predict_interval(new_rows)

    @pytest.mark.parametrize("encodes", [False, True])
    def test_groups_reach_the_estimator_of_profiles(self, data, strings, encodes):
        X, y = (strings if encodes else data[0]), data[1]
        groups = np.repeat(np.arange(10), 4)
        inner = tiny_ensemble(tiny_profile_net(), validation=0.3)
        pipeline = make_pipeline(SequenceEncoder(), inner) if encodes else inner
        model = ConformalRegressor(
            BinnedProfileRegressor(pipeline), calibration=GroupKFold(4), random_state=0
        ).fit(X, y, groups=groups)
        ensemble = model.estimator_.estimator_
        ensemble = ensemble[-1] if encodes else ensemble
        calibrated = next(GroupKFold(4).split(X, y, groups))[1]
        trained = np.delete(groups, calibrated)
        held_out = ensemble.validation_indices_
        assert not set(trained[held_out]) & set(np.delete(trained, held_out))

    def test_rows_of_a_recalibration_are_known_again_as_strings(self, strings, counts):
        pipeline = make_pipeline(SequenceEncoder(), tiny_ensemble(tiny_profile_net()))
        model = BinnedProfileRegressor(pipeline).fit(strings[:20], counts[:20])
        recalibrated = RecalibratedRegressor(FrozenEstimator(model))
        recalibrated.fit(strings[20:], counts[20:])
        with pytest.raises(ValueError, match="20 of the 20 calibration rows equal rows"):
            ConformalRegressor(FrozenEstimator(recalibrated)).fit(strings[20:], counts[20:])

    def test_recalibrated_deviations_of_sums(self, data, fitted, new_rows):
        X, y = data
        model = RecalibratedRegressor(FrozenEstimator(binned(fitted)))
        std = model.fit(new_rows, bin_profile(y)).predict(X, return_std=True)[1]
        assert std.shape == (40, 2)
        with pytest.raises(ValueError, match="calibration rows equal rows"):
            ConformalRegressor(FrozenEstimator(model)).fit(new_rows, bin_profile(y))

    def test_effects_of_variants_on_totals(self, strings, counts):
        binned_ensemble = BinnedProfileRegressor(tiny_ensemble(tiny_profile_net()))
        model = make_pipeline(SequenceEncoder(), binned_ensemble).fit(strings, counts)
        genome, ref = {"chrI": "".join(strings[:3])}, strings[1][3]
        alt = "A" if ref == "T" else "T"
        variants = {"chrom": ["chrI"], "pos": [16], "ref": [ref], "alt": [alt]}
        effect = variant_effect(model, variants, genome, window=12).effect
        profile = make_pipeline(model[0], binned_ensemble.estimator_)
        expected = variant_effect(profile, variants, genome, window=12).effect.sum(axis=2)
        np.testing.assert_allclose(effect, expected, rtol=1e-4)

    def test_is_saved(self, data, fitted, new_rows, tmp_path):
        X, y = data
        model = ConformalRegressor(FrozenEstimator(binned(fitted, 4)))
        model.fit(new_rows, bin_profile(y, 4))
        save(model, tmp_path / "model")
        loaded = load(tmp_path / "model", trusted=[TinyProfile])
        for one, other in zip(model.predict_interval(X), loaded.predict_interval(X), strict=True):
            np.testing.assert_array_equal(one, other)
