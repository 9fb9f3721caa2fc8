"""What a distilled net promises."""

import copy
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GroupKFold, KFold
from skorch.callbacks import EarlyStopping
from torch.utils.data import DataLoader

import sklearn_degu.distillation
from sklearn_degu import DistilledRegressor, EnsembleRegressor
from sklearn_degu.nets import WeightAverage
from tests.toys import LENGTH, tiny_conv_net, tiny_ensemble, tiny_net, weights


def tiny_degu(teacher=None, student=None, **params):
    teacher = tiny_ensemble(n_estimators=3) if teacher is None else teacher
    return DistilledRegressor(teacher, student, **{"random_state": 0, **params})


def stopping_net(**params):
    return tiny_net(callbacks=[("stop", EarlyStopping(patience=3))], **params)


@pytest.fixture
def trainings(monkeypatch):
    """Return a list that gathers (train, valid) of every student's training."""
    seen, train_net = [], sklearn_degu.distillation.train_net

    def spy(net, train, valid, **options):
        seen.append((train, valid))
        return train_net(net, train, valid, **options)

    monkeypatch.setattr(sklearn_degu.distillation, "train_net", spy)
    return seen


@pytest.fixture
def no_training(monkeypatch):
    """Fail the test if a teacher is trained."""
    monkeypatch.setattr(
        EnsembleRegressor, "_train", lambda *args: pytest.fail("a teacher was trained")
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
        assert len(drawn) == len(set(drawn)) == 3

    def test_of_another_shape_is_refused(self, table):
        with pytest.raises(ValueError, match="augment must return an array of the shape"):
            tiny_degu(augment=lambda rows, generator: rows[:-1]).fit(*table)


class TestErrorsBeforeTraining:
    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"target": "variance"}, "target must be one of .* got 'variance'"),
            ({"labels": "y"}, "labels must be one of .* got 'y'"),
            ({"augment": 3}, "augment must be 'auto', None or a callable"),
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
