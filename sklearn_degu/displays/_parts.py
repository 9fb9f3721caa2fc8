"""Coverage of parts of the data, and how far it can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from sklearn_degu.displays._data import Array
from sklearn_degu.metrics import coverage_by_bin, interval_coverage

_BAR_LEVEL = 0.95


class Parts(NamedTuple):
    """Coverage by part.

    Attributes
    ----------
    groups : list of str
        Names of the parts.
    coverage : ndarray of shape (n_parts,)
        Fraction of each part's measurements that are covered, NaN if there are none.
    n_samples : ndarray of int of shape (n_parts,)
        Number of each part's measurements.
    """

    groups: list[str]
    coverage: Array
    n_samples: NDArray[np.intp]


def by_group(
    y_true: Array, y_lower: Array, y_upper: Array, members: Mapping[str, NDArray[np.intp]]
) -> Parts:
    """Return the coverage of groups, given by the rows of each."""
    coverage = [
        interval_coverage(y_true[rows], y_lower[rows], y_upper[rows]) if len(rows) else np.nan
        for rows in members.values()
    ]
    return Parts(list(members), np.array(coverage), np.array([*map(len, members.values())]))


def by_deviation(y_true: Array, y_lower: Array, y_upper: Array, y_std: Array, n_bins: int) -> Parts:
    """Return the coverage of bins of equally many rows, from the smallest deviations up."""
    coverage = coverage_by_bin(y_true, y_lower, y_upper, by=y_std, n_bins=n_bins)
    bins = np.array_split(np.sort(y_std), n_bins)
    names = [f"{stds[0]:.3g} to {stds[-1]:.3g}" for stds in bins]
    return Parts(names, coverage, np.array([len(stds) for stds in bins]))


def wilson_error_bars(coverage: Array, n_samples: NDArray[np.intp]) -> Array:
    """Return how far the confidence intervals of coverages reach down and up, of shape (2, n)."""
    intervals = [_wilson(*part) for part in zip(coverage, n_samples, strict=True)]
    lower, upper = np.transpose(intervals)
    # Rounding may put a coverage of 1 outside its interval by a hair.
    return np.maximum([coverage - lower, upper - coverage], 0.0)


def _wilson(coverage: float, n_samples: int) -> tuple[float, float]:
    if n_samples == 0:
        return np.nan, np.nan
    # Rows that tie across the edge of two bins count in both in part.
    n_covered = round(coverage * n_samples)
    interval = binomtest(n_covered, n_samples).proportion_ci(_BAR_LEVEL, method="wilson")
    return interval.low, interval.high
