"""Batches of rows that stay in a file."""

import h5py
import numpy as np
import pytest
import torch

from sklearn_degu.datasets import HDF5Array
from sklearn_degu.nets.streaming import batches_of, drawn_by

N = 200


@pytest.fixture
def rows(tmp_path, monkeypatch):
    """Return rows 0, 1, ... in chunks of 5 whose buffer holds 40 of them."""
    monkeypatch.setattr("sklearn_degu.datasets.hdf5_array._CHEAP_READ", 1)
    with h5py.File(tmp_path / "X.h5", "w") as file:
        file.create_dataset("X", data=np.arange(float(N)).reshape(N, 1), chunks=(5, 1))
    return HDF5Array(tmp_path / "X.h5", "X", buffer_size=40 * 8)


def order_of(rows, sizes, seed=0):
    draw = None if seed is None else drawn_by(torch.Generator().manual_seed(seed))
    batches = list(batches_of(rows, sizes, draw))
    assert [len(positions) for positions, _ in batches] == sizes
    for positions, values in batches:
        np.testing.assert_array_equal(values, np.asarray(rows)[positions])
    return np.concatenate([positions for positions, _ in batches])


@pytest.mark.parametrize("sizes", [[16] * 12 + [8], [199, 1], [1] * 200, [90, 110], [200]])
def test_every_row_comes_once_in_batches_of_the_wanted_sizes(rows, sizes):
    for seed in (0, None):
        np.testing.assert_array_equal(np.sort(order_of(rows, sizes, seed)), np.arange(N))


def test_orders_differ_between_epochs_and_seeds_only(rows):
    sizes = [50] * 4
    np.testing.assert_array_equal(order_of(rows, sizes, 1), order_of(rows, sizes, 1))
    assert (order_of(rows, sizes, 1) != order_of(rows, sizes, 2)).mean() > 0.9


def test_a_buffer_mixes_blocks_from_all_over_the_file(rows):
    order = order_of(rows, [20] * 10)
    firsts = order[:40]
    assert len(np.unique(firsts // 5)) == 8
    assert firsts.max() - firsts.min() > N / 2
    assert (np.diff(firsts) == 1).mean() < 0.2


def test_rows_out_of_order_are_streamed_in_the_order_of_the_file(rows):
    permuted = rows[np.random.default_rng(0).permutation(N)[:120]]
    order = order_of(permuted, [30] * 4, None)
    assert (np.diff(permuted.stored_at[order]) > 0).all()
    np.testing.assert_array_equal(np.sort(order_of(permuted, [30] * 4)), np.arange(120))


def test_an_abandoned_iteration_ends_its_thread(rows):
    iterator = batches_of(rows, [16] * 12 + [8], None)
    next(iterator)
    iterator.close()
