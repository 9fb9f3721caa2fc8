"""Calibration rows that a fitted estimator knows already."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from sklearn_degu._numbers import as_array
from sklearn_degu._rows import row_hashes
from sklearn_degu._stored_rows import StoredRows
from sklearn_degu._wrapped import WrappedRegressor


def describe_overlap(estimator: Any, X: Any) -> str:
    """Say how many calibration rows an estimator knows, and why it matters; nothing if none."""
    seen = rows_seen(estimator, X)
    if seen is None or not seen.any():
        return ""
    return (
        f"{np.count_nonzero(seen)} of the {len(seen)} calibration rows equal rows (on either "
        "strand) that the estimator was trained or stopped on, or recalibrated on. Its errors are "
        "smaller there than on new rows, so that uncertainty would come out too small."
    )


def rows_seen(estimator: Any, X: Any) -> NDArray[np.bool_] | None:
    """Return which rows a fitted estimator has used, or None if it cannot say.

    It has trained on them, stopped on them, or recalibrated its deviations on them.

    Parameters
    ----------
    estimator : estimator
        Fitted; of a Pipeline the last step is asked, about the rows that the others transform.
    X : array-like of n rows
        As the estimator reads them.
    """
    if isinstance(estimator, FrozenEstimator):
        return rows_seen(estimator.estimator, X)
    if isinstance(estimator, Pipeline):
        return rows_seen(estimator.steps[-1][1], _transformed(estimator, X))
    if isinstance(estimator, WrappedRegressor):
        # Rows that its deviations were recalibrated on are as little new as those of the training.
        parts = rows_seen(estimator.estimator_, X), _recalibrated_on(estimator, X)
        known = [part for part in parts if part is not None]
        return np.any(known, axis=0) if known else None
    ask = getattr(estimator, "seen", None)
    return None if ask is None else np.asarray(ask(X))


def hashes_as_read(estimator: Any, X: Any) -> NDArray[np.uint64] | None:
    """Return hashes of rows in the form in which the estimator that predicts reads them.

    None if that is no array of numbers.
    """
    if isinstance(estimator, FrozenEstimator):
        return hashes_as_read(estimator.estimator, X)
    if isinstance(estimator, Pipeline):
        return hashes_as_read(estimator.steps[-1][1], _transformed(estimator, X))
    if isinstance(estimator, WrappedRegressor):
        return hashes_as_read(estimator.estimator_, X)
    rows: Any = X
    if not isinstance(X, StoredRows):
        rows = np.asarray(X) if hasattr(X, "toarray") else as_array(X, "X")
    if rows.dtype.kind not in "biuf":
        return None
    # Sequences may come flattened.
    shape = getattr(estimator, "input_shape_", rows.shape[1:])
    return row_hashes(rows.reshape(len(rows), *shape))


def _recalibrated_on(estimator: WrappedRegressor, X: Any) -> NDArray[np.bool_] | None:
    known = getattr(estimator, "_calibrated_on", None)
    if known is None:
        return None
    hashes = hashes_as_read(estimator.estimator_, X)
    return None if hashes is None else np.isin(hashes, known)


def _transformed(pipeline: Pipeline, X: Any) -> Any:
    before = pipeline[:-1]
    return before.transform(X) if len(before) else X
