"""What recombination keeps and what it changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklearn_degu.sequences import SequenceEncoder, _batches, recombine


def random_sequences(n, length, seed=0):
    bases = np.random.default_rng(seed).choice(list("ACGT"), size=(n, length))
    return SequenceEncoder().fit_transform(np.array(["".join(row) for row in bases]))


@given(n=st.integers(1, 20), length=st.integers(1, 30), seed=st.integers(0, 99))
def test_every_position_keeps_its_composition_over_the_sequences(n, length, seed):
    X = random_sequences(n, length, seed)
    children = recombine(np.tile(X[:1], (n, 1, 1)), random_state=seed)
    np.testing.assert_array_equal(children, np.tile(X[:1], (n, 1, 1)))


@given(n=st.integers(2, 20), length=st.integers(2, 30), seed=st.integers(0, 99))
def test_a_child_begins_as_its_row_and_ends_as_some_row(n, length, seed):
    X = random_sequences(n, length, seed)
    for child, first in zip(recombine(X, random_state=seed), X, strict=True):
        same = (child == first).all(axis=0)
        cut = length if same.all() else int(np.argmin(same))
        assert cut >= 1
        assert any((child[:, cut:] == other[:, cut:]).all() for other in X)


def test_most_children_are_new():
    X = random_sequences(50, 40)
    children = recombine(X, random_state=0)
    assert (children != X).any(axis=(1, 2)).mean() > 0.9
    assert children.dtype == X.dtype


def test_the_batch_size_changes_nothing(monkeypatch):
    X = random_sequences(30, 12)
    whole = recombine(X, random_state=3)
    monkeypatch.setattr(_batches, "BATCH_ROWS", 7)
    np.testing.assert_array_equal(recombine(X, random_state=3), whole)


def test_transposed_input_is_refused():
    with pytest.raises(ValueError, match=r"transpose\(0, 2, 1\)"):
        recombine(np.zeros((5, 12, 4)))
