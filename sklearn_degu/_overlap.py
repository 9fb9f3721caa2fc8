"""Calibration rows that a fitted estimator knows already."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from sklearn_degu._calibration import CalibratedRegressor
from sklearn_degu._rows import row_hashes


def describe_overlap(estimator: Any, X: Any) -> str:
    """Say how many calibration rows an estimator knows, and why it matters; nothing if none."""
    seen = rows_seen(estimator, X)
    if seen is None or not seen.any():
        return ""
    return (
        f"{np.count_nonzero(seen)} of the {len(seen)} calibration rows equal rows (on either "
        "strand) that the estimator was trained or stopped on. Its errors are smaller there than "
        "on new rows, so that uncertainty would come out too small."
    )


def rows_seen(estimator: Any, X: Any) -> NDArray[np.bool_] | None:
    """Return which rows a fitted estimator was trained or stopped on, or None if it cannot say.

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
    if isinstance(estimator, CalibratedRegressor):
        seen = rows_seen(estimator.estimator_, X)
        if seen is None or not hasattr(estimator, "_calibrated_on"):
            return seen
        # Rows that its deviations were recalibrated on are as little new as those of the training.
        return seen | np.isin(hashes_as_read(estimator.estimator_, X), estimator._calibrated_on)
    ask = getattr(estimator, "seen", None)
    return None if ask is None else np.asarray(ask(X))


def hashes_as_read(estimator: Any, X: Any) -> NDArray[np.uint64]:
    """Return hashes of rows in the form in which the estimator that predicts reads them."""
    if isinstance(estimator, FrozenEstimator):
        return hashes_as_read(estimator.estimator, X)
    if isinstance(estimator, Pipeline):
        return hashes_as_read(estimator.steps[-1][1], _transformed(estimator, X))
    if isinstance(estimator, CalibratedRegressor):
        return hashes_as_read(estimator.estimator_, X)
    return row_hashes(np.asarray(X))


def _transformed(pipeline: Pipeline, X: Any) -> Any:
    before = pipeline[:-1]
    return before.transform(X) if len(before) else X
