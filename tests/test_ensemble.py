"""What an ensemble promises."""

import copy
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score
from sklearn.model_selection import PredefinedSplit
from skorch import NeuralNetRegressor
from torch import nn

from sklearn_degu import DistilledRegressor, EnsembleRegressor
from sklearn_degu.datasets import GroupHoldOut
from sklearn_degu.nets.losses import WeightedLoss
from sklearn_degu.recipes import mlp_net
from tests.noisy import replicates_of
from tests.toys import (
    LENGTH,
    plain_skorch_net,
    tiny_conv_net,
    tiny_ensemble,
    tiny_net,
    weights,
)


def two_nets():
    return [("wide", tiny_net(module__hidden=(16,))), ("narrow", tiny_net(module__hidden=(4,)))]


class TestPrediction:
    @pytest.mark.parametrize("n_targets", [None, 1, 3])
    def test_answers_have_the_shape_of_y(self, table, n_targets):
        X, y = table
        y = y if n_targets is None else np.column_stack([y] * n_targets)
        ensemble = tiny_ensemble().fit(X, y)
        mean, std = ensemble.predict(X[:7], return_std=True)
        assert mean.shape == std.shape == y[:7].shape
        assert ensemble.predict_uncertainty(X[:7]).shape == y[:7].shape
        assert ensemble.predict_members(X[:7]).shape == (2, *y[:7].shape)
        assert mean.dtype == std.dtype == np.float64

    def test_mean_and_deviation_are_those_of_the_members(self, table):
        X, y = table
        ensemble = tiny_ensemble(n_estimators=5).fit(X, np.c_[y, 100 * y])
        members = ensemble.predict_members(X)
        mean, std = ensemble.predict(X, return_std=True, kind="epistemic")
        np.testing.assert_allclose(mean, members.mean(axis=0))
        np.testing.assert_allclose(std, members.std(axis=0, ddof=0))
        np.testing.assert_array_equal(std, ensemble.predict_uncertainty(X))
        assert (std > 0).all()

    def test_predictions_are_in_units_of_y(self, table):
        X, y = table
        one, other = (tiny_ensemble().fit(X, target) for target in (y, 1000 * y + 5000))
        np.testing.assert_allclose(other.predict(X), 1000 * one.predict(X) + 5000, rtol=1e-6)
        np.testing.assert_allclose(
            other.predict_uncertainty(X), 1000 * one.predict_uncertainty(X), rtol=1e-6
        )

    def test_members_are_standardised_by_the_training_rows_alone(self, table):
        X, y = table
        kept, other = (
            tiny_ensemble().fit(X[:30], y[:30], X_val=X[30:], y_val=factor * y[30:])
            for factor in (1, 100)
        )
        np.testing.assert_array_equal(kept.predict(X), other.predict(X))

    def test_one_member_has_no_uncertainty_and_says_why(self, table):
        ensemble = tiny_ensemble(n_estimators=1).fit(*table)
        assert ensemble.uncertainty_kinds_ == ()
        with pytest.raises(ValueError, match="one member alone has nobody to disagree with"):
            ensemble.predict(table[0], return_std=True)
        with pytest.raises(ValueError, match="n_estimators of at least 2"):
            ensemble.predict_uncertainty(table[0])

    def test_a_kind_that_is_lacking_is_refused_with_those_at_hand(self, table):
        ensemble = tiny_ensemble().fit(*table)
        with pytest.raises(ValueError, match="no 'aleatoric' uncertainty; it has epistemic"):
            ensemble.predict_uncertainty(table[0], kind="aleatoric")

    def test_the_mean_is_the_same_for_every_kind_that_there_is(self, table):
        ensemble = tiny_ensemble().fit(*table)
        np.testing.assert_array_equal(
            ensemble.predict(table[0], kind="epistemic"), ensemble.predict(table[0])
        )
        with pytest.raises(ValueError, match="no 'aleatoric' uncertainty"):
            ensemble.predict(table[0], kind="aleatoric")

    def test_an_unfitted_ensemble_says_so(self, table):
        with pytest.raises(NotFittedError):
            tiny_ensemble().predict(table[0])
        with pytest.raises(NotFittedError):
            tiny_ensemble().predict_members(table[0])

    @pytest.mark.parametrize("size", [7, -1])
    def test_the_size_of_prediction_batches_changes_nothing(self, table, size):
        X, y = table
        sized = tiny_ensemble(tiny_net(iterator_valid__batch_size=size)).fit(X, y)
        np.testing.assert_allclose(
            sized.predict(X), tiny_ensemble().fit(X, y).predict(X), rtol=1e-10
        )


class TestScore:
    def test_equals_r2_where_everything_is_measured(self, table):
        X, y = table
        weight = np.arange(1.0, 41)
        ensemble = tiny_ensemble().fit(X, y)
        expected = r2_score(y, ensemble.predict(X), sample_weight=weight)
        assert ensemble.score(X, y, sample_weight=weight) == pytest.approx(expected)

    def test_leaves_missing_measurements_out(self, table):
        X, y = table
        Y = np.c_[y, -y]
        ensemble = tiny_ensemble().fit(X, Y)
        predicted = ensemble.predict(X)
        Y[:10, 0] = np.nan
        expected = np.mean(
            [r2_score(Y[10:, 0], predicted[10:, 0]), r2_score(Y[:, 1], predicted[:, 1])]
        )
        assert ensemble.score(X, Y) == pytest.approx(expected)

    def test_leaves_targets_without_a_measurement_out(self, table):
        X, y = table
        ensemble = tiny_ensemble().fit(X, np.c_[y, -y])
        expected = r2_score(y, ensemble.predict(X)[:, 0])
        assert ensemble.score(X, np.c_[y, np.full(40, np.nan)]) == pytest.approx(expected)
        with pytest.raises(ValueError, match="nothing to score"):
            ensemble.score(X, np.full((40, 2), np.nan))

    def test_refuses_y_of_another_shape(self, table):
        ensemble = tiny_ensemble().fit(*table)
        with pytest.raises(ValueError, match=r"y has shape \(3,\)"):
            ensemble.score(table[0], table[1][:3])


