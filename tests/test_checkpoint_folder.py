"""A fit with a folder of its own, and who may go on with it."""

import errno
import json
import os
import signal

import numpy as np
import pytest
from filelock import FileLock
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import KFold, ShuffleSplit
from skorch.callbacks import Callback

from sklearn_degu import DistilledRegressor, EnsembleRegressor
from sklearn_degu._teaching import EnsembleTeaching
from sklearn_degu.augmentation import Augment, Mutation, Noise
from sklearn_degu.baselines import EvidentialRegressor, MCDropoutRegressor
from tests.nets.test_augmented import Jitter
from tests.toys import tiny_conv_net, tiny_ensemble, tiny_net


class Count(Callback):
    """Count the epochs of all nets."""

    epochs = 0

    def on_epoch_end(self, net, **kwargs):
        Count.epochs += 1


class CtrlC(Callback):
    """Press Ctrl-C in the third epoch."""

    def on_batch_begin(self, net, **kwargs):
        if len(net.history) == 3:
            os.kill(os.getpid(), signal.SIGINT)


def counting_net(**params):
    return tiny_net(callbacks=[Count()], **params)


def ensemble(folder=None, net=None, **params):
    return tiny_ensemble(net or counting_net(), checkpoint_dir=folder, strategy="loop", **params)


ESTIMATORS = {
    "loop": ensemble(),
    "threads": ensemble().set_params(strategy="threads", n_jobs=2),
    "joint": ensemble().set_params(strategy="joint"),
    "heteroscedastic": ensemble(aleatoric="heteroscedastic"),
    "validated": ensemble(validation=0.25),
    "in two stages": ensemble(augment=Jitter(), fine_tune_epochs=2),
    "distilled": DistilledRegressor(ensemble().set_params(random_state=None), random_state=0),
    "augmented": DistilledRegressor(
        ensemble(), random_state=0, augment=lambda X, generator: X + generator.normal(size=X.shape)
    ),
    "dropout": MCDropoutRegressor(counting_net(module__dropout=0.1), random_state=0),
    "evidential": EvidentialRegressor(counting_net(), random_state=0),
    "any seed": ensemble(random_state=None),
}


@pytest.fixture(autouse=True)
def counted():
    Count.epochs = 0


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 4)).astype(np.float32)
    return X, X[:, 0] + 0.1 * rng.normal(size=40)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "fit"


@pytest.mark.filterwarnings("ignore:Too few validation rows")
@pytest.mark.parametrize("estimator", ESTIMATORS.values(), ids=ESTIMATORS)
def test_the_same_fit_again_trains_nothing(estimator, table, folder):
    estimator = clone(estimator).set_params(checkpoint_dir=folder)
    first = estimator.fit(*table).predict(table[0], return_std=True)
    trained, Count.epochs = Count.epochs, 0
    again = clone(estimator).fit(*table).predict(table[0], return_std=True)
    assert trained > 0
    assert Count.epochs == 0
    np.testing.assert_array_equal(again, first)


@pytest.mark.parametrize(
    "name", ["loop", "joint", "in two stages", "distilled", "augmented", "dropout"]
)
def test_a_folder_changes_nothing(name, table, folder):
    plain = clone(ESTIMATORS[name]).fit(*table)
    kept = clone(ESTIMATORS[name]).set_params(checkpoint_dir=folder).fit(*table)
    np.testing.assert_array_equal(
        kept.predict(table[0], return_std=True), plain.predict(table[0], return_std=True)
    )


def test_a_member_that_is_missing_is_trained_alone(table, folder):
    whole = ensemble(folder, n_estimators=3).fit(*table).predict_members(table[0])
    for path in folder.glob("member-1.*"):
        path.unlink()
    Count.epochs = 0
    again = ensemble(folder, n_estimators=3).fit(*table).predict_members(table[0])
    assert Count.epochs == 3
    np.testing.assert_array_equal(again, whole)


def test_labels_of_a_teacher_are_kept(table, folder, monkeypatch):
    model = clone(ESTIMATORS["augmented"]).set_params(checkpoint_dir=folder)
    model.fit(*table)
    (folder / "student.a").unlink(missing_ok=True)
    (folder / "student.b").unlink(missing_ok=True)
    monkeypatch.setattr(EnsembleTeaching, "_label", lambda *args: pytest.fail("labelled"))
    clone(model).fit(*table)


