"""Conformity scores: MAPIE's, and the one that divides by the predicted deviation."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
from mapie.conformity_scores import (
    AbsoluteConformityScore,
    BaseRegressionScore,
    GammaConformityScore,
    ResidualNormalisedScore,
)
from sklearn.utils import check_random_state

from sklearn_degu._calibration import offers_std
from sklearn_degu._wrapped import last_step
from sklearn_degu.nets.randomness import MAX_SEED
from sklearn_degu.uncertainty import Array, Kind


class NormalizedScore(BaseRegressionScore):
    """The score (y - mean) / std, symmetric, with std from the model.

    It is MAPIE's ``"std_normalized"`` with memory that grows with the rows alone (MAPIE's builds
    a matrix of new rows by calibration rows), and whose lower bound lies as far from the mean as
    its upper bound (MAPIE's lies a rank too near).
    """

    def __init__(self) -> None:
        super().__init__(sym=True, consistency_check=False)

    def get_signed_conformity_scores(
        self, y: Array, y_pred: Array, *, y_std: Array, **kwargs: Any
    ) -> Array:
        """Return (y - y_pred) / y_std; infinite where y_std is 0 and y is not y_pred."""
        residual = y - y_pred
        with np.errstate(divide="ignore"):
            scores: Array = np.divide(
                residual, y_std, out=np.zeros_like(residual), where=residual != 0
            )
        return scores

    def get_estimation_distribution(
        self, y_pred: Array, conformity_scores: Array, *, y_std: Array, **kwargs: Any
    ) -> Array:
        """Return the y of these scores: y_pred and scores have two axes, y_std has one."""
        return y_pred + conformity_scores * y_std[:, np.newaxis]


def score_for(
    estimator: Any, conformity_score: Any, kind: Kind | None, random_state: Any
) -> BaseRegressionScore:
    """Return the conformity score that parameters ask for, if the estimator can serve it.

    Parameters
    ----------
    estimator : regressor
        Fitted or not.
    conformity_score : str or BaseRegressionScore
        A name, or a score, which is copied.
    kind : {"epistemic", "aleatoric", "total"} or None
        Kind of the deviation, which "normalized" alone reads.
    random_state : int, RandomState instance or None
        For a score that draws at random and has no ``random_state`` of its own.

    Raises
    ------
    ValueError
        If there is no such score, or it and the estimator or ``kind`` do not fit together.
    """
    score = _resolve(conformity_score)
    if isinstance(score, NormalizedScore):
        _check_offers_std(estimator)
    elif kind is not None:
        raise ValueError(
            f"kind={kind!r} chooses the deviation that 'normalized' divides by, but "
            f"conformity_score={conformity_score!r} divides by none. Leave kind out."
        )
    if getattr(score, "random_state", 0) is None:
        score.random_state = check_random_state(random_state).randint(MAX_SEED)
    return score


def reads_samples(score: BaseRegressionScore) -> bool:
    """Whether a score may look at X; those that cannot are spared copies of it."""
    return type(score) not in (NormalizedScore, AbsoluteConformityScore)


def _resolve(score: Any) -> BaseRegressionScore:
    if isinstance(score, BaseRegressionScore):
        return _check_bounds(deepcopy(score))
    if not isinstance(score, str) or score not in _NAMED:
        raise ValueError(
            f"conformity_score must be one of {', '.join(map(repr, _NAMED))} or a "
            f"BaseRegressionScore of MAPIE; got {score!r}."
        )
    named = _NAMED[score]()
    # The check compares with an absolute tolerance, which rounding exceeds in large units of y.
    named.consistency_check = False
    return named


_NAMED: dict[str, Callable[[], BaseRegressionScore]] = {
    "normalized": NormalizedScore,
    "absolute": AbsoluteConformityScore,
    "gamma": GammaConformityScore,
    "residual_normalized": ResidualNormalisedScore,
}


def _check_bounds(score: BaseRegressionScore) -> BaseRegressionScore:
    if type(score).get_bounds is not BaseRegressionScore.get_bounds:
        raise ValueError(
            f"{type(score).__name__} makes its bounds in a way of its own, which only MAPIE's "
            "classes follow. For |y - mean| / std use conformity_score='normalized'."
        )
    return score


def _check_offers_std(estimator: Any) -> None:
    if not offers_std(estimator):
        raise ValueError(
            "conformity_score='normalized' divides by a standard deviation, but the predict of "
            f"{type(last_step(estimator)).__name__} takes no return_std=True. Set "
            "conformity_score='absolute', or take an estimator with an uncertainty, such as "
            "EnsembleRegressor or GaussianProcessRegressor."
        )