class TestMembers:
    def test_differ_from_the_first_step(self, table):
        net = tiny_net(max_epochs=1, lr=1e-12)
        members = [weights(m) for m in tiny_ensemble(net, 4).fit(*table).estimators_]
        for i, one in enumerate(members):
            for other in members[:i]:
                assert np.linalg.norm(one - other) > 0.5

    def test_do_not_depend_on_how_many_there_are(self, table):
        X, y = table
        options = {"validation": 0.2, "strategy": "loop"}
        alone = tiny_ensemble(n_estimators=1, **options).fit(X, y)
        among = tiny_ensemble(n_estimators=3, **options).fit(X, y)
        np.testing.assert_array_equal(alone.predict(X), among.predict_members(X)[0])

    def test_train_on_copies_of_the_net(self, table):
        net = tiny_net()
        ensemble = tiny_ensemble(net).fit(*table)
        assert not net.initialized_
        assert "module__n_outputs" not in net.get_params()
        assert ensemble.estimators_[0] is not ensemble.estimators_[1]

    def test_are_made_by_the_default_net_for_tables(self, table):
        X, y = table
        default = EnsembleRegressor(n_estimators=1, random_state=0).fit(X, y)
        named = EnsembleRegressor(mlp_net(), 1, random_state=0).fit(X, y)
        np.testing.assert_array_equal(default.predict(X), named.predict(X))
        assert default.score(X, y) > 0.9

    def test_of_a_plain_skorch_net_are_trained(self, table):
        X, y = table
        ensemble = tiny_ensemble(plain_skorch_net(max_epochs=50)).fit(X, y)
        assert ensemble.score(X, y) > 0.9
        assert np.isfinite(ensemble.history_["train_loss"]).all()

    def test_of_a_net_without_device_or_with_our_loss_are_trained(self, table):
        X, y = table
        expected = tiny_ensemble().fit(X, y).predict(X)
        for params in ({"device": None}, {"criterion": WeightedLoss}):
            ensemble = tiny_ensemble(tiny_net(**params)).fit(X, y)
            np.testing.assert_array_equal(ensemble.predict(X), expected)

    def test_keep_nothing_that_only_training_needs(self, table):
        for net in (
            tiny_ensemble(tiny_net(module__dropout=0.5), validation=0.2).fit(*table).estimators_
        ):
            assert net.callbacks_ == []
            assert net.optimizer_ is None
            assert not net.module_.training
            assert net.callbacks is None
            assert net.train_split is None

    def test_with_callbacks_disabled_are_recorded_all_the_same(self, table):
        history = tiny_ensemble(tiny_net(callbacks="disable")).fit(*table).history_
        assert np.isfinite(history["train_loss"]).all()
        assert (history["lr"] == 0.05).all()


class TestNamedNets:
    def test_take_turns(self, table):
        ensemble = tiny_ensemble(two_nets(), 5).fit(*table)
        widths = [net.module_.layers[1].out_features for net in ensemble.estimators_]
        assert widths == [16, 4, 16, 4, 16]

    def test_are_set_and_read_by_name(self):
        ensemble = tiny_ensemble(two_nets())
        ensemble.set_params(wide__lr=0.5, narrow=tiny_net(lr=0.25))
        assert ensemble.get_params()["wide__lr"] == 0.5
        assert ensemble.get_params()["narrow__lr"] == 0.25
        assert ensemble.net[1][1].lr == 0.25
        assert "wide" not in ensemble.get_params(deep=False)

    def test_are_not_shared_with_a_clone(self):
        ensemble = tiny_ensemble(two_nets())
        clone(ensemble).set_params(wide__lr=0.5)
        assert ensemble.get_params()["wide__lr"] == 0.05

    def test_can_be_replaced_and_tuned_in_one_call(self):
        ensemble = tiny_ensemble().set_params(net=two_nets(), narrow__lr=0.5)
        assert ensemble.get_params()["narrow__lr"] == 0.5

    def test_parameters_of_the_default_net_cannot_be_set(self):
        with pytest.raises(ValueError, match=r"Cannot set net__lr: .* net=recipes.mlp_net\(\)"):
            EnsembleRegressor().set_params(net__lr=0.1)

    def test_parameters_of_several_nets_are_not_set_at_once(self):
        with pytest.raises(ValueError, match="by the net's name: wide__lr, narrow__lr"):
            tiny_ensemble(two_nets()).set_params(net__lr=0.1)

    def test_parameters_of_an_unknown_net_are_refused(self):
        with pytest.raises(ValueError, match="Invalid parameter 'deep'"):
            tiny_ensemble(two_nets()).set_params(deep__lr=0.1)

    @pytest.mark.parametrize(
        ("nets", "message"),
        [
            ([], "empty list"),
            ([tiny_net()], r"list of \(name, net\) pairs"),
            ([("a", 3)], "got the item"),
            ([("a", tiny_net()), ("a", tiny_net())], "must be unique"),
            ([("a__b", tiny_net())], "without '__'"),
            ([("verbose", tiny_net())], "not those of parameters"),
            ([("", tiny_net())], "must be unique"),
        ],
    )
    def test_malformed_lists_are_refused(self, table, nets, message):
        with pytest.raises(ValueError, match=message):
            EnsembleRegressor(nets).fit(*table)

    def test_every_net_needs_a_member(self, table):
        with pytest.raises(ValueError, match="fewer than the 2 nets"):
            tiny_ensemble(two_nets(), 1).fit(*table)

    def test_of_tables_and_sequences_read_flattened_sequences(self, sequences):
        X, y = sequences
        nets = [("mlp", tiny_net()), ("conv", tiny_conv_net())]
        ensemble = tiny_ensemble(nets).fit(X.reshape(40, -1), y)
        assert ensemble.input_shape_ == (4, LENGTH)


