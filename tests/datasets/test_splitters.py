"""Tests of the leakage-safe splitters."""

import warnings

import numpy as np
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.dummy import DummyRegressor
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_validate

from sklearn_degu.datasets import GroupHoldOut, KmerGroupKFold, kmer_groups

CHROMOSOMES = np.array(["chr1", "chr2", "chr8", "chr2", "chr3", "chr1"])


def random_dna(n, length, seed):
    rng = np.random.default_rng(seed)
    return np.array(["".join(row) for row in rng.choice(list("ACGT"), size=(n, length))])


def with_relatives(n_families, seed=0):
    """Return sequences in families of 1 to 4 that share a stretch of 20 bp, and the families."""
    families = np.repeat(np.arange(n_families), 1 + np.arange(n_families) % 4)
    parents, fillers = random_dna(n_families, 20, seed), random_dna(len(families), 15, seed + 1)
    order = np.random.default_rng(seed).permutation(len(families))
    sequences = np.array([a + b for a, b in zip(fillers, parents[families], strict=True)])
    return sequences[order], families[order]


class MeanOfStrings(RegressorMixin, BaseEstimator):
    """Predicts the training mean from strings."""

    def fit(self, X, y):
        self.mean_ = np.mean(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.mean_)


def test_hold_out_puts_exactly_the_named_groups_in_the_test_set():
    X = np.zeros((6, 2))
    splitter = GroupHoldOut(["chr1", "chr8"])
    [(train, test)] = splitter.split(X, groups=CHROMOSOMES)
    assert_array_equal(test, [0, 2, 5])
    assert_array_equal(train, [1, 3, 4])
    assert splitter.get_n_splits(X, None, CHROMOSOMES) == 1


def test_hold_out_takes_one_label_and_numbers():
    [(train, test)] = GroupHoldOut(7).split(list("abc"), groups=[6, 7, 7])
    assert_array_equal(train, [0])
    assert_array_equal(test, [1, 2])


def test_hold_out_works_in_cross_validate_and_grid_search():
    X, y = np.zeros((6, 1)), np.arange(6.0)
    scores = cross_validate(
        DummyRegressor(), X, y, groups=CHROMOSOMES, cv=GroupHoldOut(["chr1"]), return_indices=True
    )
    assert_array_equal(scores["indices"]["test"][0], [0, 5])
    search = GridSearchCV(DummyRegressor(), {"quantile": [0.1]}, cv=GroupHoldOut(["chr1"]))
    assert search.fit(X, y, groups=CHROMOSOMES).n_splits_ == 1


def test_groups_reach_both_splitters_by_metadata_routing():
    sequences, families = with_relatives(8)
    y = np.arange(len(sequences), dtype=float)
    with sklearn.config_context(enable_metadata_routing=True):
        for splitter in (GroupHoldOut([2, 5]), KmerGroupKFold(2, k=15)):
            scores = cross_validate(
                MeanOfStrings(), sequences, y, cv=splitter, params={"groups": families}
            )
            assert len(scores["test_score"]) == splitter.get_n_splits()


@pytest.mark.parametrize(
    ("test_groups", "groups", "message"),
    [
        (["chr1"], None, "GroupHoldOut got groups=None"),
        (["chr1"], CHROMOSOMES[:4], r"shape \(4,\), but one label per row, \(6,\)"),
        (
            ["chr9"],
            CHROMOSOMES,
            r"\['chr9'\], which do not occur.*'chr1', 'chr2', 'chr8', 'chr3'\.",
        ),
        ([1], ["1"] * 6, "Mind that 1 and '1' differ"),
        ([99], np.arange(6), "0, 1, 2, 3, 4, 5"),
        (["chr1", "chr2", "chr3", "chr8"], CHROMOSOMES, "some must be left for training"),
    ],
)
def test_hold_out_refuses_unusable_groups(test_groups, groups, message):
    with pytest.raises(ValueError, match=message):
        next(GroupHoldOut(test_groups).split(np.zeros((6, 1)), groups=groups))


def test_hold_out_lists_the_first_groups_only():
    with pytest.raises(ValueError, match=r"29, \.\.\.\. Mind"):
        next(GroupHoldOut([-1]).split(np.zeros(50), groups=np.arange(50)))


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 5), st.integers(8, 20), st.booleans(), st.integers(0, 5))
def test_folds_partition_the_rows_and_keep_relatives_together(n_splits, n_families, shuffle, seed):
    sequences, families = with_relatives(n_families, seed)
    splitter = KmerGroupKFold(n_splits, k=15, shuffle=shuffle, random_state=seed)
    fold_of_row = np.full(len(sequences), -1)
    for fold, (train, test) in enumerate(splitter.split(sequences)):
        assert not set(families[train]) & set(families[test])
        assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(len(sequences)))
        assert (fold_of_row[test] == -1).all()
        fold_of_row[test] = fold
    sizes = np.bincount(fold_of_row, minlength=n_splits)
    assert sizes.max() - sizes.min() <= 4  # the size of the largest family
    assert splitter.get_n_splits() == n_splits


