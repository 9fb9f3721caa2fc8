"""Positions of profiles: targets of shape (n, t, P), which lie as t * P columns inside.

All positions of a target share one scale, and one map of the noise: with a scale of its own for
every position a net could not learn what holds wherever a motif stands, and where counts are
sparse such a scale would be noise itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_degu._numbers import is_whole


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


def bin_sums(profiles: NDArray[np.float64], bin_size: int | None) -> NDArray[np.float64]:
    """Return the sums (n, t, n_bins) of profiles (n, t, P) over bins of neighbouring positions."""
    n_bins = count_bins(profiles.shape[2], bin_size)
    sums: NDArray[np.float64] = profiles.reshape(*profiles.shape[:2], n_bins, -1).sum(axis=3)
    return sums


def check_bin_size(bin_size: Any) -> None:
    """Raise if a size of bins is no positive integer."""
    if bin_size is not None and not (is_whole(bin_size) and bin_size > 0):
        raise ValueError(f"bin_size must be a positive integer or None, got {bin_size!r}.")


def count_bins(n_positions: int, bin_size: int | None) -> int:
    """Return how many bins there are in a profile, or raise if they do not fill it."""
    check_bin_size(bin_size)
    if bin_size is None:
        return 1
    if n_positions % bin_size:
        divisors = [size for size in range(1, n_positions + 1) if n_positions % size == 0]
        near = sorted(divisors, key=lambda size: abs(size - bin_size))[:3]
        raise ValueError(
            f"{n_positions} positions cannot be cut into bins of bin_size={bin_size}. Divisors "
            f"near it are {', '.join(map(str, sorted(near)))}; or crop the profiles first, such "
            f"as y[..., :{n_positions - n_positions % bin_size}]."
        )
    return n_positions // bin_size