class TestInputs:
    def test_flattened_sequences_equal_sequences(self, sequences):
        X, y = sequences
        ensemble, flat = (
            tiny_ensemble(tiny_conv_net()).fit(rows, y) for rows in (X, X.reshape(40, -1))
        )
        assert ensemble.input_shape_ == flat.input_shape_ == (4, LENGTH)
        assert ensemble.n_features_in_ == 4 * LENGTH
        np.testing.assert_array_equal(ensemble.predict(X), flat.predict(X))
        np.testing.assert_array_equal(ensemble.predict(X.reshape(40, -1)), flat.predict(X))

    def test_what_a_prediction_is_probed_with_is_flat_zeros(self, sequences):
        ensemble = tiny_ensemble(tiny_conv_net()).fit(*sequences)
        assert ensemble.predict(np.zeros((1, ensemble.n_features_in_))).shape == (1, 2)

    @pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.bool_, np.float32, np.float64])
    def test_one_hot_of_any_type_gives_one_result(self, sequences, dtype):
        X, y = sequences
        expected = tiny_ensemble(tiny_conv_net()).fit(X, y).predict(X)
        ensemble = tiny_ensemble(tiny_conv_net()).fit(X.astype(dtype), y)
        np.testing.assert_array_equal(ensemble.predict(X.astype(dtype)), expected)

    @pytest.mark.parametrize(
        ("given", "kept", "computed"),
        [
            (np.uint8, np.uint8, torch.float32),
            (np.int8, np.int8, torch.float32),
            (np.bool_, np.bool_, torch.float32),
            (np.float32, np.float32, torch.float32),
            (np.float64, np.float64, torch.float64),
        ],
    )
    def test_tables_keep_their_type_in_memory(self, monkeypatch, table, given, kept, computed):
        seen = spy_on_training(monkeypatch)
        X, y = table
        ensemble = tiny_ensemble(strategy="loop").fit(
            (X if np.dtype(given).kind == "f" else 100 * X > 0).astype(given), y
        )
        assert seen == [kept, kept]
        assert {p.dtype for p in ensemble.estimators_[0].module_.parameters()} == {computed}

    def test_one_hot_floats_are_kept_in_a_byte(self, monkeypatch, sequences):
        seen = spy_on_training(monkeypatch)
        X, y = sequences
        tiny_ensemble(tiny_conv_net()).fit(X.astype(np.float64), y)
        tiny_ensemble(tiny_conv_net()).fit(0.25 * X.astype(np.float64), y)
        assert seen == [np.uint8, np.uint8, np.float64, np.float64]

    def test_float64_is_computed_in_float64(self, table):
        X, y = table
        double, single = (tiny_ensemble().fit(X.astype(t), y) for t in (np.float64, np.float32))
        near = double.predict(X)
        assert 0 < np.abs(single.predict(X) - near).max() < 1e-4
        assert 0 < np.abs(double.predict(X + 1e-12) - near).max() < 1e-10

    def test_tensors_data_frames_and_lists_are_read(self, table):
        X, y = table
        expected = tiny_ensemble().fit(X, y).predict(X)
        frame = pd.DataFrame(X, columns=list("abcdef"))
        for rows in (torch.from_numpy(X).requires_grad_(), X.tolist(), frame, np.asfortranarray(X)):
            ensemble = tiny_ensemble().fit(rows, y)
            np.testing.assert_array_equal(ensemble.predict(rows), expected)
        assert list(tiny_ensemble().fit(frame, y).feature_names_in_) == list("abcdef")

    def test_tensors_of_sequences_are_read(self, sequences):
        X, y = sequences
        expected = tiny_ensemble(tiny_conv_net()).fit(X, y).predict(X)
        ensemble = tiny_ensemble(tiny_conv_net()).fit(torch.from_numpy(X), y)
        np.testing.assert_array_equal(ensemble.predict(torch.from_numpy(X)), expected)

    def test_numbers_written_as_text_are_read(self, table):
        X, y = table
        expected = tiny_ensemble().fit(X, y).predict(X)
        text = pd.DataFrame(X).map(repr).to_numpy(dtype=object)
        np.testing.assert_array_equal(tiny_ensemble().fit(text, y).predict(X), expected)

    def test_tables_of_three_axes_are_flattened_by_the_module(self, table):
        X, y = table
        ensemble = tiny_ensemble().fit(X.reshape(40, 2, 3), y)
        assert ensemble.input_shape_ == (2, 3)
        np.testing.assert_array_equal(
            ensemble.predict(X.reshape(40, 2, 3)), tiny_ensemble().fit(X, y).predict(X)
        )


def spy_on_training(monkeypatch):
    """Return a list that gathers the type of the rows of every training."""
    import sklearn_degu.nets.strategies as module

    seen, train_net = [], module.train_net

    def spy(net, train, *args, **kwargs):
        seen.append(train.X.dtype)
        return train_net(net, train, *args, **kwargs)

    monkeypatch.setattr(module, "train_net", spy)
    return seen


