"""Metrics of prediction intervals: whether they cover, and at what width."""

from __future__ import annotations

from numbers import Integral, Real

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_scalar

from sklearn_degu.metrics._arrays import Array, check_bin_key, check_bounds, check_intervals
from sklearn_degu.metrics._targets import MultiOutput, mean_by_bin, mean_of, per_target


def interval_coverage(
    y_true: ArrayLike,
    y_lower: ArrayLike,
    y_upper: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    multioutput: MultiOutput = "uniform_average",
) -> float | Array:
    """Fraction of the measurements that lie in their prediction interval, bounds included.

    Intervals of confidence level 0.9 should cover 0.9. Coverage alone says little: intervals of
    one width everywhere can have it too. Look at :func:`coverage_by_bin` and at
    :func:`interval_score` beside it.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_targets)
        Measurements; NaN where missing.
    y_lower, y_upper : array-like of the same shape
        Bounds of the intervals. An unbounded interval (-inf, inf) covers every measurement.
    sample_weight : array-like of shape (n_samples,), optional
        Weights of the rows.
    multioutput : {"uniform_average", "raw_values"}, default="uniform_average"
        Whether to return the mean over targets, or the value of each.

    Returns
    -------
    coverage : float or ndarray of shape (n_targets,)
        Between 0 and 1.

    Raises
    ------
    ValueError
        If shapes differ, a bound is NaN, a lower bound is above its upper one, or a target was
        not measured.

    See Also
    --------
    mapie.metrics.regression.regression_coverage_score : The same for bounded intervals of several
        confidence levels, without missing measurements and weights.

    Examples
    --------
    >>> from sklearn_degu.metrics import interval_coverage
    >>> interval_coverage([0.0, 1.0, 2.0, 3.0], [-1.0, 0.0, 1.0, 9.0], [1.0, 1.0, 3.0, 10.0])
    0.75
    """
    measured, lower, upper = check_intervals(y_true, y_lower, y_upper)
    return mean_of(
        _is_covered,
        ~np.isnan(measured),
        measured,
        lower,
        upper,
        sample_weight=sample_weight,
        multioutput=multioutput,
    )


def interval_width(
    y_lower: ArrayLike,
    y_upper: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    multioutput: MultiOutput = "uniform_average",
) -> float | Array:
    """Mean width of prediction intervals.

    Parameters
    ----------
    y_lower, y_upper : array-like of shape (n_samples,) or (n_samples, n_targets)
        Bounds of the intervals.
    sample_weight : array-like of shape (n_samples,), optional
        Weights of the rows.
    multioutput : {"uniform_average", "raw_values"}, default="uniform_average"
        Whether to return the mean over targets, or the value of each.

    Returns
    -------
    width : float or ndarray of shape (n_targets,)
        In y's units; smaller is better at equal coverage. Infinite if an interval of positive
        weight is unbounded.

    Raises
    ------
    ValueError
        If shapes differ, a bound is NaN, or a lower bound is above its upper one.

    See Also
    --------
    mapie.metrics.regression.regression_mean_width_score : The same for bounded intervals of
        several confidence levels, without weights.

    Examples
    --------
    >>> from sklearn_degu.metrics import interval_width
    >>> interval_width([0.0, 1.0], [1.0, 4.0])
    2.0
    >>> interval_width([0.0, float("-inf")], [1.0, float("inf")])
    inf
    """
    lower, upper = check_bounds(y_lower, y_upper)
    return mean_of(
        np.subtract,
        np.ones(lower.shape, dtype=bool),
        upper,
        lower,
        sample_weight=sample_weight,
        multioutput=multioutput,
    )


