"""Split conformal prediction on predicted rows: by group, by target, by level."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from mapie.conformity_scores import BaseRegressionScore
from numpy.typing import NDArray

from sklearn_degu.conformal.predicted_rows import PredictedRows
from sklearn_degu.conformal.ranks import (
    Levels,
    conformal_quantiles,
    effective_sample_size,
    n_rows_needed,
    weighted_conformal_quantiles,
)
from sklearn_degu.conformal.row_functions import Groups
from sklearn_degu.uncertainty import Array


@dataclass(frozen=True)
class TargetCalibration:
    """The conformity scores of one target in one group.

    Attributes
    ----------
    score : BaseRegressionScore
        What the scores are.
    target : int
        Index of the target.
    ordered : ndarray of shape (n,)
        Signed scores, or their absolute values if the score is symmetric, ascending.
    weights : ndarray of shape (n,) or None
        Likelihood ratios of the same rows.
    """

    score: BaseRegressionScore
    target: int
    ordered: Array
    weights: Array | None

    @classmethod
    def fit(
        cls, score: BaseRegressionScore, target: int, rows: PredictedRows, y: Array
    ) -> TargetCalibration:
        """Compute the scores of the rows whose y, of shape (n,), is measured."""
        measured = np.flatnonzero(~np.isnan(y))
        rows, score = rows.take(measured), deepcopy(score)
        if not len(measured):
            return cls(score, target, np.zeros(0), rows.weights)
        scores = score.get_conformity_scores(
            y[measured], rows.mean[:, target], **rows.for_score(target)
        )
        # MAPIE's scores are NaN for rows that the score itself was fitted on.
        order = np.argsort(scores)[: np.count_nonzero(~np.isnan(scores))]
        return cls(
            score, target, scores[order], None if rows.weights is None else rows.weights[order]
        )

    @property
    def effective_sample_size(self) -> float:
        """Number of rows of equal weight that would say as much."""
        return len(self.ordered) if self.weights is None else effective_sample_size(self.weights)

    def quantiles(self, levels: Levels, new_weights: Array | None = None) -> tuple[Array, Array]:
        """Return lower and upper quantiles of the signed scores.

        Both have the shape (1, n_levels), or (n_new, n_levels) with likelihood ratios.
        """
        if self.score.sym:
            upper = self._upper(self.ordered, self.weights, new_weights, levels)
            return -upper, upper
        sides = tuple(one_sided(self.score, level) for level in levels)
        mirrored = None if self.weights is None else self.weights[::-1]
        lower = -self._upper(-self.ordered[::-1], mirrored, new_weights, sides)
        return lower, self._upper(self.ordered, self.weights, new_weights, sides)

    @staticmethod
    def _upper(
        ordered: Array, weights: Array | None, new_weights: Array | None, levels: Levels
    ) -> Array:
        if weights is None or new_weights is None:
            return conformal_quantiles(ordered, levels)
        return weighted_conformal_quantiles(ordered, weights, new_weights, levels)

    def bounds(self, rows: PredictedRows, levels: Levels) -> tuple[Array, Array]:
        """Return the lower and the upper bounds of new rows, each of shape (n, n_levels)."""
        lower, upper = self.quantiles(levels, rows.weights)
        return self._bound(rows, lower), self._bound(rows, upper)

    def _bound(self, rows: PredictedRows, quantiles: Array) -> Array:
        """Turn quantiles of the score into values of y; infinite ones stay as they are."""
        finite = np.isfinite(quantiles)
        values = self.score.get_estimation_distribution(
            rows.mean[:, [self.target]],
            np.where(finite, quantiles, 0.0),
            **rows.for_score(self.target),
        )
        return np.where(finite, values, quantiles)


def one_sided(score: BaseRegressionScore, level: Fraction) -> Fraction:
    """Return the level of each quantile: of an asymmetric score each side errs half as often."""
    return level if score.sym else (1 + level) / 2


@dataclass(frozen=True)
class Conformity:
    """The calibration of all targets in all groups.

    Attributes
    ----------
    score : BaseRegressionScore
        What the scores are.
    levels : tuple of Fraction
        Confidence levels.
    groups : dict of hashable to list of TargetCalibration
        Calibrations of the targets, by label of the group.
    """

    score: BaseRegressionScore
    levels: Levels
    groups: Mapping[Hashable, list[TargetCalibration]]

    @classmethod
    def fit(
        cls,
        score: BaseRegressionScore,
        levels: Levels,
        rows: PredictedRows,
        y: Array,
        groups: Groups,
    ) -> Conformity:
        """Calibrate on rows with measurements y of shape (n, n_targets), NaN where missing."""
        calibrations = {
            label: _fit_targets(score, rows.take(members), y[members])
            for label, members in groups.items()
        }
        return cls(score, levels, calibrations)

    @property
    def n_rows(self) -> NDArray[np.intp]:
        """Number of calibration rows, of shape (n_groups, n_targets)."""
        return self._of_all(lambda one: len(one.ordered))

    @property
    def effective_sample_size(self) -> Array:
        """Number of rows of equal weight that say as much, of shape (n_groups, n_targets)."""
        return self._of_all(lambda one: one.effective_sample_size)

    @property
    def quantiles(self) -> Array:
        """Quantiles of the signed scores, of shape (n_groups, n_targets, n_levels, 2).

        Raises
        ------
        AttributeError
            If likelihood ratios make them depend on the row.
        """
        if any(one.weights is not None for targets in self.groups.values() for one in targets):
            raise AttributeError("With likelihood_ratio, every row has quantiles of its own.")
        return self._of_all(lambda one: np.concatenate(one.quantiles(self.levels)).T)

    def _of_all(self, quantity: Callable[[TargetCalibration], Any]) -> NDArray[Any]:
        return np.array([[quantity(one) for one in targets] for targets in self.groups.values()])

    def scarcity(self) -> str:
        """Say which targets have fewer rows than a level needs; nothing if none."""
        level, needed = self._most_needed()
        counts = self.n_rows
        if (counts >= needed).all():
            return ""
        return (
            f"Confidence level {level} needs {needed} calibration rows with a measurement, but "
            f"{self._places(counts < needed, counts)}."
        )

    def weakness(self) -> str:
        """Say which targets have enough rows, but too little weight; nothing if none."""
        level, needed = self._most_needed()
        sizes = self.effective_sample_size.round(1)
        weak = (self.n_rows >= needed) & (sizes < needed)
        if not weak.any():
            return ""
        return (
            "The likelihood ratios lay most weight on few calibration rows: level "
            f"{level} needs an effective sample size of {needed}, but "
            f"{self._places(weak, sizes)}. Intervals are wide or infinite."
        )

    def _most_needed(self) -> tuple[float, int]:
        """Return the highest level and the number of rows that it needs."""
        level = max(self.levels)
        return float(level), n_rows_needed(one_sided(self.score, level))

    def _places(self, where: NDArray[np.bool_], values: NDArray[Any], most: int = 5) -> str:
        """Name targets and groups with a value each: "target 1 of group 'tata' has 3"."""
        labels = [*self.groups]
        named = []
        for group, target in np.argwhere(where):
            of_group = "" if labels[group] is None else f" of group {labels[group]!r}"
            named.append(f"target {target}{of_group} has {values[group, target]}")
        more = f", and {len(named) - most} more have too few" if len(named) > most else ""
        return ", ".join(named[:most]) + more

    def bounds(self, rows: PredictedRows, groups: Groups) -> tuple[Array, Array]:
        """Return lower and upper bounds of new rows, each of shape (n, n_targets, n_levels).

        Raises
        ------
        ValueError
            If they have another number of targets than was calibrated.
        """
        if rows.mean.shape[1] != self.n_rows.shape[1]:
            raise ValueError(
                f"The estimator predicts {rows.mean.shape[1]} targets, but {self.n_rows.shape[1]} "
                "were calibrated: what was set since, such as a bin_size, changed them. "
                "conformalize again."
            )
        lower, upper = np.empty((2, *rows.mean.shape, len(self.levels)))
        for label, members in groups.items():
            some = rows.take(members)
            for one in self.groups[label]:
                lower[members, one.target], upper[members, one.target] = one.bounds(
                    some, self.levels
                )
        return lower, upper


def _fit_targets(
    score: BaseRegressionScore, rows: PredictedRows, y: Array
) -> list[TargetCalibration]:
    return [TargetCalibration.fit(score, t, rows, y[:, t]) for t in range(y.shape[1])]
