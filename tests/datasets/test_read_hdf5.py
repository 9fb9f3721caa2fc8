"""Tests of the reader of the published HDF5 layouts."""

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sklearn_degu.datasets import hdf5, read_hdf5

SIZES = {"train": 11, "valid": 7, "test": 5}
LENGTH = 9


def one_hot(n_rows, seed=0):
    """Return one-hot DNA (n, L, 4) with some unknown, all-zero positions."""
    rng = np.random.default_rng(seed)
    X = np.eye(4)[rng.integers(4, size=(n_rows, LENGTH))]
    X[rng.random((n_rows, LENGTH)) < 0.1] = 0
    return X


CONTENT = {
    name: {
        "X": one_hot(n, seed=n),
        "y": np.random.default_rng(n).normal(size=(n, 2)),
        "std": np.random.default_rng(n + 1).random(size=(n, 2)),
        "idx": np.arange(n),
    }
    for name, n in SIZES.items()
}
MEAN = np.random.default_rng(3).normal(size=(SIZES["train"], 2))


def write_hierarchical(file):
    for name, group in {"train": "Train", "valid": "Val", "test": "Test"}.items():
        for field, values in CONTENT[name].items():
            file[f"{group}/{field}"] = values
    file["Train/ensemble_mean"] = MEAN


def write_flat(file):
    for name, suffix in {"train": "Train", "valid": "Val", "test": "Test"}.items():
        for field, values in CONTENT[name].items():
            file[f"{field}_{suffix}"] = values
    file["ensemble_mean"] = MEAN


def write_transposed(file):
    for name, content in CONTENT.items():
        file[f"x_{name}"] = content["X"].astype(np.float32)
        file[f"y_{name}"] = content["y"].T


@pytest.fixture
def make_file(tmp_path):
    def make(write, name="data.h5"):
        with h5py.File(tmp_path / name, "w") as file:
            write(file)
        return tmp_path / name

    return make


def tiny(n_rows=3, **fields):
    """Return a writer of a file with a training split of n rows and the fields given."""
    fields = {"X": one_hot(n_rows), "y": np.zeros((n_rows, 2)), **fields}

    def write(file):
        for field, values in fields.items():
            file[f"Train/{field}"] = values

    return write


@pytest.mark.parametrize("write", [write_hierarchical, write_flat, write_transposed])
@pytest.mark.parametrize("name", ["data.h5", "hierarchical.h5"])
def test_every_published_layout_is_read_alike_whatever_the_file_name(make_file, write, name):
    data = read_hdf5(make_file(write, name))
    assert list(data) == ["train", "valid", "test"]
    for split, content in CONTENT.items():
        assert data[split].X.dtype == np.uint8
        assert_array_equal(data[split].X, content["X"].transpose(0, 2, 1))
        assert data[split].X.flags.c_contiguous
        assert data[split].y.dtype == np.float64
        assert_array_equal(data[split].y, content["y"])


@pytest.mark.parametrize("write", [write_hierarchical, write_flat])
def test_further_arrays_come_under_their_names(make_file, write):
    data = read_hdf5(make_file(write))
    for split, content in CONTENT.items():
        assert_array_equal(data[split].std, content["std"])
        assert_array_equal(data[split].idx, content["idx"])
    assert_array_equal(data.train.ensemble_mean, MEAN)
    assert "ensemble_mean" not in data.test


def test_one_split_is_read_alone(make_file):
    path = make_file(write_flat)
    assert_array_equal(read_hdf5(path, "valid").y, CONTENT["valid"]["y"])


@pytest.mark.parametrize("chunks", [None, (2, LENGTH, 4), (5, 3, 1)])
def test_reading_in_blocks_changes_nothing(make_file, monkeypatch, chunks):
    monkeypatch.setattr(hdf5, "_MIN_ROWS", 3)

    def write(file):
        file.create_dataset("Train/X", data=one_hot(11), chunks=chunks)
        file["Train/y"] = np.zeros(11)

    X = read_hdf5(make_file(write)).train.X
    assert_array_equal(X, one_hot(11).transpose(0, 2, 1))


