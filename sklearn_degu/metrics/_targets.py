"""How a metric is taken of every target, over the rows where it was measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from sklearn_degu.metrics._arrays import Array, Mask, check_weight

MultiOutput = Literal["uniform_average", "raw_values"]
T = TypeVar("T")


def per_target(statistic: Callable[..., T], present: Mask, *arrays: Array) -> list[T]:
    """Apply a statistic to the present rows of every target.

    Parameters
    ----------
    statistic : callable
        Of one vector for each array.
    present : ndarray of bool of shape (n_samples,) or (n_samples, n_targets)
        Which entries count.
    *arrays : ndarray of the same shape, or of shape (n_samples,) if it is for all targets

    Returns
    -------
    values : list of length n_targets
    """
    n_targets = 1 if present.ndim == 1 else present.shape[1]
    return [
        statistic(*(_column(array, t)[_column(present, t)] for array in arrays))
        for t in range(n_targets)
    ]


def mean_of(
    quantity: Callable[..., Array],
    present: Mask,
    *arrays: Array,
    sample_weight: ArrayLike | None,
    multioutput: MultiOutput,
) -> float | Array:
    """Return the weighted mean over the rows of a quantity that every row has."""
    weight = check_weight(sample_weight, len(present))
    # Left out, for an infinite width times a weight of zero would be NaN.
    kept = (present.T & (weight > 0)).T
    unweighted = np.flatnonzero(~np.atleast_1d(kept.any(axis=0)))
    if len(unweighted):
        raise ValueError(
            f"sample_weight is zero for every row in which target {unweighted[0]} was measured; "
            "some must be positive."
        )

    def mean(weights: Array, *rows: Array) -> float:
        return float(np.average(quantity(*rows), weights=weights))

    return over_targets(per_target(mean, kept, weight, *arrays), multioutput)


def over_targets(values: list[float], multioutput: MultiOutput) -> float | Array:
    """Return the values of the targets, or their mean."""
    if multioutput == "raw_values":
        return np.array(values)
    if multioutput == "uniform_average":
        return float(np.mean(values))
    raise ValueError(f"multioutput must be 'uniform_average' or 'raw_values', got {multioutput!r}.")


def mean_over_ties(values: Array, key: Array) -> Array:
    """Replace each value by the mean over the rows that have the same key.

    Where an order by the key decides, rows that tie are in no order. With their mean the result
    is the expectation over all orders, and depends on the order of the rows no more.
    """
    _, group, count = np.unique(key, return_inverse=True, return_counts=True)
    means: Array = np.bincount(group, weights=values) / count
    return means[group]


def mean_by_bin(values: Array, key: Array, n_bins: int) -> Array:
    """Return the means of values in bins of equally many rows, from the lowest key up.

    If ``n_bins`` does not divide the number of rows, the first bins have one row more. Rows that
    tie across an edge count in both bins, in proportion.
    """
    ordered = mean_over_ties(values, key)[np.argsort(key)]
    return np.array([part.mean() for part in np.array_split(ordered, n_bins)])


def _column(array: Array | Mask, target: int) -> Array | Mask:
    return array if array.ndim == 1 else array[:, target]
