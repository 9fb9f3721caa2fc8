"""Rows that stay in their HDF5 file."""

import pickle

import h5py
import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import cross_validate, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_degu import ConformalRegressor, DistilledRegressor
from sklearn_degu._overlap import hashes_as_read
from sklearn_degu._rows import row_hashes
from sklearn_degu._stored_rows import StoredRows
from sklearn_degu.augmentation import Augment, Mutation
from sklearn_degu.datasets import HDF5Array
from sklearn_degu.modules._layers import Standardize
from sklearn_degu.recalibration import RecalibratedRegressor
from tests.toys import plain_skorch_net, tiny_conv_net, tiny_ensemble, tiny_net, weights

N = 300


@pytest.fixture
def stored(tmp_path):
    """Return a function that writes an array to a file and opens it out of core."""

    def store(array, channels_last=False, chunks=None, buffer_size=2**26, **options):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.h5"
        with h5py.File(path, "w") as file:
            data = array.transpose(0, 2, 1) if channels_last else array
            file.create_dataset("group/X", data=data, chunks=chunks, **options)
        return HDF5Array(path, "group/X", channels_last=channels_last, buffer_size=buffer_size)

    return store


@pytest.fixture
def dna():
    """Return one-hot X (N, 4, 12) and its y of two targets."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, size=(N, 1, 12))
    X = (codes == np.arange(4)[:, np.newaxis]).astype(np.uint8)
    return X, np.c_[X[:, 0].sum(axis=1), X[:, 1].sum(axis=1)].astype(float)


@pytest.fixture
def small_buffer(stored, dna, monkeypatch):
    """Return rows whose training goes through several buffers, and their y."""
    monkeypatch.setattr("sklearn_degu.datasets.hdf5_array._CHEAP_READ", 1)
    return stored(dna[0], chunks=(8, 4, 12), buffer_size=64 * 48), dna[1]


INDICES = [
    slice(3, 40),
    slice(None, None, -7),
    np.array([5, 2, 2, 299, -1]),
    [4, 1],
    [],
    np.arange(N) % 3 == 0,
    (np.array([9, 3]), ...),
]


@pytest.mark.parametrize("index", INDICES, ids=range(len(INDICES)))
@pytest.mark.parametrize("chunks", [None, (7, 2, 4)])
@pytest.mark.parametrize("channels_last", [False, True])
def test_rows_are_those_of_an_array(stored, dna, index, chunks, channels_last):
    X = stored(dna[0], channels_last, chunks)
    taken = X[index]
    assert isinstance(taken, StoredRows)
    np.testing.assert_array_equal(taken, dna[0][index])
    assert (taken.shape, taken.dtype, len(taken)) == (dna[0][index].shape, np.uint8, len(taken))
    np.testing.assert_array_equal(
        taken[: len(taken) // 2][::-1], dna[0][index][: len(taken) // 2][::-1]
    )


def test_one_row_is_an_array(stored, dna):
    X = stored(dna[0])
    assert isinstance(X[3], np.ndarray)
    np.testing.assert_array_equal(X[-1], dna[0][-1])
    np.testing.assert_array_equal(list(X[5:8]), dna[0][5:8])


@pytest.mark.parametrize("index", [(slice(None), 0), None, ..., np.zeros((2, 2), int)])
def test_other_axes_cannot_be_indexed(stored, dna, index):
    with pytest.raises(IndexError, match="ows"):
        stored(dna[0])[index]


def test_rows_outside_are_an_error(stored, dna):
    X = stored(dna[0])
    for rows, index in ((X, [0, N]), (X, N), (X[:5], 5), (X[:5], [-6])):
        with pytest.raises(IndexError):
            rows[index]


def test_taking_rows_reads_nothing(stored, dna, monkeypatch):
    X = stored(dna[0])
    monkeypatch.setattr(HDF5Array, "_read_stored", lambda *args: pytest.fail("was read"))
    train, test = train_test_split(X, random_state=0)
    assert len(train) + len(test) == N
    train[5:].astype(float).reshape(-1, 48)


def test_scattered_rows_are_read_in_few_and_small_reads(stored, monkeypatch):
    monkeypatch.setattr("sklearn_degu.datasets.hdf5_array._CHEAP_READ", 1)
    monkeypatch.setattr("sklearn_degu._stored_rows.PART_BYTES", 100 * 8)
    table = np.arange(1000.0).reshape(-1, 1)
    X = stored(table, chunks=(10, 1))
    reads = []
    read = HDF5Array._read_stored
    monkeypatch.setattr(
        HDF5Array, "_read_stored", lambda self, *span: (reads.append(span), read(self, *span))[1]
    )
    rows = np.array([999, 3, 8, 450, 12, 451])
    np.testing.assert_array_equal(X[rows], table[rows])
    assert reads == [(3, 13), (450, 452), (999, 1000)]
    reads.clear()
    np.asarray(X)
    assert len(reads) == 10
    assert max(stop - start for start, stop in reads) == 100


def test_reshape_and_astype_are_lazy_and_keep_rows(stored, dna):
    X = stored(dna[0])[10:20]
    flat = X.reshape(-1, 48).astype(np.float32)
    assert isinstance(flat, StoredRows)
    np.testing.assert_array_equal(flat, dna[0][10:20].reshape(10, 48).astype(np.float32))
    assert np.asarray(flat).dtype == np.float32
    assert np.asarray(X, dtype=float).dtype == np.float64
    with pytest.raises(ValueError, match="keep its 48 values"):
        X.reshape(-1, 47)
    with pytest.raises(ValueError, match="without a copy"):
        np.array(X, copy=False) if np.__version__ >= "2" else X.__array__(copy=False)


@pytest.mark.parametrize(
    "copy", [lambda X: pickle.loads(pickle.dumps(X)), lambda X: clone(X, safe=False)]
)
def test_copies_read_the_same_rows_and_hold_none(stored, dna, copy):
    X = stored(dna[0])[::-1][5:]
    np.asarray(X)
    np.testing.assert_array_equal(copy(X), dna[0][::-1][5:])
    assert len(pickle.dumps(X[:1])) < 1000


def test_processes_open_the_file_for_themselves(stored, dna):
    X = stored(dna[0])
    np.asarray(X)
    sums = joblib.Parallel(2)(joblib.delayed(np.sum)(X[i : i + 100]) for i in (0, 100, 200))
    assert sums == [1200, 1200, 1200]


def test_a_forked_process_opens_the_file_anew(stored, dna, monkeypatch):
    X = stored(dna[0])
    before = X._source.dataset()
    assert X._source.dataset() is before
    monkeypatch.setattr("sklearn_degu.datasets.hdf5_array.os.getpid", lambda: -1)
    assert X._source.dataset() is not before
    np.testing.assert_array_equal(X, dna[0])


def test_hashes_tell_rows_and_files_apart(stored, dna):
    X, other = stored(dna[0]), stored(dna[0][::-1])
    assert joblib.hash(X[:5]) == joblib.hash(pickle.loads(pickle.dumps(X))[:5])
    assert len({joblib.hash(rows) for rows in (X, X[:5], X[1:6], other)}) == 4


def test_row_hashes_are_those_in_memory(stored, dna):
    rows = np.random.default_rng(0).permutation(N)[:200]
    np.testing.assert_array_equal(row_hashes(stored(dna[0])[rows]), row_hashes(dna[0][rows]))


def test_rows_are_known_again_after_a_recalibration(small_buffer):
    X, y = small_buffer
    model = RecalibratedRegressor(tiny_ensemble(tiny_conv_net(), validation=None), random_state=0)
    model.fit(X, y)
    np.testing.assert_array_equal(hashes_as_read(model, X), row_hashes(np.asarray(X)))


def test_what_is_no_such_dataset_is_refused(stored, dna, tmp_path):
    path = stored(dna[0]).path
    with pytest.raises(ValueError, match=r"has no dataset 'X'\. It has: group/X"):
        HDF5Array(path, "X")
    with pytest.raises(ValueError, match="has no dataset 'group'"):
        HDF5Array(path, "group")
    with pytest.raises(FileNotFoundError):
        HDF5Array(tmp_path / "absent.h5", "X")
    with pytest.raises(ValueError, match="buffer_size must be a positive"):
        HDF5Array(path, "group/X", buffer_size=0)
    table = stored(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="channels_last=True needs"):
        HDF5Array(table.path, table.name, channels_last=True)
    with pytest.raises(ValueError, match="numbers of shape"):
        stored(np.zeros(3))


def test_a_file_that_changed_is_told(stored, dna):
    X = pickle.loads(pickle.dumps(stored(dna[0])))
    with h5py.File(X.path, "w") as file:
        file["group/X"] = dna[0][:10]
    with pytest.raises(ValueError, match="has changed"):
        np.asarray(X)


def test_data_of_one_buffer_train_as_in_memory(stored, dna):
    X, y = dna
    model = tiny_ensemble(tiny_conv_net(), validation=0.2, n_jobs=2)
    in_memory = clone(model).fit(X, y)
    out_of_core = clone(model).fit(stored(X), y)
    for first, second in zip(in_memory.estimators_, out_of_core.estimators_, strict=True):
        np.testing.assert_array_equal(weights(first), weights(second))
    np.testing.assert_array_equal(out_of_core.predict(stored(X)), in_memory.predict(X))
    assert out_of_core.seen(stored(X)).all()


@pytest.mark.parametrize("strategy", ["loop", "threads", "processes", "joint"])
def test_training_through_buffers_learns_and_is_seeded(small_buffer, dna, strategy):
    X, y = small_buffer
    net = tiny_conv_net(max_epochs=15, lr=0.03)
    model = tiny_ensemble(net, validation=0.2, strategy=strategy, n_jobs=2)
    first, second = clone(model).fit(X, y), clone(model).fit(X, y)
    np.testing.assert_array_equal(first.predict(X), second.predict(dna[0]))
    assert first.score(X, y) > 0.9
    assert first.input_shape_ == (4, 12)


def test_a_training_never_reads_more_than_a_buffer_at_a_time(small_buffer, monkeypatch):
    X, y = small_buffer
    sizes = []
    read = HDF5Array.read
    monkeypatch.setattr(
        HDF5Array, "read", lambda self, at: (sizes.append(len(at)), read(self, at))[1]
    )
    monkeypatch.setattr("sklearn_degu._stored_rows.PART_BYTES", 1)
    monkeypatch.setattr("sklearn_degu._stored_rows.PART_ROWS", 64)
    tiny_ensemble(tiny_conv_net(), n_estimators=1).fit(X, y)
    assert max(sizes) <= 64 + 8


def test_float_one_hot_is_stored_as_bytes_and_trains_alike(stored, dna):
    X, y = dna
    model = tiny_ensemble(tiny_conv_net())
    as_float = clone(model).fit(stored(X.astype(np.float64), channels_last=True), y)
    np.testing.assert_array_equal(as_float.predict(X), clone(model).fit(X, y).predict(X))


def test_tables_and_flattened_sequences_fit(stored, dna, table):
    X, y = table
    in_memory = tiny_ensemble().fit(X, y)
    np.testing.assert_array_equal(
        in_memory.predict(X), tiny_ensemble().fit(stored(X), y).predict(X)
    )
    flat = stored(dna[0].reshape(N, 48))
    assert tiny_ensemble(tiny_conv_net()).fit(flat, dna[1]).input_shape_ == (4, 12)


def test_a_table_is_standardised_some_rows_at_a_time(stored, monkeypatch):
    monkeypatch.setattr("sklearn_degu._stored_rows.PART_BYTES", 1)
    monkeypatch.setattr("sklearn_degu._stored_rows.PART_ROWS", 16)
    X = np.random.default_rng(0).normal(5.0, [1, 10, 0], size=(N, 3)).astype(np.float32)
    weight = np.random.default_rng(1).uniform(size=N)
    rows = np.random.default_rng(2).permutation(N)[:250]
    in_memory, streamed = Standardize(3), Standardize(3)
    for sample_weight in (None, weight[rows]):
        in_memory.adapt(X[rows], sample_weight)
        streamed.adapt(stored(X, buffer_size=100)[rows], sample_weight)
        np.testing.assert_allclose(streamed.loc, in_memory.loc, rtol=1e-6)
        np.testing.assert_allclose(streamed.scale, in_memory.scale, rtol=1e-6)


def test_bad_values_and_shapes_are_refused(stored, dna, table):
    X, y = table
    hole = X.copy()
    hole[-1, 2] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        tiny_ensemble().fit(stored(hole), y)
    with pytest.raises(ValueError, match="NaN"):
        tiny_ensemble().fit(X, y).predict(stored(hole))
    with pytest.raises(ValueError, match="inconsistent"):
        tiny_ensemble().fit(stored(X), y[1:])
    with pytest.raises(ValueError, match="channels_last=True"):
        tiny_ensemble(tiny_conv_net()).fit(stored(dna[0].transpose(0, 2, 1)), dna[1])
    with pytest.raises(ValueError, match="0 sample"):
        tiny_ensemble().fit(stored(X)[:0], y[:0])
    with pytest.raises(ValueError, match="samples of shape"):
        tiny_ensemble(tiny_conv_net()).fit(*dna).predict(stored(dna[0][:, :, :8]))


def test_integers_are_computed_in_float64_as_in_memory(stored):
    X = np.arange(120).reshape(40, 3)
    y = X.sum(axis=1).astype(float)
    expected = tiny_ensemble().fit(X, y).predict(X)
    np.testing.assert_array_equal(tiny_ensemble().fit(stored(X), y).predict(stored(X)), expected)


def test_weights_select_and_missing_targets_mask_rows_of_a_file(small_buffer):
    X, y = small_buffer
    y = y.copy()
    y[::2, 1] = np.nan
    weight = (np.arange(N) % 5 > 0).astype(float)
    model = tiny_ensemble(tiny_conv_net(max_epochs=10)).fit(X, y, weight)
    assert not model.seen(X[::5]).any()
    assert model.score(X, y) > 0.5


def test_cross_validation_pipelines_and_permuted_rows(small_buffer, dna):
    X, y = small_buffer
    model = make_pipeline(
        FunctionTransformer(), tiny_ensemble(tiny_conv_net(max_epochs=8, lr=0.03), 1)
    )
    scores = cross_validate(model, X, y, cv=3)["test_score"]
    assert scores.min() > 0.5
    X_train, X_test, y_train, _ = train_test_split(X, y, random_state=0)
    fitted = model.fit(X_train, y_train)
    np.testing.assert_array_equal(fitted.predict(X_test), fitted.predict(np.asarray(X_test)))


def test_plain_skorch_nets_train_from_a_file(small_buffer):
    X, y = small_buffer
    net = plain_skorch_net(tiny_conv_net().module, lr=0.01, max_epochs=10)
    assert tiny_ensemble(net, n_estimators=1).fit(X, y).score(X, y) > 0.3


def test_a_student_and_its_intervals_out_of_core(small_buffer):
    X, y = small_buffer
    teacher = tiny_ensemble(tiny_conv_net(max_epochs=20), validation=0.2)
    degu = DistilledRegressor(teacher, augment=None, random_state=0)
    model = ConformalRegressor(degu, random_state=0).fit(X, y)
    mean, lower, upper = model.predict_interval(X)
    assert (lower <= mean).all()
    assert (mean <= upper).all()
    frozen = DistilledRegressor(FrozenEstimator(teacher.fit(X, y)), augment=None, random_state=0)
    assert frozen.fit(X, y).score(X, y) > 0.3


@pytest.mark.parametrize("strategy", ["loop", "joint"])
def test_members_learn_on_edited_rows_of_a_file(small_buffer, strategy):
    X, y = small_buffer
    options = {"strategy": strategy, "fine_tune_epochs": 1}
    model = tiny_ensemble(tiny_conv_net(), augment=Augment([Mutation(0.3)], 1), **options)
    edited = model.fit(X, y).predict(X)
    np.testing.assert_array_equal(clone(model).fit(X, y).predict(X), edited)
    plain = model.set_params(augment=Augment([Mutation(0.0)], 1)).fit(X, y).predict(X)
    assert not np.isclose(plain, edited).any()


@pytest.mark.parametrize("params", [{}, {"augment": lambda X, rng: X}])
def test_a_student_says_that_edited_rows_need_memory(small_buffer, params):
    X, y = small_buffer
    degu = DistilledRegressor(tiny_ensemble(tiny_conv_net()), random_state=0, **params)
    with pytest.raises(ValueError, match="augment=None"):
        degu.fit(X, y)


def test_unlabeled_rows_of_a_file_are_refused(small_buffer):
    X, y = small_buffer
    degu = DistilledRegressor(tiny_ensemble(tiny_conv_net()), augment=None, random_state=0)
    with pytest.raises(ValueError, match="X_unlabeled"):
        degu.fit(X, y, X_unlabeled=np.asarray(X[:5]))


def test_a_cut_off_fit_goes_on_from_a_file(small_buffer, tmp_path, monkeypatch):
    X, y = small_buffer
    model = tiny_ensemble(tiny_net(tiny_conv_net().module, max_epochs=3), strategy="loop")
    whole = clone(model).fit(X, y)
    kept = clone(model).set_params(checkpoint_dir=tmp_path / "kept")
    kept.fit(X, y)
    np.testing.assert_array_equal(whole.predict(X), clone(kept).fit(X, y).predict(X))
    with pytest.raises(ValueError, match="the data X was"):
        clone(kept).fit(X[::-1], y)


def test_estimators_of_scikit_learn_read_all_rows(stored, table):
    from sklearn.linear_model import Ridge

    X, y = table
    np.testing.assert_array_equal(Ridge().fit(stored(X), y).coef_, Ridge().fit(X, y).coef_)


def test_repr_says_what_is_where(stored, dna):
    X = stored(dna[0])
    assert repr(X[:3]) == "HDF5Array('0.h5', 'group/X', shape=(3, 4, 12), dtype=uint8)"
    assert (X.ndim, X.size, X.nbytes) == (3, N * 48, N * 48)
    assert X.name == "group/X"
