"""What a test of two samples, or a likelihood ratio, sees of the rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_array

from sklearn_degu._numbers import as_array, read_as_numbers
from sklearn_degu.sequences import SequenceEncoder
from sklearn_degu.shift.penultimate import penultimate_features
from sklearn_degu.uncertainty import Array

FeatureMap = Callable[[Any], ArrayLike]
Features = Literal["kmers", "penultimate"] | FeatureMap | None

K = 4
_KMERS = ["".join(letters) for letters in product("ACGT", repeat=K)]
_COMPLEMENT = str.maketrans("ACGT", "TGCA")
_OTHER_STRAND = [_KMERS.index(kmer[::-1].translate(_COMPLEMENT)) for kmer in _KMERS]
_FIRST_OF_PAIR = [i for i, other in enumerate(_OTHER_STRAND) if i <= other]


def feature_map(features: Features, estimator: Any) -> FeatureMap:
    """Return the function from X to features that the parameter ``features`` asks for.

    Raises
    ------
    ValueError
        If ``features`` is none of its values, or needs an estimator and there is none.
    """
    if features is None:
        return _as_it_is
    if callable(features):
        return features
    if features == "kmers":
        return kmer_counts
    if features != "penultimate":
        raise ValueError(
            "features must be 'kmers', 'penultimate', None for a table as it is, or a callable "
            f"from X to an array (n_samples, n_features); got {features!r}."
        )
    if estimator is None:
        raise ValueError("features='penultimate' needs a fitted estimator, got estimator=None.")
    return partial(penultimate_features, estimator)


def read_features(read: FeatureMap, X: Any, name: str) -> Array:
    """Return the features of X, of shape (n, d).

    Raises
    ------
    ValueError
        With ``name`` in the message, if they are no finite table with a row for every row of X.
    """
    features = read(X)
    what = name if read is _as_it_is else f"The features of {name}"
    with read_as_numbers(features, what):
        table: Array = check_array(features, dtype=np.float64, input_name=what, estimator=name)
    n_rows = X.shape[0] if hasattr(X, "shape") else len(X)
    if len(table) != n_rows:
        raise ValueError(f"{name} has {n_rows} rows, but features(X) returned {len(table)}.")
    return table


def _as_it_is(X: Any) -> Any:
    return X


def stacked(first: Array, second: Array) -> Array:
    """Return the features of both samples, standardised over them together.

    Raises
    ------
    ValueError
        If they differ in the number of features.
    """
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            f"The samples differ in their features: {first.shape[1]} in the first, "
            f"{second.shape[1]} in the second."
        )
    Z: Array = StandardScaler().fit_transform(np.vstack([first, second]))
    return Z


def kmer_counts(X: Any) -> Array:
    """Count the 4-mers of DNA on both strands.

    Parameters
    ----------
    X : array-like of str of shape (n,), or one-hot of shape (n, 4, length)
        Sequences. 4-mers with an unknown base are not counted.

    Returns
    -------
    counts : ndarray of shape (n, 136)
        A column for each 4-mer and its reverse complement together.

    Raises
    ------
    TypeError, ValueError
        If X is no DNA.
    """
    vectorizer = CountVectorizer(
        analyzer="char", ngram_range=(K, K), lowercase=False, vocabulary=_KMERS, dtype=np.float64
    )
    counts: NDArray[np.float64] = vectorizer.transform(_strings(X)).toarray()
    return (counts + counts[:, _OTHER_STRAND])[:, _FIRST_OF_PAIR]


def _strings(X: Any) -> NDArray[np.str_]:
    """Return checked sequences in upper case, with N for what is unknown."""
    array = as_array(X, "X")
    if array.dtype.kind not in "biuf":
        encoder = SequenceEncoder(pad="right")
        return encoder.inverse_transform(encoder.fit_transform(X))
    if array.ndim != 3:
        raise ValueError(
            "features='kmers' reads DNA strings or one-hot sequences of shape (n, 4, length), got "
            f"numbers of shape {array.shape}. Pass features=None for a table; unfold flattened "
            "sequences by X.reshape(len(X), 4, -1)."
        )
    return SequenceEncoder().fit(["N" * array.shape[2]]).inverse_transform(array)
