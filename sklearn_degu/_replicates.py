"""Replicates: the single measurements of the targets, and how far they are spread."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from sklearn_degu._numbers import as_floats
from sklearn_degu.uncertainty import Array

# How far outside its replicates y may lie for honest reasons, such as pseudo-counts or shrinkage,
# in standard deviations of y.
TOLERANCE = 0.25


def check_replicates(
    replicates: Any, y: Array, name: str, shape: tuple[int, ...] = ()
) -> Array | None:
    """Return replicates of shape (n, n_targets, n_replicates), and warn if they are not those of y.

    Parameters
    ----------
    replicates : array-like or None
        As passed to ``fit``; of profiles, with their two axes or flattened.
    y : ndarray of shape (n, n_targets)
        The targets, NaN where missing.
    name : str
        What the user calls y.
    shape : tuple of int
        The shape of y as the user gave it, by which the two axes of profiles are told apart.

    Raises
    ------
    ValueError
        If they are no numbers, of another shape than y, or a single measurement for every row.
    """
    if replicates is None:
        return None
    checked: Array = as_floats(replicates, "replicates", finite="allow-nan")
    n_rows, n_targets = y.shape
    if checked.ndim == 4 and len(shape) == 3 and checked.shape[:3] != shape:
        raise ValueError(
            f"replicates has shape {checked.shape}, but y of shape {shape} needs "
            f"({', '.join(map(str, shape))}, n_replicates); a missing replicate is NaN."
        )
    if checked.ndim == 4 and checked.shape[1] * checked.shape[2] == n_targets:
        checked = checked.reshape(len(checked), n_targets, checked.shape[3])
    if checked.ndim == 2 and n_targets == 1:
        checked = checked[:, np.newaxis]
    if checked.ndim != 3 or checked.shape[:2] != y.shape:
        expected = f"({n_rows}, {n_targets}, n_replicates)"
        if n_targets == 1:
            expected = f"({n_rows}, n_replicates)"
        raise ValueError(
            f"replicates has shape {np.shape(replicates)}, but y, with {n_rows} rows and "
            f"{n_targets} targets, needs {expected}; a missing replicate is NaN."
        )
    if checked.shape[2] < 2:
        raise ValueError(
            "replicates holds one measurement for every row, which has no spread. Pass at least "
            "two, or learn the noise by aleatoric='heteroscedastic'."
        )
    _warn_if_swapped(checked, y, name)
    _warn_if_apart(checked, y, name)
    return checked


def sample_variance(replicates: Array) -> tuple[Array, Array]:
    """Return the sample variance over replicates, and its degrees of freedom.

    Both have shape (n, n_targets). Where fewer than two replicates are there the variance is
    NaN; the degrees of freedom are then 0, or -1 without any replicate.
    """
    present = ~np.isnan(replicates)
    freedom = present.sum(axis=-1) - 1.0
    filled = np.where(present, replicates, 0.0)
    mean = filled.sum(axis=-1) / np.maximum(freedom + 1, 1)
    squares = (present * (filled - mean[..., np.newaxis]) ** 2).sum(axis=-1)
    return np.where(freedom > 0, squares / np.maximum(freedom, 1), np.nan), freedom


def _warn_if_swapped(replicates: Array, y: Array, name: str) -> None:
    """Warn if targets and replicates, equally many, seem to have changed places."""
    complete = ~(np.isnan(replicates).any(axis=(1, 2)) | np.isnan(y).any(axis=1))
    if replicates.shape[1] != replicates.shape[2] or not complete.any():
        return
    replicates, y = replicates[complete], y[complete]
    here, swapped = (np.mean((y - replicates.mean(axis=axis)) ** 2) for axis in (2, 1))
    if swapped < here / 4:
        warnings.warn(
            f"{name} is much closer to its replicates if targets and replicates change places: "
            "pass them as (n_samples, n_targets, n_replicates).",
            UserWarning,
            stacklevel=5,
        )


def _warn_if_apart(replicates: Array, y: Array, name: str) -> None:
    """Warn of targets whose y is no average of its replicates."""
    compared = ((~np.isnan(replicates)).sum(axis=-1) > 1) & ~np.isnan(y)
    apart = [
        str(target)
        for target, rows in enumerate(compared.T)
        if rows.any() and _lies_apart(y[rows, target], replicates[rows, target])
    ]
    if apart:
        warnings.warn(
            f"{name} is no average of its replicates in target {', '.join(apart)}: it lies outside "
            "their range, and further from their mean than they lie from each other. Check that "
            "both are in the same units, and their rows in the same order.",
            UserWarning,
            stacklevel=5,
        )


def _lies_apart(y: Array, replicates: Array) -> bool:
    """Whether y, of shape (n,), is no average, weighted or not, of replicates of shape (n, r).

    An average lies within their range in every row. Beyond the tolerance y must also lie further
    from their mean than they do themselves: y may be the mean of more replicates than are here.
    """
    low, high = np.fmin.reduce(replicates, axis=1), np.fmax.reduce(replicates, axis=1)
    outside = np.maximum(low - y, y - high).clip(min=0)
    distance = y - np.nanmean(replicates, axis=1)
    variance = np.nanvar(replicates, axis=1, ddof=1)
    beyond = np.mean(outside**2) > TOLERANCE**2 * np.var(y)
    return bool(beyond and np.mean(distance**2) > np.mean(variance))
