"""What is gained by rejecting the predictions that are least certain."""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.exceptions import UndefinedMetricWarning

from sklearn_degu.metrics._arrays import Array, check_gaussians
from sklearn_degu.metrics._targets import MultiOutput, mean_over_ties, over_targets, per_target

ErrorMeasure = Literal["mse", "mae"]

# Errors that differ relatively by no more than this are equal: differences and sums were rounded.
ROUNDING = 1e-9


def error_rejection_curve(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    y_std: ArrayLike,
    *,
    error: ErrorMeasure = "mse",
) -> tuple[Array, Array]:
    r"""Error of the predictions that remain when the most uncertain ones are rejected.

    After the k most uncertain of n predictions are rejected, the error of the rest is
    :math:`E_k = \frac{1}{n - k} \sum_{i > k} e_i`, where :math:`e_i` is the squared or absolute
    error and i counts from the largest deviation to the smallest: a sparsification curve [1]_.
    The curve falls if the deviation knows where errors are large.

    Rejection at random leaves the error where it is, in expectation: a horizontal line. An oracle
    that rejects the largest errors first gives the lowest curve that there is: pass the absolute
    error as ``y_std`` to see it.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_targets)
        Measurements; NaN where missing.
    y_pred : array-like of the same shape
        Predicted means.
    y_std : array-like of the same shape
        Predicted standard deviations, or another measure of uncertainty that is not negative:
        only its order counts. Rows of equal deviation are rejected in no order: their part of
        the curve is the expectation over all orders.
    error : {"mse", "mae"}, default="mse"
        Mean squared or mean absolute error.

    Returns
    -------
    fraction : ndarray of shape (n_measured,)
        Fraction rejected, ``k / n_measured`` from 0 up; at least one prediction remains.
        ``n_measured`` is the number of measurements of the target that has most.
    remaining_error : ndarray of shape (n_measured,) or (n_measured, n_targets)
        Error of the rest. Of a target with fewer measurements, that fraction of them is rejected,
        rounded down.

    Raises
    ------
    ValueError
        If shapes differ, a prediction is not finite, a deviation is negative, a target was not
        measured, or ``error`` is not known.

    References
    ----------
    .. [1] Ilg, Cicek, Galesso, Klein, Makansi, Hutter and Brox, "Uncertainty estimates and
       multi-hypotheses networks for optical flow", ECCV 2018.

    Examples
    --------
    >>> from sklearn_degu.metrics import error_rejection_curve
    >>> fraction, mse = error_rejection_curve([1.0, 0.0, 3.0, 2.0], [0.0] * 4, [2, 1, 4, 3])
    >>> fraction
    array([0.  , 0.25, 0.5 , 0.75])
    >>> mse.round(2)
    array([3.5 , 1.67, 0.5 , 0.  ])
    """
    measured, mean, std = check_gaussians(y_true, y_pred, y_std, zero_std=True)
    errors = _errors(measured - mean, error)
    curves = per_target(_remaining_error, ~np.isnan(measured), errors, std)
    n_measured = max(map(len, curves))
    rejected = np.arange(n_measured)
    columns = [curve[rejected * len(curve) // n_measured] for curve in curves]
    remaining = columns[0] if measured.ndim == 1 else np.stack(columns, axis=1)
    return rejected / n_measured, remaining


def error_rejection_area(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    y_std: ArrayLike,
    *,
    error: ErrorMeasure = "mse",
    multioutput: MultiOutput = "uniform_average",
) -> float | Array:
    r"""Area gained by rejecting by uncertainty, as a fraction of what an oracle gains.

    With A the area under :func:`error_rejection_curve`, the mean of :math:`E_k` over k,

    .. math:: \frac{A_\mathrm{random} - A_\sigma}{A_\mathrm{random} - A_\mathrm{oracle}}

    Rejection at random has an area equal to the error of all predictions, in expectation; the
    oracle rejects the largest errors first. So 1 is the order of the errors themselves, 0 is what
    a constant deviation or chance gives, and a negative value means that certain predictions are
    the worse ones. The numerator is the area under the random gain [2]_, the difference of
    numerator and denominator the area under the sparsification error [1]_; a ratio to the oracle
    follows [3]_. Free of units, it compares models of different accuracy.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_targets)
        Measurements; NaN where missing.
    y_pred : array-like of the same shape
        Predicted means.
    y_std : array-like of the same shape
        Predicted standard deviations, or another measure of uncertainty that is not negative:
        only its order counts.
    error : {"mse", "mae"}, default="mse"
        Mean squared or mean absolute error.
    multioutput : {"uniform_average", "raw_values"}, default="uniform_average"
        Whether to return the mean over targets, or the value of each.

    Returns
    -------
    area : float or ndarray of shape (n_targets,)
        At most 1; greater is better. NaN, with scikit-learn's ``UndefinedMetricWarning``, for a
        target whose errors are all equal: no order gains anything.

    Raises
    ------
    ValueError
        If shapes differ, a prediction is not finite, a deviation is negative, a target was not
        measured, or ``error`` is not known.

    Notes
    -----
    Even perfect deviations do not reach 1: an error is a random draw of which the deviation is
    the scale only.

    References
    ----------
    .. [1] Ilg, Cicek, Galesso, Klein, Makansi, Hutter and Brox, "Uncertainty estimates and
       multi-hypotheses networks for optical flow", ECCV 2018.
    .. [2] Poggi, Aleotti, Tosi and Mattoccia, "On the uncertainty of self-supervised monocular
       depth estimation", CVPR 2020.
    .. [3] Malinin, Ragni, Knill and Gales, "Incorporating uncertainty into deep learning for
       spoken language assessment", ACL 2017.

    Examples
    --------
    >>> from sklearn_degu.metrics import error_rejection_area
    >>> y_true, y_pred = [1.0, 0.0, 3.0, 2.0], [0.0] * 4
    >>> error_rejection_area(y_true, y_pred, [2.0, 1.0, 4.0, 3.0])
    1.0
    >>> error_rejection_area(y_true, y_pred, [1.0, 1.0, 1.0, 1.0])
    0.0
    """
    measured, mean, std = check_gaussians(y_true, y_pred, y_std, zero_std=True)
    errors = _errors(measured - mean, error)
    areas = per_target(_relative_gain, ~np.isnan(measured), errors, std)
    return over_targets(areas, multioutput)


def _errors(difference: Array, error: ErrorMeasure) -> Array:
    if error == "mse":
        return difference**2
    if error == "mae":
        return np.abs(difference)
    raise ValueError(f"error must be 'mse' or 'mae', got {error!r}.")


def _remaining_error(errors: Array, std: Array) -> Array:
    """Return the mean error of the rest after 0, 1, ..., n - 1 rejections."""
    certain_first = mean_over_ties(errors, std)[np.argsort(std)]
    means: Array = np.cumsum(certain_first) / np.arange(1, len(errors) + 1)
    return means[::-1]


def _relative_gain(errors: Array, std: Array) -> float:
    by_chance = errors.mean()
    attainable = by_chance - _remaining_error(errors, errors).mean()
    if attainable <= ROUNDING * by_chance:
        warnings.warn(
            f"The {len(errors)} errors of a target are all equal, so that no order of rejection "
            "gains anything: its error_rejection_area is NaN.",
            UndefinedMetricWarning,
            stacklevel=4,
        )
        return float("nan")
    return float((by_chance - _remaining_error(errors, std).mean()) / attainable)
