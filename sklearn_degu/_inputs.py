"""The input contract: what X, y and weights may be, and what the nets are given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_consistent_length, validate_data

from sklearn_degu._numbers import as_array, check_groups, read_as_numbers
from sklearn_degu._replicates import check_replicates
from sklearn_degu._stored_rows import StoredRows
from sklearn_degu._targets import check_training_targets, check_weight

# Codes stay as they are and are cast batch by batch; everything else is computed with as given.
_DTYPES = (np.float64, np.float32, np.uint8, np.int8, np.bool_)


_MAX_AXES = 3

# Numbers that are written without a digit.
_NUMBERS = ("nan", "inf", "-inf")


class Samples(NamedTuple):
    """Validated rows.

    Attributes
    ----------
    X : ndarray of shape (n, ...)
        Inputs as the nets read them.
    y : ndarray of shape (n, n_targets)
        Targets, NaN where missing.
    weight : ndarray of shape (n,) or None
        Weights of the rows.
    groups : ndarray of shape (n,) or None
        Groups of the rows, for a validation splitter.
    replicates : ndarray of shape (n, n_targets, n_replicates) or None
        Single measurements of the targets, NaN where missing.
    """

    X: NDArray[Any]
    y: NDArray[np.float64]
    weight: NDArray[np.float64] | None = None
    groups: NDArray[Any] | None = None
    replicates: NDArray[np.float64] | None = None

    def take(self, rows: NDArray[Any]) -> Samples:
        """Return some of the rows."""
        optional = (None if part is None else part[rows] for part in self[2:])
        return Samples(self.X[rows], self.y[rows], *optional)


def check_fit_data(
    estimator: BaseEstimator,
    X: Any,
    y: Any,
    sample_weight: Any,
    groups: Any,
    *,
    sequences: bool,
    replicates: Any = None,
) -> Samples:
    """Validate training data, and set ``n_features_in_`` and ``input_shape_``.

    Parameters
    ----------
    estimator : estimator
        Whose fit it is.
    X, y, sample_weight, groups : array-like
        As they were passed to ``fit``. Rows of weight zero are left out.
    sequences : bool
        Whether a net reads sequences: 2-D X is then the flattened view of (n, 4, L).
    replicates : array-like, optional
        As it was passed to ``fit``.

    Raises
    ------
    ValueError
        If shapes, types or values are not what the class documentation says.
    """
    if y is None:
        raise ValueError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is None."
        )
    rows, shape = _flat_rows(X, sequences)
    checked = _validated(estimator, rows, reset=True)
    estimator.input_shape_ = shape or _shape_of(checked, sequences)
    targets = check_training_targets(y)
    check_consistent_length(checked, targets)
    groups = check_groups(groups, len(checked))
    weight = check_weight(sample_weight, len(checked))
    inputs = _compact(_contiguous(checked).reshape(-1, *estimator.input_shape_))
    measured = check_replicates(replicates, targets, "y", _shape_of_targets(y))
    return _without_zero_weights(Samples(inputs, targets, weight, groups, measured))


def _shape_of_targets(y: Any) -> tuple[int, ...]:
    return () if y is None else np.asarray(y).shape


def check_more_rows(
    estimator: BaseEstimator,
    X: Any,
    y: Any = None,
    sample_weight: Any = None,
    replicates: Any = None,
    *,
    name: str,
) -> Samples:
    """Validate further rows for a fit, such as validation rows, against those of training.

    Raises
    ------
    ValueError
        With ``name`` in the message, if the rows differ in shape from the training rows.
    """
    try:
        rows = check_predict_data(estimator, X)
        targets = np.zeros((len(rows), 0)) if y is None else check_training_targets(y)
        check_consistent_length(rows, targets)
        weight = check_weight(sample_weight, len(rows))
        measured = check_replicates(replicates, targets, "y_val", _shape_of_targets(y))
    except ValueError as error:
        raise ValueError(f"{name} cannot be used with the training rows: {error}") from error
    return _without_zero_weights(Samples(_compact(rows), targets, weight, None, measured))


def check_predict_data(estimator: BaseEstimator, X: Any) -> NDArray[Any]:
    """Validate rows to predict, and return them in the shape that the nets read.

    Raises
    ------
    ValueError
        If X differs in shape from the training rows, or has missing or infinite values.
    """
    expected: tuple[int, ...] = estimator.input_shape_
    rows, shape = _flat_rows(X, len(expected) == 2)
    if shape is not None and shape != expected:
        raise ValueError(
            f"X has samples of shape {shape}, but {type(estimator).__name__} was fitted on "
            f"samples of shape {expected}."
        )
    checked = _validated(estimator, rows, reset=False)
    shaped: NDArray[Any] = checked.reshape(-1, *expected)
    return shaped


def compute_dtype(X: NDArray[Any]) -> torch.dtype:
    """Return what to compute in: float64 for float64, float32 for everything else."""
    return torch.float64 if X.dtype == np.float64 else torch.float32


def _validated(estimator: BaseEstimator, rows: Any, *, reset: bool) -> Any:
    """Return rows of two axes after scikit-learn's checks; rows in a file stay there."""
    if not isinstance(rows, StoredRows):
        with read_as_numbers(rows, "X"):
            return validate_data(estimator, rows, dtype=_DTYPES, accept_sparse=False, reset=reset)
    served = rows if rows.dtype in _DTYPES else rows.astype(np.float64)
    for part in served.in_storage_order().parts():
        validate_data(estimator, part, dtype=_DTYPES, reset=reset)
        if served.dtype.kind != "f":
            break  # Numbers of other types are all finite.
        reset = False
    return served


