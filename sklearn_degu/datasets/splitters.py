"""Splits of sequence data that do not leak.

A random split of DNA sequences flatters a model: reverse complements, overlapping tiles and
mutants of one parent land on both sides. Which splitter is right depends on what is known:

- a column of groups (chromosome, parent sequence) and *any* fair partition of them:
  :class:`sklearn.model_selection.GroupKFold`, ``GroupShuffleSplit``, ``LeavePGroupsOut``;
- a published fold for every row: :class:`sklearn.model_selection.PredefinedSplit`, whose folds
  are fixed when it is built, so that it serves at the outermost level only;
- *named* groups to hold out, at any level of nesting: :class:`GroupHoldOut`;
- nothing but the sequences: :class:`KmerGroupKFold`, or :func:`kmer_groups` with any of
  scikit-learn's group splitters.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils import check_random_state

from sklearn_degu._numbers import as_array, check_labels, is_whole

from ._kmers import components, connect, kmer_groups, warn_if_dominated

__all__ = ["GroupHoldOut", "KmerGroupKFold", "kmer_groups"]

Indices = NDArray[np.int64]


class GroupHoldOut(BaseCrossValidator):
    """Hold out named groups, such as chromosomes, in a single split.

    The split is decided by the labels in `groups`, which cross-validation slices together with
    the rows: unlike :class:`sklearn.model_selection.PredefinedSplit`, one instance works at any
    level of nesting, for example as the validation splitter of an estimator inside
    :func:`sklearn.model_selection.cross_validate`.

    Parameters
    ----------
    test_groups : label or list of labels
        Groups whose rows form the test set; all other rows are for training.

    See Also
    --------
    KmerGroupKFold : Folds from the sequences alone.
    sklearn.model_selection.LeavePGroupsOut : Every combination of p groups in turn.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_degu.datasets import GroupHoldOut
    >>> chromosome = np.array(["chr1", "chr2", "chr8", "chr2"])
    >>> splitter = GroupHoldOut(["chr1", "chr8"])
    >>> train, test = next(splitter.split(chromosome, groups=chromosome))
    >>> print(train, test)
    [1 3] [0 2]
    """

    # Read by scikit-learn's metadata routing: groups given to cross_validate come here.
    __metadata_request__split: ClassVar[dict[str, bool]] = {"groups": True}

    def __init__(self, test_groups: Any) -> None:
        self.test_groups = test_groups

    def split(
        self, X: ArrayLike, y: ArrayLike | None = None, groups: ArrayLike | None = None
    ) -> Iterator[tuple[Indices, Indices]]:
        """Yield the one pair of training and test indices.

        Parameters
        ----------
        X : array-like of n rows
            Only the number of rows is read.
        y : ignored
        groups : array-like of shape (n,)
            Group of each row.

        Yields
        ------
        train, test : ndarray of int64
            Row indices, ascending.

        Raises
        ------
        ValueError
            If `groups` is missing or of another length, a named group does not occur, or no row
            is left for training.
        """
        labels = _check_groups(groups, _n_rows(X), "GroupHoldOut")
        wanted = np.atleast_1d(np.asarray(self.test_groups, dtype=object)).tolist()
        _check_present(wanted, labels)
        named = set(wanted)
        is_test = np.array([label in named for label in labels.tolist()])
        if is_test.all():
            raise ValueError(
                f"The groups {wanted} hold all {len(labels)} rows, but some must be left for "
                "training. Name fewer groups in test_groups."
            )
        yield np.flatnonzero(~is_test), np.flatnonzero(is_test)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: ArrayLike | None = None) -> int:
        """Return 1: there is a single split.

        Parameters
        ----------
        X, y, groups : ignored

        Returns
        -------
        int
        """
        return 1


class KmerGroupKFold(BaseCrossValidator):
    """K folds that keep sequences with a common k-mer on one side.

    Sequences that share a stretch of `k` bases on either strand (duplicates, reverse
    complements, overlapping tiles, mutants of one parent, copies of a repeat), directly or
    through others, form a group; groups are dealt to the folds, the largest first, each to the
    fold with the fewest rows so far. Groups are recomputed from the X that `split` is given.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    k : int, default=32
        Length of the shared stretch in bases, 1 to 32.
    region : slice or None, default=None
        Part of every sequence that is compared, such as ``slice(15, -15)`` to leave out
        constant adaptors of 15 bp.
    max_rows : int or None, default=None
        k-mers that occur in more rows join nothing; see :func:`kmer_groups`.
    shuffle : bool, default=False
        Deal groups of equal size in random order.
    random_state : int, RandomState instance or None, default=None
        Seed of that order; only with ``shuffle=True``.

    See Also
    --------
    kmer_groups : The group labels themselves, for scikit-learn's other group splitters.

    Examples
    --------
    >>> from sklearn_degu.datasets import KmerGroupKFold
    >>> sequences = ["ACGTTGCA", "GATTTACC", "GGTAAATC", "CCCCTATA"]  # the third is rc(second)
    >>> for train, test in KmerGroupKFold(n_splits=2, k=6).split(sequences):
    ...     print(train, test)
    [0 3] [1 2]
    [1 2] [0 3]
    """

    # Read by scikit-learn's metadata routing: groups given to cross_validate come here.
    __metadata_request__split: ClassVar[dict[str, bool]] = {"groups": True}

    def __init__(
        self,
        n_splits: int = 5,
        *,
        k: int = 32,
        region: slice | None = None,
        max_rows: int | None = None,
        shuffle: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_splits = n_splits
        self.k = k
        self.region = region
        self.max_rows = max_rows
        self.shuffle = shuffle
        self.random_state = random_state

    def split(
        self, X: ArrayLike, y: ArrayLike | None = None, groups: ArrayLike | None = None
    ) -> Iterator[tuple[Indices, Indices]]:
        """Yield training and test indices of each fold.

        Parameters
        ----------
        X : array-like of str, shape (n,), or one-hot of shape (n, 4, L) or (n, 4 * L)
            The sequences.
        y : ignored
        groups : array-like of shape (n,) or None, default=None
            Rows to keep together on top of those that share a k-mer.

        Yields
        ------
        train, test : ndarray of int64
            Row indices, ascending.

        Raises
        ------
        ValueError
            If the sequences form fewer groups than folds, or a parameter is out of range.

        Warns
        -----
        UserWarning
            If one group is too large for folds of similar size.
        """
        fold_of_row = self._folds(X, groups)
        for fold in range(self.n_splits):
            is_test = fold_of_row == fold
            yield np.flatnonzero(~is_test), np.flatnonzero(is_test)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: ArrayLike | None = None) -> int:
        """Return the number of folds.

        Parameters
        ----------
        X, y, groups : ignored

        Returns
        -------
        int
        """
        return self.n_splits

    def _folds(self, X: ArrayLike, groups: ArrayLike | None) -> Indices:
        _check_n_splits(self.n_splits)
        joined, shared = connect(X, self.k, region=self.region, max_rows=self.max_rows)
        if groups is not None:
            joined = _join(joined, _check_groups(groups, len(joined), "KmerGroupKFold"))
        sizes = np.bincount(joined)
        if len(sizes) < self.n_splits:
            raise ValueError(
                f"The {len(joined)} sequences form {len(sizes)} groups without a common "
                f"{self.k}-mer, but n_splits={self.n_splits} needs as many groups. {shared} "
                "Lower n_splits, or set region or max_rows."
            )
        warn_if_dominated(joined, 1.5 / self.n_splits, shared)
        return _deal(self._order(sizes), sizes, self.n_splits)[joined]

    def _order(self, sizes: Indices) -> Indices:
        groups = np.arange(len(sizes))
        if self.shuffle:
            groups = check_random_state(self.random_state).permutation(groups)
        largest_first: Indices = groups[np.argsort(-sizes[groups], kind="stable")]
        return largest_first


def _deal(order: Indices, sizes: Indices, n_folds: int) -> Indices:
    # Longest-processing-time rule: the heap's top is the fold with the fewest rows.
    heap = [(0, fold) for fold in range(n_folds)]
    fold_of_group = np.empty(len(sizes), dtype=np.int64)
    for group in order:
        rows, fold = heap[0]
        fold_of_group[group] = fold
        heapq.heapreplace(heap, (rows + int(sizes[group]), fold))
    return fold_of_group


def _join(first: Indices, second: NDArray[Any]) -> Indices:
    _, labels = np.unique(second, return_inverse=True)
    nodes = first.max() + 1 + labels  # the user's groups are nodes beside the k-mer groups
    together = components(first, nodes, int(nodes.max()) + 1)[first]
    return np.unique(together, return_inverse=True)[1]


def _n_rows(X: Any) -> int:
    return int(X.shape[0]) if hasattr(X, "shape") else len(X)


def _check_n_splits(n_splits: Any) -> None:
    if not is_whole(n_splits) or n_splits < 2:
        raise ValueError(f"Got n_splits={n_splits!r}, but an integer of 2 or more was expected.")


def _check_groups(groups: ArrayLike | None, n_rows: int, who: str) -> NDArray[Any]:
    if groups is None:
        raise ValueError(
            f"{who} got groups=None, but one label per row was expected. Pass groups= to split "
            "or cross_validate (with metadata routing: params={'groups': ...})."
        )
    labels = as_array(groups, "groups")
    if labels.shape != (n_rows,):
        raise ValueError(
            f"{who} got groups of shape {labels.shape}, but one label per row, ({n_rows},), was "
            "expected."
        )
    return check_labels(labels)


def _check_present(wanted: list[Any], labels: NDArray[Any]) -> None:
    present = dict.fromkeys(labels.tolist())  # a set that keeps the order of appearance
    missing = [group for group in wanted if group not in present]
    if missing:
        known = list(present)
        listed = ", ".join(map(repr, known[:30])) + (", ..." if len(known) > 30 else "")
        raise ValueError(
            f"test_groups names {missing}, which do not occur in groups. The groups are: "
            f"{listed}. Mind that 1 and '1' differ."
        )
