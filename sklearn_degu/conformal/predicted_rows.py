"""Rows with what a fitted estimator says of them, as conformal prediction reads them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from mapie.conformity_scores import BaseRegressionScore
from numpy.typing import NDArray

from sklearn_degu._calibration import predict_with_std
from sklearn_degu._splitting import take_rows
from sklearn_degu.conformal.row_functions import likelihood_ratios
from sklearn_degu.conformal.scores import NormalizedScore, reads_samples
from sklearn_degu.uncertainty import Array, Kind


class PredictedRows(NamedTuple):
    """Rows, and what the model says of them.

    Attributes
    ----------
    X : array-like of n rows
        As the user passed them, or None if the score cannot look at them.
    mean : ndarray of shape (n, n_targets)
        Predicted mean.
    std : ndarray of shape (n, n_targets) or None
        Predicted standard deviation, for a score that reads it.
    weights : ndarray of shape (n,) or None
        Likelihood ratios.
    """

    X: Any
    mean: Array
    std: Array | None
    weights: Array | None

    def take(self, rows: NDArray[Any]) -> PredictedRows:
        """Return some of the rows."""
        std, weights = (None if part is None else part[rows] for part in (self.std, self.weights))
        X = None if self.X is None else take_rows(self.X, rows)
        return PredictedRows(X, self.mean[rows], std, weights)

    def for_score(self, target: int) -> dict[str, Any]:
        """Return what a conformity score is told besides y and its mean."""
        told = {"X": self.X}
        return told if self.std is None else {**told, "y_std": self.std[:, target]}


def predict_rows(
    estimator: Any,
    X: Any,
    score: BaseRegressionScore,
    kind: Kind | None,
    likelihood_ratio: Callable[[Any], Any] | None,
) -> tuple[PredictedRows, tuple[int, ...]]:
    """Predict rows once, for all targets, groups and levels.

    Parameters
    ----------
    estimator : estimator
        Fitted.
    X : array-like of n rows
        As the user passed them.
    score : BaseRegressionScore
        Decides whether a deviation is predicted, and whether X is kept.
    kind : {"epistemic", "aleatoric", "total"} or None
        Kind of the deviation.
    likelihood_ratio : callable or None
        Weighs the rows.

    Returns
    -------
    rows : PredictedRows
        The rows, their predictions with two axes.
    shape : tuple of int
        The shape of the prediction.

    Raises
    ------
    ValueError
        If no interval can be made of what the estimator predicts.
    """
    if isinstance(score, NormalizedScore):
        mean, std = predict_with_std(estimator, X, kind)
        _check_std(mean, std)
        std = std.reshape(len(std), -1)
    else:
        mean, std = np.asarray(estimator.predict(X)), None
    _check_mean(mean)
    kept = X if reads_samples(score) else None
    weights = likelihood_ratios(likelihood_ratio, X, len(mean))
    return PredictedRows(kept, mean.reshape(len(mean), -1), std, weights), mean.shape


def _check_mean(mean: Array) -> None:
    if not np.isfinite(mean).all():
        raise ValueError(
            f"The estimator predicts NaN or infinite values ({np.sum(~np.isfinite(mean))} of "
            f"{mean.size})."
        )


def _check_std(mean: Array, std: Array) -> None:
    if std.shape != mean.shape:
        raise ValueError(
            f"The estimator predicts a mean of shape {mean.shape}, but a standard deviation of "
            f"shape {std.shape}."
        )
    wrong = ~(np.isfinite(std) & (std >= 0))
    if wrong.any():
        raise ValueError(
            f"The estimator predicts {wrong.sum()} standard deviations that are negative, NaN or "
            f"infinite; the first is {std[wrong][0]}."
        )
