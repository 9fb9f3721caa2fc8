"""The input contract of targets and weights: what y and sample_weight may be."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_degu._numbers import as_floats


def check_training_targets(y: Any) -> NDArray[np.float64]:
    """Return targets of shape (n, n_targets), NaN where missing; profiles flattened.

    Raises
    ------
    TypeError
        If y is no array of numbers.
    ValueError
        As :func:`check_measurements`, and if a row has no measurement.
    """
    targets = check_measurements(y)
    targets = targets.reshape(len(targets), -1)
    empty = np.flatnonzero(np.isnan(targets).all(axis=1))
    if len(empty):
        raise ValueError(
            f"y has {len(empty)} rows without any measurement (NaN in every target), the first "
            f"is row {empty[0]}. Leave these rows out; the student can use their sequences as "
            "X_unlabeled."
        )
    return targets


def check_measurements(y: Any) -> NDArray[np.float64]:
    """Return measurements as numbers, of the shape that they have; NaN where missing.

    That is (n,), (n, n_targets), or for profiles (n, n_targets, n_positions).

    Raises
    ------
    TypeError
        If y is no array of numbers.
    ValueError
        If it has another shape, no rows, or infinite or too large values.
    """
    checked = as_floats(y, "y", finite="allow-nan")
    if checked.ndim > 3:
        raise ValueError(
            "y must have shape (n_samples,), (n_samples, n_targets) or, for profiles, (n_samples, "
            f"n_targets, n_positions), got {checked.shape}."
        )
    if checked.size == 0:
        raise ValueError(f"y has shape {checked.shape}: it holds no target.")
    return checked


def check_weight(sample_weight: Any, n_rows: int) -> NDArray[np.float64] | None:
    """Return a weight for every row, or None without ``sample_weight``; a number is for all rows.

    Raises
    ------
    TypeError
        If they are no array of numbers.
    ValueError
        If there is not one a row, or they are negative, not finite, or all zero.
    """
    if sample_weight is None:
        return None
    weight = as_floats(sample_weight, "sample_weight", finite=False, at_least=0)
    if weight.ndim == 0:
        weight = np.full(n_rows, float(weight))
    if weight.shape != (n_rows,):
        raise ValueError(
            f"sample_weight.shape == {weight.shape}, expected ({n_rows},): one weight a sample."
        )
    wrong = np.flatnonzero(~(np.isfinite(weight) & (weight >= 0)))
    if len(wrong):
        raise ValueError(
            f"sample_weight must be finite and not negative, but {len(wrong)} of {n_rows} weights "
            f"are not; the first is {weight[wrong[0]]} at row {wrong[0]}."
        )
    if not weight.any():
        raise ValueError("sample_weight is zero for every sample; some must be positive.")
    return weight
