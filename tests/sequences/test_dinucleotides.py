from collections import Counter
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from sklearn_degu.sequences import SequenceEncoder, dinucleotide_shuffle


def shuffled(sequences, **options):
    encoder = SequenceEncoder()
    X = encoder.fit_transform(sequences)
    return encoder.inverse_transform(dinucleotide_shuffle(X, **options)).tolist()


def dinucleotides(sequence):
    return Counter(pairwise(sequence))


@given(st.text("ACGTN", min_size=1, max_size=60), st.integers(0, 10_000))
@settings(deadline=None)
def test_every_dinucleotide_count_is_kept(sequence, seed):
    (result,) = shuffled([sequence], random_state=seed)
    assert dinucleotides(result) == dinucleotides(sequence)


@given(st.text("ACGTN", min_size=1, max_size=30), st.integers(0, 10_000))
@settings(deadline=None)
def test_first_and_last_base_stay(sequence, seed):
    (result,) = shuffled([sequence], random_state=seed)
    assert result[0] + result[-1] == sequence[0] + sequence[-1]


@pytest.mark.parametrize("sequence", ["ACAGATACA", "AACCAGACT", "ACGACTAGC", "NANACNCAA"])
def test_all_sequences_of_equal_counts_are_equally_likely(sequence):
    # By brute force: all orders of the letters that keep first base and dinucleotide counts.
    orders = {sequence[0] + "".join(rest) for rest in permutations(sequence[1:])}
    possible = {order for order in orders if dinucleotides(order) == dinucleotides(sequence)}
    drawn = Counter(shuffled([sequence] * 1000 * len(possible), random_state=0))
    assert set(drawn) == possible
    assert list(drawn.values()) == pytest.approx([1000] * len(possible), abs=150)


def test_a_rare_last_exit_needs_no_luck():
    # The last A must lead to G: one exit in five hundred.
    sequence = "AC" * 500 + "AG"
    (result,) = shuffled([sequence], random_state=0)
    assert result == sequence


def test_each_sequence_has_a_shuffle_of_its_own():
    results = shuffled(["ACAGATACAGGTTACCA"] * 50, random_state=0)
    assert len(set(results)) > 25


def test_counts_are_kept_within_the_region():
    sequence = "GGGG" + "ACAGATACAGTTACC" + "TTTT"
    results = shuffled([sequence] * 20, region=slice(4, -4), random_state=0)
    assert len(set(results)) > 1
    for result in results:
        assert dinucleotides(result[4:-4]) == dinucleotides(sequence[4:-4])


def test_uniform_unknown_columns_move_unchanged():
    X = SequenceEncoder(unknown="uniform").fit_transform(["ANCNATNACCA"])
    result = dinucleotide_shuffle(X, random_state=0)
    assert_array_equal(np.sort(result.max(axis=1)), np.sort(X.max(axis=1)))
    assert result.dtype == np.float32
