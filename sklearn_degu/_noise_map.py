"""From the members' mean variance to the variance of the noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import GammaRegressor

from sklearn_degu._positions import at_positions, pooled
from sklearn_degu.uncertainty import Array

# Draws the slope of a NoiseMap towards 1, as if it were known to 0.3 beforehand.
SLOPE_PENALTY = 10.0


@dataclass(frozen=True)
class NoiseMap:
    r"""What makes of the members' mean variance the variance of the noise.

    The mean of several predictions, each right on average for the rows that it singles out, is
    spread less than the truth: what one member rightly says is diluted by the others. The map is
    log-linear, :math:`u \, e^{a} (v / u)^{b}`, with :math:`b` usually above 1.

    Attributes
    ----------
    unit : ndarray of shape (n_targets,)
        The variance :math:`u` that the members' variances are relative to.
    level, slope : ndarray of shape (n_targets,)
        :math:`a` and :math:`b`.
    """

    unit: Array
    level: Array
    slope: Array

    @classmethod
    def identity(cls, n_targets: int) -> NoiseMap:
        """Return the map that changes nothing."""
        return cls(np.ones(n_targets), np.zeros(n_targets), np.ones(n_targets))

    @classmethod
    def fit(
        cls,
        unit: Array,
        variance: Array,
        measured: Array,
        weight: Array,
        *,
        with_slope: NDArray[np.bool_],
        n_positions: int = 1,
    ) -> NoiseMap:
        """Fit the map to sample variances, by their gamma likelihood.

        Parameters
        ----------
        unit : ndarray of shape (n_targets,)
            Unit of the variances.
        variance : ndarray of shape (n, n_targets)
            The members' mean variance.
        measured, weight : ndarray of shape (n, n_targets)
            Sample variance of the replicates, and its weight, 0 where there is none.
        with_slope : ndarray of bool of shape (n_targets,)
            Whether to fit the slope too, which is drawn towards 1; of profiles one for all
            positions of a target.
        n_positions : int, default=1
            Positions of profiles, which share the map.
        """
        relative, ratio, weight = (
            pooled(columns, n_positions)
            for columns in (np.log(variance / unit), measured / variance, weight)
        )
        fits = [
            _log_linear(relative[rows, t], ratio[rows, t], weight[rows, t], with_slope[t])
            for t, rows in enumerate((weight > 0).T)
        ]
        level, extra = at_positions(np.array(fits).T, n_positions)
        return cls(unit, level, 1 + extra)

    @classmethod
    def mean(cls, maps: Sequence[NoiseMap], n_members: Sequence[int]) -> NoiseMap:
        """Return one map for ensembles that were calibrated apart, by their numbers of members."""
        log_unit, level, slope = (
            np.average(parts, axis=0, weights=n_members)
            for parts in zip(*((np.log(m.unit), m.level, m.slope) for m in maps), strict=True)
        )
        return cls(np.exp(log_unit), level, slope)

    def __call__(self, variance: Array) -> Array:
        """Map variances of shape (n, n_targets)."""
        mapped: Array = self.unit * np.exp(self.level) * (variance / self.unit) ** self.slope
        return mapped


def _log_linear(x: Array, ratio: Array, weight: Array, with_slope: bool) -> tuple[float, float]:
    """Return intercept and slope of the logarithm of the expected ratio."""
    mean = float(np.average(ratio, weights=weight))
    if not with_slope or mean == 0:
        return (np.log(mean) if mean > 0 else 0.0), 0.0
    model = GammaRegressor(alpha=SLOPE_PENALTY / len(x), max_iter=1000)
    # The gamma likelihood is defined for positive values; equal replicates have variance 0.
    model.fit(x[:, np.newaxis], np.maximum(ratio, np.finfo(np.float64).tiny), weight)
    return float(model.intercept_), float(model.coef_[0])
