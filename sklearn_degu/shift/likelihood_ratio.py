"""How much more likely a row is in one sample than in another."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state

from sklearn_degu._numbers import as_floats, is_real
from sklearn_degu.conformal.ranks import effective_sample_size as kish_sample_size
from sklearn_degu.shift._features import FeatureMap, Features, feature_map, read_features
from sklearn_degu.shift._samples import FEW, check_groups
from sklearn_degu.uncertainty import Array

# Inverse penalties of the logistic regression, from nearly constant odds to nearly free ones.
INVERSE_PENALTIES = np.logspace(-5, 1, 7)


@dataclass(frozen=True)
class LikelihoodRatio:
    """Ratio of the densities of two distributions of X, as a function of X.

    :func:`estimate_likelihood_ratio` makes it; calling it with X returns a weight for every row.
    It can be pickled and copied if ``features`` and ``classifier`` can.

    Attributes
    ----------
    features : callable
        From X to features of shape (n, n_features).
    classifier : classifier
        Fitted to tell target (1) from source (0) rows by their features.
    size_ratio : float
        Number of source rows it was fitted on, over the number of target rows.
    clip : float or None
        Largest weight.
    """

    features: FeatureMap = field(repr=False)
    classifier: Any = field(repr=False)
    size_ratio: float
    clip: float | None

    def __call__(self, X: Any) -> Array:
        """Return the weight of every row.

        Parameters
        ----------
        X : array-like
            Rows of the form that the ratio was estimated on.

        Returns
        -------
        weights : ndarray of shape (n,)
            Estimated dQ/dP: how much more likely a row is under the target distribution Q than
            under the source distribution P. Without units, and 1 on average over source rows.

        Raises
        ------
        ValueError
            If X has other features, or the classifier is so certain of a row that its weight is
            zero or infinite.
        """
        return self._of_features(read_features(self.features, X, "X"))

    def _of_features(self, table: Array) -> Array:
        probability = self.classifier.predict_proba(table)[:, 1]
        with np.errstate(divide="ignore"):
            weights: Array = probability / (1 - probability) * self.size_ratio
        if self.clip is not None:
            weights = np.minimum(weights, self.clip)
        certain = np.flatnonzero(~np.isfinite(weights) | (weights <= 0))
        if len(certain):
            raise ValueError(
                f"The weights of {len(certain)} of {len(weights)} rows, the first being row "
                f"{certain[0]}, are zero or infinite: the classifier is certain of them, because "
                "source and target do not overlap there. Set clip, or use other features or a "
                "classifier with a stronger penalty."
            )
        return weights


def estimate_likelihood_ratio(
    X_source: Any,
    X_target: Any,
    *,
    features: Features = "kmers",
    classifier: Any = None,
    estimator: Any = None,
    groups: ArrayLike | None = None,
    clip: float | None = None,
    cv: int = 5,
    random_state: int | np.random.RandomState | None = None,
) -> LikelihoodRatio:
    r"""Estimate by a classifier how much more likely rows are in a target sample.

    Under covariate shift (X is distributed otherwise, y given X as before) conformal prediction
    keeps its coverage if calibration rows are weighted by the likelihood ratio
    :math:`w(x) = dQ(x) / dP(x)` of target and source distribution [1]_. A probabilistic
    classifier of target against source rows gives it by its odds, corrected for the sizes of the
    samples (section 2.3 of [1]_, [2]_):

    .. math::

        \hat w(x) = \frac{\hat p(\mathrm{target} \mid x)}{\hat p(\mathrm{source} \mid x)}
        \cdot \frac{n_\mathrm{source}}{n_\mathrm{target}}

    Parameters
    ----------
    X_source : array-like
        Rows like the calibration rows, best others than these: training rows, or a part of the
        calibration rows that is set aside.
    X_target : array-like
        Rows like those to predict. They need no labels.
    features : {"kmers", "penultimate"}, callable or None, default="kmers"
        What the classifier sees, as in :func:`check_exchangeability`. The ratio is that of the
        distributions of the features: a shift that they do not show is not mended.
    classifier : classifier, default=None
        What is fitted to the standardised features; its odds are calibrated by a sigmoid on
        held-out rows (:class:`~sklearn.calibration.CalibratedClassifierCV`). None is logistic
        regression whose penalty has the best held-out likelihood, which needs no more calibration.
    estimator : estimator, default=None
        A fitted regressor, for ``features="penultimate"``.
    groups : array-like of shape (n_source + n_target,), optional
        Groups of the source rows and then of the target rows, such as homologous sequences, that
        folds keep whole.
    clip : float, default=None
        Weights above it are cut to it. None cuts nothing. See the notes.
    cv : int, default=5
        Number of folds that penalty or sigmoid are chosen on.
    random_state : int, RandomState instance or None, default=None
        Decides the folds.

    Returns
    -------
    ratio : LikelihoodRatio
        A function from X to weights of shape (n,), for the ``likelihood_ratio`` of a conformal
        regressor.

    Raises
    ------
    ValueError
        If a parameter is out of range, the samples differ in their features or have fewer rows
        than folds, or the classifier is so certain of a row that its weight is zero or infinite.
    TypeError
        If X is no DNA, or the estimator has no penultimate features.

    Warns
    -----
    UserWarning
        If the weights leave fewer than 100 effective source rows, or a sample has fewer rows.

    See Also
    --------
    effective_sample_size : How many rows the weighted rows are worth.
    check_exchangeability : Whether there is a shift.

    Notes
    -----
    The weights are estimates, and the coverage that they give is no longer guaranteed: with
    weights of mean 1 it falls short of its level by at most
    :math:`\frac{1}{2} E_P |\hat w(X) - w(X)|` [3]_. The penalty draws weights towards 1: they
    mend too little of a shift rather than too much, the less data there are. Where the samples
    hardly overlap a few rows carry all the weight; ``clip`` limits their variance at the price
    of a bias towards the source, since clipped weights are those of another target, with fewer
    of the most shifted rows. Nothing is clipped unless you say so.

    A ratio cannot mend a change of y given X, nor weigh rows that the source never shows.

    References
    ----------
    .. [1] Tibshirani, Foygel Barber, Candès and Ramdas, "Conformal prediction under covariate
       shift", NeurIPS 2019.
    .. [2] Sugiyama, Suzuki and Kanamori, "Density ratio estimation in machine learning",
       Cambridge University Press, 2012, chapter 4.
    .. [3] Lei and Candès, "Conformal inference of counterfactuals and individual treatment
       effects", Journal of the Royal Statistical Society B 83, 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_degu.shift import effective_sample_size, estimate_likelihood_ratio
    >>> rng = np.random.default_rng(0)
    >>> source, target = rng.normal(size=(2000, 1)), rng.normal(loc=1.0, size=(2000, 1))
    >>> ratio = estimate_likelihood_ratio(source, target, features=None, random_state=0)
    >>> ratio([[0.0], [1.0]]).round(1)  # the truth is exp(x - 0.5)
    array([0.6, 1.7])
    >>> effective_sample_size(ratio(source)) < 0.5 * len(source)
    True
    """
    _check_clip(clip)
    read = feature_map(features, estimator)
    source = read_features(read, X_source, "X_source")
    target = read_features(read, X_target, "X_target")
    is_target = np.repeat([0, 1], [len(source), len(target)])
    _warn_if_few_rows(is_target, cv)
    folds = _folds(is_target, groups, cv, check_random_state(random_state))
    rows = np.vstack([source, target])
    fitted = _calibrated(classifier, folds).fit(rows, is_target)
    ratio = LikelihoodRatio(read, fitted, len(source) / len(target), clip)
    _warn_if_ineffective(ratio._of_features(rows)[: len(source)])
    return ratio


def effective_sample_size(weights: ArrayLike) -> float:
    r"""Return how many equally weighted rows the weighted rows are worth.

    .. math:: n_\mathrm{eff} = \frac{(\sum_i w_i)^2}{\sum_i w_i^2}

    It is n for equal weights and 1 if one row has all the weight (Kish, "Survey sampling", 1965;
    for weighted conformal prediction: section 2.3 of Tibshirani et al., 2019). A conformal
    quantile of weighted calibration rows is about as uncertain as that of so many rows.

    Parameters
    ----------
    weights : array-like of shape (n,)
        Weights, finite and not negative.

    Returns
    -------
    effective_sample_size : float
        Number of rows, between 1 and n.

    Raises
    ------
    ValueError
        If a weight is negative or not finite, or all are zero.

    Examples
    --------
    >>> from sklearn_degu.shift import effective_sample_size
    >>> effective_sample_size([1, 1, 1, 1]), effective_sample_size([1, 0, 0, 0])
    (4.0, 1.0)
    """
    values = as_floats(weights, "weights", finite=False, at_least=0)
    if values.ndim != 1 or not np.isfinite(values).all() or (values < 0).any() or not values.any():
        raise ValueError(
            "weights must be a vector of finite numbers, none negative and not all zero; got "
            f"{values!r}."
        )
    # Divided by the largest, so that no square overflows.
    return kish_sample_size(values / values.max())


def _calibrated(classifier: Any, folds: list[Any]) -> Any:
    if classifier is None:
        logistic = LogisticRegression(max_iter=1000)
        chosen = GridSearchCV(logistic, {"C": INVERSE_PENALTIES}, scoring="neg_log_loss", cv=folds)
    else:
        chosen = CalibratedClassifierCV(clone(classifier), cv=folds, ensemble=False)
    return make_pipeline(StandardScaler(), chosen)


def _folds(
    is_target: Any, groups: ArrayLike | None, cv: int, random_state: np.random.RandomState
) -> list[Any]:
    if groups is None:
        splitter = StratifiedKFold(cv, shuffle=True, random_state=random_state)
        return list(splitter.split(is_target, is_target))
    labels = check_groups(groups, *np.bincount(is_target))
    splitter = StratifiedGroupKFold(cv, shuffle=True, random_state=random_state)
    return list(splitter.split(is_target, is_target, labels))


def _check_clip(clip: Any) -> None:
    if clip is not None and not (is_real(clip) and 0 < float(clip) < np.inf):
        raise ValueError(f"clip must be None or a finite positive number, got {clip!r}.")


def _warn_if_few_rows(is_target: Any, cv: int) -> None:
    smaller = int(np.bincount(is_target).min())
    if smaller < cv:
        raise ValueError(
            f"The smaller sample has {smaller} rows, but cv={cv} folds need at least one each. "
            "Lower cv or add rows."
        )
    if smaller < FEW:
        warnings.warn(
            f"The smaller sample has {smaller} rows, fewer than {FEW}: the weights will be drawn "
            "towards 1 and mend little of a shift.",
            UserWarning,
            stacklevel=3,
        )


def _warn_if_ineffective(weights: Array) -> None:
    effective = effective_sample_size(weights)
    if effective < FEW:
        warnings.warn(
            f"The {len(weights)} source rows, weighted, are worth {effective:.0f} rows: source and "
            "target hardly overlap, and intervals from the weights will be unreliable. Use more "
            "source rows like the target, or set clip.",
            UserWarning,
            stacklevel=3,
        )
