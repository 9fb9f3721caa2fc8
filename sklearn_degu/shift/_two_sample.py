"""Classifier two-sample test with an exact permutation distribution."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.utils import gen_batches
from sklearn.utils.parallel import Parallel, delayed

from sklearn_degu.shift._samples import Units
from sklearn_degu.uncertainty import Array

Labels = NDArray[np.int8]
Folds = list[tuple[NDArray[np.intp], NDArray[np.intp]]]

# Penalties that are tried, in units of the features' variance times the number of rows.
PENALTIES = np.logspace(-2, 2, 5)

# Labels whose ridge regressions are fitted at a time: temporaries of 128 MB each.
LABELS_AT_A_TIME = 2**24


def permutation_aucs(
    Z: Array,
    units: Units,
    classifier: Any,
    *,
    cv: int,
    n_permutations: int,
    random_state: np.random.RandomState,
    n_jobs: int | None,
) -> Array:
    """Return the cross-fitted AUC of the true labels, and then those of permuted labels.

    Labels are permuted within the folds, and everything that depends on labels is repeated for
    every permutation, so that under exchangeability all answers are equally distributed.

    Parameters
    ----------
    Z : ndarray of shape (n, d)
        Standardised features of both samples.
    units : Units
        What is permuted, and kept together in a fold.
    classifier : classifier or None
        None is ridge regression on the labels.
    cv, n_permutations : int
        Number of folds and of permutations.
    random_state : RandomState
        Decides folds and permutations.
    n_jobs : int or None
        How many permutations a classifier is fitted for at a time.

    Returns
    -------
    aucs : ndarray of shape (1 + n_permutations,)

    Raises
    ------
    ValueError
        If a sample has fewer units than folds, or a classifier has no scores.
    """
    fold_of_unit = _fold_of_unit(units, cv, random_state)
    labels = _permuted_labels(units, fold_of_unit, n_permutations, random_state)
    fold_of_row = fold_of_unit[units.of_row]
    folds = [
        (np.flatnonzero(fold_of_row != fold), np.flatnonzero(fold_of_row == fold))
        for fold in range(cv)
    ]
    if classifier is None:
        scores = _ridge_scores(Z, labels, folds)
    else:
        scores = _classifier_scores(classifier, Z, labels, folds, n_jobs)
    aucs: Array = np.mean([_aucs(scores[test], labels[test]) for _, test in folds], axis=0)
    return aucs


def _fold_of_unit(units: Units, cv: int, random_state: np.random.RandomState) -> NDArray[np.intp]:
    if units.smaller < cv:
        raise ValueError(
            f"The smaller sample has {units.smaller} {units.name}, but cv={cv} folds need at "
            "least one each. Lower cv or add rows."
        )
    splitter = StratifiedKFold(cv, shuffle=True, random_state=random_state)
    fold_of_unit = np.empty(len(units.is_new), dtype=np.intp)
    for fold, (_, test) in enumerate(splitter.split(units.is_new, units.is_new)):
        fold_of_unit[test] = fold
    return fold_of_unit


def _permuted_labels(
    units: Units,
    fold_of_unit: NDArray[np.intp],
    n_permutations: int,
    random_state: np.random.RandomState,
) -> Labels:
    """Return labels of shape (n_rows, 1 + n_permutations), the true ones first."""
    generator = np.random.default_rng(random_state.randint(2**31))
    of_unit = np.repeat(units.is_new.astype(np.int8)[:, np.newaxis], 1 + n_permutations, axis=1)
    for fold in range(fold_of_unit.max() + 1):
        members = fold_of_unit == fold
        of_unit[members, 1:] = generator.permuted(of_unit[members, 1:], axis=0)
    return of_unit[units.of_row]


def _ridge_scores(Z: Array, labels: Labels, folds: Folds) -> Array:
    """Fit all permutations in one solution a fold, each with the penalty that suits it."""
    scores = np.empty(labels.shape)
    for columns in gen_batches(labels.shape[1], max(1, LABELS_AT_A_TIME // len(Z))):
        for train, test in folds:
            ridge = RidgeCV(len(train) * PENALTIES, alpha_per_target=True)
            ridge.fit(Z[train], labels[train, columns].astype(np.float64))
            scores[test, columns] = ridge.predict(Z[test]).reshape(len(test), -1)
    return scores


def _classifier_scores(
    classifier: Any, Z: Array, labels: Labels, folds: Folds, n_jobs: int | None
) -> Array:
    method = _score_method(classifier)
    scores: list[Array] = Parallel(n_jobs=n_jobs)(
        delayed(cross_val_predict)(classifier, Z, column, cv=folds, method=method)
        for column in labels.T
    )
    return np.stack([s if s.ndim == 1 else s[:, 1] for s in scores], axis=1)


def _score_method(classifier: Any) -> str:
    for method in ("decision_function", "predict_proba"):
        if hasattr(classifier, method):
            return method
    raise ValueError(
        "classifier needs a decision_function or predict_proba, which "
        f"{type(classifier).__name__} has not."
    )


def _aucs(scores: Array, labels: Labels) -> Array:
    """Return the area under the ROC curve of every column (Mann and Whitney)."""
    n_new = labels.sum(axis=0, dtype=np.float64)
    n_pairs = n_new * (len(labels) - n_new)
    rank_sums = np.sum(rankdata(scores, axis=0) * labels, axis=0)
    aucs: Array = (rank_sums - n_new * (n_new + 1) / 2) / n_pairs
    return aucs
