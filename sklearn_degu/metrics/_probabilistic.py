"""Proper scores of predicted Gaussian distributions."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from sklearn_degu.metrics._arrays import Array, check_gaussians
from sklearn_degu.metrics._targets import MultiOutput, mean_of


def gaussian_nll(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    y_std: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    multioutput: MultiOutput = "uniform_average",
) -> float | Array:
    r"""Mean negative log-likelihood of measurements under predicted normal distributions.

    .. math:: \tfrac{1}{2} \log(2 \pi \sigma^2) + \frac{(y - \mu)^2}{2 \sigma^2}

    A strictly proper score (the logarithmic score of [1]_): in expectation it is least for the
    true mean and deviation. It punishes a deviation that is too small without bound, so that
    single rows may dominate it; :func:`gaussian_crps` is milder. It is a density's logarithm: in
    other units of y it is another number, shifted by a constant, and may be negative.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_targets)
        Measurements; NaN where missing.
    y_pred : array-like of the same shape
        Predicted means.
    y_std : array-like of the same shape
        Predicted standard deviations in y's units, positive.
    sample_weight : array-like of shape (n_samples,), optional
        Weights of the rows.
    multioutput : {"uniform_average", "raw_values"}, default="uniform_average"
        Whether to return the mean over targets, or the value of each.

    Returns
    -------
    nll : float or ndarray of shape (n_targets,)
        In nats; smaller is better.

    Raises
    ------
    ValueError
        If shapes differ, a prediction is not finite, a deviation is not positive (zero has no
        density), or a target was not measured.

    See Also
    --------
    gaussian_nll_scorer : The same for ``cross_validate`` and ``GridSearchCV``.

    References
    ----------
    .. [1] Gneiting and Raftery, "Strictly proper scoring rules, prediction, and estimation",
       Journal of the American Statistical Association 102, 2007, section 4.1.

    Examples
    --------
    >>> from sklearn_degu.metrics import gaussian_nll
    >>> round(gaussian_nll([0.0, 1.0], [0.0, 0.0], [1.0, 1.0]), 4)
    1.1689
    """
    measured, mean, std = check_gaussians(y_true, y_pred, y_std, zero_std=False)
    return mean_of(
        _nll,
        ~np.isnan(measured),
        measured,
        mean,
        std,
        sample_weight=sample_weight,
        multioutput=multioutput,
    )


def gaussian_crps(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    y_std: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    multioutput: MultiOutput = "uniform_average",
) -> float | Array:
    r"""Mean continuous ranked probability score of predicted normal distributions.

    The squared distance of the predicted distribution function F from that of the measurement,
    and its closed form for a normal distribution with :math:`z = (y - \mu) / \sigma` [1]_:

    .. math:: \int (F(x) - 1\{x \ge y\})^2 dx
              = \sigma \left[ z (2 \Phi(z) - 1) + 2 \varphi(z) - 1 / \sqrt{\pi} \right]

    A strictly proper score in y's units that generalises the absolute error: a deviation of zero
    is a prediction without uncertainty, whose score is its absolute error.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_targets)
        Measurements; NaN where missing.
    y_pred : array-like of the same shape
        Predicted means.
    y_std : array-like of the same shape
        Predicted standard deviations in y's units, not negative.
    sample_weight : array-like of shape (n_samples,), optional
        Weights of the rows.
    multioutput : {"uniform_average", "raw_values"}, default="uniform_average"
        Whether to return the mean over targets, or the value of each.

    Returns
    -------
    crps : float or ndarray of shape (n_targets,)
        In y's units, never negative; smaller is better.

    Raises
    ------
    ValueError
        If shapes differ, a prediction is not finite, a deviation is negative, or a target was not
        measured.

    See Also
    --------
    gaussian_crps_scorer : The same for ``cross_validate`` and ``GridSearchCV``.

    References
    ----------
    .. [1] Gneiting and Raftery, "Strictly proper scoring rules, prediction, and estimation",
       Journal of the American Statistical Association 102, 2007, section 4.2.

    Examples
    --------
    >>> from sklearn_degu.metrics import gaussian_crps
    >>> round(gaussian_crps([0.0, 1.0], [0.0, 0.0], [1.0, 1.0]), 4)
    0.4181
    >>> gaussian_crps([0.0, 1.0], [0.0, 0.0], [0.0, 0.0])
    0.5
    """
    measured, mean, std = check_gaussians(y_true, y_pred, y_std, zero_std=True)
    return mean_of(
        _crps,
        ~np.isnan(measured),
        measured,
        mean,
        std,
        sample_weight=sample_weight,
        multioutput=multioutput,
    )


def _nll(y: Array, mean: Array, std: Array) -> Array:
    nll: Array = -norm.logpdf(y, mean, std)
    return nll


def _crps(y: Array, mean: Array, std: Array) -> Array:
    error = y - mean
    # The limit for a deviation of zero; an error of zero too then gives zero.
    z = np.divide(error, std, out=np.copysign(np.inf, error), where=std > 0)
    crps: Array = error * (2 * norm.cdf(z) - 1) + std * (2 * norm.pdf(z) - 1 / np.sqrt(np.pi))
    return crps
