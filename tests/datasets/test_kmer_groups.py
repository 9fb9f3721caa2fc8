"""Tests of the grouping by shared k-mers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from sklearn_degu.datasets import _kmers, kmer_groups, read_table

COMPLEMENT = str.maketrans("ACGT", "TGCA")
DNA = st.text(alphabet="ACGTN", min_size=5, max_size=12)


def reverse_complement(sequence):
    return sequence.translate(COMPLEMENT)[::-1]


def brute_force_groups(sequences, k):
    """Label by merging sets of k-mers until nothing changes."""

    def kmers(sequence):
        both = (sequence, reverse_complement(sequence))
        words = {s[i : i + k] for s in both for i in range(len(s) - k + 1)}
        return {word for word in words if "N" not in word}

    labels = list(range(len(sequences)))
    for i, first in enumerate(sequences):
        for j, second in enumerate(sequences[:i]):
            if kmers(first) & kmers(second):
                old, new = labels[i], labels[j]
                labels = [new if label == old else label for label in labels]
    return labels


def same_partition(first, second):
    pairs = set(zip(np.asarray(first).tolist(), np.asarray(second).tolist(), strict=True))
    return len(pairs) == len(set(first)) == len(set(second))


def one_hot(sequences):
    codes = np.array([["ACGT".find(base) for base in s] for s in sequences])
    return (codes[:, None, :] == np.arange(4)[:, None]).astype(np.uint8)


def random_dna(n, length, seed):
    rng = np.random.default_rng(seed)
    return ["".join(row) for row in rng.choice(list("ACGT"), size=(n, length))]


@pytest.mark.filterwarnings("ignore:One group holds")
@settings(deadline=None)
@given(st.lists(DNA, min_size=1, max_size=12), st.integers(1, 5))
def test_groups_equal_brute_force(sequences, k):
    assert same_partition(kmer_groups(sequences, k), brute_force_groups(sequences, k))


@pytest.mark.filterwarnings("ignore:One group holds")
@settings(deadline=None)
@given(st.lists(DNA, min_size=2, max_size=8), st.data())
def test_strand_case_and_order_do_not_matter(sequences, data):
    order = data.draw(st.permutations(range(len(sequences))))
    turned = [reverse_complement(sequences[i]).lower() for i in order]
    assert same_partition(kmer_groups(turned, 4), kmer_groups(sequences, 4)[order])


def test_exact_boundary_of_32_bases():
    a, b = random_dna(2, 60, seed=0)
    for shared, n_groups in ((31, 2), (32, 1)):
        stop = 20 + shared
        # A base is not its own complement: the ends keep the stretch from growing by chance.
        other = b[:9] + a[stop] + reverse_complement(a[20:stop]) + a[19] + b[stop:]
        labels = kmer_groups([a, other, *random_dna(3, 60, seed=1)])
        assert len(set(labels[:2].tolist())) == n_groups


def test_groups_are_transitive():
    a, b, c = random_dna(3, 40, seed=2)
    chain = [a, a[20:] + b[:20], b[:20] + c[:20], c, *random_dna(6, 40, seed=3)]
    labels = kmer_groups(chain, k=20)
    assert len(set(labels[:4].tolist())) == 1
    assert len(set(labels.tolist())) == 7


@pytest.mark.filterwarnings("ignore:One group holds")
@pytest.mark.parametrize("flatten", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, bool])
def test_one_hot_groups_equal_those_of_strings(flatten, dtype):
    sequences = [s[:20] + "N" + s[21:] for s in random_dna(30, 40, seed=4)]
    X = one_hot(sequences).astype(dtype)
    X = X.reshape(len(X), -1) if flatten else X
    assert_array_equal(kmer_groups(X, k=6), kmer_groups(sequences, k=6))
    region = slice(3, -3)
    assert_array_equal(kmer_groups(X, 7, region=region), kmer_groups(sequences, 7, region=region))


def test_quarters_are_read_as_unknown():
    X = one_hot(["AAAAAA", "AACAAA", "CGCGCG"]).astype(float)
    X[0, :, 3] = 0.25
    assert len(set(kmer_groups(X, k=3, region=slice(1, 5)).tolist())) == 3


def test_column_of_strings_is_read():
    column = np.array([["ACGTA"], ["CCCCC"], ["TACGT"], ["ATATA"]], dtype=object)
    assert_array_equal(kmer_groups(column, k=5), [0, 1, 0, 2])


def test_sequences_may_differ_in_length():
    labels = kmer_groups(["ACGTTG", "TTTTACGTTGTTTT", "GAGAGAGA", "CCCCCC"], k=6)
    assert labels.tolist() == [0, 0, 1, 2]


def test_constant_adaptor_warns_and_region_excludes_it():
    adaptor = random_dna(1, 32, seed=5)[0]
    sequences = [adaptor + s for s in random_dna(20, 60, seed=6)]
    with pytest.warns(UserWarning, match=rf"20 of the 20 .*{adaptor}|20 of the 20 .*occurs in 20"):
        kmer_groups(sequences)
    assert len(set(kmer_groups(sequences, region=slice(32, None)).tolist())) == 20


def test_max_rows_looks_past_widespread_kmers_only():
    repeat, shared = random_dna(2, 32, seed=7)
    sequences = random_dna(20, 60, seed=8)
    # The N keeps windows that overlap the repeat in part from being shared by fewer rows.
    sequences[:12] = [repeat + "N" + s for s in sequences[:12]]
    sequences[18:] = [shared + "N" + s for s in sequences[18:]]
    labels = kmer_groups(sequences, max_rows=11)
    assert len(set(labels.tolist())) == 19
    assert labels[18] == labels[19]
    with pytest.warns(UserWarning, match="occurs in 12 of them"):
        assert len(set(kmer_groups(sequences, max_rows=12).tolist())) == 8


def test_repeats_within_a_row_count_once_for_max_rows():
    sequences = ["AAAAAAAAAA", "AAAAAAAACC", "CTCTCTCTCT", "GCGCGCGCGC", "CATCATCATC"]
    assert len(set(kmer_groups(sequences, k=6, max_rows=2).tolist())) == 4


def test_encoding_in_blocks_changes_nothing(monkeypatch):
    sequences = random_dna(40, 30, seed=9)
    whole = kmer_groups(sequences, k=9)
    assert 20 < len(set(whole.tolist())) < 40
    monkeypatch.setattr(_kmers, "_BLOCK", 7)
    assert_array_equal(kmer_groups(sequences, k=9), whole)


@pytest.mark.filterwarnings("error")
def test_unknown_bases_join_nothing():
    assert len(set(kmer_groups(["NNNNNN", "NNNNNN", "ACNGTN"], k=3).tolist())) == 3


@pytest.mark.filterwarnings("error")
def test_one_sequence_is_one_group():
    assert_array_equal(kmer_groups(["ACGT"], k=4), [0])


@pytest.mark.parametrize(
    ("sequences", "arguments", "error", "message"),
    [
        (["ACGT"], {"k": 33}, ValueError, "k=33, but an integer from 1 to 32"),
        (["ACGT"], {"k": 0}, ValueError, "k=0"),
        (["ACGT"], {"k": True}, ValueError, "k=True"),
        (["ACGT"], {"k": 2, "max_rows": 0}, ValueError, "max_rows=0, but an integer of 1 or more"),
        (["ACGT"], {"k": 2, "region": (1, 2)}, TypeError, r"Write slice\(15, -15\)"),
        (["ACGTA", "ACG"], {"k": 4}, ValueError, r"Sequence 1 has 3 bp within region=None"),
        (["ACGTA"], {"k": 4, "region": slice(2, None)}, ValueError, "Sequence 0 has 3 bp"),
        ([], {}, ValueError, "no sequences"),
        (["ACGT", None], {"k": 2}, TypeError, "Row 1 of the sequences is None of type NoneType"),
        ([b"ACGT"], {"k": 2}, TypeError, "decode"),
        (["ACGT", "AC-T"], {"k": 2}, ValueError, "Sequence 1 holds '-' at position 2"),
        (["ACGT", "", "ACGÜ"], {"k": 2}, ValueError, "Sequence 2 holds 'Ü' at position 3"),
        (np.zeros((2, 9, 4)), {"k": 2}, ValueError, r"transpose\(0, 2, 1\)"),
        (np.zeros((2, 9)), {"k": 2}, ValueError, r"shape \(2, 9\)"),
        (np.zeros((0, 4, 9)), {"k": 2}, ValueError, "one row or more"),
        (one_hot(["ACGT"]) * 2, {"k": 2}, ValueError, "Row 0 is not one-hot at position 0"),
        (one_hot(["ACGT"]) * 0.5, {"k": 2}, ValueError, "not one-hot"),
    ],
)
def test_unusable_input_is_refused(sequences, arguments, error, message):
    with pytest.raises(error, match=message):
        kmer_groups(sequences, **arguments)


@pytest.mark.slow
def test_published_lentimpra_folds_keep_groups_of_the_insert_together(real_data):
    path = real_data("lentimpra_joint.tsv.gz")
    data = read_table(path, sequence="seq", targets="HepG2", split="fold")
    labels = kmer_groups(data.sequences, region=slice(15, -15))
    group_and_fold = np.unique(np.column_stack([labels, data.split]), axis=0)
    assert len(group_and_fold) == labels.max() + 1
    assert labels.max() + 1 < 0.9 * len(labels)
