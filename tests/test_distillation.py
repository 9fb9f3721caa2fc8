"""What a distilled net promises."""

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold
from skorch.callbacks import EarlyStopping
from torch import nn
from torch.utils.data import DataLoader

import sklearn_degu._student_training
from sklearn_degu import DistilledRegressor, EnsembleRegressor
from sklearn_degu.augmentation import Augment, Noise
from sklearn_degu.modules import DeepSTARR
from sklearn_degu.nets import WeightAverage
from sklearn_degu.recipes import deepstarr_net, residualbind_net
from tests.noisy import replicates_of
from tests.toys import LENGTH, tiny_conv_net, tiny_ensemble, tiny_net, weights


def tiny_degu(teacher=None, student=None, **params):
    teacher = tiny_ensemble(n_estimators=3) if teacher is None else teacher
    return DistilledRegressor(teacher, student, **{"random_state": 0, **params})


def stopping_net(**params):
    return tiny_net(callbacks=[("stop", EarlyStopping(patience=3))], **params)


@pytest.fixture
def trainings(monkeypatch):
    """Return a list that gathers (train, valid) of every student's training."""
    seen, train_net = [], sklearn_degu._student_training.train_net

    def spy(net, train, valid, **options):
        seen.append((train, valid))
        return train_net(net, train, valid, **options)

    monkeypatch.setattr(sklearn_degu._student_training, "train_net", spy)
    return seen


@pytest.fixture
def no_training(monkeypatch):
    """Fail the test if a teacher is trained."""
    monkeypatch.setattr(
        EnsembleRegressor, "_train", lambda *args: pytest.fail("a teacher was trained")
    )


@pytest.fixture
def no_student(monkeypatch):
    """Fail the test if a student is trained."""
    monkeypatch.setattr(
        sklearn_degu._student_training, "train_net", lambda *args, **kw: pytest.fail("trained")
    )


class TestStudent:
    @pytest.mark.parametrize("target", ["log_var", "std"])
    def test_learns_mean_and_deviation_of_the_teacher(self, table, target):
        X, y = table
        X = np.linspace(-1, 1, 60)[:, np.newaxis] * np.ones(3)
        y = X[:, 0] ** 2
        teacher = tiny_ensemble(tiny_net(max_epochs=10), n_estimators=5)
        student = tiny_net(max_epochs=150, module__hidden=(32,), lr=0.02)
        degu = tiny_degu(teacher, student, target=target).fit(X, y)
        mean, std = degu.predict(X, return_std=True, kind="epistemic")
        teachers_mean, teachers_std = degu.teacher_.predict(X, return_std=True)
        assert np.corrcoef(mean, teachers_mean)[0, 1] > 0.99
        assert np.corrcoef(std, teachers_std)[0, 1] > 0.9
        assert std.mean() == pytest.approx(teachers_std.mean(), rel=0.05)

    @pytest.mark.parametrize("target", ["log_var", "std"])
    @pytest.mark.parametrize("n_targets", [None, 1, 3])
    def test_answers_have_the_shape_of_y(self, table, target, n_targets):
        X, y = table
        y = y if n_targets is None else np.column_stack([y] * n_targets)
        degu = tiny_degu(target=target).fit(X, y)
        mean, std = degu.predict(10 * X[:7], return_std=True)
        assert mean.shape == std.shape == y[:7].shape
        assert np.isfinite(mean).all()
        assert np.isfinite(std).all()
        assert (std >= 0).all()

    def test_has_two_outputs_a_target(self, sequences):
        degu = tiny_degu(tiny_ensemble(tiny_conv_net())).fit(*sequences)
        assert degu.student_.module_.layers[-1].out_features == 4
        assert degu.n_outputs_ == 2
        assert degu.uncertainty_kinds_ == ("epistemic",)

    def test_learns_of_members_that_agree_exactly(self, table):
        X, y = table
        member = tiny_ensemble(n_estimators=1).fit(X, y)
        twins = FrozenEstimator(EnsembleRegressor.from_fitted([member, member]))
        for target in ("log_var", "std"):
            std = tiny_degu(twins, tiny_net(), target=target).fit(X, y).predict_uncertainty(X)
            assert np.isfinite(std).all()
            assert (std > 0).all()

    def test_has_by_default_the_teachers_first_architecture(self, table):
        nets = [("wide", tiny_net(module__hidden=(16,))), ("narrow", tiny_net())]
        degu = tiny_degu(tiny_ensemble(nets)).fit(*table)
        assert degu.student_.module_.layers[1].out_features == 16

    def test_of_a_net_with_callbacks_disabled_is_trained(self, table):
        degu = tiny_degu(tiny_ensemble(tiny_net(callbacks="disable"))).fit(*table)
        assert np.isfinite(degu.history_["train_loss"]).all()

    def test_may_have_an_architecture_of_its_own(self, table):
        degu = tiny_degu(student=tiny_net(module__hidden=(5,))).fit(*table)
        assert degu.student_.module_.layers[1].out_features == 5

    def test_of_one_member_has_no_uncertainty_and_says_why(self, table):
        X, y = table
        degu = tiny_degu(tiny_ensemble(n_estimators=1)).fit(X, y)
        assert degu.predict(X).shape == y.shape
        assert degu.student_.module_.layers[-1].out_features == 1
        with pytest.raises(ValueError, match="one member alone has nobody to disagree with"):
            degu.predict_uncertainty(X)

    def test_differs_from_the_members_in_its_initial_weights(self, table):
        net = tiny_net(max_epochs=1, lr=1e-12)
        degu = tiny_degu(tiny_ensemble(net, 1), net, random_state=0).fit(*table)
        assert np.linalg.norm(weights(degu.student_) - weights(degu.teacher_.estimators_[0])) > 0.5

    def test_is_decided_by_random_state(self, table):
        X, y = table
        one, same, other = (tiny_degu(random_state=seed).fit(X, y).predict(X) for seed in (0, 0, 1))
        np.testing.assert_array_equal(one, same)
        assert not np.allclose(one, other)

    def test_history_is_that_of_the_student(self, table):
        history = tiny_degu(student=tiny_net(max_epochs=2)).fit(*table).history_
        assert list(history["member"]) == [0, 0]
        assert list(history["epoch"]) == [1, 2]
        assert (history["train_loss"] > 0).all()

    def test_score_leaves_missing_measurements_out(self, table):
        X, y = table
        Y = np.c_[y, -y]
        degu = tiny_degu().fit(X, Y)
        Y[::3, 0] = np.nan
        assert np.isfinite(degu.score(X, Y))

    def test_verbose_names_the_student(self, table, capsys):
        tiny_degu(verbose=1).fit(*table)
        assert capsys.readouterr().out.startswith("student, 3 epochs: train_loss")

    def test_reads_flattened_sequences(self, sequences):
        X, y = sequences
        whole, flat = (
            tiny_degu(tiny_ensemble(tiny_conv_net())).fit(rows, y).predict(rows)
            for rows in (X, X.reshape(40, -1))
        )
        np.testing.assert_array_equal(whole, flat)


