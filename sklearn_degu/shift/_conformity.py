"""MAPIE's permutation test on conformity scores, with the change at a known place."""

from __future__ import annotations

from typing import Any

import numpy as np
from mapie.conformity_scores import BaseRegressionScore
from mapie.exchangeability_testing.permutations import PValuePermutationTest, TestStatistic
from mapie.regression import SplitConformalRegressor
from numpy.typing import ArrayLike
from scipy.stats import rankdata
from sklearn.dummy import DummyRegressor
from sklearn.metrics import roc_auc_score

from sklearn_degu._calibration import check_targets_of
from sklearn_degu.conformal.predicted_rows import predict_rows
from sklearn_degu.shift._samples import Units
from sklearn_degu.uncertainty import Array, Kind


class MeanDifference(TestStatistic):
    """Distance between the mean scores before and after a known place.

    MAPIE's own statistic looks for the place, which costs time, O(n²) a permutation, and power.

    Parameters
    ----------
    n_before : int
        Number of scores before the place.
    """

    def __init__(self, n_before: int) -> None:
        self.n_before = n_before

    def compute(self, scores: Array) -> float:
        """Return the statistic of scores of shape (n,)."""
        return float(abs(scores[: self.n_before].mean() - scores[self.n_before :].mean()))

    def __call__(self, scores: Array) -> float:
        """Return the statistic, as MAPIE calls it."""
        return self.compute(scores)


def conformity_scores(
    estimator: Any, X: Any, y: ArrayLike, score: BaseRegressionScore, kind: Kind | None, name: str
) -> Array:
    """Return the conformity scores of labelled rows, of shape (n, n_targets), NaN where missing.

    Raises
    ------
    ValueError
        With ``name`` in the message, if y does not fit the predictions or has a row without a
        measurement.
    """
    rows, shape = predict_rows(estimator, X, score, kind, None)
    targets = check_targets_of(estimator, y)
    if targets.shape != shape:
        raise ValueError(f"{name} has shape {targets.shape}, but the predictions have {shape}.")
    measured = targets.reshape(rows.mean.shape)
    empty = np.flatnonzero(np.isnan(measured).all(axis=1))
    if len(empty):
        raise ValueError(
            f"{name} has {len(empty)} rows without any measurement (NaN in every target), the "
            f"first is row {empty[0]}. Leave these rows out."
        )
    scores = [
        score.get_conformity_scores(measured[:, t], rows.mean[:, t], **rows.for_score(t))
        for t in range(rows.mean.shape[1])
    ]
    return np.stack(scores, axis=1)


def mean_rank(scores: Array, units: Units) -> Array:
    """Return one score a unit: the mean rank, over targets and rows, as a fraction.

    Ranks are taken target by target over both samples, NaN left out, so that targets weigh alike
    whatever their scale.
    """
    present = ~np.isnan(scores)
    ranks = rankdata(scores, axis=0, nan_policy="omit") / np.maximum(present.sum(axis=0), 1)
    of_row = np.nanmean(ranks, axis=1)
    means: Array = np.bincount(units.of_row, weights=of_row) / np.bincount(units.of_row)
    return means


def permutation_test(
    scores: Array, units: Units, *, n_permutations: int, seed: int
) -> tuple[float, float]:
    """Return how often a new unit's score exceeds a calibration unit's, and a p-value.

    Parameters
    ----------
    scores : ndarray of shape (n_units,)
        A score a unit, those of the calibration rows first.
    units : Units
        The units.
    n_permutations, seed : int
        Number of permutations, and what decides them.
    """
    # MAPIE takes scores from an estimator: from one that predicts zero it takes |score - 0|.
    zero = DummyRegressor(strategy="constant", constant=0.0).fit([[0.0]], [0.0])
    test = PValuePermutationTest(
        mapie_estimator=SplitConformalRegressor(zero, prefit=True),
        num_permutations=n_permutations,
        random_state=seed,
        warn=False,
    )
    test.test_statistic = MeanDifference(int(np.sum(~units.is_new)))
    ranks = rankdata(scores) / len(scores)
    test.run(np.zeros((len(ranks), 1)), ranks)
    return float(roc_auc_score(units.is_new, ranks)), float(test.p_values[-1])
