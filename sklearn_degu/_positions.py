"""Positions of profiles: targets of shape (n, t, P), which lie as t * P columns inside.

All positions of a target share one scale, and one map of the noise: with a scale of its own for
every position a net could not learn what holds wherever a motif stands, and where counts are
sparse such a scale would be noise itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def pooled(columns: NDArray[Any], n_positions: int) -> NDArray[Any]:
    """Return columns (n, t * P) as rows of all positions, of shape (n * P, t)."""
    profiles = columns.reshape(len(columns), -1, n_positions)
    return profiles.transpose(0, 2, 1).reshape(-1, profiles.shape[1])


def pooled_weight(weight: NDArray[Any] | None, n_positions: int) -> NDArray[Any] | None:
    """Return the weights of the pooled rows of :func:`pooled`."""
    return None if weight is None else np.repeat(weight, n_positions)


def at_positions(values: NDArray[Any], n_positions: int) -> NDArray[Any]:
    """Return what every target has, along the last axis, for all its positions."""
    return np.repeat(values, n_positions, axis=-1)


def rows_with_any(present: NDArray[np.bool_], n_positions: int) -> NDArray[np.intp]:
    """Return in how many rows something is present at any position of each target."""
    profiles = present.reshape(len(present), -1, n_positions)
    rows: NDArray[np.intp] = profiles.any(axis=2).sum(axis=0)
    return rows