def noisy_teacher(aleatoric="replicates", n_estimators=2, net=None, **params):
    return tiny_ensemble(net, n_estimators, aleatoric=aleatoric, **params)


@pytest.fixture(scope="module")
def curve():
    """Return X, y, replicates whose noise grows, and a teacher that was fitted to them."""
    X = np.linspace(-1, 1, 90)[:, np.newaxis] * np.ones(3)
    y = X[:, 0] ** 2
    replicates = replicates_of(y, np.exp(X[:, 0]))
    net = tiny_net(max_epochs=15)
    teacher = tiny_ensemble(net, 3, aleatoric="replicates").fit(X, y, replicates=replicates)
    return X, y, replicates, teacher


def patient_student():
    return tiny_net(max_epochs=120, module__hidden=(32,), lr=0.02)


class TestHeads:
    @pytest.mark.parametrize("target", ["log_var", "std"])
    def test_learn_every_kind_of_the_teacher(self, curve, target):
        X, y, _, teacher = curve
        degu = tiny_degu(FrozenEstimator(teacher), patient_student(), target=target).fit(X, y)
        said, taught = degu.predict_components(X), teacher.predict_components(X)
        assert list(said) == list(taught) == ["mean", "epistemic", "aleatoric", "total"]
        for kind, values in taught.items():
            assert np.corrcoef(said[kind], values)[0, 1] > 0.9
            assert said[kind].mean() == pytest.approx(values.mean(), rel=0.05)
        np.testing.assert_allclose(said["total"], np.hypot(said["epistemic"], said["aleatoric"]))

    @pytest.mark.parametrize(
        ("n_estimators", "aleatoric", "kinds"),
        [
            (2, None, ("epistemic",)),
            (1, "heteroscedastic", ("aleatoric",)),
            (1, "replicates", ("aleatoric",)),
            (2, "heteroscedastic", ("epistemic", "aleatoric", "total")),
            (2, "replicates", ("epistemic", "aleatoric", "total")),
        ],
    )
    @pytest.mark.parametrize("target", ["log_var", "std"])
    @pytest.mark.parametrize("n_targets", [None, 1, 2])
    def test_are_those_of_the_teacher(
        self, table, n_estimators, aleatoric, kinds, target, n_targets
    ):
        X, y = table
        y = y if n_targets is None else np.column_stack([y] * n_targets)
        given = {"replicates": replicates_of(y)} if aleatoric == "replicates" else {}
        degu = tiny_degu(noisy_teacher(aleatoric, n_estimators), target=target).fit(X, y, **given)
        assert degu.uncertainty_kinds_ == kinds
        n_heads = 1 + len(set(kinds) - {"total"})
        assert degu.student_.module_.layers[-1].out_features == n_heads * (n_targets or 1)
        components = degu.predict_components(X)
        assert tuple(components) == ("mean", *kinds)
        for kind in kinds:
            assert components[kind].shape == y.shape
            assert (components[kind] > 0).all()
            np.testing.assert_array_equal(components[kind], degu.predict_uncertainty(X, kind=kind))
        np.testing.assert_array_equal(components[kinds[-1]], degu.predict_uncertainty(X))

    def test_of_a_single_noisy_teacher_lack_the_epistemic(self, table):
        degu = tiny_degu(noisy_teacher("heteroscedastic", 1)).fit(*table)
        with pytest.raises(ValueError, match="no 'epistemic' uncertainty; it has aleatoric"):
            degu.predict_uncertainty(table[0], kind="epistemic")

    @pytest.mark.parametrize("noise_of", ["mean", "replicate"])
    def test_learn_the_noise_of_what_the_teacher_says(self, curve, trainings, noise_of):
        X, y, _, teacher = curve
        teacher = copy.deepcopy(teacher).set_params(noise_of=noise_of)
        degu = tiny_degu(FrozenEstimator(teacher), tiny_net(max_epochs=1)).fit(X, y)
        taught = degu._heads.decode(trainings[0][0].y)["aleatoric"][:, 0]
        expected = teacher.predict_uncertainty(X, kind="aleatoric")
        np.testing.assert_allclose(taught / taught.mean(), expected / expected.mean())
        assert degu.predict_uncertainty(X, kind="aleatoric").mean() == pytest.approx(
            expected.mean(), rel=0.01
        )

    def test_do_not_mind_what_the_members_were_trained_by(self, table):
        """A student learns labels by its own criterion, whatever the teacher's likelihood."""
        student = tiny_net(criterion=nn.HuberLoss)
        degu = tiny_degu(noisy_teacher("heteroscedastic"), student).fit(*table)
        assert degu.student_.criterion_.criterion.delta == 1.0
        assert degu.teacher_.estimators_[0].criterion.__name__ == "GaussianLoss"

    def test_of_edited_rows_are_labelled_by_the_teacher(self, table, trainings):
        X, y = table
        degu = tiny_degu(
            noisy_teacher("heteroscedastic"), augment=lambda rows, generator: rows + 0.5
        ).fit(X, y, X_unlabeled=X[:5])
        ((train, _),) = trainings
        outputs = degu._heads.encode(
            {
                name: values[:, np.newaxis]
                for name, values in degu.teacher_.predict_components(train.X).items()
            }
        )
        np.testing.assert_allclose(train.y, outputs, rtol=1e-6, atol=1e-9)
        assert len(train.X) == 45