class TestWeightsAndMissingValues:
    def full_batches(self, **params):
        return tiny_ensemble(tiny_net(batch_size=-1, **params))

    def test_a_weight_of_two_is_a_row_twice(self, table):
        X, y = table
        twice = np.r_[np.arange(40), np.arange(10)]
        weighted = self.full_batches().fit(X, y, sample_weight=1.0 + (np.arange(40) < 10))
        repeated = self.full_batches().fit(X[twice], y[twice])
        np.testing.assert_allclose(weighted.predict(X), repeated.predict(X))

    def test_a_weight_of_zero_removes_the_row(self, table):
        X, y = table
        weight = np.where(np.arange(40) % 4, 1.0, 0.0)
        kept = weight > 0
        options = {"validation": 0.2}
        zeroed = tiny_ensemble(**options).fit(X, y, sample_weight=weight)
        removed = tiny_ensemble(**options).fit(X[kept], y[kept], sample_weight=weight[kept])
        np.testing.assert_array_equal(zeroed.predict(X), removed.predict(X))
        assert len(zeroed.validation_indices_) == 6

    def test_a_validation_row_of_weight_zero_is_removed(self, table):
        X, y = table
        net = tiny_net(iterator_valid__batch_size=4)
        weight = np.r_[np.zeros(8), np.ones(8)]
        zeroed = tiny_ensemble(net).fit(X, y, X_val=X[:16], y_val=y[:16], sample_weight_val=weight)
        removed = tiny_ensemble(net).fit(X, y, X_val=X[8:16], y_val=y[8:16])
        np.testing.assert_allclose(
            zeroed.history_["valid_loss"], removed.history_["valid_loss"], rtol=1e-12
        )

    def test_one_weight_for_all_is_none(self, table):
        X, y = table
        expected = tiny_ensemble().fit(X, y).predict(X)
        weighted = tiny_ensemble().fit(X, y, sample_weight=2.5)
        np.testing.assert_allclose(weighted.predict(X), expected, rtol=1e-9)

    def test_weights_change_what_is_learned(self, table):
        X, y = table
        weighted = tiny_ensemble().fit(X, y, sample_weight=np.arange(1.0, 41))
        assert not np.allclose(weighted.predict(X), tiny_ensemble().fit(X, y).predict(X))

    def test_a_missing_measurement_does_not_matter(self, table):
        """Whatever stands where NaN is: a target is learned from its measurements alone."""
        X, y = table
        Y = np.c_[y, -y]
        Y[::5, 1] = np.nan
        ensemble = self.full_batches(max_epochs=60).fit(X, Y)
        assert np.isfinite(ensemble.predict(X)).all()
        assert np.corrcoef(ensemble.predict(X)[::5, 1], -y[::5])[0, 1] > 0.9

    def test_a_target_that_no_training_row_measures_is_refused(self, table):
        X, y = table
        held_out = np.full(40, np.nan)
        held_out[:4] = 1.0
        with pytest.raises(ValueError, match="Target 1 of y has no measurement in the 36 training"):
            tiny_ensemble(validation=PredefinedSplit([0] * 4 + [-1] * 36)).fit(
                X, np.c_[y, held_out]
            )


NOISES = pytest.mark.parametrize("aleatoric", ["replicates", "heteroscedastic"])


def noisy_ensemble(X, y, aleatoric="replicates", net=None, n_estimators=2, fit=None, **params):
    """Return a fitted ensemble that knows the noise, of replicates of deviation 1 by default."""
    ensemble = tiny_ensemble(net, n_estimators, aleatoric=aleatoric, **params)
    given = {"replicates": replicates_of(y)} if aleatoric == "replicates" else {}
    return ensemble.fit(X, y, **given | (fit or {}))


