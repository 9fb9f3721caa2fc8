"""Maps from predicted standard deviations to recalibrated ones, and how they are fitted."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from sklearn.isotonic import IsotonicRegression

from sklearn_degu._links import DEVIATION_FLOOR
from sklearn_degu.uncertainty import Array


class ScaledDeviation(NamedTuple):
    """Recalibration by one factor.

    Attributes
    ----------
    factor : float
        What every standard deviation is multiplied by.
    """

    factor: float

    def __call__(self, std: Array) -> Array:
        """Return recalibrated standard deviations."""
        return self.factor * std


class MonotoneDeviation(NamedTuple):
    """Recalibration by a curve that never falls.

    It is linear between the knots, constant below the first and proportional to the given
    deviation above the last.

    Attributes
    ----------
    knots : ndarray of shape (n_knots,)
        Standard deviations as the estimator gives them, ascending.
    levels : ndarray of shape (n_knots,)
        The recalibrated standard deviations there.
    """

    knots: Array
    levels: Array

    def __call__(self, std: Array) -> Array:
        """Return recalibrated standard deviations."""
        within: Array = np.interp(std, self.knots, self.levels)
        recalibrated: Array = within * np.maximum(1.0, std / self.knots[-1])
        return recalibrated


class Errors(NamedTuple):
    """What a recalibration learns from: the rows in which a target was measured.

    Attributes
    ----------
    target : int
        Index of the target.
    std : ndarray of shape (n,)
        Predicted standard deviations.
    squared : ndarray of shape (n,)
        Squared errors of the predictions.
    weight : ndarray of shape (n,)
        Weights of the rows, positive.
    """

    target: int
    std: Array
    squared: Array
    weight: Array


def fit_factor(errors: Errors) -> ScaledDeviation:
    """Return the factor of the highest Gaussian likelihood: the root mean square of error / std.

    Raises
    ------
    ValueError
        If a deviation is zero, or all errors are.
    """
    if (errors.std == 0).any():
        raise ValueError(
            f"The standard deviation of target {errors.target} is zero in "
            f"{(errors.std == 0).sum()} of {len(errors.std)} calibration rows, and no factor makes "
            "zero match an error: use method='isotonic', or another kind."
        )
    _refuse_perfect(errors)
    ratio = np.average(errors.squared / errors.std**2, weights=errors.weight)
    return ScaledDeviation(float(np.sqrt(ratio)))


def fit_curve(errors: Errors) -> MonotoneDeviation:
    """Return the isotonic regression of the squared errors on the deviations, bin by bin.

    Raises
    ------
    ValueError
        If all deviations are zero, or all errors are.
    """
    if not errors.std.any():
        raise ValueError(
            f"The standard deviation of target {errors.target} is zero in all {len(errors.std)} "
            "calibration rows: it says nothing to recalibrate. Use another kind, or another "
            "estimator."
        )
    _refuse_perfect(errors)
    std, variance, weight = _binned(errors)
    curve = IsotonicRegression().fit(std, variance, sample_weight=weight)
    floor = DEVIATION_FLOOR**2 * np.average(errors.squared, weights=errors.weight)
    levels = np.sqrt(np.maximum(curve.y_thresholds_, floor))
    return MonotoneDeviation(curve.X_thresholds_, levels)


def _binned(errors: Errors) -> tuple[Array, Array, Array]:
    """Return deviation, variance and weight of bins of rows with neighbouring deviations."""
    rows = np.argsort(errors.std, kind="stable")
    bins = np.array_split(rows, math.isqrt(len(rows)))
    weight = np.array([errors.weight[of].sum() for of in bins])
    squares = np.array(
        [
            [np.average(values[of], weights=errors.weight[of]) for of in bins]
            for values in (errors.std**2, errors.squared)
        ]
    )
    # Mean squares of both, so that deviations that are right are mapped to themselves.
    return np.sqrt(squares[0]), squares[1], weight


def _refuse_perfect(errors: Errors) -> None:
    if not errors.squared.any():
        raise ValueError(
            f"Target {errors.target} is predicted without any error in all "
            f"{len(errors.squared)} calibration rows, so that every deviation would become zero. "
            "Do the rows differ from those that the estimator was trained on?"
        )