class TestHeadWeights:
    def errors(self, curve, **weights):
        """Return by head how far a student is from its teacher, in deviations of the label."""
        X, y, _, teacher = curve
        # Adam would learn a head of any weight, in proportion to nothing but the shared layers.
        student = tiny_net(max_epochs=30, optimizer=torch.optim.SGD, lr=0.1)
        degu = tiny_degu(FrozenEstimator(teacher), student, head_weights=weights or None)
        said = degu.fit(X, y).predict_components(X)
        taught = teacher.predict_components(X)
        return {
            name: np.sqrt(np.mean((said[name] - taught[name]) ** 2)) / taught[name].std()
            for name in ("mean", "epistemic", "aleatoric")
        }

    @pytest.mark.parametrize("head", ["mean", "epistemic", "aleatoric"])
    def test_decide_what_is_learned(self, curve, head):
        light, heavy = (self.errors(curve, **{head: weight})[head] for weight in (1e-6, 100))
        assert light > 1.1 * heavy

    def test_are_one_by_default(self, curve):
        ones = dict.fromkeys(["mean", "epistemic", "aleatoric"], 1.0)
        assert self.errors(curve) == self.errors(curve, **ones)
        assert self.errors(curve, mean=3, epistemic=3, aleatoric=3) == self.errors(curve)

    def test_are_part_of_what_the_student_is_stopped_on(self, table, trainings):
        weights = {"mean": 2.0, "aleatoric": 0.5}
        degu = tiny_degu(noisy_teacher("heteroscedastic", validation=0.25), head_weights=weights)
        degu.fit(*table)
        ((train, valid),) = trainings
        for rows in (train, valid):
            np.testing.assert_array_equal(rows.target_weight, [2, 1, 0.5])

    def test_are_searched_as_a_parameter(self):
        degu = tiny_degu(head_weights={"mean": 2.0})
        twin = clone(degu)
        assert twin.head_weights == {"mean": 2.0}
        assert twin.set_params(head_weights=None).head_weights is None

    def test_of_heads_that_the_teacher_lacks_are_ignored(self, table):
        X, y = table
        teacher = FrozenEstimator(noisy_teacher("heteroscedastic", 1).fit(X, y))
        without, ignored = (
            tiny_degu(teacher, head_weights=weights).fit(X, y)
            for weights in ({"mean": 3.0}, {"mean": 3.0, "epistemic": 2.0})
        )
        assert ignored.uncertainty_kinds_ == ("aleatoric",)
        np.testing.assert_array_equal(ignored.predict(X), without.predict(X))

    def test_stay_in_a_search_over_the_teachers_noise(self, table):
        X, y = table
        grid = {"teacher__aleatoric": [None, "heteroscedastic", "replicates"]}
        degu = tiny_degu(tiny_ensemble(), head_weights={"aleatoric": 2.0})
        search = GridSearchCV(degu, grid, cv=2, refit=False, error_score="raise")
        with pytest.warns(UserWarning, match="replicates are not used"):
            search.fit(X, y, replicates=replicates_of(y))
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()


class TestReplicates:
    @pytest.mark.parametrize("held_out", [False, True])
    def test_reach_the_teacher(self, table, held_out):
        X, y = table
        replicates = replicates_of(y)
        rows = slice(0, 30 if held_out else 40)
        given = {"replicates": replicates[rows]}
        if held_out:
            given |= {"X_val": X[30:], "y_val": y[30:], "replicates_val": replicates[30:]}
        degu = tiny_degu(noisy_teacher()).fit(X[rows], y[rows], **given)
        alone = noisy_teacher().fit(X[rows], y[rows], **given)
        for kind, values in alone.predict_components(X).items():
            np.testing.assert_array_equal(degu.teacher_.predict_components(X)[kind], values)
        np.testing.assert_array_equal(
            degu.teacher_.history_["valid_loss"], alone.history_["valid_loss"]
        )

    def test_that_are_missing_are_missed_before_any_training(self, table, no_training):
        with pytest.raises(ValueError, match="learns the noise from replicates, but none"):
            tiny_degu(noisy_teacher()).fit(*table)

    def test_without_use_are_warned_of(self, table):
        X, y = table
        with pytest.warns(UserWarning, match="not used by aleatoric=None"):
            tiny_degu().fit(X, y, replicates=replicates_of(y))

    def test_of_other_values_train_another_teacher(self, table, tmp_path):
        X, y = table
        one, other = (
            tiny_degu(noisy_teacher(), memory=str(tmp_path)).fit(X, y, replicates=replicates)
            for replicates in (replicates_of(y), replicates_of(y, 5.0))
        )
        one, other = (
            degu.teacher_.predict_uncertainty(X, kind="aleatoric") for degu in (one, other)
        )
        assert other.mean() > 2 * one.mean()

    @pytest.mark.parametrize("labels", ["teacher", "measured"])
    def test_do_not_change_what_the_student_is_stopped_on(self, table, trainings, labels):
        """Measured labels are for the mean: of its noise the student believes the teacher."""
        X, y = table
        teacher = noisy_teacher(validation=0.25)
        degu = tiny_degu(teacher, labels=labels).fit(X, y, replicates=replicates_of(y))
        ((_, valid),) = trainings
        held_out = degu.teacher_.validation_indices_
        decoded = {name: v[:, 0] for name, v in degu._heads.decode(valid.y).items()}
        taught = degu.teacher_.predict_components(X[held_out])
        mean = y[held_out] if labels == "measured" else taught["mean"]
        np.testing.assert_allclose(decoded["mean"], mean)
        ratio = decoded["aleatoric"] / taught["aleatoric"]
        np.testing.assert_allclose(ratio, ratio[0])


