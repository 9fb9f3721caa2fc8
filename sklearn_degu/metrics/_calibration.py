"""Whether predicted standard deviations are right: in size, and in their order."""

from __future__ import annotations

from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import spearmanr
from sklearn.utils import check_scalar

from sklearn_degu.metrics._arrays import Array, check_gaussians, check_std
from sklearn_degu.metrics._targets import MultiOutput, mean_by_bin, over_targets, per_target


def expected_normalized_calibration_error(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    y_std: ArrayLike,
    *,
    n_bins: int = 10,
    multioutput: MultiOutput = "uniform_average",
) -> float | Array:
    r"""Relative difference of predicted and realised deviations, over bins of the deviation (ENCE).

    A deviation is calibrated if, among rows for which it is predicted to be
    :math:`\sigma`, the root mean square error is :math:`\sigma`. The rows are ordered by their
    predicted deviation and cut into bins of equally many rows; in each bin the root mean variance
    (RMV) is compared with the root mean square error (RMSE) [1]_:

    .. math:: \mathrm{ENCE} = \frac{1}{B} \sum_{b=1}^{B}
              \frac{|\mathrm{RMV}_b - \mathrm{RMSE}_b|}{\mathrm{RMV}_b}

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_targets)
        Measurements; NaN where missing. Each target needs one for every bin, and should have
        many.
    y_pred : array-like of the same shape
        Predicted means.
    y_std : array-like of the same shape
        Predicted standard deviations in y's units, positive: a bin with an RMV of zero would
        divide by it.
    n_bins : int, default=10
        Number of bins. If it does not divide the number of measurements, the first bins have one
        row more.
    multioutput : {"uniform_average", "raw_values"}, default="uniform_average"
        Whether to return the mean over targets, or the value of each.

    Returns
    -------
    ence : float or ndarray of shape (n_targets,)
        At least 0; smaller is better. 0.1 means that deviations are wrong by a tenth.

    Raises
    ------
    ValueError
        If shapes differ, a prediction is not finite, a deviation is not positive, or a target has
        fewer measurements than bins.

    Notes
    -----
    Even perfect deviations do not give zero: with n normal errors the expectation is about
    :math:`\sqrt{B / (\pi n)}`, 0.056 for 1,000 rows in 10 bins. Compare values of equal n and
    number of bins [2]_.

    Rows of equal deviation that an edge divides count in both bins in proportion, so that the
    order of the rows does not matter.

    References
    ----------
    .. [1] Levi, Gispan, Giladi and Fetaya, "Evaluating and calibrating uncertainty prediction in
       regression tasks", Sensors 22, 2022.
    .. [2] Pernot, "Properties of the ENCE and other MAD-based calibration metrics",
       arXiv:2305.11905, 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_degu.metrics import expected_normalized_calibration_error
    >>> rng = np.random.default_rng(0)
    >>> y_pred, y_std = np.zeros(10000), rng.uniform(1, 3, size=10000)
    >>> y_true = rng.normal(y_pred, y_std)
    >>> round(expected_normalized_calibration_error(y_true, y_pred, y_std), 2)
    0.02
    >>> round(expected_normalized_calibration_error(y_true, y_pred, 2 * y_std), 2)
    0.5
    """
    check_scalar(n_bins, "n_bins", Integral, min_val=1)
    measured, mean, std = check_gaussians(
        y_true, y_pred, y_std, zero_std=False, at_least=n_bins, purpose=f"n_bins={n_bins}"
    )

    def ence(error: Array, deviation: Array) -> float:
        rmv, rmse = reliability(error, deviation, n_bins)
        return float(np.mean(np.abs(rmv - rmse) / rmv))

    values = per_target(ence, ~np.isnan(measured), measured - mean, std)
    return over_targets(values, multioutput)


