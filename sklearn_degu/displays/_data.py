"""What is drawn: the measured rows of one target, and what an estimator says about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from sklearn_degu._numbers import as_array, as_floats, check_labels

Array = NDArray[np.float64]
ResponseMethod = Literal["auto", "predict", "predict_interval"]


class Interval(NamedTuple):
    """Intervals of one confidence level.

    Attributes
    ----------
    level : float
        Confidence level.
    lower, upper : ndarray of shape (n,) or (n, n_targets)
        Bounds in y's units.
    """

    level: float
    lower: Array
    upper: Array


class Predicted(NamedTuple):
    """What an estimator says.

    Attributes
    ----------
    y_pred : ndarray of shape (n,) or (n, n_targets)
        Mean.
    y_std : ndarray of the same shape, or None
        Standard deviation, if the intervals were made of it.
    intervals : list of Interval
        Intervals of each level.
    """

    y_pred: Array
    y_std: Array | None
    intervals: list[Interval]


class MeasuredTarget:
    """One target at the rows where it was measured.

    Parameters
    ----------
    y_true : array-like of shape (n,) or (n, n_targets)
        Measurements; NaN where missing.
    target : int or None
        Which column. None is the only one.

    Attributes
    ----------
    y_true : ndarray of shape (n_measured,)
        The measurements of the target.
    """

    def __init__(self, y_true: ArrayLike, target: int | None) -> None:
        measured = as_floats(y_true, "y_true", finite=False, at_least=0)
        if measured.ndim not in (1, 2):
            raise ValueError(
                f"y_true must have shape (n,) or (n, n_targets), got {measured.shape}."
            )
        self._shape = _as_columns(measured)
        self._column = _column(target, self._shape[1])
        values = measured.reshape(self._shape)[:, self._column]
        self._rows = np.flatnonzero(~np.isnan(values))
        self.y_true: Array = values[self._rows]
        if not len(self._rows):
            raise ValueError(
                f"y_true holds no measurement of target {self._column} (all is NaN), so there is "
                "nothing to draw."
            )
        if not np.isfinite(self.y_true).all():
            raise ValueError("y_true holds infinite values; a missing measurement is NaN.")

    def take(self, name: str, values: ArrayLike) -> Array:
        """Return the target's column of ``values``, shaped like y, at the measured rows."""
        array = as_floats(values, name, finite=False)
        if _as_columns(array) != self._shape:
            raise ValueError(
                f"{name} has shape {array.shape}, but y_true has {self._shape[0]} rows and "
                f"{self._shape[1]} targets."
            )
        taken: Array = array.reshape(self._shape)[self._rows, self._column]
        if np.isnan(taken).any():
            raise ValueError(f"{name} is NaN in {np.isnan(taken).sum()} measured rows.")
        return taken

    def members(self, groups: ArrayLike) -> dict[str, NDArray[np.intp]]:
        """Return which of the measured rows are in each group, in the order of the labels."""
        labels = as_array(groups, "groups")
        if labels.shape != self._shape[:1]:
            raise ValueError(
                f"groups has shape {labels.shape}, but y_true has {self._shape[0]} rows: every "
                "row needs one label."
            )
        of_row = check_labels(labels)[self._rows]
        return {str(name): np.flatnonzero(of_row == name) for name in np.unique(labels)}


def _as_columns(values: Array) -> tuple[int, ...]:
    """Return the shape (n, n_targets) of values in which a single target may have no axis."""
    return (len(values), 1) if values.ndim == 1 else values.shape


def _column(target: int | None, n_targets: int) -> int:
    if target is None and n_targets == 1:
        return 0
    if target is None or not 0 <= target < n_targets:
        raise ValueError(
            f"A panel shows one target: y_true has {n_targets}, so target must be one of "
            f"0 to {n_targets - 1}; got target={target!r}."
        )
    return target


def confidence_levels(confidence_level: ArrayLike) -> Array:
    """Return levels of shape (n_levels,), all between 0 and 1."""
    levels = as_floats(confidence_level, "confidence_level", finite=False, at_least=0)
    if levels.ndim > 1 or levels.size == 0 or not ((levels > 0) & (levels < 1)).all():
        raise ValueError(
            "confidence_level must be a number strictly between 0 and 1, or several; got "
            f"{confidence_level!r}."
        )
    return np.atleast_1d(levels)


def only_level(intervals: Sequence[Interval]) -> Interval:
    """Return the intervals of the one level that there is."""
    if len(intervals) != 1:
        levels = ", ".join(f"{interval.level:g}" for interval in intervals)
        raise ValueError(
            f"This display shows one confidence level, but there are {len(intervals)}: {levels}. "
            "Choose one by confidence_level."
        )
    return intervals[0]


