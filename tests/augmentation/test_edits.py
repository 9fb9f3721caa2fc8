"""What the edits of sequences change and what they leave."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from sklearn_degu.augmentation import SequenceEdits
from sklearn_degu.sequences import SequenceEncoder

ADAPTORS = ("ACGTA", "TTGCA")


def library(n=40, insert=20, seed=0):
    bases = np.random.default_rng(seed).choice(list("ACGT"), size=(n, insert))
    strings = [ADAPTORS[0] + "".join(row) + ADAPTORS[1] for row in bases]
    return SequenceEncoder().fit_transform(strings)


def edit(X, seed=0, **params):
    return SequenceEdits(**params)(X, np.random.default_rng(seed))


@settings(deadline=None, max_examples=25)
@given(n=st.integers(1, 12), insert=st.integers(2, 30), seed=st.integers(0, 99))
def test_edited_sequences_are_one_hot_dna(n, insert, seed):
    X = library(n, insert, seed)
    edited = edit(X, seed)
    assert edited.shape == X.shape
    assert edited.dtype == X.dtype
    np.testing.assert_array_equal(edited.sum(axis=1), 1)


def test_constant_positions_are_left_alone():
    X = library(n=200)
    edited = edit(X, mutation=1.0)
    np.testing.assert_array_equal(edited[:, :, :5], X[:, :, :5])
    np.testing.assert_array_equal(edited[:, :, -5:], X[:, :, -5:])
    assert (edited[:, :, 5:-5] != X[:, :, 5:-5]).any()


def test_a_copy_is_new_and_the_original_is_kept():
    X = library(n=100)
    before = X.copy()
    edited = edit(X)
    assert (edited != X).any(axis=(1, 2)).mean() > 0.9
    np.testing.assert_array_equal(X, before)


def test_the_generator_decides_the_edits():
    X = library()
    np.testing.assert_array_equal(edit(X, seed=1), edit(X, seed=1))
    assert (edit(X, seed=1) != edit(X, seed=2)).any()


def test_without_edits_sequences_stay_as_they_are():
    X = library()
    same = edit(X, recombination=0.0, other_strand=0.0, mutation=0.0)
    np.testing.assert_array_equal(same, X)


def test_the_other_strand_is_taken_between_the_adaptors():
    X = library()
    turned = edit(X, recombination=0.0, other_strand=1.0, mutation=0.0)
    np.testing.assert_array_equal(turned[:, :, 5:-5], X[:, ::-1, 5:-5][:, :, ::-1])
    np.testing.assert_array_equal(turned[:, :, :5], X[:, :, :5])


@pytest.mark.parametrize("rate", [0.05, 0.5])
def test_the_mutation_rate_is_the_fraction_of_bases_that_change(rate):
    X = library(n=2000)
    edited = edit(X, recombination=0.0, other_strand=0.0, mutation=rate)
    changed = (edited != X).any(axis=1)[:, 5:-5].mean()
    assert changed == pytest.approx(rate, rel=0.1)


def test_equal_sequences_may_change_everywhere():
    X = np.tile(library(n=1), (50, 1, 1))
    assert (edit(X) != X).any()


def test_probabilities_are_parameters_of_a_search():
    edits = clone(SequenceEdits(mutation=0.1))
    assert edits.get_params()["mutation"] == 0.1
    assert edits.set_params(other_strand=0.0).other_strand == 0.0


def test_an_unknown_base_does_not_make_an_adaptor_vary():
    X = library(n=50)
    X[0, :, 2] = 0
    edited = edit(X)
    np.testing.assert_array_equal(edited[1:, :, 3:5], X[1:, :, 3:5])
    np.testing.assert_array_equal(edited[1:, :, :2], X[1:, :, :2])


@pytest.mark.parametrize("name", ["recombination", "other_strand", "mutation"])
@pytest.mark.parametrize("value", [-0.1, 7, "0.5"])
def test_what_is_no_probability_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a probability"):
        edit(library(), **{name: value})