def _contiguous(X: Any) -> Any:
    """Return rows in one order in memory, so that sums over it round alike."""
    return X if isinstance(X, StoredRows) else np.ascontiguousarray(X)


def _flat_rows(X: Any, sequences: bool) -> tuple[Any, tuple[int, ...] | None]:
    """Return X with two axes for scikit-learn's checks, and the shape of a 3-D X's rows."""
    _refuse_strings(X)
    with read_as_numbers(X, "X"):
        array = _with_axes(X)
    _refuse_strings(array)
    n_axes = array.ndim
    if n_axes > _MAX_AXES:
        raise ValueError(
            f"X must have shape (n_samples, n_features) or (n_samples, channels, length), got "
            f"{array.shape}."
        )
    if n_axes != 3:
        return array, None
    n, channels, length = array.shape
    if sequences and channels != 4 and length == 4:
        raise ValueError(
            f"X has shape {array.shape}, which looks like (n_samples, length, 4). Sequences must "
            "be (n_samples, 4, length): pass X.transpose(0, 2, 1), or of a file "
            "HDF5Array(..., channels_last=True)."
        )
    return _contiguous(array).reshape(n, channels * length), (channels, length)


def _with_axes(X: Any) -> Any:
    """Return X itself if it says how many axes it has and scikit-learn reads it, else an array."""
    if isinstance(X, torch.Tensor):
        return X.detach().cpu().numpy()
    is_read = hasattr(X, "iloc") or hasattr(X, "toarray") or isinstance(X, np.ndarray | StoredRows)
    return X if is_read and np.ndim(X) else as_array(X, "X")


def _refuse_strings(X: Any) -> None:
    """Refuse sequences that were not encoded; other text is refused where numbers are read."""
    first = X
    for _ in range(_MAX_AXES):
        nested = hasattr(first, "iloc") or isinstance(first, list | tuple | np.ndarray)
        if not nested or getattr(first, "ndim", 1) == 0 or len(first) == 0:
            break
        first = first.iloc[0] if hasattr(first, "iloc") else first[0]
    if isinstance(first, str | bytes) and not _is_number(first):
        raise ValueError(
            f"X holds strings (first: {first[:20]!r}). Encode DNA sequences first: put "
            "SequenceEncoder() before the estimator in a Pipeline. Further rows passed to fit need "
            "it too: Pipeline(..., transform_input=['X_val', 'X_unlabeled'])."
        )


def _is_number(text: str | bytes) -> bool:
    """Whether text is a number, or meant to be one, such as "0,5" or "chr1"."""
    letters = text.decode("latin-1") if isinstance(text, bytes) else text
    return letters.strip().lower() in _NUMBERS or any(map(str.isdigit, letters))


def _shape_of(rows: NDArray[Any], sequences: bool) -> tuple[int, ...]:
    n_features = rows.shape[1]
    if not sequences:
        return (n_features,)
    if n_features % 4:
        raise ValueError(
            f"A sequence net reads a 2-D X as the flattened view of (n_samples, 4, length), but "
            f"{n_features} features are no multiple of 4. Pass X of shape (n_samples, 4, "
            "length), or use a net for tabular data such as recipes.mlp_net()."
        )
    return (4, n_features // 4)


def _compact(X: NDArray[Any]) -> NDArray[Any]:
    """Store sequences of zeros and ones in a byte a value."""
    if X.ndim == 3 and X.dtype != np.uint8 and all(_is_binary(rows) for rows in _in_parts(X)):
        return X.astype(np.uint8)
    return X


def is_dna(X: NDArray[Any]) -> bool:
    """Whether X, as the nets read it, is one-hot DNA (n, 4, length).

    An unknown base is zero, or 0.25, in every channel.
    """
    return X.ndim == 3 and X.shape[1] == 4 and all(_is_dna(rows) for rows in _in_parts(X))


def _is_binary(X: NDArray[Any]) -> bool:
    return bool(((X == 0) | (X == 1)).all())


def _is_dna(X: NDArray[Any]) -> bool:
    unknown = (X[:, :1] == X).all(axis=1) & np.isin(X[:, 0], (0, 0.25))
    known = ((X == 0) | (X == 1)).all(axis=1) & (X.sum(axis=1) == 1)
    return bool((known | unknown).all())


def _in_parts(X: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield some rows at a time, so that temporaries stay small; of a file, in its order."""
    if isinstance(X, StoredRows):
        yield from X.in_storage_order().parts()
        return
    for start in range(0, len(X), 4096):
        yield X[start : start + 4096]


def _without_zero_weights(samples: Samples) -> Samples:
    return samples if samples.weight is None else samples.take(np.flatnonzero(samples.weight))