def test_reverse_complements_stay_together():
    forward = random_dna(30, 40, seed=1)
    complement = str.maketrans("ACGT", "TGCA")
    backward = [sequence.translate(complement)[::-1] for sequence in forward]
    for _, test in KmerGroupKFold(3).split([*forward, *backward]):
        assert set(test[test < 30] + 30) == set(test[test >= 30])


def test_folds_do_not_depend_on_the_global_seed_and_shuffle_moves_them():
    sequences, _ = with_relatives(20)

    def folds(**arguments):
        splits = KmerGroupKFold(3, k=15, **arguments).split(sequences)
        return [test.tolist() for _, test in splits]

    assert folds() == folds()
    assert folds(shuffle=True, random_state=0) == folds(shuffle=True, random_state=0)
    assert folds(shuffle=True, random_state=0) != folds(shuffle=True, random_state=1)


def test_one_hot_folds_equal_those_of_strings():
    sequences, _ = with_relatives(12)
    codes = np.array([["ACGT".index(base) for base in s] for s in sequences])
    X = (codes[:, None, :] == np.arange(4)[:, None]).astype(np.uint8)
    splitter = KmerGroupKFold(3, k=15)
    for mine, theirs in zip(splitter.split(sequences), splitter.split(X), strict=True):
        assert_array_equal(mine[1], theirs[1])


def test_given_groups_are_kept_together_on_top():
    sequences, families = with_relatives(12)
    pairs = families // 2
    cross_links = np.where(np.arange(len(pairs)) < 6, 99, np.arange(len(pairs)) + 100)
    for groups in (pairs, np.char.add("parent", pairs.astype(str))):
        for train, test in KmerGroupKFold(3, k=15).split(sequences, groups=groups):
            assert not set(pairs[train]) & set(pairs[test])
    for train, test in KmerGroupKFold(2, k=15).split(sequences, groups=cross_links):
        assert not set(families[train]) & set(families[test])
        assert not set(cross_links[train]) & set(cross_links[test])


def test_cross_validate_on_strings():
    sequences, _ = with_relatives(12)
    y = np.arange(len(sequences), dtype=float)
    scores = cross_validate(MeanOfStrings(), sequences, y, cv=KmerGroupKFold(3, k=15))
    assert len(scores["test_score"]) == 3


def test_labels_serve_the_group_splitters_of_scikit_learn():
    sequences, families = with_relatives(12)
    for train, test in GroupKFold(3).split(sequences, groups=kmer_groups(sequences, k=15)):
        assert not set(families[train]) & set(families[test])


def test_region_reaches_the_grouping():
    adaptor = "ACGTTGCAACGTTTAAGCCA"
    sequences = [adaptor + s for s in random_dna(12, 40, seed=3)]
    sizes = [len(t) for _, t in KmerGroupKFold(3, k=20, region=slice(20, None)).split(sequences)]
    assert sizes == [4, 4, 4]
    masked = [adaptor + "N" + s[len(adaptor) :] for s in sequences]
    sizes = [len(t) for _, t in KmerGroupKFold(3, k=20, max_rows=11).split(masked)]
    assert sizes == [4, 4, 4]
    with pytest.raises(ValueError, match=rf"form 1 groups.*{adaptor}.*set region or max_rows"):
        next(KmerGroupKFold(3, k=20).split(sequences))


def test_group_too_large_for_a_fold_warns():
    sequences = random_dna(20, 40, seed=4)
    sequences[:8] = sequences[0]
    with pytest.warns(UserWarning, match=r"8 of the 20 sequences \(40%\)"):
        sizes = [len(test) for _, test in KmerGroupKFold(5).split(sequences)]
    assert sizes == [8, 3, 3, 3, 3]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(KmerGroupKFold(3).split(sequences))


@pytest.mark.parametrize("n_splits", [1, 2.0, "3"])
def test_unusable_number_of_folds_is_refused(n_splits):
    with pytest.raises(ValueError, match="n_splits="):
        next(KmerGroupKFold(n_splits).split(["ACGT" * 10]))


def test_splitters_print_their_parameters():
    assert "k=32" in repr(KmerGroupKFold(3))
    assert "chr1" in repr(GroupHoldOut(["chr1"]))