class TestNoise:
    @NOISES
    @pytest.mark.parametrize("n_targets", [None, 1, 3])
    def test_has_the_shape_of_y(self, table, aleatoric, n_targets):
        X, y = table
        y = y if n_targets is None else np.column_stack([y] * n_targets)
        ensemble = noisy_ensemble(X, y, aleatoric)
        for kind in ("epistemic", "aleatoric", "total", None):
            mean, std = ensemble.predict(X[:7], return_std=True, kind=kind)
            assert mean.shape == std.shape == y[:7].shape
            assert np.isfinite(std).all()
            assert (std > 0).all()

    @pytest.mark.parametrize(
        ("n_estimators", "aleatoric", "kinds"),
        [
            (1, None, ()),
            (1, "replicates", ("aleatoric",)),
            (1, "heteroscedastic", ("aleatoric",)),
            (2, None, ("epistemic",)),
            (2, "replicates", ("epistemic", "aleatoric", "total")),
            (2, "heteroscedastic", ("epistemic", "aleatoric", "total")),
        ],
    )
    def test_is_a_kind_of_its_own(self, table, n_estimators, aleatoric, kinds):
        X, y = table
        ensemble = noisy_ensemble(X, y, aleatoric, n_estimators=n_estimators)
        assert ensemble.uncertainty_kinds_ == kinds
        components = ensemble.predict_components(X)
        assert tuple(components) == ("mean", *kinds)
        np.testing.assert_array_equal(components["mean"], ensemble.predict(X))
        for kind in kinds:
            expected = ensemble.predict_uncertainty(X, kind=kind)
            np.testing.assert_array_equal(components[kind], expected)
        if kinds:
            np.testing.assert_array_equal(components[kinds[-1]], ensemble.predict_uncertainty(X))
        for kind in {"epistemic", "aleatoric", "total"} - set(kinds):
            with pytest.raises(ValueError, match=r"no .*uncertainty"):
                ensemble.predict_uncertainty(X, kind=kind)

    def test_of_a_single_net_is_all_that_there_is(self, table):
        ensemble = noisy_ensemble(*table, "heteroscedastic", n_estimators=1)
        with pytest.raises(ValueError, match="no 'epistemic' uncertainty; it has aleatoric"):
            ensemble.predict(table[0], return_std=True, kind="epistemic")

    @NOISES
    def test_of_members_is_combined_by_the_law_of_total_variance(self, table, aleatoric):
        X, y = table
        parts = [
            noisy_ensemble(X, y, aleatoric, n_estimators=1, random_state=seed) for seed in range(3)
        ]
        joined = EnsembleRegressor.from_fitted(parts).predict_components(X)
        said = np.stack([part.predict_uncertainty(X) for part in parts])
        means = np.stack([part.predict(X) for part in parts])
        # Ensembles of replicates are calibrated, and so are not exactly the mean of others.
        rtol = {"replicates": 0.02, "heteroscedastic": 1e-7}[aleatoric]
        np.testing.assert_allclose(joined["aleatoric"], np.sqrt((said**2).mean(axis=0)), rtol=rtol)
        np.testing.assert_allclose(joined["epistemic"], means.std(axis=0))
        both = np.hypot(joined["epistemic"], joined["aleatoric"])
        np.testing.assert_allclose(joined["total"], both)
        assert (joined["total"] >= joined["aleatoric"]).all()
        assert (joined["total"] >= joined["epistemic"]).all()

    def test_of_the_mean_is_that_of_a_replicate_over_their_number(self, table):
        X, y = table
        of_mean, of_one = (noisy_ensemble(X, y, noise_of=what) for what in ("mean", "replicate"))
        np.testing.assert_array_equal(of_mean.n_replicates_, [3])
        one = of_one.predict_components(X)
        mean = of_mean.predict_components(X)
        np.testing.assert_allclose(mean["aleatoric"], one["aleatoric"] / np.sqrt(3))
        np.testing.assert_array_equal(mean["epistemic"], one["epistemic"])
        np.testing.assert_allclose(mean["total"], np.hypot(mean["aleatoric"], mean["epistemic"]))
        after = of_mean.set_params(noise_of="replicate").predict_components(X)
        np.testing.assert_array_equal(after["total"], one["total"])

    def test_of_what_is_neither_is_refused_after_the_fit_too(self, table):
        ensemble = noisy_ensemble(*table).set_params(noise_of="median")
        with pytest.raises(ValueError, match="noise_of must be one of"):
            ensemble.predict_uncertainty(table[0], kind="aleatoric")

    def test_of_y_itself_knows_no_replicates(self, table):
        X, y = table
        one, other = (
            noisy_ensemble(X, y, "heteroscedastic", noise_of=what) for what in ("mean", "replicate")
        )
        np.testing.assert_array_equal(one.n_replicates_, [1])
        np.testing.assert_array_equal(one.predict_uncertainty(X), other.predict_uncertainty(X))
        np.testing.assert_array_equal(tiny_ensemble().fit(X, np.c_[y, y]).n_replicates_, [1, 1])

    def test_of_the_mean_is_over_the_harmonic_mean_number_of_replicates(self, table):
        X, y = table
        Y = np.c_[y, -y]
        replicates = replicates_of(Y, n_replicates=5)
        replicates[:30, 1, 2:] = np.nan
        of_mean = noisy_ensemble(X, Y, fit={"replicates": replicates})
        counts = np.array([5, 1 / np.mean([1 / 2] * 3 + [1 / 5])])
        np.testing.assert_allclose(of_mean.n_replicates_, counts)
        noise = of_mean.predict_components(X)["aleatoric"]
        of_mean.set_params(noise_of="replicate")
        np.testing.assert_allclose(
            of_mean.predict_components(X)["aleatoric"], noise * np.sqrt(counts)
        )

    @NOISES
    @pytest.mark.parametrize("factor", [1e-3, 1000.0])
    def test_is_in_units_of_y(self, table, aleatoric, factor):
        X, y = table
        replicates = replicates_of(y)
        fits = [
            {"replicates": c * replicates} if aleatoric == "replicates" else {} for c in (1, factor)
        ]
        one, other = (
            noisy_ensemble(X, c * y, aleatoric, fit=fit).predict_components(X)
            for c, fit in zip((1, factor), fits, strict=True)
        )
        for kind, values in one.items():
            np.testing.assert_allclose(other[kind], factor * values, rtol=1e-5)

    def test_of_every_target_is_that_of_its_own_replicates(self, table):
        X, y = table
        Y = np.c_[y, y, y]
        replicates = replicates_of(Y, np.array([0.1, 1, 10]))
        said = noisy_ensemble(X, Y, fit={"replicates": replicates}, noise_of="replicate")
        noise = said.predict_uncertainty(X, kind="aleatoric")
        expected = np.sqrt(replicates.var(axis=-1, ddof=1).mean(axis=0))
        np.testing.assert_allclose(np.sqrt((noise**2).mean(axis=0)), expected, rtol=0.05)

    def test_does_not_depend_on_the_order_of_the_replicates(self, table):
        X, y = table
        replicates = replicates_of(y)
        shuffled = np.random.default_rng(0).permuted(replicates, axis=1)
        one, other = (
            noisy_ensemble(X, y, fit={"replicates": r}).predict_components(X)
            for r in (replicates, shuffled)
        )
        for kind, values in one.items():
            np.testing.assert_allclose(other[kind], values, rtol=1e-6)

    @NOISES
    def test_of_a_weight_of_two_is_that_of_a_row_twice(self, table, aleatoric):
        X, y = table
        twice = np.r_[np.arange(40), np.arange(10)]
        replicates = replicates_of(y, n_replicates=4)
        replicates[:12, 2:] = np.nan
        both = [{"sample_weight": 1.0 + (np.arange(40) < 10)}, {}]
        if aleatoric == "replicates":
            both = [both[0] | {"replicates": replicates}, {"replicates": replicates[twice]}]
        net = tiny_net(batch_size=-1)
        weighted = noisy_ensemble(X, y, aleatoric, net, fit=both[0]).predict_components(X)
        repeated = noisy_ensemble(X[twice], y[twice], aleatoric, net, fit=both[1])
        for kind, values in repeated.predict_components(X).items():
            np.testing.assert_allclose(weighted[kind], values, rtol=1e-6)

    @NOISES
    def test_of_a_weight_of_zero_is_that_without_the_row(self, table, aleatoric):
        X, y = table
        kept = np.arange(40) % 4 > 0
        replicates = replicates_of(y)
        both = [{"sample_weight": kept.astype(float)}, {"sample_weight": np.ones(30)}]
        if aleatoric == "replicates":
            both = [
                both[0] | {"replicates": replicates},
                both[1] | {"replicates": replicates[kept]},
            ]
        zeroed = noisy_ensemble(X, y, aleatoric, fit=both[0]).predict_components(X)
        removed = noisy_ensemble(X[kept], y[kept], aleatoric, fit=both[1]).predict_components(X)
        for kind, values in removed.items():
            np.testing.assert_array_equal(zeroed[kind], values)

    @pytest.mark.filterwarnings("ignore:.*fewer than two replicates")
    @NOISES
    def test_may_miss_measurements(self, table, aleatoric):
        X, y = table
        Y = np.c_[y, -y]
        replicates = replicates_of(Y)
        Y[::5, 1], replicates[::5, 1] = np.nan, np.nan
        replicates[1::5, :, 2] = np.nan
        given = {"replicates": replicates} if aleatoric == "replicates" else {}
        components = noisy_ensemble(X, Y, aleatoric, fit=given).predict_components(X)
        assert all(np.isfinite(values).all() for values in components.values())
        # What stands where y is NaN is no measurement of 0.
        Y[::5, 1] = 0.0
        other = noisy_ensemble(X, Y, aleatoric, fit=given).predict(X)
        assert not np.allclose(components["mean"], other)

    def test_of_sequences_is_learned(self, sequences):
        X, y = sequences
        for aleatoric in ("replicates", "heteroscedastic"):
            ensemble = noisy_ensemble(X, y, aleatoric, tiny_conv_net())
            assert ensemble.estimators_[0].module_.layers[-1].out_features == 4
            assert ensemble.predict_uncertainty(X, kind="total").shape == y.shape

    @NOISES
    def test_is_learned_by_several_nets_and_by_plain_skorch(self, table, aleatoric):
        for net in (two_nets(), plain_skorch_net()):
            ensemble = noisy_ensemble(*table, aleatoric, net)
            assert np.isfinite(ensemble.predict_uncertainty(table[0], kind="total")).all()
            assert np.isfinite(ensemble.history_["train_loss"]).all()

    def test_leaves_the_criterion_to_the_mean(self, table):
        """A likelihood of y would replace it; that of the replicates stands beside it."""
        X, y = table
        outlier = np.where(np.arange(40) == 0, 1000.0, y)
        nets = [
            tiny_net(criterion=nn.HuberLoss, criterion__delta=1e-3, max_epochs=20),
            tiny_net(max_epochs=20),
        ]
        fit = {"replicates": replicates_of(y)}
        robust, squared = (noisy_ensemble(X, outlier, net=net, fit=fit) for net in nets)
        errors = [np.abs(model.predict(X) - y)[1:].mean() for model in (robust, squared)]
        assert errors[0] < 0.5 * errors[1]

    def test_of_a_net_with_our_loss_is_that_of_its_criterion(self, table):
        X, y = table
        ours = {"criterion": WeightedLoss, "criterion__criterion": nn.HuberLoss}
        for wrapped, plain in (
            (ours, {"criterion": nn.HuberLoss}),
            ({"criterion": WeightedLoss}, {}),
        ):
            one, other = (
                noisy_ensemble(X, y, net=tiny_net(**criterion)).predict_components(X)
                for criterion in (wrapped, plain)
            )
            np.testing.assert_array_equal(one["total"], other["total"])

    def test_that_is_equal_everywhere_is_no_failure(self, table):
        """A constant mean is one, and raises a ConvergenceWarning, which tests make an error."""
        X, y = table
        replicates = y[:, np.newaxis] + np.array([-1.0, 0.0, 1.0])
        net = tiny_net(max_epochs=30)
        ensemble = noisy_ensemble(
            X, y, net=net, noise_of="replicate", fit={"replicates": replicates}
        )
        noise = ensemble.predict_uncertainty(X, kind="aleatoric")
        np.testing.assert_allclose(noise, 1, rtol=0.3)

    def test_is_forgotten_by_a_fit_without(self, table):
        X, y = table
        ensemble = noisy_ensemble(X, y)
        ensemble.set_params(aleatoric=None).fit(X, y)
        assert ensemble.uncertainty_kinds_ == ("epistemic",)
        assert list(ensemble.n_replicates_) == [1]
        np.testing.assert_array_equal(ensemble.predict(X), tiny_ensemble().fit(X, y).predict(X))


