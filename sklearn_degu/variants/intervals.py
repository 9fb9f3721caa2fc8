"""Conformal intervals of effects, calibrated on measured effects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.frozen import FrozenEstimator

from sklearn_degu.conformal import ConformalRegressor, PredictionInterval
from sklearn_degu.conformal.ranks import check_levels
from sklearn_degu.uncertainty import Array
from sklearn_degu.variants.results import VariantEffects

DEFAULT_LEVEL = 0.9
SCORES = ("absolute", "normalized")


class KnownEffects(RegressorMixin, BaseEstimator):
    """Effects that were predicted, as a fitted regressor: X is one column of their rows."""

    def __init__(self, effect: Array, std: Any) -> None:
        self.effect = effect
        self.std = std

    def fit(self, X: Any, y: Any) -> KnownEffects:
        """Do nothing."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        """Tell that there is nothing to fit."""
        return True

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Return the effects in these rows, and on request their deviations."""
        rows = X[:, 0]
        return (self.effect[rows], self.std[rows]) if return_std else self.effect[rows]


def check_asked(
    calibration: Any, confidence_level: Any, conformity_score: str
) -> tuple[Any, ArrayLike] | None:
    """Return calibration variants and measured effects, or None if no interval is wanted.

    Raises
    ------
    TypeError
        If the calibration is no pair.
    ValueError
        If intervals are wanted without one, or the score or a level is not usable.
    """
    if conformity_score not in SCORES:
        raise ValueError(f"conformity_score must be one of {SCORES}, got {conformity_score!r}.")
    if calibration is None and confidence_level is None:
        return None
    if calibration is None:
        raise ValueError(
            f"confidence_level={confidence_level!r} asks for intervals, which need "
            "calibration=(variants, effects) with measured effects. Intervals of activity do not "
            "carry over: errors that reference and alternative share cancel out in their "
            "difference, and how large the others are shows in measured differences alone."
        )
    if confidence_level is not None:
        check_levels(confidence_level)
    if not isinstance(calibration, tuple | list) or len(calibration) != 2:
        raise TypeError(
            "calibration must be a pair (variants, effects) of a table and the effects measured; "
            f"got {type(calibration).__name__}."
        )
    variants, effects = calibration
    return variants, effects


def check_measured(measured: ArrayLike, predicted: Array) -> Array:
    """Return measured effects as numbers.

    Raises
    ------
    ValueError
        If they have another shape than the predicted ones.
    """
    effects = np.asarray(measured, dtype=np.float64)
    if effects.shape != predicted.shape:
        raise ValueError(
            f"The measured effects have shape {effects.shape}, but the effects predicted of the "
            f"calibration variants have {predicted.shape}."
        )
    return effects


def effect_intervals(
    known: VariantEffects,
    measured: Array,
    new: VariantEffects,
    confidence_level: float | Sequence[float] | None,
    conformity_score: str,
) -> PredictionInterval:
    """Return the intervals of new effects.

    Parameters
    ----------
    known, new : VariantEffects
        Effects predicted of the calibration variants and of the new ones; with their deviations
        for a normalized score.
    measured : ndarray of the shape of the known effects
        Measured effects, NaN where missing.
    confidence_level : float or sequence of float
        Levels; None is 0.9.
    conformity_score : {"absolute", "normalized"}
        As in :class:`~sklearn_degu.ConformalRegressor`.
    """
    std = None
    if known.std is not None and new.std is not None:
        std = np.concatenate((known.std, new.std))
    model = ConformalRegressor(
        FrozenEstimator(KnownEffects(np.concatenate((known.effect, new.effect)), std)),
        confidence_level=DEFAULT_LEVEL if confidence_level is None else confidence_level,
        conformity_score=conformity_score,
    )
    rows = np.arange(len(known.effect) + len(new.effect))[:, np.newaxis]
    model.fit(rows[: len(measured)], measured)
    return model.predict_interval(rows[len(measured) :])
