"""Rows in memory, in batches."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sklearn_degu.nets.data import (
    InMemoryBatches,
    InMemoryDataset,
    Rows,
    as_tensor,
    batch_bounds,
    split_targets,
)


def dataset(n=10, **options):
    X = np.arange(2 * n, dtype=np.float32).reshape(n, 2)
    return InMemoryDataset(X, X[:, :1].copy(), **options)


def rows_of(batches):
    return torch.cat([X for X, _ in batches])


class TestBatches:
    @given(st.integers(2, 300), st.integers(1, 64))
    def test_hold_every_row_once_and_never_one_alone(self, n, size):
        bounds = batch_bounds(n, size)
        assert bounds[0] == 0
        assert bounds[-1] == n
        sizes = np.diff(bounds)
        assert (sizes[:-1] == size).all()
        assert 1 <= sizes[-1] <= size + 1
        assert sizes[-1] > 1 or size == 1

    def test_a_last_single_row_joins_the_batch_before(self):
        assert batch_bounds(9, 4) == [0, 4, 9]
        assert batch_bounds(10, 4) == [0, 4, 8, 10]

    def test_one_row_is_one_batch(self):
        assert batch_bounds(1, 4) == [0, 1]

    @pytest.mark.parametrize(("n", "size"), [(10, 4), (9, 4), (4, 4), (3, 8)])
    def test_are_as_many_as_they_say(self, n, size):
        batches = InMemoryBatches(dataset(n), size)
        assert len(list(batches)) == len(batches)

    def test_are_in_order_unless_shuffled(self):
        data = dataset()
        assert torch.equal(rows_of(InMemoryBatches(data, 4)), data.X)

    def test_are_shuffled_anew_in_every_epoch(self):
        data = dataset(50, generator=torch.Generator().manual_seed(0))
        batches = InMemoryBatches(data, 8, shuffle=True)
        one, two = rows_of(batches), rows_of(batches)
        assert not torch.equal(one, two)
        for epoch in (one, two):
            assert torch.equal(epoch.sort(dim=0).values, data.X)

    def test_keep_rows_targets_and_weights_together(self):
        X = np.arange(20.0).reshape(20, 1)
        data = InMemoryDataset(X, 2 * X, 3 * X[:, 0] + 1, dtype=torch.float64)
        for batch, (y, weight) in InMemoryBatches(data, 6, shuffle=True):
            assert torch.equal(y, 2 * batch)
            assert torch.equal(weight, 3 * batch + 1)

    def test_keep_the_weights_of_single_targets_with_their_rows(self):
        X = np.arange(20.0).reshape(20, 1)
        data = InMemoryDataset(
            X, np.hstack([X, X]), X[:, 0] + 1, np.hstack([X, 2 * X]), dtype=torch.float64
        )
        for batch, (_, weight) in InMemoryBatches(data, 6, shuffle=True):
            assert torch.equal(weight, (batch + 1) * batch * torch.tensor([1.0, 2.0]).double())

    def test_are_shuffled_by_the_generator_given(self):
        orders = [
            rows_of(
                InMemoryBatches(dataset(generator=torch.Generator().manual_seed(seed)), 4, True)
            )
            for seed in (0, 0, 1)
        ]
        assert torch.equal(orders[0], orders[1])
        assert not torch.equal(orders[0], orders[2])

    def test_take_the_rows_that_an_epoch_refreshes(self):
        new = iter([None, Rows(np.full((3, 2), 7.0), np.zeros((3, 1))), None])
        batches = InMemoryBatches(dataset(refresh=lambda: next(new)), 4, shuffle=True)
        assert [len(rows_of(batches)) for _ in range(3)] == [10, 3, 3]
        assert (batches.dataset.X == 7).all()

    def test_take_the_weights_of_targets_that_an_epoch_refreshes(self):
        new = Rows(np.zeros((3, 2)), np.zeros((3, 1)), None, np.array([5.0]))
        batches = InMemoryBatches(dataset(refresh=lambda: new), 4, shuffle=True)
        ((_, (_, weight)),) = batches
        assert torch.equal(weight, torch.full((3, 1), 5.0))

    def test_are_not_refreshed_by_validation(self):
        data = dataset(refresh=lambda: pytest.fail("refreshed"))
        assert len(rows_of(InMemoryBatches(data, 4))) == 10


class TestDataset:
    @pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.bool_])
    def test_codes_are_kept_as_they_are_and_cast_by_the_batch(self, dtype):
        X = np.eye(4, dtype=dtype)[np.newaxis].repeat(3, axis=0)
        data = InMemoryDataset(X, np.zeros((3, 1)))
        assert data.X.element_size() == 1
        assert data.X.data_ptr() == X.__array_interface__["data"][0]
        assert data[0:2][0].dtype == torch.float32

    def test_without_targets_serves_what_skorch_expects(self):
        X, y = InMemoryDataset(np.zeros((3, 2)))[0:2]
        assert X.shape == (2, 2)
        assert len(y) == 0

    def test_computes_in_the_type_asked_for(self):
        X, y = dataset(dtype=torch.float64)[0:2]
        assert X.dtype == y.dtype == torch.float64

    def test_copies_what_is_read_only(self):
        X = np.arange(6.0)
        X.setflags(write=False)
        tensor = as_tensor(X)
        tensor += 1
        np.testing.assert_array_equal(X, np.arange(6.0))

    def test_reads_what_is_not_contiguous(self):
        X = np.arange(12.0).reshape(3, 4)
        np.testing.assert_array_equal(as_tensor(X[::-1, ::2]), X[::-1, ::2])


class TestTargets:
    def test_of_equal_weight_have_none(self):
        y = np.ones((3, 2))
        targets, weight = split_targets(y, None)
        assert targets is y
        assert weight is None

    def test_that_are_missing_weigh_nothing(self):
        y = np.array([[1.0, np.nan], [3.0, 4.0]])
        targets, weight = split_targets(y, np.array([2.0, 5.0]))
        np.testing.assert_array_equal(targets, [[1, 0], [3, 4]])
        np.testing.assert_array_equal(weight, [[2, 0], [5, 5]])

    def test_that_are_missing_need_no_weights_of_rows(self):
        _, weight = split_targets(np.array([[np.nan, 1.0]]), None)
        np.testing.assert_array_equal(weight, [[0, 1]])

    @pytest.mark.parametrize("shape", [(2,), (3, 2)])
    def test_have_weights_of_their_own_beside_those_of_rows(self, shape):
        y, rows, single = np.ones((3, 2)), np.array([1.0, 2.0, 5.0]), np.arange(1.0, 7.0)
        single = np.resize(single, shape)
        np.testing.assert_array_equal(
            split_targets(y, None, single)[1], np.broadcast_to(single, (3, 2))
        )
        np.testing.assert_array_equal(
            split_targets(y, rows, single)[1], rows[:, np.newaxis] * single
        )

    def test_that_are_missing_weigh_nothing_whatever_their_weight(self):
        y = np.array([[1.0, np.nan], [3.0, 4.0]])
        targets, weight = split_targets(y, None, np.array([2.0, 7.0]))
        np.testing.assert_array_equal(targets, [[1, 0], [3, 4]])
        np.testing.assert_array_equal(weight, [[2, 0], [2, 7]])