def gaussian_intervals(
    y_pred: ArrayLike, y_std: ArrayLike, confidence_level: ArrayLike
) -> list[Interval]:
    """Return central intervals of normal distributions, one for each level."""
    mean, std = as_floats(y_pred, "y_pred", finite=False), as_floats(y_std, "y_std", finite=False)
    if mean.shape != std.shape:
        raise ValueError(f"y_std has shape {std.shape}, but y_pred has {mean.shape}.")
    if (std < 0).any():
        raise ValueError("y_std holds negative values; a standard deviation has none.")
    levels = confidence_levels(confidence_level)
    half_widths = [norm.ppf((1 + level) / 2) * std for level in levels]
    return [
        Interval(float(level), mean - half_width, mean + half_width)
        for level, half_width in zip(levels, half_widths, strict=True)
    ]


def given_intervals(
    y_lower: ArrayLike, y_upper: ArrayLike, confidence_level: ArrayLike
) -> list[Interval]:
    """Return bounds by level: for several levels, their last axis.

    Raises
    ------
    ValueError
        If there are not as many bounds as levels.
    """
    lower = as_floats(y_lower, "y_lower", finite=False)
    upper = as_floats(y_upper, "y_upper", finite=False)
    levels = confidence_levels(confidence_level)
    if np.ndim(confidence_level) == 0:
        lower, upper = lower[..., np.newaxis], upper[..., np.newaxis]
    for name, bound in (("y_lower", lower), ("y_upper", upper)):
        if bound.shape[-1] != len(levels):
            raise ValueError(
                f"{name} has {bound.shape[-1]} bounds on its last axis, but there are "
                f"{len(levels)} levels in confidence_level."
            )
    return [Interval(float(level), lower[..., i], upper[..., i]) for i, level in enumerate(levels)]


def predict_std(estimator: Any, X: Any, kind: str | None) -> tuple[Array, Array]:
    """Return the estimator's mean and standard deviation.

    ``kind`` is passed only if it is set, so that estimators of scikit-learn can be asked, too.

    Raises
    ------
    TypeError
        If the estimator's ``predict`` does not take ``return_std`` or ``kind``.
    """
    options = {} if kind is None else {"kind": kind}
    try:
        mean, std = estimator.predict(X, return_std=True, **options)
    except TypeError as error:
        asked = "return_std=True" if kind is None else f"return_std=True, kind={kind!r}"
        raise TypeError(
            f"{type(estimator).__name__}.predict(X, {asked}) failed: {error}. This display needs "
            "an estimator that predicts a standard deviation."
        ) from error
    return mean, std


def predict_intervals(
    estimator: Any,
    X: Any,
    *,
    response_method: ResponseMethod,
    kind: str | None,
    confidence_level: ArrayLike | None,
    default_level: ArrayLike,
) -> Predicted:
    """Return the estimator's mean and its intervals.

    Parameters
    ----------
    estimator : estimator
        Fitted.
    X : array-like
        Samples.
    response_method : {"auto", "predict", "predict_interval"}
        Whom to ask; "auto" is ``predict_interval`` if the estimator has it and ``kind`` is None.
    kind : str or None
        Kind of the standard deviation.
    confidence_level : float, array-like or None
        Levels; of ``predict_interval``, a choice of the estimator's own, or None for all of them.
    default_level : float or array-like
        Levels of a standard deviation's intervals if ``confidence_level`` is None.
    """
    if not _gives_intervals(estimator, response_method, kind):
        mean, std = predict_std(estimator, X, kind)
        levels = default_level if confidence_level is None else confidence_level
        return Predicted(mean, std, gaussian_intervals(mean, std, levels))
    mean, lower, upper = estimator.predict_interval(X)
    intervals = given_intervals(
        lower, upper, getattr(estimator, "confidence_level_", estimator.confidence_level)
    )
    return Predicted(mean, None, _chosen(intervals, confidence_level))


def _gives_intervals(estimator: Any, response_method: str, kind: str | None) -> bool:
    if response_method == "auto":
        return kind is None and hasattr(estimator, "predict_interval")
    if response_method not in ("predict", "predict_interval"):
        raise ValueError(
            "response_method must be 'auto', 'predict' or 'predict_interval'; got "
            f"{response_method!r}."
        )
    if response_method == "predict_interval" and kind is not None:
        raise ValueError(
            f"kind={kind!r} chooses a standard deviation, which predict_interval does not take: "
            "use response_method='predict'."
        )
    return response_method == "predict_interval"


def _chosen(intervals: list[Interval], confidence_level: ArrayLike | None) -> list[Interval]:
    if confidence_level is None:
        return intervals
    own = np.array([interval.level for interval in intervals])
    chosen = []
    for level in confidence_levels(confidence_level):
        found = np.flatnonzero(np.isclose(own, level))
        if not len(found):
            raise ValueError(
                f"The estimator has no intervals of confidence_level={level:g}; it has "
                f"{', '.join(f'{own_level:g}' for own_level in own)}."
            )
        chosen.append(intervals[found[0]])
    return chosen
