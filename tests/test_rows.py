"""Rows that are known again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from sklearn_degu._rows import row_hashes

HALVES = st.floats(width=16, allow_nan=False)


def one_hot(codes):
    return (codes[:, np.newaxis] == np.arange(4)[:, np.newaxis]).astype(np.uint8)


@pytest.fixture(scope="module")
def dna():
    return one_hot(np.random.default_rng(0).integers(0, 4, (9000, 11)))


def test_there_is_one_hash_a_row(dna):
    hashes = row_hashes(dna)
    assert hashes.shape == (9000,)
    assert hashes.dtype == np.uint64
    assert row_hashes(dna[:0]).shape == (0,)


def test_a_row_has_the_same_hash_wherever_it_stands(dna):
    order = np.random.default_rng(1).permutation(len(dna))
    np.testing.assert_array_equal(row_hashes(dna[order]), row_hashes(dna)[order])


def test_rows_that_differ_have_different_hashes():
    # All sequences of length 5 whose reverse complement is not themselves: odd lengths have none.
    codes = np.stack(np.meshgrid(*[range(4)] * 5, indexing="ij"), axis=-1).reshape(-1, 5)
    assert len(np.unique(row_hashes(one_hot(codes)))) == 4**5 / 2


def test_both_strands_have_the_same_hash(dna):
    np.testing.assert_array_equal(row_hashes(dna), row_hashes(dna[:, ::-1, ::-1]))


def test_a_reversed_sequence_is_another(dna):
    assert not np.isin(row_hashes(dna[:10, :, ::-1]), row_hashes(dna[:10])).any()


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.int64, np.float16, np.float32, np.float64])
def test_the_number_type_does_not_matter(dna, dtype):
    np.testing.assert_array_equal(row_hashes(dna[:50].astype(dtype)), row_hashes(dna[:50]))


def test_the_order_in_memory_does_not_matter(dna):
    np.testing.assert_array_equal(row_hashes(np.asfortranarray(dna[:50])), row_hashes(dna[:50]))


def test_a_row_does_not_depend_on_its_neighbours():
    # Some rows fit into bytes, and some do not.
    X = np.array([[0.0, 1.0], [0.5, 1.0], [-1.0, 0.0], [256.0, 0.0], [255.0, 0.0]])
    together = row_hashes(X)
    np.testing.assert_array_equal(together, [row_hashes(X[i : i + 1])[0] for i in range(5)])
    assert len(np.unique(together)) == 5


def test_tables_have_one_strand():
    X = np.arange(8.0).reshape(2, 4)
    assert not np.isin(row_hashes(X[:, ::-1]), row_hashes(X)).any()


def test_minus_zero_is_zero():
    assert row_hashes(np.array([[-0.0, 0.5]])) == row_hashes(np.array([[0.0, 0.5]]))


@given(
    arrays(np.float32, array_shapes(min_dims=2, max_dims=3, max_side=5), elements=HALVES)
    | arrays(np.int16, st.tuples(st.integers(1, 4), st.integers(1, 4)))
)
def test_equal_values_have_equal_hashes_in_every_type(X):
    np.testing.assert_array_equal(row_hashes(X), row_hashes(X.astype(np.float64)))


def test_every_process_gives_the_same_hash():
    # Written down once and for all: a saved model must know its rows again.
    assert row_hashes(np.eye(4, dtype=np.uint8)[np.newaxis]).tolist() == [8811083032932150007]
    assert row_hashes(np.array([[0.5]])).tolist() == [15386132883990251790]


def test_a_table_in_another_float_width_has_the_same_hashes():
    X = np.random.default_rng(0).normal(size=(20, 3))
    np.testing.assert_array_equal(row_hashes(X), row_hashes(X.astype(np.float32)))


def test_a_table_in_fortran_order_has_the_same_hashes():
    X = np.random.default_rng(0).normal(size=(20, 3))
    np.testing.assert_array_equal(row_hashes(np.asfortranarray(X)), row_hashes(X))
