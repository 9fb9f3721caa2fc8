"""The quantiles of split conformal prediction, unweighted and weighted.

MAPIE's are not used: it has no weighted ones, it raises for a symmetric score where too few rows
leave a bound infinite, and it multiplies level and number of rows in floating point, where
0.55 * 100 is a little more than 55 and costs a rank.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from sklearn_degu._numbers import is_real
from sklearn_degu.uncertainty import Array

Levels = tuple[Fraction, ...]

# Sums of weights that should reach a level exactly fall short of it by their rounding.
_ROUNDING = 1e-10


def check_levels(confidence_level: Any) -> Levels:
    """Return confidence levels as the exact decimals that they were written as.

    Parameters
    ----------
    confidence_level : float or sequence of float
        Levels, each strictly between 0 and 1.

    Raises
    ------
    ValueError
        If a level is something else, or there is none.
    """
    given = np.atleast_1d(np.asarray(confidence_level, dtype=object))
    usable = given.ndim == 1 and len(given) > 0 and all(map(_is_level, given))
    if not usable:
        raise ValueError(
            "confidence_level must be a number strictly between 0 and 1, such as 0.9, or a "
            f"sequence of them; got {confidence_level!r}."
        )
    return tuple(Fraction(str(level)) for level in given)


def _is_level(level: Any) -> bool:
    return is_real(level) and 0 < float(level) < 1


def n_rows_needed(level: Fraction) -> int:
    """Return the smallest n with ceil((n + 1) * level) <= n: fewer rows leave a bound infinite."""
    return math.ceil(level / (1 - level))


def conformal_quantiles(ordered: Array, levels: Levels) -> Array:
    """Return for each level the score of rank ceil((n + 1) * level), or inf if n is fewer.

    Parameters
    ----------
    ordered : ndarray of shape (n,)
        Conformity scores of the calibration rows, ascending.
    levels : tuple of Fraction
        Levels to be covered from below.

    Returns
    -------
    quantiles : ndarray of shape (1, n_levels)
        The quantiles, the same for all new rows.
    """
    n_rows = len(ordered)
    ranks = [math.ceil((n_rows + 1) * level) for level in levels]
    return np.array([[ordered[rank - 1] if rank <= n_rows else np.inf for rank in ranks]])


def weighted_conformal_quantiles(
    ordered: Array, weights: Array, new_weights: Array, levels: Levels
) -> Array:
    r"""Return for each new row and level the weighted quantile of the scores.

    It is the smallest score :math:`s` for which the calibration rows of score at most :math:`s`
    have the share ``level`` of the weight, where the new row, whose score may be infinite, has
    its share too: :math:`\sum_{i: s_i \le s} w_i \ge level \, (\sum_i w_i + w(x))` (corollary
    1 of [1]_).

    Parameters
    ----------
    ordered, weights : ndarray of shape (n,)
        Conformity scores of the calibration rows, ascending, and the weights of these rows.
    new_weights : ndarray of shape (n_new,)
        Weights of the new rows.
    levels : tuple of Fraction
        Levels to be covered from below.

    Returns
    -------
    quantiles : ndarray of shape (n_new, n_levels)
        The quantiles; inf where all calibration rows together have too small a share.

    References
    ----------
    .. [1] Tibshirani, Barber, Candès and Ramdas, "Conformal prediction under covariate shift",
       NeurIPS 2019.
    """
    reached = np.cumsum(weights)
    total = weights.sum() + new_weights[:, np.newaxis]
    wanted = total * np.array([float(level) for level in levels]) * (1 - _ROUNDING)
    quantiles: Array = np.append(ordered, np.inf)[np.searchsorted(reached, wanted)]
    return quantiles


def effective_sample_size(weights: Array) -> float:
    """Return how many rows of equal weight say as much: (sum w)^2 / sum w^2 (Kish)."""
    return float(weights.sum() ** 2 / (weights**2).sum()) if len(weights) else 0.0