class TestTeacher:
    def test_is_cloned(self, table):
        teacher = tiny_ensemble()
        degu = tiny_degu(teacher).fit(*table)
        assert not hasattr(teacher, "estimators_")
        assert degu.teacher_ is not teacher

    def test_takes_its_seed_from_the_student_unless_it_has_one(self, table):
        X, y = table
        seeds = [
            [
                tiny_degu(tiny_ensemble(random_state=t), random_state=s).fit(X, y).teacher_
                for s in (0, 1)
            ]
            for t in (None, 5)
        ]
        free, fixed = ([teacher.predict(X) for teacher in pair] for pair in seeds)
        assert not np.allclose(*free)
        np.testing.assert_array_equal(*fixed)
        np.testing.assert_array_equal(fixed[0], tiny_ensemble(random_state=5).fit(X, y).predict(X))

    def test_without_a_seed_is_decided_by_the_students(self, table):
        X, y = table
        teacher = tiny_ensemble(random_state=None)
        one, same = (tiny_degu(teacher, random_state=3).fit(X, y).teacher_ for _ in range(2))
        np.testing.assert_array_equal(one.predict(X), same.predict(X))
        assert teacher.random_state is None

    def test_that_is_frozen_is_used_as_it_is(self, table):
        X, y = table
        teacher = tiny_ensemble(validation=0.25).fit(X, y)
        before = teacher.predict(X)
        degu = tiny_degu(FrozenEstimator(teacher)).fit(X, y)
        assert degu.teacher_ is teacher
        np.testing.assert_array_equal(teacher.predict(X), before)

    def test_that_is_frozen_teaches_as_one_that_is_fitted(self, table):
        X, y = table
        teacher = tiny_ensemble(validation=0.25)
        fitted = tiny_degu(teacher).fit(X, y)
        frozen = tiny_degu(FrozenEstimator(clone(teacher).fit(X, y))).fit(X, y)
        np.testing.assert_array_equal(fitted.predict(X), frozen.predict(X))

    def test_that_is_frozen_must_be_fitted(self, table):
        with pytest.raises(NotFittedError):
            tiny_degu(FrozenEstimator(tiny_ensemble())).fit(*table)

    def test_that_is_frozen_must_know_the_shapes(self, table):
        X, y = table
        teacher = FrozenEstimator(tiny_ensemble().fit(X, y))
        with pytest.raises(ValueError, match=r"fitted on samples of shape \(6,\) with 1 targets"):
            tiny_degu(teacher).fit(X[:, :5], y)
        with pytest.raises(ValueError, match="with 2 targets"):
            tiny_degu(teacher).fit(X, np.c_[y, y])

    def test_of_joined_ensembles_needs_a_net_for_the_student(self, table):
        X, y = table
        parts = [tiny_ensemble(random_state=seed).fit(X, y) for seed in (0, 1)]
        joined = EnsembleRegressor.from_fitted(parts)
        degu = tiny_degu(FrozenEstimator(joined)).fit(X, y)
        assert degu.predict_uncertainty(X).shape == y.shape

    @pytest.mark.parametrize("teacher", [tiny_net(), FrozenEstimator(tiny_net()), "teacher"])
    def test_must_be_an_ensemble(self, table, teacher):
        with pytest.raises(TypeError, match="teacher must be an EnsembleRegressor"):
            tiny_degu(teacher).fit(*table)

    def test_is_an_ensemble_of_ten_by_default(self, table, monkeypatch):
        monkeypatch.setattr("sklearn_degu.ensemble.mlp_net", tiny_net)
        assert len(DistilledRegressor(random_state=0).fit(*table).teacher_.estimators_) == 10