def interval_score(
    y_true: ArrayLike,
    y_lower: ArrayLike,
    y_upper: ArrayLike,
    *,
    confidence_level: float,
    sample_weight: ArrayLike | None = None,
    multioutput: MultiOutput = "uniform_average",
) -> float | Array:
    r"""Mean Winkler score of prediction intervals: width, and a penalty for what they miss.

    With :math:`\alpha = 1 -` confidence level, the score of an interval [l, u] is [1]_

    .. math:: (u - l) + \frac{2}{\alpha} \max(l - y, 0) + \frac{2}{\alpha} \max(y - u, 0)

    A proper score: in expectation it is least for the quantiles :math:`\alpha / 2` and
    :math:`1 - \alpha / 2` of y. It is the one number by which to compare intervals of one
    confidence level.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_targets)
        Measurements; NaN where missing.
    y_lower, y_upper : array-like of the same shape
        Bounds of the intervals.
    confidence_level : float
        The coverage that the intervals were made for, between 0 and 1.
    sample_weight : array-like of shape (n_samples,), optional
        Weights of the rows.
    multioutput : {"uniform_average", "raw_values"}, default="uniform_average"
        Whether to return the mean over targets, or the value of each.

    Returns
    -------
    score : float or ndarray of shape (n_targets,)
        In y's units, never negative; smaller is better. Infinite if an interval of positive weight
        is unbounded.

    Raises
    ------
    ValueError
        If shapes differ, a bound is NaN, a lower bound is above its upper one, a target was not
        measured, or ``confidence_level`` is not between 0 and 1.

    See Also
    --------
    mapie.metrics.regression.regression_mwi_score : The same for bounded intervals, without
        missing measurements and weights.

    References
    ----------
    .. [1] Gneiting and Raftery, "Strictly proper scoring rules, prediction, and estimation",
       Journal of the American Statistical Association 102, 2007, equation 43; after Winkler, "A
       decision-theoretic approach to interval estimation", the same journal 67, 1972.

    Examples
    --------
    >>> from sklearn_degu.metrics import interval_score
    >>> interval_score([0.0, 3.0], [-1.0, 0.0], [1.0, 2.0], confidence_level=0.5)
    4.0
    """
    check_scalar(
        confidence_level,
        "confidence_level",
        Real,
        min_val=0,
        max_val=1,
        include_boundaries="neither",
    )
    measured, lower, upper = check_intervals(y_true, y_lower, y_upper)

    def score(y: Array, low: Array, high: Array) -> Array:
        missed = np.maximum(low - y, 0) + np.maximum(y - high, 0)
        return (high - low) + 2 / (1 - confidence_level) * missed

    return mean_of(
        score,
        ~np.isnan(measured),
        measured,
        lower,
        upper,
        sample_weight=sample_weight,
        multioutput=multioutput,
    )


def coverage_by_bin(
    y_true: ArrayLike,
    y_lower: ArrayLike,
    y_upper: ArrayLike,
    by: ArrayLike,
    *,
    n_bins: int = 3,
) -> Array:
    """Coverage within bins of equally many rows, ordered by a quantity such as the deviation.

    Intervals that adapt to each row cover equally often in every bin. Intervals of one width
    cover too often where the noise is small and too seldom where it is large, with the right
    coverage overall.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_targets)
        Measurements; NaN where missing. Each target needs one for every bin, and should have
        many: the standard error of a coverage c over m rows is ``sqrt(c * (1 - c) / m)``.
    y_lower, y_upper : array-like of the same shape
        Bounds of the intervals.
    by : array-like of shape (n_samples,) or of the shape of y_true
        What to order the rows by, for example the predicted standard deviation, the width or the
        predicted mean. It must be known without y: rows chosen by their error are not covered
        equally by any interval.
    n_bins : int, default=3
        Number of bins; 3 gives tertiles. If it does not divide the number of measurements of a
        target, the first bins have one row more.

    Returns
    -------
    coverage : ndarray of shape (n_bins,) or (n_bins, n_targets)
        From the bin of the smallest ``by`` to that of the largest. Rows of equal ``by`` that an
        edge divides count in both bins in proportion, so that the order of the rows does not
        matter.

    Raises
    ------
    ValueError
        If shapes differ, a bound or ``by`` is NaN, a lower bound is above its upper one, or a
        target has fewer measurements than bins.

    See Also
    --------
    mapie.metrics.regression.regression_ssc : Coverage in bins of the width alone.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_degu.metrics import coverage_by_bin
    >>> rng = np.random.default_rng(0)
    >>> std = rng.uniform(1, 3, size=30000)
    >>> y_true = rng.normal(0, std)
    >>> coverage_by_bin(y_true, -1.645 * std, 1.645 * std, by=std).round(2)
    array([0.9, 0.9, 0.9])
    >>> coverage_by_bin(y_true, np.full(30000, -3.4), np.full(30000, 3.4), by=std).round(2)
    array([0.98, 0.91, 0.8 ])
    """
    check_scalar(n_bins, "n_bins", Integral, min_val=1)
    measured, lower, upper = check_intervals(
        y_true, y_lower, y_upper, at_least=n_bins, purpose=f"n_bins={n_bins}"
    )
    key = check_bin_key(by, measured)

    def coverage(y: Array, low: Array, high: Array, of_row: Array) -> Array:
        return mean_by_bin(_is_covered(y, low, high), of_row, n_bins)

    columns = per_target(coverage, ~np.isnan(measured), measured, lower, upper, key)
    return columns[0] if measured.ndim == 1 else np.stack(columns, axis=1)


def _is_covered(y: Array, lower: Array, upper: Array) -> Array:
    return ((lower <= y) & (y <= upper)).astype(np.float64)
