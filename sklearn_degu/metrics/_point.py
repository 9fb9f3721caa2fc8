"""Metrics of the predicted mean that scikit-learn has not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from sklearn_degu.metrics._arrays import Array, check_predictions
from sklearn_degu.metrics._targets import MultiOutput, over_targets, per_target


def pearson_correlation(
    y_true: ArrayLike, y_pred: ArrayLike, *, multioutput: MultiOutput = "uniform_average"
) -> float | Array:
    """Pearson correlation of measurements and predictions, by :func:`scipy.stats.pearsonr`.

    The covariance over the product of the standard deviations: how well a straight line maps the
    predictions to the measurements. It is blind to errors of offset and scale.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_targets)
        Measurements; NaN where missing. Each target needs two.
    y_pred : array-like of the same shape
        Predictions.
    multioutput : {"uniform_average", "raw_values"}, default="uniform_average"
        Whether to return the mean over targets, or the value of each.

    Returns
    -------
    correlation : float or ndarray of shape (n_targets,)
        Between -1 and 1. NaN, with scipy's ``ConstantInputWarning``, for a target whose
        measurements or predictions are all equal: it has no correlation. The mean over targets is
        then NaN too.

    Raises
    ------
    ValueError
        If shapes differ, predictions are not finite, or a target has fewer than two measurements.

    Examples
    --------
    >>> from sklearn_degu.metrics import pearson_correlation
    >>> round(pearson_correlation([1.0, 2.0, float("nan"), 3.0], [3.0, 6.0, 0.0, 7.0]), 3)
    0.961
    """
    return _correlation(stats.pearsonr, y_true, y_pred, multioutput)


def spearman_correlation(
    y_true: ArrayLike, y_pred: ArrayLike, *, multioutput: MultiOutput = "uniform_average"
) -> float | Array:
    """Spearman correlation of measurements and predictions, by :func:`scipy.stats.spearmanr`.

    The Pearson correlation of the ranks, equal values having their mean rank: how well the
    predictions put the measurements in order.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_targets)
        Measurements; NaN where missing. Each target needs two.
    y_pred : array-like of the same shape
        Predictions.
    multioutput : {"uniform_average", "raw_values"}, default="uniform_average"
        Whether to return the mean over targets, or the value of each.

    Returns
    -------
    correlation : float or ndarray of shape (n_targets,)
        Between -1 and 1. NaN, with scipy's ``ConstantInputWarning``, for a target whose
        measurements or predictions are all equal: it has no correlation. The mean over targets is
        then NaN too.

    Raises
    ------
    ValueError
        If shapes differ, predictions are not finite, or a target has fewer than two measurements.

    Examples
    --------
    >>> from sklearn_degu.metrics import spearman_correlation
    >>> round(spearman_correlation([1.0, 2.0, 3.0, 4.0], [0.1, 0.2, 9.0, 0.3]), 3)
    0.8
    """
    return _correlation(stats.spearmanr, y_true, y_pred, multioutput)


def _correlation(
    correlate: Callable[..., Any], y_true: ArrayLike, y_pred: ArrayLike, multioutput: MultiOutput
) -> float | Array:
    measured, predicted = check_predictions(y_true, y_pred, at_least=2, purpose="a correlation")

    def correlation(*rows: Array) -> float:
        return float(correlate(*rows).statistic)

    values = per_target(correlation, ~np.isnan(measured), measured, predicted)
    return over_targets(values, multioutput)