class TestValidation:
    def test_is_inherited(self, table, trainings):
        X, y = table
        degu = tiny_degu(tiny_ensemble(validation=0.25)).fit(X, y)
        ((train, valid),) = trainings
        held_out = degu.teacher_.validation_indices_
        assert len(held_out) == 10
        np.testing.assert_array_equal(valid.X, X[held_out])
        np.testing.assert_array_equal(train.X, np.delete(X, held_out, axis=0))

    def test_weights_follow_their_rows(self, table, trainings):
        X, y = table
        weight = np.arange(1.0, 41)
        degu = tiny_degu(tiny_ensemble(validation=0.25)).fit(X, y, sample_weight=weight)
        ((train, valid),) = trainings
        held_out = degu.teacher_.validation_indices_
        np.testing.assert_array_equal(valid.weight, weight[held_out])
        np.testing.assert_array_equal(train.weight, np.delete(weight, held_out))

    def test_of_ones_own_is_not_the_teachers(self, table, trainings):
        tiny_degu(tiny_ensemble(validation=0.25), validation=KFold(2)).fit(*table)
        ((train, valid),) = trainings
        np.testing.assert_array_equal(valid.X, table[0][:20])
        assert len(train.X) == 20

    def test_none_is_none(self, table, trainings):
        tiny_degu(tiny_ensemble(validation=0.25), validation=None).fit(*table)
        assert trainings[0][1] is None
        assert len(trainings[0][0].X) == 40

    def test_given_rows_come_first(self, table, trainings):
        X, y = table
        degu = tiny_degu(tiny_ensemble(validation=0.25)).fit(
            X[:30], y[:30], X_val=X[30:], y_val=y[30:]
        )
        np.testing.assert_array_equal(trainings[0][1].X, X[30:])
        assert len(trainings[0][0].X) == 30
        assert degu.teacher_.validation_indices_ is None

    def test_groups_reach_teacher_and_student(self, table):
        X, y = table
        groups = np.repeat(np.arange(8), 5)
        degu = tiny_degu(tiny_ensemble(validation=GroupKFold(4)), validation=GroupKFold(2))
        held_out = degu.fit(X, y, groups=groups).teacher_.validation_indices_
        assert len(set(groups[held_out])) == 2

    def test_is_inherited_from_a_frozen_teacher_of_the_same_rows(self, table, trainings):
        X, y = table
        teacher = tiny_ensemble(validation=0.25).fit(X, y)
        tiny_degu(FrozenEstimator(teacher)).fit(np.asfortranarray(X), y)
        np.testing.assert_array_equal(trainings[0][1].X, X[teacher.validation_indices_])

    def test_cannot_be_inherited_for_other_rows(self, table):
        X, y = table
        teacher = FrozenEstimator(tiny_ensemble(validation=0.25).fit(X, y))
        with pytest.raises(ValueError, match="needs the rows that the teacher was fitted on"):
            tiny_degu(teacher).fit(X[:30], y[:30])
        tiny_degu(teacher, validation=0.2).fit(X[:30], y[:30])
        tiny_degu(teacher).fit(X[:30], y[:30], X_val=X[30:], y_val=y[30:])

    @pytest.mark.parametrize("labels", ["teacher", "measured"])
    def test_is_against_what_labels_says(self, table, trainings, labels):
        X, y = table
        Y = np.c_[y, -y]
        Y[::4, 1] = np.nan
        degu = tiny_degu(tiny_ensemble(validation=0.25), labels=labels).fit(X, Y)
        ((_, valid),) = trainings
        held_out = degu.teacher_.validation_indices_
        said = {"teacher": degu.teacher_.predict(X[held_out]), "measured": Y[held_out]}
        np.testing.assert_allclose(degu._heads.decode(valid.y)["mean"], said[labels])

    def test_training_is_against_the_teacher(self, table, trainings):
        X, y = table
        degu = tiny_degu(labels="measured").fit(X, y, X_val=X[:5], y_val=y[:5])
        said = degu._heads.decode(trainings[0][0].y)["mean"][:, 0]
        np.testing.assert_allclose(said, degu.teacher_.predict(X))


class TestScale:
    """The student's deviations have the teacher's mean over the rows that decide the factor."""

    @pytest.mark.parametrize("n_valid", [None, 1, 19, 20])
    def test_is_that_of_the_validation_rows_unless_they_are_few(self, curve, n_valid):
        X, y, _, teacher = curve
        given = {} if n_valid is None else {"X_val": X[:n_valid], "y_val": y[:n_valid]}
        degu = tiny_degu(FrozenEstimator(teacher)).fit(X, y, **given)
        rows = slice(20) if n_valid == 20 else slice(None)
        for kind in ("epistemic", "aleatoric"):
            said, taught = (
                model.predict_uncertainty(X[rows], kind=kind) for model in (degu, teacher)
            )
            assert said.mean() == pytest.approx(taught.mean())


class TestFurtherRows:
    def test_are_labelled_by_the_teacher(self, table, trainings):
        X, y = table
        further = X[:7] + 3
        degu = tiny_degu().fit(X, y, X_unlabeled=further)
        ((train, _),) = trainings
        np.testing.assert_array_equal(train.X, np.vstack([X, further]))
        said = degu._heads.decode(train.y)["mean"][40:, 0]
        np.testing.assert_allclose(said, degu.teacher_.predict(further))

    def test_do_not_reach_the_teacher(self, table):
        X, y = table
        degu = tiny_degu().fit(X, y, X_unlabeled=X + 3)
        np.testing.assert_array_equal(
            degu.teacher_.predict(X), tiny_degu().fit(X, y).teacher_.predict(X)
        )

    def test_have_average_weight(self, table, trainings):
        X, y = table
        tiny_degu().fit(X, y, sample_weight=np.arange(1.0, 41), X_unlabeled=X[:2])
        np.testing.assert_allclose(trainings[0][0].weight[40:], 20.5)

    @pytest.mark.parametrize("dtype", [np.float64, np.uint8])
    def test_of_one_hot_are_kept_in_a_byte(self, sequences, trainings, dtype):
        X, y = sequences
        degu = tiny_degu(tiny_ensemble(tiny_conv_net()))
        degu.fit(X, y, X_unlabeled=X[:5].astype(dtype))
        assert trainings[0][0].X.dtype == np.uint8

    def test_of_another_shape_are_refused(self, table, no_training):
        X, y = table
        with pytest.raises(ValueError, match=r"X_unlabeled cannot be used .* 5 features"):
            tiny_degu().fit(X, y, X_unlabeled=X[:, :5])


