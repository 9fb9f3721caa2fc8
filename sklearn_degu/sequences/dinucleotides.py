"""Shuffles that keep the count of every dinucleotide.

A sequence is a walk through a graph whose vertices are the bases and whose edges are the
dinucleotides; another walk over the same edges is a sequence with the same counts. Such walks are
drawn uniformly by the construction behind the BEST theorem: a random tree of last exits that
leads to the final base, and a random order of all other exits.
"""

from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from sklearn_degu.sequences._arguments import RandomState, Region, as_generator, contiguous_region
from sklearn_degu.sequences._batches import row_batches
from sklearn_degu.sequences._one_hot import BASES, check_one_hot_shape, column_codes

_N_LETTERS = len(BASES) + 1  # N is a letter like the others here

Integers = npt.NDArray[np.intp]


def dinucleotide_shuffle(
    X: npt.ArrayLike, *, region: Region = None, random_state: RandomState = None
) -> npt.NDArray[Any]:
    """Return the sequences shuffled with every dinucleotide count kept exactly.

    All sequences that have the same dinucleotide counts and the same first base are equally
    likely; the first and the last base stay. N counts as a fifth letter.

    Parameters
    ----------
    X : array-like of shape (n_sequences, 4, length)
        One-hot columns, channels in the order A, C, G, T; 0 or 0.25 in every channel of an
        unknown base.

    region : slice or mask of shape (length,), default=None
        The unbroken stretch to shuffle, within which counts are kept. By default all positions.

    random_state : int, RandomState instance, Generator or None, default=None
        Decides the shuffles. Pass an int for the same result at every call.

    Returns
    -------
    X_shuffled : ndarray of shape (n_sequences, 4, length)
        A copy, of the dtype of X.

    Raises
    ------
    TypeError
        If X does not hold numbers, or `region` is neither a slice nor a mask.
    ValueError
        If X has another shape or is not one-hot within `region`, `region` selects nothing or has
        gaps, or `random_state` is of no known kind.

    See Also
    --------
    shuffle : Keep the composition only.

    Notes
    -----
    The last exits form a spanning tree, drawn with a probability proportional to the product of
    its edges' counts [1]_. With five letters there are 125 trees for each final base: all are
    weighed, so that no draw is ever rejected as in the original algorithm [2]_.

    References
    ----------
    .. [1] T. van Aardenne-Ehrenfest, N. G. de Bruijn, "Circuits and trees in oriented linear
       graphs", Simon Stevin 28, 1951.
    .. [2] S. F. Altschul, B. W. Erickson, "Significance of nucleotide sequence alignments: a
       method for random sequence permutation that preserves dinucleotide and codon usage",
       Molecular Biology and Evolution 2(6), 1985.

    Examples
    --------
    >>> from sklearn_degu.sequences import SequenceEncoder, dinucleotide_shuffle
    >>> encoder = SequenceEncoder()
    >>> X = encoder.fit_transform(["AACATTGACCAGT"])
    >>> encoder.inverse_transform(dinucleotide_shuffle(X, random_state=0))
    array(['AGTGACAACCATT'], dtype='<U13')
    """
    X = check_one_hot_shape(X)
    inside = contiguous_region(region, X.shape[2])
    rng = as_generator(random_state)
    shuffled = X.copy()
    for batch in row_batches(len(X)):
        moving = X[batch, :, inside]
        order = _random_walks(column_codes(moving, first_row=batch.start), rng)
        shuffled[batch, :, inside] = np.take_along_axis(moving, order[:, None], axis=2)
    return shuffled


def _random_walks(codes: npt.NDArray[np.uint8], rng: np.random.Generator) -> Integers:
    """Return, for each row of codes (n, length), the positions in the order of a new walk."""
    rows = np.arange(len(codes))
    order = np.zeros(codes.shape, dtype=np.intp)
    if codes.shape[1] == 1:
        return order
    edges, next_edge = _edges_by_source(codes, rng.random(codes.shape))
    base = codes[:, 0]
    for step in range(1, codes.shape[1]):
        order[:, step] = edges[rows, next_edge[rows, base]] + 1
        next_edge[rows, base] += 1
        base = codes[rows, order[:, step]]
    return order


def _edges_by_source(
    codes: npt.NDArray[np.uint8], draws: npt.NDArray[np.float64]
) -> tuple[Integers, Integers]:
    """Return each row's edges, grouped by source in the order of use, and where groups begin.

    Edge i leads from position i to i + 1. The first draw of a row decides its tree of last exits,
    the others the order of the remaining edges.
    """
    source, target = codes[:, :-1], codes[:, 1:]
    counts = _count_edges(source, target)
    parents = _random_trees(counts, codes[:, -1], draws[:, 0])
    # Groups lie two apart, so that last exits have room behind the others whatever the rounding.
    keys = 2.0 * source + draws[:, 1:]
    for letter in range(_N_LETTERS):
        exits = (source == letter) & (target == parents[:, letter, None])
        rows = np.flatnonzero(exits.any(axis=1))
        keys[rows, exits[rows].argmax(axis=1)] = 2 * letter + 1.5
    group_sizes = counts.sum(axis=2)
    return keys.argsort(axis=1), group_sizes.cumsum(axis=1) - group_sizes


def _count_edges(source: npt.NDArray[np.uint8], target: npt.NDArray[np.uint8]) -> Integers:
    """Count each row's edges from letter to letter: (n, 5, 5)."""
    shape = (len(source), _N_LETTERS, _N_LETTERS)
    rows = np.arange(len(source))[:, None]
    cells = np.ravel_multi_index((rows, source, target), shape)
    return np.bincount(cells.ravel(), minlength=np.prod(shape)).reshape(shape)


def _random_trees(
    counts: Integers, roots: npt.NDArray[np.uint8], draws: npt.NDArray[np.float64]
) -> Integers:
    """Draw for each row a tree that leads to its root, weighed by the product of edge counts.

    Returns the parent of each letter (n, 5), -1 for the root. Letters that do not occur hang on
    the root.
    """
    rows = np.arange(len(counts))
    # The last column, which the root's parent of -1 reads, keeps it out of the product.
    weights = np.concatenate((counts, np.ones_like(counts[:, :, :1])), axis=2).astype(float)
    weights[rows, :, roots] += counts.sum(axis=2) == 0
    parents = _TREES[roots]
    edges = weights[rows[:, None, None], np.arange(_N_LETTERS), parents]
    cumulative = edges.prod(axis=2).cumsum(axis=1)
    total = cumulative[:, -1]
    # Strictly below the total, so that a tree of positive weight is found whatever the rounding.
    threshold = np.minimum(draws * total, np.nextafter(total, 0))
    drawn: Integers = parents[rows, (cumulative > threshold[:, None]).argmax(axis=1)]
    return drawn


def _trees_to(root: int) -> list[tuple[int, ...]]:
    """List all trees over the letters that lead to the root, as the parent of each letter."""
    others = [range(_N_LETTERS)] * _N_LETTERS
    others[root] = range(-1, 0)
    return [parents for parents in product(*others) if _reaches(parents, root)]


def _reaches(parents: tuple[int, ...], root: int) -> bool:
    """Say whether every letter comes to the root by following its parents."""
    letters = set(range(_N_LETTERS))
    for _ in letters:
        letters = {letter if letter == root else parents[letter] for letter in letters}
    return letters == {root}


_TREES = np.array([_trees_to(root) for root in range(_N_LETTERS)], dtype=np.intp)