def sharpness(y_std: ArrayLike, *, multioutput: MultiOutput = "uniform_average") -> float | Array:
    r"""Root mean square of the predicted standard deviations.

    .. math:: \sqrt{\tfrac{1}{n} \sum_i \sigma_i^2}

    Of two calibrated models the sharper one says more. Alone it says nothing: a model may be sharp
    and wrong. If deviations are calibrated on average, it equals the root mean square error.

    Parameters
    ----------
    y_std : array-like of shape (n_samples,) or (n_samples, n_targets)
        Predicted standard deviations in y's units, not negative.
    multioutput : {"uniform_average", "raw_values"}, default="uniform_average"
        Whether to return the mean over targets, or the value of each.

    Returns
    -------
    sharpness : float or ndarray of shape (n_targets,)
        In y's units; smaller is sharper.

    Raises
    ------
    ValueError
        If a deviation is negative, NaN or infinite.

    References
    ----------
    .. [1] Tran, Neiswanger, Yoon, Zhang, Xing and Ulissi, "Methods for comparing uncertainty
       quantifications for material property predictions", Machine Learning: Science and
       Technology 1, 2020.

    Examples
    --------
    >>> from sklearn_degu.metrics import sharpness
    >>> sharpness([1.0, 7.0])
    5.0
    """
    std = check_std(y_std, zero=True)
    values = per_target(_root_mean_square, np.ones(std.shape, dtype=bool), std)
    return over_targets(values, multioutput)


def uncertainty_error_correlation(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    y_std: ArrayLike,
    *,
    multioutput: MultiOutput = "uniform_average",
) -> float | Array:
    r"""Spearman correlation of the standard deviation and the absolute error.

    Whether larger deviations go with larger errors :math:`|y - \mu|`, by
    :func:`scipy.stats.spearmanr`. Only the order of the deviations counts, not their size.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_targets)
        Measurements; NaN where missing. Each target needs two.
    y_pred : array-like of the same shape
        Predicted means.
    y_std : array-like of the same shape
        Predicted standard deviations, or another measure of uncertainty that is not negative.
    multioutput : {"uniform_average", "raw_values"}, default="uniform_average"
        Whether to return the mean over targets, or the value of each.

    Returns
    -------
    correlation : float or ndarray of shape (n_targets,)
        Between -1 and 1. NaN, with scipy's ``ConstantInputWarning``, for a target whose
        deviations or errors are all equal. The mean over targets is then NaN too.

    Raises
    ------
    ValueError
        If shapes differ, a prediction is not finite, a deviation is negative, or a target has
        fewer than two measurements.

    Notes
    -----
    Even perfect deviations do not reach 1, since an error is a random draw of which the deviation
    is the scale only: with normal errors and deviations that span a factor of 4 it is about 0.4.
    Compare models by it, on equal rows. :func:`error_rejection_area` asks the same question and
    weighs errors by their size.

    Examples
    --------
    >>> from sklearn_degu.metrics import uncertainty_error_correlation
    >>> y_true, y_pred = [1.0, -4.0, 3.0, 2.0], [0.0, 0.0, 0.0, 0.0]
    >>> round(uncertainty_error_correlation(y_true, y_pred, [0.1, 0.3, 0.4, 0.2]), 3)
    0.8
    """
    measured, mean, std = check_gaussians(
        y_true, y_pred, y_std, zero_std=True, at_least=2, purpose="a correlation"
    )

    def correlation(error: Array, deviation: Array) -> float:
        return float(spearmanr(deviation, np.abs(error)).statistic)

    values = per_target(correlation, ~np.isnan(measured), measured - mean, std)
    return over_targets(values, multioutput)


def reliability(error: Array, std: Array, n_bins: int) -> tuple[Array, Array]:
    """Return root mean variance and root mean square error by bin of the deviation.

    Parameters
    ----------
    error, std : ndarray of shape (n_samples,)
        Errors of one target and their predicted deviations, without missing values.
    n_bins : int
        Number of bins of equally many rows.

    Returns
    -------
    rmv, rmse : ndarray of shape (n_bins,)
        From the smallest deviations up.
    """
    return np.sqrt(mean_by_bin(std**2, std, n_bins)), np.sqrt(mean_by_bin(error**2, std, n_bins))


def _root_mean_square(values: Array) -> float:
    return float(np.sqrt(np.mean(values**2)))