def test_what_does_not_change_the_result_may_change(table, folder, capsys):
    first = ensemble(folder).set_params(strategy="threads").fit(*table).predict(table[0])
    other = ensemble(folder).set_params(strategy="threads", n_jobs=2, verbose=1)
    np.testing.assert_array_equal(other.fit(*table).predict(table[0]), first)


def scaled(factor):
    """Return an augmentation that remembers a number."""
    return lambda X, generator: X + factor * generator.normal(size=X.shape)


class Edits:
    """An augmentation with a state."""

    def __init__(self, factor):
        self.factor = factor

    def edit(self, X, generator):
        return X + self.factor * generator.normal(size=X.shape)


class TestGoingOn:
    def test_is_not_told_from_an_undisturbed_fit_by_its_deviations(self, table, folder):
        """The deviations are scaled on the last copy of the rows, which no epoch draws again."""
        net = tiny_net(max_epochs=9)
        model = DistilledRegressor(tiny_ensemble(net), augment=scaled(0.5), random_state=0)
        undisturbed = clone(model).fit(*table).predict(table[0], return_std=True)
        model.set_params(checkpoint_dir=folder).fit(*table)
        again = clone(model).fit(*table).predict(table[0], return_std=True)
        np.testing.assert_array_equal(again, undisturbed)

    def test_keeps_the_rows_that_were_held_out(self, table, folder):
        model = ensemble(folder, validation=ShuffleSplit(1, test_size=0.3))
        held_out = [clone(model).fit(*table).validation_indices_ for _ in range(2)]
        np.testing.assert_array_equal(*held_out)

    def test_without_knowing_which_rows_were_held_out_is_refused(self, table, folder):
        ensemble(folder, validation=0.3).fit(*table)
        (folder / "validation.kept").unlink()
        with pytest.raises(ValueError, match=r"validation\.kept is missing or damaged.*Remove"):
            ensemble(folder, validation=0.3).fit(*table)

    def test_with_a_generator_that_has_moved_on(self, table, folder):
        model = ensemble(folder, random_state=np.random.RandomState(0))
        first = model.fit(*table).predict(table[0])
        np.testing.assert_array_equal(model.fit(*table).predict(table[0]), first)

    def test_leaves_files_of_another_fit_aside(self, table, folder, tmp_path):
        """Another fit's process may still be writing where its folder has been removed."""
        expected = ensemble(folder).fit(*table).predict(table[0])
        ensemble(tmp_path / "other", random_state=1).fit(*table)
        for path in folder.glob("member*"):
            path.unlink()
        for path in (tmp_path / "other").glob("member*"):
            path.rename(folder / path.name)
        Count.epochs = 0
        np.testing.assert_array_equal(ensemble(folder).fit(*table).predict(table[0]), expected)
        assert Count.epochs == 6

    def test_trains_a_cached_teacher_once_for_all_folders(self, table, tmp_path):
        model = clone(ESTIMATORS["distilled"]).set_params(memory=str(tmp_path / "cache"))
        for name in ("one", "two"):
            Count.epochs = 0
            fitted = clone(model).set_params(checkpoint_dir=tmp_path / name).fit(*table)
            assert fitted.teacher_.checkpoint_dir is None
        assert Count.epochs == 3


