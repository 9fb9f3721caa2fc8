"""New sequences out of the parts of others."""

from typing import Any

import numpy as np
import numpy.typing as npt

from sklearn_degu.sequences._arguments import RandomState, as_generator
from sklearn_degu.sequences._batches import row_batches
from sklearn_degu.sequences._one_hot import check_one_hot_shape


def recombine(X: npt.ArrayLike, *, random_state: RandomState = None) -> npt.NDArray[Any]:
    """Return the beginning of each sequence joined to the end of another.

    Every sequence gives its beginning to one child and its end to one child, which are joined at
    a random position: a single crossover. The children are made of natural sequence, position by
    position, so that constant adaptors stay in place, but their combinations of elements are new.

    Parameters
    ----------
    X : array-like of shape (n_sequences, 4, length)
        One-hot columns, or other numbers a base.

    random_state : int, RandomState instance, Generator or None, default=None
        Decides the partners and the crossovers. Pass an int for the same result at every call.

    Returns
    -------
    X_recombined : ndarray of shape (n_sequences, 4, length)
        A new array, of the dtype of X. Row ``i`` begins as row ``i`` of X does.

    Raises
    ------
    TypeError
        If X does not hold numbers.
    ValueError
        If X has another shape, or `random_state` is of no known kind.

    Examples
    --------
    >>> from sklearn_degu.sequences import SequenceEncoder, recombine
    >>> encoder = SequenceEncoder()
    >>> X = encoder.fit_transform(["AAAAAAAA", "CCCCCCCC", "GGGGGGGG"])
    >>> encoder.inverse_transform(recombine(X, random_state=0))
    array(['AAAGGGGG', 'CAAAAAAA', 'GCCCCCCC'], dtype='<U8')
    """
    X = check_one_hot_shape(X)
    n_sequences, _, length = X.shape
    rng = as_generator(random_state)
    partners = rng.permutation(n_sequences)
    crossovers = rng.integers(1, max(length, 2), size=n_sequences)
    children = np.empty_like(X)
    for batch in row_batches(n_sequences):
        own = np.arange(length) < crossovers[batch, np.newaxis]
        children[batch] = np.where(own[:, np.newaxis], X[batch], X[partners[batch]])
    return children
