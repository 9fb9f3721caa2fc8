"""Edits of one-hot arrays: the other strand, random mutations, random orders.

Each function takes an array of shape ``(n_sequences, 4, length)`` with the channels A, C, G, T and
returns an edited copy of the same shape and dtype. `region` confines the edit, so that constant
adaptors at the ends stay as they are.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from sklearn_degu._numbers import is_real
from sklearn_degu.sequences._arguments import (
    RandomState,
    Region,
    as_generator,
    contiguous_region,
    region_positions,
)
from sklearn_degu.sequences._batches import row_batches
from sklearn_degu.sequences._one_hot import (
    BASES,
    UNKNOWN,
    check_one_hot_shape,
    column_codes,
)


def reverse_complement(X: npt.ArrayLike, *, region: Region = None) -> npt.NDArray[Any]:
    """Return the sequences of the other strand.

    Columns need not be one-hot: attributions and base frequencies turn around as well.

    Parameters
    ----------
    X : array-like of shape (n_sequences, 4, length)
        One-hot columns, or other numbers a base, channels in the order A, C, G, T.

    region : slice or mask of shape (length,), default=None
        The unbroken stretch to turn around, such as the insert between adaptors; the positions
        outside it stay as they are. By default all positions.

    Returns
    -------
    X_reversed : ndarray of shape (n_sequences, 4, length)
        A copy, of the dtype of X.

    Raises
    ------
    TypeError
        If X does not hold numbers, or `region` is neither a slice nor a mask.
    ValueError
        If X has another shape, or `region` selects nothing or has gaps.

    Examples
    --------
    >>> from sklearn_degu.sequences import SequenceEncoder, reverse_complement
    >>> encoder = SequenceEncoder()
    >>> X = encoder.fit_transform(["AAACGGG"])
    >>> encoder.inverse_transform(reverse_complement(X))
    array(['CCCGTTT'], dtype='<U7')
    >>> encoder.inverse_transform(reverse_complement(X, region=slice(2, -2)))
    array(['AACGTGG'], dtype='<U7')
    """
    X = check_one_hot_shape(X)
    inside = contiguous_region(region, X.shape[2])
    turned = X.copy()
    # A, C, G, T read backwards is T, G, C, A: the complements, channel by channel.
    turned[:, :, inside] = X[:, ::-1, inside][:, :, ::-1]
    return turned


def mutate(
    X: npt.ArrayLike,
    rate: float,
    *,
    region: Region = None,
    random_state: RandomState = None,
) -> npt.NDArray[Any]:
    """Return the sequences with random point mutations.

    Each base mutates with probability `rate`, independently of all others, to one of the three
    other bases, each as likely: `rate` is the expected fraction of known bases that change.
    Unknown bases stay unknown.

    Parameters
    ----------
    X : array-like of shape (n_sequences, 4, length)
        One-hot columns, channels in the order A, C, G, T; 0 or 0.25 in every channel of an
        unknown base.

    rate : float
        The probability, between 0 and 1, that a base mutates.

    region : slice or mask of shape (length,), default=None
        The positions that may mutate. By default all.

    random_state : int, RandomState instance, Generator or None, default=None
        Decides which bases mutate, and to what. Pass an int for the same result at every call.

    Returns
    -------
    X_mutated : ndarray of shape (n_sequences, 4, length)
        A copy, of the dtype of X.

    Raises
    ------
    TypeError
        If X does not hold numbers, or `region` is neither a slice nor a mask.
    ValueError
        If X has another shape or is not one-hot within `region`, `rate` is not between 0 and 1,
        `region` selects nothing, or `random_state` is of no known kind.

    Examples
    --------
    >>> from sklearn_degu.sequences import SequenceEncoder, mutate
    >>> encoder = SequenceEncoder()
    >>> X = encoder.fit_transform(["AAAAAAAAAAAA", "CCCCCCCCCCCC"])
    >>> encoder.inverse_transform(mutate(X, 0.5, region=slice(4, None), random_state=0))
    array(['AAAAAGCCAAAA', 'CCCCCCCGCGCT'], dtype='<U12')
    """
    X = check_one_hot_shape(X)
    _check_rate(rate)
    positions = region_positions(region, X.shape[2])
    rng = as_generator(random_state)
    mutated = X.copy()
    for batch in row_batches(len(X)):
        codes = column_codes(X[batch][:, :, positions], first_row=batch.start)
        _mutate_batch(mutated[batch], codes, positions, rate, rng)
    return mutated


def _check_rate(rate: float) -> None:
    """Refuse a rate that is no probability."""
    if not is_real(rate) or not 0 <= rate <= 1:
        raise ValueError(f"rate must be a float in the range [0, 1], got {rate!r}.")


def _mutate_batch(
    X: npt.NDArray[Any],
    codes: npt.NDArray[np.uint8],
    positions: npt.NDArray[np.intp],
    rate: float,
    rng: np.random.Generator,
) -> None:
    """Mutate some sequences in place, at the positions that the codes describe."""
    # One draw a position keeps the result independent of the batches: below `rate` it is a hit,
    # and the third of [0, rate) that it falls into chooses among the three other bases.
    draws = rng.random(codes.shape)
    rows, columns = np.nonzero((draws < rate) & (codes != UNKNOWN))
    # Rounding may carry the largest draws to 3, one base too far.
    steps = 1 + np.minimum((draws[rows, columns] / rate * 3).astype(np.uint8), 2)
    old = codes[rows, columns]
    X[rows, old, positions[columns]] = 0
    X[rows, (old + steps) % len(BASES), positions[columns]] = 1


def shuffle(
    X: npt.ArrayLike, *, region: Region = None, random_state: RandomState = None
) -> npt.NDArray[Any]:
    """Return the sequences with their positions in random order.

    Each sequence has a permutation of its own, all permutations equally likely, so that the
    composition of each is kept. Columns move as they are and need not be one-hot.

    Parameters
    ----------
    X : array-like of shape (n_sequences, 4, length)
        One-hot columns, or other numbers a base.

    region : slice or mask of shape (length,), default=None
        The positions that change places among themselves. By default all.

    random_state : int, RandomState instance, Generator or None, default=None
        Decides the permutations. Pass an int for the same result at every call.

    Returns
    -------
    X_shuffled : ndarray of shape (n_sequences, 4, length)
        A copy, of the dtype of X.

    Raises
    ------
    TypeError
        If X does not hold numbers, or `region` is neither a slice nor a mask.
    ValueError
        If X has another shape, `region` selects nothing, or `random_state` is of no known kind.

    See Also
    --------
    dinucleotide_shuffle : Keep the count of every pair of neighbours too.

    Examples
    --------
    >>> from sklearn_degu.sequences import SequenceEncoder, shuffle
    >>> encoder = SequenceEncoder()
    >>> X = encoder.fit_transform(["AACCCGGGGT", "AACCCGGGGT"])
    >>> encoder.inverse_transform(shuffle(X, random_state=0))
    array(['CGCGCGTAGA', 'CTCGACGGGA'], dtype='<U10')
    """
    X = check_one_hot_shape(X)
    positions = region_positions(region, X.shape[2])
    rng = as_generator(random_state)
    shuffled = X.copy()
    for batch in row_batches(len(X)):
        moving = X[batch][:, :, positions]
        order = np.tile(np.arange(len(positions)), (len(moving), 1))
        order = rng.permuted(order, axis=1, out=order)
        shuffled[batch, :, positions] = np.take_along_axis(moving, order[:, None], axis=2)
    return shuffled