class TestOfAnotherFit:
    @pytest.mark.parametrize("make", [scaled, lambda factor: Edits(factor).edit, Edits])
    def test_with_another_function_is_refused(self, make, table, folder):
        if make is Edits:
            Edits.__call__ = Edits.edit
        model = DistilledRegressor(ensemble(), checkpoint_dir=folder, random_state=0)
        model.set_params(augment=make(0.1)).fit(*table)
        clone(model).set_params(augment=make(0.1)).fit(*table)
        with pytest.raises(ValueError, match=r"belongs to another fit: estimator\.augment"):
            model.set_params(augment=make(0.2)).fit(*table)

    def test_with_a_function_of_the_same_name_is_refused(self, table, folder):
        functions = [lambda X, generator: X + 1, lambda X, generator: X + 2]
        model = DistilledRegressor(ensemble(), checkpoint_dir=folder, random_state=0)
        model.set_params(augment=functions[0]).fit(*table)
        with pytest.raises(ValueError, match=r"belongs to another fit: estimator\.augment"):
            model.set_params(augment=functions[1]).fit(*table)

    @pytest.mark.parametrize("augment", [None, Jitter(0.2), Augment([Noise(0.1)], 1)])
    def test_with_another_module_is_refused(self, augment, table, folder):
        model = clone(ESTIMATORS["in two stages"]).set_params(checkpoint_dir=folder)
        clone(model.fit(*table)).fit(*table)
        with pytest.raises(ValueError, match=r"belongs to another fit: estimator\.augment"):
            model.set_params(augment=augment, fine_tune_epochs=0).fit(*table)

    def test_with_other_parameters_of_edits_is_refused(self, sequences, folder):
        model = tiny_ensemble(tiny_conv_net(), checkpoint_dir=folder)
        model.set_params(augment=Augment([Mutation(0.1)], 1)).fit(*sequences)
        model.set_params(augment=Augment([Mutation(0.1)], 1)).fit(*sequences)
        with pytest.raises(ValueError, match=r"belongs to another fit: estimator\.augment"):
            model.set_params(augment=Augment([Mutation(0.2)], 1)).fit(*sequences)

    def test_by_a_frozen_teacher_in_other_units_is_refused(self, table, folder):
        X, y = table
        students = [
            DistilledRegressor(
                FrozenEstimator(ensemble().fit(X, factor * y)), random_state=0
            ).set_params(checkpoint_dir=folder)
            for factor in (1, 2)
        ]
        students[0].fit(X, y)
        with pytest.raises(ValueError, match="the data teacher was"):
            students[1].fit(X, y)

    @pytest.mark.parametrize(
        ("changed", "what"),
        [
            ({"net__lr": 0.5}, r"estimator\.net\.lr was 0\.05, and is 0\.5"),
            ({"n_estimators": 3}, r"n_estimators was 2, and is 3"),
            ({"random_state": 1}, "random_state was 0"),
            ({"random_state": np.random.RandomState(0)}, r"random_state was 0.*RandomState"),
            ({"validation": KFold(3)}, r"validation was None.*KFold"),
            ({"net__callbacks": None}, r"callbacks\[0\].* was .*Count, and is not there"),
        ],
    )
    def test_with_other_parameters_is_refused(self, changed, what, table, folder):
        ensemble(folder).fit(*table)
        with pytest.raises(ValueError, match=f"belongs to another fit: .*{what}"):
            ensemble(folder).set_params(**changed).fit(*table)

    @pytest.mark.parametrize(
        ("changed", "what"),
        [
            (lambda X, y: {"X": X + 1, "y": y}, "the data X was"),
            (lambda X, y: {"X": X.astype(float), "y": y}, r"float32 .* and is float64"),
            (lambda X, y: {"X": X, "y": y + 1}, "the data y was"),
            (lambda X, y: {"X": X, "y": y, "sample_weight": y**2}, "the data weight was None"),
            (lambda X, y: {"X": X, "y": y, "X_val": X, "y_val": y}, "the data X_val was None"),
        ],
    )
    def test_with_other_data_is_refused(self, changed, what, table, folder):
        ensemble(folder).fit(*table)
        with pytest.raises(ValueError, match=what):
            ensemble(folder).fit(**changed(*table))

    def test_with_other_versions_is_refused(self, table, folder):
        ensemble(folder).fit(*table)
        path = folder / "fit.json"
        described = json.loads(path.read_text())
        described["fingerprint"]["the version of torch"] = "1.0"
        path.write_text(json.dumps(described))
        with pytest.raises(ValueError, match=r"the version of torch was 1\.0"):
            ensemble(folder).fit(*table)

    def test_by_another_frozen_teacher_is_refused(self, table, folder):
        first, second = (ensemble(random_state=seed).fit(*table) for seed in (0, 1))
        student = DistilledRegressor(FrozenEstimator(first), checkpoint_dir=folder, random_state=0)
        student.fit(*table)
        first.estimators_ = second.estimators_
        with pytest.raises(ValueError, match="the data teacher was"):
            student.fit(*table)

    def test_at_the_same_time_is_refused(self, table, folder):
        ensemble(folder).fit(*table)
        with FileLock(folder / "lock"), pytest.raises(RuntimeError, match="Another fit is at work"):
            ensemble(folder).fit(*table)


