"""Copies of sequences that have moved away from them."""

import numpy as np
import pytest

from sklearn_degu.shift import shifted_sets


@pytest.fixture
def sequences():
    rng = np.random.default_rng(0)
    return np.eye(4, dtype=np.uint8)[rng.integers(4, size=(300, 60))].transpose(0, 2, 1)


def test_are_dna_of_the_same_length(sequences):
    X = sequences
    for shifted in shifted_sets(X, random_state=0).values():
        assert shifted.shape == X.shape
        assert shifted.dtype == X.dtype
        assert (shifted.sum(axis=1) == 1).all()


def test_have_the_mutation_rates_asked_for(sequences):
    X = sequences
    sets = shifted_sets(X, mutation_rates=[0.02, 0.4], random_state=0)
    for rate in (0.02, 0.4):
        mutated = (sets[f"mutation {rate:g}"] != X).any(axis=1).mean()
        assert mutated == pytest.approx(rate, abs=0.01)


def test_of_shuffles_keep_the_composition(sequences):
    X = sequences
    sets = shifted_sets(X, random_state=0)
    for name in ("shuffle", "dinucleotide shuffle"):
        np.testing.assert_array_equal(sets[name].sum(axis=2), X.sum(axis=2))
        assert (sets[name] != X).any(axis=(1, 2)).mean() > 0.9


def test_edit_every_sequence_by_evolution(sequences):
    X = sequences
    assert (shifted_sets(X, random_state=0)["evoaug"] != X).any(axis=(1, 2)).mean() > 0.9


def test_follow_their_seed_and_leave_the_sequences_alone(sequences):
    X = sequences
    before = X.copy()
    one, same, other = (shifted_sets(X, random_state=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(X, before)
    for name, shifted in one.items():
        np.testing.assert_array_equal(shifted, same[name])
        assert (shifted != other[name]).any()


def test_of_short_sequences_are_edited_within_them():
    X = np.eye(4, dtype=np.uint8)[np.zeros((5, 6), dtype=int)].transpose(0, 2, 1)
    assert shifted_sets(X, random_state=0)["evoaug"].shape == X.shape


def test_of_something_else_are_refused(sequences):
    X = sequences
    with pytest.raises(ValueError, match="one-hot"):
        shifted_sets(X.transpose(0, 2, 1))
    with pytest.raises(ValueError, match="rate must be a probability"):
        shifted_sets(X, mutation_rates=[2])
