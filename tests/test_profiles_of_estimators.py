"""Estimators of profiles: y of shape (n, targets, positions), or flattened."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from torch import nn

from sklearn_degu import ConformalRegressor, DistilledRegressor, EnsembleRegressor, load, save
from sklearn_degu._links import LogRate
from sklearn_degu.augmentation import Augment, Mutation, Noise, ReverseComplement
from sklearn_degu.baselines import EvidentialRegressor, MCDropoutRegressor
from sklearn_degu.nets import MultinomialCountLoss
from sklearn_degu.persistence import export_onnx
from sklearn_degu.recalibration import RecalibratedRegressor
from sklearn_degu.recipes import profile_net
from tests.toys import (
    TinyConv,
    TinyProfile,
    tiny_conv_net,
    tiny_ensemble,
    tiny_net,
    tiny_profile_net,
)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

POISSON = {"criterion": nn.PoissonNLLLoss}
MULTINOMIAL = {"criterion": MultinomialCountLoss, "criterion__count_weight": 0.3}
RATES = [POISSON, MULTINOMIAL]
LOSSES = pytest.mark.parametrize("loss", [{}, *RATES], ids=["squared", "poisson", "multinomial"])
STRATEGIES = pytest.mark.parametrize("strategy", ["threads", "processes", "joint"])


def small_net(**params):
    """Return our own profile net, which can train jointly."""
    sizes = {"module__width": 0.05, "module__n_dilations": 1}
    training = {"batch_size": 16, "max_epochs": 2, "callbacks": None}
    return profile_net(**{**sizes, **training, **params})


def ensemble(loss=None, n_estimators=2, **params):
    return tiny_ensemble(tiny_profile_net(**(loss or {})), n_estimators, **params)


@pytest.fixture(scope="module")
def data(sequences, counts):
    return sequences[0], counts


@pytest.fixture(scope="module")
def fitted(data):
    return ensemble().fit(*data)


class TestShapes:
    @LOSSES
    def test_of_predictions_are_those_of_y(self, data, loss):
        X, y = data
        model = ensemble(loss).fit(X, y)
        mean, std = model.predict(X[:5], return_std=True)
        assert mean.shape == std.shape == (5, 2, 8)
        assert model.predict_members(X[:5]).shape == (2, 5, 2, 8)
        assert model.n_outputs_ == 16
        assert {part.shape for part in model.predict_components(X[:5]).values()} == {(5, 2, 8)}

    @LOSSES
    def test_flattened_profiles_are_the_same_profiles(self, data, loss):
        X, y = data
        flat = y.reshape(len(y), -1)
        by_axes = ensemble(loss).fit(X, y)
        by_columns = ensemble({**loss, "module__n_positions": 8}).fit(X, flat)
        predicted = by_columns.predict(X)
        assert predicted.shape == flat.shape
        np.testing.assert_array_equal(predicted, by_axes.predict(X).reshape(flat.shape))
        assert by_columns.score(X, flat) == by_axes.score(X, y) == by_axes.score(X, flat)

    def test_targets_and_positions_keep_their_order(self, data):
        X, y = data
        y = y * np.array([1.0, 1000.0])[:, np.newaxis]
        predicted = ensemble().fit(X, y).predict(X).mean(axis=(0, 2))
        np.testing.assert_allclose(predicted, y.mean(axis=(0, 2)), rtol=0.3)

    @LOSSES
    def test_student_answers_in_the_shape_of_y(self, data, loss):
        X, y = data
        model = DistilledRegressor(ensemble(loss), random_state=0).fit(X, y)
        mean, std = model.predict(X[:5], return_std=True)
        assert mean.shape == std.shape == (5, 2, 8)
        assert model.n_outputs_ == 16
        flat = DistilledRegressor(ensemble({**loss, "module__n_positions": 8}), random_state=0).fit(
            X, y.reshape(len(y), -1)
        )
        np.testing.assert_array_equal(flat.predict(X[:5]), mean.reshape(5, -1))

    @pytest.mark.parametrize("regressor", [MCDropoutRegressor, EvidentialRegressor])
    def test_single_nets_predict_profiles_too(self, data, regressor):
        X, y = data
        net = small_net(module__dropout=0.1)
        mean, std = regressor(net, random_state=0).fit(X, y).predict(X[:5], return_std=True)
        assert mean.shape == std.shape == (5, 2, 8)

    def test_rates_by_dropout_are_positive(self, data):
        net = small_net(module__dropout=0.1, **MULTINOMIAL)
        model = MCDropoutRegressor(net, n_samples=3, random_state=0).fit(*data)
        assert (model.predict(data[0]) > 0).all()

    def test_plain_nets_read_flattened_profiles_as_targets(self, data):
        X, y = data
        flat = y.reshape(len(y), -1)
        assert tiny_ensemble(tiny_conv_net()).fit(X, flat).predict(X).shape == flat.shape


class TestStrategies:
    @STRATEGIES
    @LOSSES
    def test_train_the_same_members(self, data, strategy, loss):
        X, y = data
        y = np.where(np.arange(8) == 3, np.nan, y)
        # In double precision, in which sums in another order are the same sums.
        X = X * 1.5
        one, other = (
            EnsembleRegressor(small_net(**loss), 2, strategy=how, random_state=0).fit(X, y)
            for how in ("loop", strategy)
        )
        np.testing.assert_allclose(one.predict_members(X), other.predict_members(X), rtol=1e-6)


class TestScales:
    @LOSSES
    def test_are_one_for_all_positions_of_a_target(self, data, loss):
        X, y = data
        head = ensemble(loss).fit(X, y)._heads[0].heads["mean"]
        mean, std = y.mean(axis=(0, 2)), y.std(axis=(0, 2))
        loc, scale = (mean, std) if not loss else (np.log(mean), np.ones(2))
        np.testing.assert_allclose(head.loc, np.repeat(loc, 8))
        np.testing.assert_allclose(head.scale, np.repeat(scale, 8))

    @pytest.mark.parametrize("target", ["log_var", "std"])
    def test_of_deviations_are_one_for_all_positions(self, data, fitted, target):
        student = DistilledRegressor(
            FrozenEstimator(fitted), tiny_profile_net(), target=target, augment=None, random_state=0
        ).fit(*data)
        head = student._heads.heads["epistemic"]
        for values in (head.link.floor, head.loc, head.scale, head.factor):
            assert len(np.unique(values.reshape(2, 8), axis=1).T) == 1

    def test_are_weighted(self, data):
        X, y = data
        weight = np.arange(1.0, len(X) + 1)
        head = ensemble().fit(X, y, weight)._heads[0].heads["mean"]
        expected = np.average(y.mean(axis=2), axis=0, weights=weight)
        np.testing.assert_allclose(head.loc, np.repeat(expected, 8))


class TestNoise:
    @pytest.mark.parametrize("flat", [False, True])
    def test_of_replicates_is_mapped_alike_at_all_positions(self, data, flat):
        X, y = data
        replicates = y[..., np.newaxis] + np.random.default_rng(0).normal(size=(*y.shape, 3))
        shape = (len(y), 16, 3) if flat else replicates.shape
        model = ensemble(aleatoric="replicates", validation=0.5)
        model.fit(X, replicates.mean(axis=3), replicates=replicates.reshape(shape))
        assert model.predict_uncertainty(X, kind="aleatoric").shape == y.shape
        noise_map = model._noise_map
        for values in (noise_map.unit, noise_map.level, noise_map.slope):
            assert len(np.unique(values.reshape(2, 8), axis=1).T) == 1
        assert (noise_map.slope != 1).all()
        np.testing.assert_array_equal(model.n_replicates_, np.full(16, 3.0))

    def test_of_residuals_has_the_level_of_all_positions(self, data):
        X, y = data
        model = ensemble(aleatoric="heteroscedastic", validation=0.5).fit(X, y)
        level = model._noise_map.level.reshape(2, 8)
        assert (level != 0).all()
        assert (level == level[:, :1]).all()
        rows = model.validation_indices_
        total = model.predict_uncertainty(X[rows], kind="total")
        errors = y[rows] - model.predict(X[rows])
        np.testing.assert_allclose(
            (total**2).mean(axis=(0, 2)), (errors**2).mean(axis=(0, 2)), rtol=1e-6
        )

    def test_warns_once_for_a_target(self, data):
        X, y = data
        with pytest.warns(UserWarning, match="4 for target 0, 4 for target 1; 20 are needed"):
            ensemble(aleatoric="heteroscedastic", validation=0.1).fit(X, y)


class TestMissing:
    @LOSSES
    def test_positions_have_no_effect(self, data, loss):
        X, y = data
        y = y.copy()
        y[::3, 0, 2:4] = np.nan
        model = ensemble(loss).fit(X, y)
        assert np.isfinite(model.predict(X)).all()
        assert np.isfinite(model.score(X, y))
        assert np.isfinite(model.history_["train_loss"]).all()

    def test_position_of_all_rows_is_predicted_as_its_neighbours_are(self, data):
        X, y = data
        y = np.where(np.arange(8) == 3, np.nan, y)
        assert np.isfinite(ensemble().fit(X, y).predict(X)).all()

    def test_target_of_all_rows_is_refused(self, data):
        X, y = data
        y = np.where(np.arange(2)[:, np.newaxis] == 1, np.nan, y)
        with pytest.raises(ValueError, match="Target 1 of y has no measurement in the 40"):
            ensemble().fit(X, y)


class TestScore:
    def test_is_of_all_positions_together(self, data, fitted):
        X, y = data
        weight = np.arange(1.0, len(X) + 1)
        predicted = fitted.predict(X)
        expected = np.mean(
            [
                r2_score(y[:, t].ravel(), predicted[:, t].ravel(), sample_weight=weight.repeat(8))
                for t in range(2)
            ]
        )
        assert fitted.score(X, y, weight) == pytest.approx(expected)

    def test_leaves_missing_positions_out(self, data, fitted):
        X, y = data
        y = np.where(np.arange(8) >= 4, np.nan, y)
        predicted = fitted.predict(X)[..., :4]
        expected = np.mean(
            [r2_score(y[:, t, :4].ravel(), predicted[:, t].ravel()) for t in range(2)]
        )
        assert fitted.score(X, y) == pytest.approx(expected)

    def test_refuses_other_profiles(self, data, fitted):
        X, y = data
        with pytest.raises(ValueError, match=r"\(40, 2, 7\), but the predictions have \(40, 16\)"):
            fitted.score(X, y[..., 1:])


class TestScikitLearn:
    def test_clone_and_search(self, data):
        X, y = data
        grid = {"net__module__width": [2, 3]}
        search = GridSearchCV(clone(ensemble()), grid, cv=2).fit(X, y)
        assert search.best_estimator_.predict(X).shape == y.shape

    @pytest.mark.parametrize("scoring", ["r2", "neg_mean_squared_error"])
    def test_scorers_read_flattened_profiles(self, data, scoring):
        X, y = data
        model = ensemble({"module__n_positions": 8})
        scores = cross_val_score(model, X, y.reshape(len(y), -1), cv=2, scoring=scoring)
        assert np.isfinite(scores).all()

    @pytest.mark.parametrize("score", ["normalized", "absolute"])
    def test_conformal_intervals_of_positions(self, data, fitted, score):
        X, y = data
        rows = np.random.default_rng(2).permuted(X, axis=2)
        model = ConformalRegressor(FrozenEstimator(fitted), conformity_score=score)
        mean, lower, upper = model.fit(rows, y).predict_interval(X)
        assert mean.shape == lower.shape == upper.shape == y.shape
        assert (lower <= upper).all()

    def test_recalibrated_deviations_of_positions(self, data, fitted):
        X, y = data
        rows = np.random.default_rng(2).permuted(X, axis=2)
        model = RecalibratedRegressor(FrozenEstimator(fitted)).fit(rows, y)
        assert model.predict(X, return_std=True)[1].shape == y.shape


class TestRates:
    @pytest.mark.parametrize("loss", RATES)
    def test_are_positive_and_near_the_mean_count(self, data, loss):
        X, y = data
        predicted = ensemble(loss).fit(X, y).predict(X)
        assert (predicted > 0).all()
        np.testing.assert_allclose(predicted.mean(axis=(0, 2)), y.mean(axis=(0, 2)), rtol=0.3)

    @pytest.mark.parametrize("loss", RATES)
    def test_of_a_student_are_the_teachers_on_average(self, data, loss):
        X, y = data
        model = DistilledRegressor(ensemble(loss), augment=None, random_state=0).fit(X, y)
        assert isinstance(model._heads.heads["mean"].link, LogRate)
        taught, learned = (m.predict(X).sum(axis=(0, 2)) for m in (model.teacher_, model))
        np.testing.assert_allclose(learned, taught)

    def test_find_which_positions_have_more_counts(self, data):
        X, y = data
        loss = {**MULTINOMIAL, "max_epochs": 60, "lr": 0.03}
        predicted = ensemble(loss).fit(X, y).predict(X)
        assert np.corrcoef(predicted[:, 0].ravel(), y[:, 0].ravel())[0, 1] > 0.5

    def test_losses_agree_where_they_are_the_same(self, data):
        X, y = data
        one = ensemble(POISSON).fit(X, y)
        other = ensemble({"criterion": MultinomialCountLoss}).fit(X, y)
        np.testing.assert_allclose(one.predict(X), other.predict(X), rtol=1e-4)

    def test_of_plain_targets(self, data):
        X, y = data
        model = tiny_ensemble(tiny_conv_net(**POISSON)).fit(X, y[:, 0].sum(axis=1))
        assert model.predict(X).shape == (len(X),)
        assert (model.predict(X) > 0).all()

    def test_of_a_skorch_net_are_read_from_its_criterion(self, data):
        X, y = (part.astype(np.float32) for part in data)
        net = tiny_profile_net(**MULTINOMIAL, module__n_outputs=2, module__n_positions=8)
        net.fit(X, y)
        model = EnsembleRegressor.from_fitted([net], input_shape=(4, 12))
        np.testing.assert_allclose(model.predict(X), np.exp(net.predict(X)), rtol=1e-5)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda y: y - 1, "negative values, the least is -1, but .* likelihood of counts"),
            (lambda y: y * [[1], [0]], "Target 1 of y is 0 in all training rows"),
        ],
    )
    def test_need_counts(self, data, change, message):
        X, y = data
        with pytest.raises(ValueError, match=message):
            ensemble(POISSON).fit(X, change(y))

    def test_need_counts_to_stop_on(self, data):
        X, y = data
        with pytest.raises(ValueError, match="negative values, the least is -1"):
            ensemble(POISSON).fit(X, y, X_val=X[:5], y_val=np.full((5, 2, 8), -1.0))

    @pytest.mark.parametrize("aleatoric", ["replicates", "heteroscedastic"])
    def test_have_no_noise_beside_them(self, data, aleatoric):
        message = f"aleatoric='{aleatoric}' cannot be learned beside rates: .*PoissonNLLLoss"
        with pytest.raises(ValueError, match=message):
            ensemble(POISSON, aleatoric=aleatoric).fit(*data)

    def test_are_not_what_a_student_is_given_to_learn(self, data):
        with pytest.raises(ValueError, match="student has the criterion PoissonNLLLoss"):
            DistilledRegressor(ensemble(), tiny_profile_net(**POISSON)).fit(*data)

    def test_of_sampled_members_teach_a_student(self, data):
        X, y = data
        model = DistilledRegressor(ensemble(POISSON), n_sampled_members=2, random_state=0)
        assert model.fit(X, y).predict_uncertainty(X).shape == y.shape

    @LOSSES
    def test_student_may_begin_with_the_weights_of_a_member(self, data, loss):
        X, y = data
        model = DistilledRegressor(ensemble(loss), warm_start_from_teacher=True, random_state=0)
        assert model.fit(X, y).predict(X).shape == y.shape

    def test_of_one_member_tell_no_disagreement(self, data):
        model = DistilledRegressor(ensemble(POISSON), n_sampled_members=1)
        with pytest.raises(ValueError, match=r"errors are none of rates. Set n_sampled_members to"):
            model.fit(*data)

    def test_measured_ones_have_no_logarithm_to_stop_on(self, data):
        model = DistilledRegressor(ensemble(POISSON, validation=0.2), labels="measured")
        with pytest.raises(ValueError, match=r"labels='measured' .* learns logarithms of rates"):
            model.fit(*data)


class TestElsewhere:
    @LOSSES
    def test_saved_models_predict_the_same(self, data, loss, tmp_path):
        X, y = data
        model = DistilledRegressor(ensemble(loss), random_state=0).fit(X, y)
        for part in (model, model.teacher_):
            save(part, tmp_path / "model")
            loaded = load(tmp_path / "model", trusted=[TinyProfile])
            np.testing.assert_array_equal(loaded.predict(X), part.predict(X))

    @LOSSES
    def test_module_predicts_flattened_profiles(self, data, loss):
        X, y = data
        teacher = ensemble(loss).fit(X, y)
        student = DistilledRegressor(FrozenEstimator(teacher), random_state=0).fit(X, y)
        for model in (teacher, student):
            predicted = model.to_module()(torch.from_numpy(X).float())
            for name, expected in model.predict_components(X).items():
                found = predicted[name].detach().numpy()
                np.testing.assert_allclose(found, expected.reshape(len(X), -1), rtol=1e-4)

    def test_exported_model_predicts_flattened_profiles(self, data, tmp_path):
        runtime = pytest.importorskip("onnxruntime")
        pytest.importorskip("onnxscript")
        X, y = data
        model = EnsembleRegressor(small_net(**MULTINOMIAL), 2, random_state=0).fit(X, y)
        export_onnx(model, tmp_path / "model.onnx")
        session = runtime.InferenceSession(str(tmp_path / "model.onnx"))
        mean = session.run(["mean"], {"X": X.astype(np.float32)})[0]
        np.testing.assert_allclose(mean, model.predict(X).reshape(len(X), -1), rtol=1e-4)

    def test_cut_off_training_goes_on(self, data, tmp_path):
        X, y = data
        kept = ensemble(checkpoint_dir=str(tmp_path)).fit(X, y)
        again = ensemble(checkpoint_dir=str(tmp_path)).fit(X, y)
        np.testing.assert_array_equal(kept.predict(X), again.predict(X))
        # The same numbers in another layout are other targets.
        with pytest.raises(ValueError, match="checkpoint"):
            ensemble(checkpoint_dir=str(tmp_path)).fit(X, y.reshape(len(y), 4, 4))

    def test_ensembles_are_joined(self, data, fitted):
        X, _ = data
        joined = EnsembleRegressor.from_fitted([fitted, fitted])
        np.testing.assert_allclose(joined.predict(X), fitted.predict(X))

    def test_skorch_nets_are_joined(self, data):
        X, y = (part.astype(np.float32) for part in data)
        net = tiny_profile_net(module__n_outputs=2, module__n_positions=8).fit(X, y)
        model = EnsembleRegressor.from_fitted([net], input_shape=(4, 12))
        np.testing.assert_allclose(model.predict(X), net.predict(X), rtol=1e-5)


class TestRefused:
    def test_module_without_positions(self, data):
        with pytest.raises(
            ValueError, match=r"TinyConv takes no n_positions\. Use recipes.profile"
        ):
            tiny_ensemble(tiny_net(TinyConv)).fit(*data)

    def test_student_without_positions(self, data):
        with pytest.raises(ValueError, match="TinyConv takes no n_positions"):
            DistilledRegressor(ensemble(), tiny_conv_net()).fit(*data)

    def test_more_positions_than_the_sequence_has(self, data):
        X, y = data
        with pytest.raises(ValueError, match="n_positions must be between 1 and seq_len=12"):
            EnsembleRegressor(small_net(), 2).fit(X, np.tile(y, 2))

    def test_members_of_different_layouts(self, data, fitted):
        X, y = data
        other = ensemble().fit(X, y.reshape(len(y), 4, 4))
        with pytest.raises(ValueError, match="profiles of n_positions=8, another of n_positions=4"):
            EnsembleRegressor.from_fitted([fitted, other])

    def test_a_student_of_another_layout_than_its_teacher(self, data, fitted):
        X, y = data
        with pytest.raises(ValueError, match="profiles of another layout"):
            DistilledRegressor(FrozenEstimator(fitted)).fit(X, y.reshape(len(y), -1))

    def test_validation_profiles_of_another_layout(self, data):
        X, y = data
        with pytest.raises(ValueError, match=r"y_val has shape \(40, 8, 2\), but y has \(40, 2, 8"):
            ensemble().fit(X, y, X_val=X, y_val=y.transpose(0, 2, 1))
        with pytest.raises(ValueError, match=r"y_val has shape \(40, 8, 2\), but y has \(40, 2, 8"):
            ensemble().fit(X, y, X_val=X, y_val=y.transpose(0, 2, 1).tolist())

    def test_replicates_of_another_layout(self, data):
        X, y = data
        for shape in ((40, 2, 7, 3), (40, 8, 2, 3)):
            with pytest.raises(
                ValueError, match=r"y of shape \(40, 2, 8\) needs \(40, 2, 8, n_rep"
            ):
                ensemble(aleatoric="replicates").fit(X, y, replicates=np.ones(shape))

    def test_profiles_without_their_positions(self, data):
        X, y = data
        with pytest.raises(ValueError, match=r"module must return .* if it takes n_positions"):
            ensemble().fit(X, y.reshape(len(y), -1))


class TestAugmentation:
    def test_may_leave_letters_in_their_places(self, data):
        ensemble(augment=Augment([Mutation(0.1), Noise(0.1)])).fit(*data)

    @pytest.mark.parametrize("augment", [Augment(), ReverseComplement()])
    def test_that_moves_letters_is_refused(self, data, augment):
        with pytest.raises(ValueError, match="moves letters, but y holds profiles"):
            ensemble(augment=augment).fit(*data)