class TestFromFitted:
    def test_keeps_what_all_parts_share(self, table):
        X, y = table
        parts = [
            tiny_ensemble(n_estimators=1, validation=GroupHoldOut([1]), random_state=seed).fit(
                X, y, groups=np.arange(40) % 4
            )
            for seed in (0, 1)
        ]
        ensemble = EnsembleRegressor.from_fitted(parts)
        np.testing.assert_array_equal(ensemble.validation_indices_, parts[0].validation_indices_)
        assert ensemble.fingerprint_ == parts[0].fingerprint_
        other = tiny_ensemble(n_estimators=1).fit(X, y)
        assert EnsembleRegressor.from_fitted([*parts, other]).validation_indices_ is None

    def test_nets_predict_y_in_its_own_units(self, table):
        X, y = (part.astype(np.float32) for part in table)
        nets = [
            NeuralNetRegressor(
                nn.Linear,
                module__in_features=6,
                module__out_features=1,
                train_split=None,
                verbose=0,
                max_epochs=2,
            ).fit(X, y[:, np.newaxis])
            for _ in range(3)
        ]
        ensemble = EnsembleRegressor.from_fitted(nets, input_shape=(6,))
        assert ensemble.n_features_in_ == 6
        np.testing.assert_allclose(
            ensemble.predict_members(X), [net.predict(X)[:, 0] for net in nets], rtol=1e-6
        )
        assert len(ensemble.history_) == 6
        assert np.isnan(ensemble.history_["lr"]).all()

    def test_ensembles_are_joined(self, table):
        X, y = table
        parts = [tiny_ensemble(random_state=seed).fit(X, (1 + seed) * y) for seed in (0, 1)]
        ensemble = EnsembleRegressor.from_fitted(parts)
        np.testing.assert_array_equal(
            ensemble.predict_members(X), np.concatenate([p.predict_members(X) for p in parts])
        )
        assert ensemble.n_estimators == 4
        assert list(np.unique(ensemble.history_["member"])) == [0, 1, 2, 3]

    def test_ensembles_of_several_machines_are_pickled_and_joined(self, table):
        X, y = table
        parts = [tiny_ensemble(n_estimators=1, random_state=seed).fit(X, y) for seed in (0, 1)]
        carried = [pickle.loads(pickle.dumps(part)) for part in parts]
        ensemble = EnsembleRegressor.from_fitted(carried)
        assert ensemble.uncertainty_kinds_ == ("epistemic",)
        assert (ensemble.predict_uncertainty(X) > 0).all()

    def test_several_targets_are_kept(self, sequences):
        X, y = sequences
        part = tiny_ensemble(tiny_conv_net()).fit(X, y)
        nets = EnsembleRegressor.from_fitted(part.estimators_, input_shape=(4, LENGTH))
        assert nets.predict(X.reshape(40, -1)).shape == y.shape

    @pytest.mark.parametrize(
        ("members", "options", "error", "message"),
        [
            ([], {}, ValueError, "at least one"),
            ([tiny_net()], {"input_shape": (6,)}, NotFittedError, "not fitted"),
            ([tiny_ensemble()], {}, NotFittedError, "not fitted"),
            (["net"], {}, TypeError, "must be fitted skorch nets .* got str"),
        ],
    )
    def test_what_is_no_fitted_member_is_refused(self, members, options, error, message):
        with pytest.raises(error, match=message):
            EnsembleRegressor.from_fitted(members, **options)

    def test_a_net_needs_the_shape_of_a_sample(self, table):
        nets = tiny_ensemble().fit(*table).estimators_
        with pytest.raises(ValueError, match="pass input_shape"):
            EnsembleRegressor.from_fitted(nets)
        with pytest.raises(ValueError, match=r"cannot read samples of input_shape=\(7,\)"):
            EnsembleRegressor.from_fitted(nets, input_shape=(7,))

    def test_members_of_other_columns_are_refused(self, table):
        X, y = pd.DataFrame(table[0]).add_prefix("column "), table[1]
        parts = [tiny_ensemble().fit(part, y) for part in (X, X[X.columns[::-1]])]
        with pytest.raises(ValueError, match="Column 0 is 'column 0' for one and 'column 5'"):
            EnsembleRegressor.from_fitted(parts)
        assert list(EnsembleRegressor.from_fitted(parts[:1] * 2).feature_names_in_) == list(X)

    def test_members_of_different_data_are_refused(self, table):
        X, y = table
        one = tiny_ensemble().fit(X, y)
        for other in (tiny_ensemble().fit(X[:, :5], y), tiny_ensemble().fit(X, np.c_[y, y])):
            with pytest.raises(ValueError, match="do not fit together"):
                EnsembleRegressor.from_fitted([one, other])

    @NOISES
    def test_of_noisy_members_know_the_noise(self, table, aleatoric):
        X, y = table
        parts = [noisy_ensemble(X, y, aleatoric, random_state=seed) for seed in (0, 1)]
        joined = EnsembleRegressor.from_fitted(parts)
        assert joined.aleatoric == aleatoric
        assert joined.uncertainty_kinds_ == ("epistemic", "aleatoric", "total")
        np.testing.assert_array_equal(joined.n_replicates_, parts[0].n_replicates_)
        one, other = (part.predict_uncertainty(X, kind="aleatoric") for part in parts)
        np.testing.assert_allclose(
            joined.predict_uncertainty(X, kind="aleatoric"),
            np.sqrt((one**2 + other**2) / 2),
            rtol=0.01,
        )

    def test_of_one_noisy_net_has_its_noise_alone(self, table):
        part = noisy_ensemble(*table, n_estimators=1)
        joined = EnsembleRegressor.from_fitted([part])
        assert joined.uncertainty_kinds_ == ("aleatoric",)
        np.testing.assert_array_equal(
            joined.predict_uncertainty(table[0]), part.predict_uncertainty(table[0])
        )

    def test_keep_whose_noise_it_is(self, table):
        X, y = table
        parts = [noisy_ensemble(X, y, noise_of="replicate", random_state=s) for s in (0, 1)]
        joined = EnsembleRegressor.from_fitted(parts)
        assert joined.noise_of == "replicate"
        noise = joined.predict_uncertainty(X, kind="aleatoric")
        joined.set_params(noise_of="mean")
        np.testing.assert_allclose(
            joined.predict_uncertainty(X, kind="aleatoric"), noise / np.sqrt(3)
        )

    def test_count_unequal_numbers_of_replicates_as_one_fit_does(self, table):
        X, y = table
        parts = [
            noisy_ensemble(X, y, n_estimators=m, fit={"replicates": replicates_of(y, 1.0, n)})
            for m, n in ((1, 2), (3, 8))
        ]
        joined = EnsembleRegressor.from_fitted(parts)
        np.testing.assert_allclose(joined.n_replicates_, [1 / np.mean([1 / 2, *[1 / 8] * 3])])

    def test_weigh_what_parts_say_of_the_noise_by_their_members(self, table):
        X, y = table
        quiet, loud = (
            noisy_ensemble(X, y, n_estimators=m, fit={"replicates": replicates_of(y, deviation)})
            for m, deviation in ((3, 1.0), (1, 1.5))
        )
        quiet_level, loud_level, level = (
            np.log(ensemble._noise_map(np.ones((1, 1))))
            for ensemble in (quiet, loud, EnsembleRegressor.from_fitted([quiet, loud]))
        )
        np.testing.assert_allclose(level, 0.75 * quiet_level + 0.25 * loud_level)
        assert abs(quiet_level - loud_level) > 0.01

    def test_of_heteroscedastic_parts_warn_of_misfit_that_counts_twice(self, table):
        parts = [noisy_ensemble(*table, "heteroscedastic", random_state=s) for s in (0, 1)]
        with pytest.warns(UserWarning, match="the total is too large. Recali") as caught:
            EnsembleRegressor.from_fitted(parts)
        assert [warning.filename for warning in caught] == [__file__]

    @pytest.mark.parametrize(("aleatoric", "n_parts"), [("heteroscedastic", 1), ("replicates", 2)])
    def test_warn_of_no_misfit_otherwise(self, table, aleatoric, n_parts):
        part = noisy_ensemble(*table, aleatoric)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            EnsembleRegressor.from_fitted([part] * n_parts)

    @pytest.mark.parametrize(
        "other",
        [
            {"aleatoric": None},
            {"aleatoric": "heteroscedastic"},
            {"noise_of": "replicate"},
        ],
    )
    def test_that_differ_in_their_noise_are_refused(self, table, other):
        X, y = table
        parts = [noisy_ensemble(X, y), noisy_ensemble(X, y, **{"aleatoric": "replicates"} | other)]
        with pytest.raises(
            ValueError, match="do not fit together: they were fitted with aleatoric"
        ):
            EnsembleRegressor.from_fitted(parts)

    def test_that_differ_in_their_likelihood_are_refused(self, table):
        parts = [
            noisy_ensemble(*table, "heteroscedastic", likelihood=likelihood)
            for likelihood in ("gaussian", "laplace")
        ]
        with pytest.raises(ValueError, match=r"likelihood='gaussian'.* and .*likelihood='laplace'"):
            EnsembleRegressor.from_fitted(parts)