class TestAugmentation:
    def test_replaces_the_rows_of_the_student(self, table, trainings):
        X, y = table
        degu = tiny_degu(augment=lambda rows, generator: rows + 5).fit(X, y)
        ((train, _),) = trainings
        np.testing.assert_array_equal(train.X, X + 5)
        said = degu._heads.decode(train.y)["mean"][:, 0]
        np.testing.assert_allclose(said, degu.teacher_.predict(X + 5))

    def test_is_by_default_of_one_hot_sequences_alone(self, table, sequences, trainings):
        X, y = sequences
        tiny_degu(tiny_ensemble(tiny_conv_net())).fit(X, y)
        tiny_degu(tiny_ensemble(tiny_conv_net())).fit(0.25 * X, y)
        tiny_degu().fit(*table)
        edited, profiles, numbers = (train.X for train, _ in trainings)
        assert not np.array_equal(edited, X)
        assert (edited.sum(axis=1) == 1).all()
        np.testing.assert_array_equal(profiles, 0.25 * X)
        np.testing.assert_array_equal(numbers, table[0])

    def test_none_is_none(self, sequences, trainings):
        tiny_degu(tiny_ensemble(tiny_conv_net()), augment=None).fit(*sequences)
        np.testing.assert_array_equal(trainings[0][0].X, sequences[0])

    def test_draws_new_rows_every_few_epochs(self, table):
        drawn = []

        def augment(rows, generator):
            drawn.append(generator.random())
            return rows

        tiny_degu(student=tiny_net(max_epochs=9), augment=augment).fit(*table)
        # The first was tried on some rows before the teacher was trained.
        assert len(drawn) == len(set(drawn)) == 1 + 3

    def test_of_another_shape_is_refused(self, table):
        with pytest.raises(ValueError, match="augment must return an array of the shape"):
            tiny_degu(augment=lambda rows, generator: rows[:-1]).fit(*table)


class TestFineTuning:
    def test_is_on_the_rows_as_they_are_labelled_by_the_teacher(self, table, trainings):
        X, y = table
        options = {"augment": lambda rows, generator: rows + 5, "fine_tune_epochs": 2}
        degu = tiny_degu(**options).fit(X, y, X_unlabeled=X[:3] + 1)
        (edited, _), (clean, _) = trainings
        np.testing.assert_array_equal(edited.X[:40], X + 5)
        np.testing.assert_array_equal(clean.X, np.concatenate([X, X[:3] + 1]))
        labels = clean.y[:, 0], degu.teacher_.predict(clean.X)
        assert np.corrcoef(*labels)[0, 1] == pytest.approx(1)
        assert degu.history_["epoch"].tolist() == [1, 2, 3, 4, 5]
        np.testing.assert_allclose(degu.history_["lr"], [0.05] * 3 + [0.005] * 2)

    def test_begins_with_the_weights_of_the_first_stage(self, table):
        options = {"augment": lambda rows, generator: rows + generator.normal(size=rows.shape)}
        first, both = (
            tiny_degu(**options, fine_tune_epochs=n, fine_tune_lr=1e-14).fit(*table) for n in (0, 2)
        )
        np.testing.assert_allclose(first.predict(table[0]), both.predict(table[0]), rtol=1e-5)

    def test_that_was_cut_off_goes_on(self, table, tmp_path):
        model = tiny_degu(augment=lambda rows, generator: rows + 1, fine_tune_epochs=2)
        expected = model.fit(*table).predict(table[0], return_std=True)
        model.set_params(checkpoint_dir=tmp_path / "fit")
        model.fit(*table)
        for path in (tmp_path / "fit").glob("student-fine-tuned.*"):
            path.unlink()
        for again in (clone(model), clone(model)):
            predicted = again.fit(*table).predict(table[0], return_std=True)
            np.testing.assert_array_equal(predicted, expected)


class TestErrorsBeforeTraining:
    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"target": "variance"}, "target must be one of .* got 'variance'"),
            ({"labels": "y"}, "labels must be one of .* got 'y'"),
            ({"augment": 3}, "augment must be 'auto', None or a callable"),
            ({"fine_tune_epochs": -1}, "fine_tune_epochs must be a whole number"),
            ({"fine_tune_lr": 0}, "fine_tune_lr must be None or a positive number"),
            ({"fine_tune_epochs": 1}, "fine_tune_epochs=1 .* but augment edits none"),
            (
                {"fine_tune_epochs": 1, "n_sampled_members": 2, "augment": lambda X, generator: X},
                "Set n_sampled_members=None, or fine_tune_epochs=0",
            ),
            ({"validation": 2}, "validation must be None, a fraction"),
            ({"validation": "teacher"}, "validation must be None, a fraction"),
            ({"student": tiny_net(module__hiden=(3,))}, "did you mean module__hidden"),
            ({"student": tiny_net(module__n_outputs=1)}, "sets module__n_outputs=1"),
            ({"student": stopping_net()}, "there are no validation rows"),
            ({"student": stopping_net(), "validation": None}, "there are no validation rows"),
        ],
    )
    def test_of_the_student_come_before_the_teacher_is_trained(
        self, table, no_training, params, message
    ):
        with pytest.raises(ValueError, match=message):
            tiny_degu(**params).fit(*table)

    def test_early_stopping_may_use_the_teachers_validation(self, table):
        degu = tiny_degu(tiny_ensemble(validation=0.2), stopping_net()).fit(*table)
        assert np.isfinite(degu.history_["valid_loss"]).all()

    def test_early_stopping_of_a_frozen_teachers_student_needs_its_rows(self, table):
        X, y = table
        teacher = FrozenEstimator(tiny_ensemble().fit(X, y))
        with pytest.raises(ValueError, match="there are no validation rows"):
            tiny_degu(teacher, stopping_net()).fit(X, y)

    def test_a_student_that_is_no_net_is_refused(self, table, no_training):
        with pytest.raises(TypeError, match="must be a skorch NeuralNet"):
            tiny_degu(student="net").fit(*table)

    @pytest.mark.parametrize("part", ["teacher", "student"])
    def test_parameters_of_a_default_cannot_be_set(self, part):
        with pytest.raises(ValueError, match=f"Cannot set {part}__lr: {part}=None stands for"):
            DistilledRegressor().set_params(**{f"{part}__lr": 3})

    def test_parameters_are_set_with_the_part_they_belong_to(self):
        degu = DistilledRegressor().set_params(student=tiny_net(), student__lr=0.5)
        assert degu.student.lr == 0.5