class TestFolder:
    def test_with_other_files_is_refused(self, table, tmp_path):
        (tmp_path / "thesis.tex").touch()
        with pytest.raises(ValueError, match=r"not of a fit, such as 'thesis\.tex'"):
            ensemble(tmp_path).fit(*table)

    def test_that_cannot_be_made_is_refused(self, table, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(ValueError, match="cannot be a folder to write to"):
            ensemble(tmp_path / "file" / "fit").fit(*table)
        with pytest.raises(ValueError, match="checkpoint_dir must be the path of a folder or None"):
            ensemble(3).fit(*table)

    @pytest.mark.parametrize("damage", [b"{", b"", b"[1, 2]", b"{}", b'"fit"'])
    def test_with_a_damaged_description_says_so(self, damage, table, folder):
        ensemble(folder).fit(*table)
        (folder / "fit.json").write_bytes(damage)
        with pytest.raises(ValueError, match=r"is damaged.*Remove the folder"):
            ensemble(folder).fit(*table)

    def test_with_damaged_labels_computes_them_anew(self, table, folder):
        model = clone(ESTIMATORS["distilled"]).set_params(checkpoint_dir=folder)
        first = model.fit(*table).predict(table[0])
        (folder / "labels-0.kept").write_bytes(b"")
        with pytest.warns(UserWarning, match=r"labels-0.* is damaged and not used"):
            again = model.fit(*table).predict(table[0])
        np.testing.assert_array_equal(again, first)

    def test_on_a_full_disk_hinders_nothing(self, table, folder, monkeypatch):
        def full(descriptor):
            raise OSError("No space left on device")

        ensemble(folder).fit(*table)
        for path in (*folder.glob("member*"), *folder.glob("*.kept")):
            path.unlink()
        monkeypatch.setattr("os.fsync", full)
        with pytest.warns(UserWarning, match="No space left on device"):
            ensemble(folder).fit(*table)

    def test_on_a_disk_that_is_full_from_the_start_hinders_nothing(
        self, table, folder, monkeypatch
    ):
        def full(**options):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("tempfile.TemporaryFile", full)
        with pytest.warns(UserWarning, match="No space left on device.*keeps nothing"):
            ensemble(folder).fit(*table)
        assert not list(folder.iterdir())

    def test_that_cannot_be_written_to_is_refused(self, table, folder, monkeypatch):
        def forbidden(**options):
            raise OSError(errno.EACCES, "Permission denied")

        monkeypatch.setattr("tempfile.TemporaryFile", forbidden)
        with pytest.raises(ValueError, match=r"cannot be a folder to write to: .*Permission"):
            ensemble(folder).fit(*table)

    def test_is_cleaned_of_what_was_half_written(self, table, folder):
        ensemble(folder).fit(*table)
        (folder / "member-0.a123.tmp").touch()
        ensemble(folder).fit(*table)
        assert not list(folder.glob("*.tmp"))

    def test_of_a_teacher_with_one_of_its_own_is_that(self, table, folder, tmp_path):
        teacher = ensemble(tmp_path / "teacher")
        DistilledRegressor(teacher, checkpoint_dir=folder, random_state=0).fit(*table)
        assert (tmp_path / "teacher" / "fit.json").exists()
        assert not (folder / "teacher").exists()

    def test_goes_with_a_cached_teacher(self, table, folder, tmp_path):
        model = clone(ESTIMATORS["distilled"])
        first = model.set_params(checkpoint_dir=folder, memory=str(tmp_path / "m")).fit(*table)
        np.testing.assert_array_equal(
            clone(model).fit(*table).predict(table[0]), first.predict(table[0])
        )


@pytest.mark.filterwarnings("ignore:The checkpoint")
def test_an_interrupted_fit_counts_what_was_written_once(table, folder, monkeypatch, heeds_ctrl_c):
    monkeypatch.setattr("sklearn_degu.nets.checkpoints.PAUSE", 1e9)
    monkeypatch.setattr(
        "sklearn_degu.nets.progress.EpochReporter.on_batch_begin", CtrlC.on_batch_begin
    )
    with pytest.raises(KeyboardInterrupt) as interruption:
        ensemble(folder, tiny_net(max_epochs=5)).fit(*table)
    assert "keeps 0 trained nets, and 1 begun (epochs: 1)." in interruption.value.__notes__[0]


def test_an_interrupted_fit_says_how_far_it_came(table, folder, monkeypatch, heeds_ctrl_c):
    monkeypatch.setattr("sklearn_degu.nets.checkpoints.PAUSE", 0)
    net = tiny_net(max_epochs=5)
    ensemble(folder, net, n_estimators=2).fit(*table)
    for path in folder.glob("member-1.*"):
        path.unlink()
    interrupted = EnsembleRegressor(**ensemble(folder, net).get_params(deep=False))
    monkeypatch.setattr(
        "sklearn_degu.nets.progress.EpochReporter.on_batch_begin", CtrlC.on_batch_begin
    )
    with pytest.raises(KeyboardInterrupt) as interruption:
        interrupted.fit(*table)
    [note] = interruption.value.__notes__
    assert "keeps 1 trained nets, and 1 begun (epochs: 2)." in note