class TestHistory:
    def test_is_a_tidy_table_of_epochs(self, table):
        history = tiny_ensemble(tiny_net(max_epochs=2), 3, validation=0.2).fit(*table).history_
        frame = pd.DataFrame(history)
        assert list(frame) == ["member", "epoch", "train_loss", "valid_loss", "lr", "seconds"]
        assert list(frame["member"]) == [0, 0, 1, 1, 2, 2]
        assert list(frame["epoch"]) == [1, 2] * 3
        assert (frame[["train_loss", "valid_loss", "seconds"]] > 0).all(axis=None)
        assert (frame["lr"] == 0.05).all()

    def test_has_no_validation_loss_without_validation_rows(self, table):
        assert np.isnan(tiny_ensemble().fit(*table).history_["valid_loss"]).all()

    def test_nothing_is_printed_by_default(self, table, capsys):
        tiny_ensemble().fit(*table)
        assert capsys.readouterr().out == ""

    def test_verbose_prints_a_line_for_every_member(self, table, capsys):
        tiny_ensemble(verbose=1, validation=0.2).fit(*table)
        lines = capsys.readouterr().out.splitlines()
        assert [line.split(":")[0] for line in lines] == [
            "member 1/2, 3 epochs",
            "member 2/2, 3 epochs",
        ]
        assert all("train_loss" in line and "valid_loss" in line for line in lines)
        assert lines[1].endswith("at most 0 s left")

    def test_very_verbose_prints_a_line_for_every_epoch(self, table, capsys):
        DistilledRegressor(tiny_ensemble(n_estimators=1), verbose=2).fit(*table)
        lines = capsys.readouterr().out.splitlines()
        assert [line.split(":")[0] for line in lines] == [
            f"student, epoch {epoch}/3" for epoch in (1, 2, 3)
        ]