class TestMemory:
    def test_trains_an_equal_teacher_once(self, table, tmp_path, monkeypatch):
        X, y = table
        first = tiny_degu(memory=str(tmp_path)).fit(X, y)
        monkeypatch.setattr(EnsembleRegressor, "_train", lambda *args: pytest.fail("trained again"))
        again = tiny_degu(student=tiny_net(), memory=str(tmp_path)).fit(X, y)
        np.testing.assert_array_equal(first.teacher_.predict(X), again.teacher_.predict(X))

    def test_trains_another_teacher_for_other_data(self, table, tmp_path):
        X, y = table
        one, other = (tiny_degu(memory=str(tmp_path)).fit(X, f * y).teacher_ for f in (1, 2))
        assert not np.allclose(one.predict(X), other.predict(X))

    def test_changes_nothing(self, table, tmp_path):
        X, y = table
        plain = tiny_degu().fit(X, y).predict(X)
        for _ in range(2):
            cached = tiny_degu(memory=str(tmp_path)).fit(X, y)
            np.testing.assert_array_equal(cached.predict(X), plain)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
def test_copies_know_every_kind(table, copied):
    degu = tiny_degu(noisy_teacher("heteroscedastic"), head_weights={"mean": 2.0}).fit(*table)
    components = copied(degu).predict_components(table[0])
    for kind, values in degu.predict_components(table[0]).items():
        np.testing.assert_array_equal(components[kind], values)


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
def test_copies_equal_the_original(sequences, copied, fitted):
    X, y = sequences
    degu = tiny_degu(tiny_ensemble(tiny_conv_net(), validation=0.2))
    expected = clone(degu).fit(X, y).predict(X)
    if fitted:
        degu.fit(X, y)
    twin = copied(degu)
    predicted = twin.predict(X) if fitted else twin.fit(X, y).predict(X)
    np.testing.assert_array_equal(predicted, expected)
    assert (degu.fit(X, y).input_shape_) == (4, LENGTH)


@pytest.mark.parametrize("params", [{"keep_originals": True}, {"fine_tune_lr": 0.1}])
def test_parameters_without_effect_are_warned_of(table, params):
    [name] = params
    with pytest.warns(UserWarning, match=f"{name}=.* has no effect") as caught:
        degu = tiny_degu(**params).fit(*table)
    assert caught[0].filename == __file__
    np.testing.assert_array_equal(degu.predict(table[0]), tiny_degu().fit(*table).predict(table[0]))


@pytest.mark.parametrize(
    ("augment", "own", "expected"),
    [("auto", False, 0.0), (None, False, 0.3), ("auto", True, 0.3)],
)
def test_a_student_of_edited_copies_has_no_dropout_unless_its_net_is_given(
    sequences, augment, own, expected
):
    X, y = sequences
    net = tiny_net(DeepSTARR, module__width=0.05, module__dropout=0.3, max_epochs=1)
    degu = tiny_degu(tiny_ensemble(net), net if own else None, augment=augment)
    degu.fit(np.concatenate([X, X], axis=2), y)
    assert degu.student_.get_params()["module__dropout"] == expected
    assert degu.teacher_.estimators_[0].get_params()["module__dropout"] == 0.3


def test_dropout_of_a_users_module_is_left_as_it_is(sequences):
    net = tiny_conv_net(module__dropout=0.3)
    degu = tiny_degu(tiny_ensemble(net)).fit(*sequences)
    assert degu.student_.get_params()["module__dropout"] == 0.3


def test_a_net_that_averages_its_weights_already_is_not_averaged_twice(table, trainings):
    net = tiny_net(callbacks=[WeightAverage()])
    degu = DistilledRegressor(tiny_ensemble(net), random_state=0).fit(*table)
    assert len(degu.student_.callbacks) == 1


def test_measured_labels_need_validation_rows(table):
    with pytest.raises(ValueError, match=r"labels='measured' .* no validation rows"):
        tiny_degu(labels="measured").fit(*table)


class OtherLoader(DataLoader):
    """A loader that is not replaced by batches from memory."""


def test_a_students_own_loader_is_refused_where_rows_are_edited(sequences):
    net = tiny_conv_net(iterator_train=OtherLoader)
    degu = DistilledRegressor(tiny_ensemble(tiny_conv_net()), student=net, random_state=0)
    with pytest.raises(ValueError, match="iterator_train of its own"):
        degu.fit(*sequences)
    degu.set_params(augment=None).fit(*sequences)


def test_a_student_that_cannot_be_made_is_found_out_before_the_teacher_trains(table, no_training):
    with pytest.raises(ValueError, match="learning rate"):
        DistilledRegressor(tiny_ensemble(), student=tiny_net(lr=-1.0)).fit(*table)


def test_replicates_that_a_frozen_teacher_has_not_learned_from_are_refused(table):
    X, y = table
    teacher = FrozenEstimator(tiny_ensemble().fit(X, y))
    with pytest.raises(ValueError, match="learned no noise from replicates"):
        DistilledRegressor(teacher).fit(X, y, replicates=np.c_[y - 1, y + 1])


