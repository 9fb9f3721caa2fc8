"""The arrays that metrics take: checked in one place."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_degu._numbers import LARGEST, as_floats

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


def check_predictions(
    y_true: ArrayLike, y_pred: ArrayLike, *, at_least: int = 1, purpose: str = "a mean"
) -> tuple[Array, Array]:
    """Return measurements, NaN where missing, and finite predictions of one shape.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,) or (n_samples, n_targets)
        As they were passed to the metric.
    at_least : int, default=1
        How many measurements each target needs.
    purpose : str, default="a mean"
        What needs them, for the error message.

    Raises
    ------
    ValueError
        If shapes or values are not as described.
    """
    measured = as_floats(y_true, "y_true", finite="allow-nan")
    predicted = as_floats(y_pred, "y_pred")
    _check_one_shape(y_true=measured, y_pred=predicted)
    _check_measured(measured, at_least, purpose)
    return measured, predicted


def check_gaussians(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    y_std: ArrayLike,
    *,
    zero_std: bool,
    at_least: int = 1,
    purpose: str = "a mean",
) -> tuple[Array, Array, Array]:
    """Return measurements, means and standard deviations of one shape.

    Parameters
    ----------
    y_true, y_pred, y_std : array-like of shape (n_samples,) or (n_samples, n_targets)
        As they were passed to the metric.
    zero_std : bool
        Whether a deviation may be zero.
    at_least, purpose
        As in :func:`check_predictions`.

    Raises
    ------
    ValueError
        If shapes or values are not as described.
    """
    measured, predicted = check_predictions(y_true, y_pred, at_least=at_least, purpose=purpose)
    std = check_std(y_std, zero=zero_std)
    _check_one_shape(y_true=measured, y_std=std)
    return measured, predicted, std


def check_std(y_std: ArrayLike, *, zero: bool) -> Array:
    """Return finite standard deviations that are positive, or not negative if zero is allowed."""
    std = as_floats(y_std, "y_std")
    _check_one_shape(y_std=std)
    if zero:
        _refuse(std < 0, "y_std must not be negative")
    else:
        rule = "y_std must be positive: put a floor under deviations of zero"
        # The squares of smaller ones are zero.
        _refuse(std < 1 / LARGEST, rule)
    return std


def check_bounds(y_lower: ArrayLike, y_upper: ArrayLike) -> tuple[Array, Array]:
    """Return the bounds of intervals, which may be -inf below and inf above.

    Raises
    ------
    ValueError
        If shapes differ, a bound is NaN, or an interval is empty.
    """
    lower = as_floats(y_lower, "y_lower", finite=False)
    upper = as_floats(y_upper, "y_upper", finite=False)
    _check_one_shape(y_lower=lower, y_upper=upper)
    _refuse(np.isnan(lower), "y_lower must not be NaN; an unbounded interval begins at -inf")
    _refuse(np.isnan(upper), "y_upper must not be NaN; an unbounded interval ends at inf")
    _refuse(lower > upper, "y_lower must not be greater than y_upper")
    _refuse(np.isposinf(lower) | np.isneginf(upper), "y_lower must not be inf, nor y_upper -inf")
    return lower, upper


def check_intervals(
    y_true: ArrayLike,
    y_lower: ArrayLike,
    y_upper: ArrayLike,
    *,
    at_least: int = 1,
    purpose: str = "a mean",
) -> tuple[Array, Array, Array]:
    """Return measurements and the bounds of their intervals, of one shape.

    Parameters
    ----------
    y_true, y_lower, y_upper : array-like of shape (n_samples,) or (n_samples, n_targets)
        As they were passed to the metric.
    at_least, purpose
        As in :func:`check_predictions`.

    Raises
    ------
    ValueError
        If shapes or values are not as described.
    """
    measured = as_floats(y_true, "y_true", finite="allow-nan")
    lower, upper = check_bounds(y_lower, y_upper)
    _check_one_shape(y_true=measured, y_lower=lower)
    _check_measured(measured, at_least, purpose)
    return measured, lower, upper


def check_bin_key(by: ArrayLike, y_true: Array) -> Array:
    """Return the values by which rows are binned, of shape (n_samples,) or that of y_true."""
    key = as_floats(by, "by", finite=False)
    _refuse(np.isnan(key), "by must not be NaN")
    if key.shape not in {y_true.shape, y_true.shape[:1]}:
        raise ValueError(
            f"by has shape {key.shape}, but y_true has {y_true.shape}: by needs the same shape, "
            f"or {y_true.shape[:1]} for all targets."
        )
    return key


def check_weight(sample_weight: ArrayLike | None, n_samples: int) -> Array:
    """Return a weight for every row: 1 without ``sample_weight``."""
    if sample_weight is None:
        return np.ones(n_samples)
    weight = as_floats(sample_weight, "sample_weight")
    if weight.shape != (n_samples,):
        raise ValueError(
            f"sample_weight has shape {weight.shape}, expected ({n_samples},): one weight a row."
        )
    _refuse(weight < 0, "sample_weight must not be negative")
    return weight


def _check_one_shape(**arrays: Array) -> None:
    """Refuse arrays of different shapes, or of shapes that y cannot have."""
    shapes = {array.shape for array in arrays.values()}
    if len(shapes) == 1 and all(len(shape) in (1, 2) for shape in shapes):
        return
    given = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
    hint = ""
    if "y_lower" in arrays:
        hint = " Intervals of several confidence levels: pass those of one, as y_lower[..., 0]."
    raise ValueError(
        f"Expected one shape, (n_samples,) or (n_samples, n_targets), got {given}. Nothing is "
        f"broadcast: reshape what differs.{hint}"
    )


def _check_measured(y_true: Array, at_least: int, purpose: str) -> None:
    counts = np.atleast_1d((~np.isnan(y_true)).sum(axis=0))
    scarce = np.flatnonzero(counts < at_least)
    if len(scarce):
        raise ValueError(
            f"Target {scarce[0]} of y_true has too few measurements for {purpose}: "
            f"{counts[scarce[0]]}, expected at least {at_least}; the rest is NaN. Leave the "
            "target out."
        )


def _refuse(bad: Mask, rule: str) -> None:
    if bad.any():
        first = tuple(map(int, np.argwhere(bad)[0]))
        raise ValueError(
            f"{rule}. {bad.sum()} of {bad.size} entries break this rule, the first at index "
            f"{first}."
        )