class TestLife:
    @pytest.mark.parametrize("fitted", [False, True])
    @pytest.mark.parametrize("copied", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
    def test_copies_equal_the_original(self, table, copied, fitted):
        X, y = table
        ensemble = tiny_ensemble(tiny_net(module__dropout=0.2), validation=0.2)
        expected = clone(ensemble).fit(X, y).predict(X)
        if fitted:
            ensemble.fit(X, y)
        twin = copied(ensemble)
        predicted = twin.predict(X) if fitted else twin.fit(X, y).predict(X)
        np.testing.assert_array_equal(predicted, expected)

    @NOISES
    @pytest.mark.parametrize("copied", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
    def test_copies_know_the_noise(self, table, aleatoric, copied):
        ensemble = noisy_ensemble(*table, aleatoric)
        twin = copied(ensemble)
        np.testing.assert_array_equal(twin.n_replicates_, ensemble.n_replicates_)
        components = twin.predict_components(table[0])
        for kind, values in ensemble.predict_components(table[0]).items():
            np.testing.assert_array_equal(components[kind], values)

    def test_a_second_fit_forgets_the_first(self, table, sequences):
        X, y = table
        ensemble = tiny_ensemble()
        expected = ensemble.fit(X, y).predict(X)
        ensemble.fit(X[:, :3], np.c_[y, y])
        np.testing.assert_array_equal(ensemble.fit(X, y).predict(X), expected)

    @pytest.mark.parametrize("max_epochs", [0, 1.5])
    def test_number_of_epochs_is_a_positive_integer(self, table, max_epochs):
        with pytest.raises(ValueError, match="max_epochs must be a positive integer, got"):
            tiny_ensemble(tiny_net(max_epochs=max_epochs)).fit(*table)