def test_blocks_are_whole_chunks(make_file, tmp_path):
    with h5py.File(tmp_path / "chunks.h5", "w") as file:
        dataset = file.create_dataset("X", shape=(30000, 1, 4), dtype="f4", chunks=(1500, 1, 4))
        assert hdf5._block_rows(dataset) == 4500


def test_one_dimensional_y_stays_so(make_file):
    data = read_hdf5(make_file(tiny(y=np.arange(3))))
    assert_array_equal(data.train.y, [0.0, 1.0, 2.0])


def test_text_arrays_are_decoded(make_file):
    data = read_hdf5(make_file(tiny(identifier=["a", "b", "c"])))
    assert data.train.identifier.tolist() == ["a", "b", "c"]
    assert data.train.identifier.dtype.kind == "U"


def test_unrelated_datasets_are_left_alone(make_file):
    def write(file):
        write_hierarchical(file)
        file["motifs/X"] = np.zeros(2)
        file["notes"] = np.zeros(2)
        file["motifs/y_test"] = np.zeros(2)

    assert_array_equal(read_hdf5(make_file(write)).test.y, CONTENT["test"]["y"])


def test_square_labels_need_the_parameter(make_file):
    y = np.array([[1.0, 2.0], [3.0, 4.0]])
    path = make_file(tiny(2, y=y))
    with pytest.raises(ValueError, match=r"/Train/y has the shape \(2, 2\).*y_transposed=True"):
        read_hdf5(path)
    assert_array_equal(read_hdf5(path, y_transposed=False).train.y, y)
    assert_array_equal(read_hdf5(path, y_transposed=True).train.y, y.T)


@pytest.mark.parametrize("fields", [{"y": np.zeros((4, 2))}, {"idx": np.zeros(4)}, {"std": 1.0}])
def test_other_numbers_of_rows_are_refused(make_file, fields):
    with pytest.raises(ValueError, match="but X of this split has 3 rows"):
        read_hdf5(make_file(tiny(**fields)))


@pytest.mark.parametrize("value", [0.3, 1.0, -1.0, np.nan, 2.0])
def test_values_that_are_not_one_hot_are_refused_or_kept(make_file, monkeypatch, value):
    monkeypatch.setattr(hdf5, "_MIN_ROWS", 2)
    X = np.tile(np.eye(4)[:3], (3, 1, 1))
    X[2, 1, 3] = value
    path = make_file(tiny(X=X))
    with pytest.raises(ValueError, match=r"row 2 at position 1.*one_hot=False"):
        read_hdf5(path)
    kept = read_hdf5(path, one_hot=False).train.X
    assert kept.dtype == np.float32
    assert_array_equal(kept, X.transpose(0, 2, 1).astype(np.float32))


@pytest.mark.parametrize("shape", [(3, 4, 9), (3, 36)])
def test_other_shapes_of_sequences_are_refused(make_file, shape):
    with pytest.raises(ValueError, match=r"one-hot sequences \(n, L, 4\) were expected"):
        read_hdf5(make_file(tiny(X=np.zeros(shape))))


def test_unknown_content_is_listed(make_file):
    def write(file):
        file["sequences/values"] = np.zeros(3)

    with pytest.raises(ValueError, match="holds sequences/values, but groups Train"):
        read_hdf5(make_file(write))
    with pytest.raises(ValueError, match="holds no datasets"):
        read_hdf5(make_file(lambda file: None))


def test_split_without_labels_is_refused(make_file):
    def write(file):
        file["X_Train"] = one_hot(3)

    with pytest.raises(ValueError, match="'train' lacks y: the file holds X_Train"):
        read_hdf5(make_file(write))


def test_two_layouts_in_one_file_are_refused(make_file):
    def write(file):
        write_hierarchical(file)
        file["X_Train"] = one_hot(3)

    with pytest.raises(ValueError, match="'x' of the split 'train' occurs twice"):
        read_hdf5(make_file(write))


def test_unknown_or_absent_split_is_refused(make_file):
    path = make_file(tiny())
    with pytest.raises(ValueError, match="split='Train', but 'train', 'valid'"):
        read_hdf5(path, "Train")
    with pytest.raises(ValueError, match=r"no split 'test'. It has \['train'\]"):
        read_hdf5(path, "test")