def test_members_are_counted_as_they_were_fitted(table):
    teacher = tiny_ensemble(n_estimators=3).fit(*table).set_params(n_estimators=8)
    with pytest.raises(ValueError, match="n_sampled_members=6 members cannot be drawn"):
        tiny_degu(FrozenEstimator(teacher), n_sampled_members=6).fit(*table)


def test_edits_are_tried_before_the_teacher_trains(sequences, no_training):
    with pytest.raises(ValueError, match="array of the shape that it is given"):
        tiny_degu(tiny_ensemble(tiny_conv_net()), augment=lambda X, _: X[:, :2]).fit(*sequences)
    trainable = torch.nn.Linear(2, 2)
    with pytest.raises(ValueError, match="parameters that require a gradient"):
        tiny_degu(tiny_ensemble(tiny_conv_net()), augment=trainable).fit(*sequences)


def test_a_module_that_adds_noise_edits_sequences_of_whole_numbers(sequences, trainings):
    edits = Augment([Noise(0.1)], max_per_sequence=1)
    tiny_degu(tiny_ensemble(tiny_conv_net()), augment=edits).fit(*sequences)
    ((train, _),) = trainings
    assert train.X.dtype == np.float32


class TestWarmStart:
    def test_begins_where_the_first_member_is(self, table):
        X, y = table
        Y = np.c_[y, -y]
        teacher = tiny_ensemble(tiny_net(max_epochs=20)).fit(X, Y)
        degu = DistilledRegressor(
            FrozenEstimator(teacher),
            tiny_net(max_epochs=1, lr=1e-12),
            warm_start_from_teacher=True,
            random_state=0,
        )
        first = teacher.predict_members(X)[0]
        np.testing.assert_allclose(degu.fit(X, Y).predict(X), first, atol=1e-5)

    def test_begins_where_a_net_is_that_predicts_y_in_its_own_units(self, table):
        X, y = table
        sizes = {"module__n_features": X.shape[1], "module__n_outputs": 1}
        nets = [tiny_net(lr=1e-3, **sizes) for _ in range(2)]
        for net in nets:
            net.fit(X.astype(np.float32), (100 + y[:, np.newaxis]).astype(np.float32))
        teacher = EnsembleRegressor.from_fitted(nets, input_shape=X.shape[1:])
        degu = DistilledRegressor(
            FrozenEstimator(teacher),
            tiny_net(max_epochs=1, lr=1e-12),
            warm_start_from_teacher=True,
            random_state=0,
        ).fit(X, 100 + y)
        np.testing.assert_allclose(degu.predict(X), teacher.predict_members(X)[0], atol=1e-3)

    def test_leaves_the_other_heads_as_the_seed_makes_them(self, table):
        teacher = FrozenEstimator(tiny_ensemble().fit(*table))
        net = tiny_net(max_epochs=1, lr=1e-12)
        cold, warm = (
            DistilledRegressor(teacher, net, warm_start_from_teacher=warm, random_state=0).fit(
                *table
            )
            for warm in (False, True)
        )
        last_cold, last_warm = (degu.student_.module_.layers[-1].weight for degu in (cold, warm))
        torch.testing.assert_close(last_cold[1], last_warm[1])
        assert not torch.allclose(last_cold[0], last_warm[0])

    @pytest.mark.parametrize("hidden", [(5,), (8, 8), (16,)])
    def test_needs_the_teachers_architecture(self, table, hidden, no_training):
        student = tiny_net(module__hidden=hidden)
        with pytest.raises(ValueError, match="needs a student of the teacher's architecture"):
            tiny_degu(student=student, warm_start_from_teacher=True).fit(*table)

    def test_of_another_architecture_with_batch_norm_is_refused(self, sequences, no_training):
        X, y = np.tile(sequences[0], 3), sequences[1]
        teacher = tiny_ensemble(deepstarr_net(max_epochs=1, callbacks=None, module__width=0.1))
        student = residualbind_net(max_epochs=1, callbacks=None)
        with pytest.raises(ValueError, match="needs a student of the teacher's architecture"):
            tiny_degu(teacher, student, warm_start_from_teacher=True).fit(X, y)

    def test_begins_with_batch_norm_where_the_member_is(self):
        X = np.eye(4)[np.random.default_rng(0).integers(4, size=(40, 32))].transpose(0, 2, 1)
        y = X[:, 0].sum(axis=1)
        sizes = {"module__width": 0.05, "batch_size": 20, "callbacks": None}
        teacher = tiny_ensemble(deepstarr_net(max_epochs=2, **sizes)).fit(X, y)
        degu = DistilledRegressor(
            FrozenEstimator(teacher),
            deepstarr_net(max_epochs=1, lr=1e-12, **sizes),
            augment=None,
            warm_start_from_teacher=True,
            random_state=0,
        ).fit(X, y)
        member, student = (
            net.module_.state_dict() for net in (teacher.estimators_[0], degu.student_)
        )
        first = next(name for name in member if name.endswith("weight"))
        torch.testing.assert_close(student[first], member[first])

    def test_takes_the_mean_of_a_member_that_learned_noise(self, curve):
        X, y, _, teacher = curve
        degu = DistilledRegressor(
            FrozenEstimator(teacher),
            tiny_net(max_epochs=1, lr=1e-12),
            warm_start_from_teacher=True,
            random_state=0,
        )
        mean = degu.fit(X, y).predict(X)
        assert np.corrcoef(mean, teacher.predict_members(X)[0])[0, 1] > 0.999

    def test_is_true_or_false(self, table, no_training):
        with pytest.raises(ValueError, match="warm_start_from_teacher must be True or False"):
            tiny_degu(warm_start_from_teacher="member 1").fit(*table)
