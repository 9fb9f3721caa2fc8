"""Scorers that see the uncertainty, for scikit-learn's model selection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Self

from numpy.typing import ArrayLike
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import MetadataRequest

from sklearn_degu.metrics._arrays import Array
from sklearn_degu.metrics._intervals import interval_coverage, interval_width
from sklearn_degu.metrics._probabilistic import gaussian_crps, gaussian_nll


@dataclass(frozen=True)
class Scorer:
    """What the scorers share: weights of the rows, on request, with metadata routing.

    Attributes
    ----------
    weight_request : bool, str or None
        See :meth:`set_score_request`.
    """

    weight_request: bool | str | None = field(default=None, kw_only=True, repr=False)

    def set_score_request(self, *, sample_weight: bool | str | None) -> Self:
        """Return the scorer with another request for weights.

        Only with ``enable_metadata_routing=True``. A scorer is never changed, so that its users
        do not change it for each other: use the one that is returned.

        Parameters
        ----------
        sample_weight : bool, str or None
            Whether ``cross_validate`` and ``GridSearchCV`` pass ``sample_weight`` on to the
            scorer; under which other name; or None, which refuses weights.

        Returns
        -------
        scorer : Scorer
            A scorer.
        """
        return replace(self, weight_request=sample_weight)

    def get_metadata_routing(self) -> MetadataRequest:
        """Return what the scorer requests, for scikit-learn.

        Returns
        -------
        request : MetadataRequest
            The request.
        """
        request = MetadataRequest(owner=self)
        request.score.add_request(param="sample_weight", alias=self.weight_request)
        return request

    def _accept_sample_weight(self) -> bool:
        """Tell scikit-learn's searches without metadata routing, which ask by this name."""
        return True


@dataclass(frozen=True, repr=False)
class GaussianScorer(Scorer):
    """Minus a loss of the predicted mean and standard deviation: greater is better.

    See :func:`gaussian_nll_scorer`, which makes one.

    Attributes
    ----------
    loss : callable
        Of y_true, y_pred, y_std and ``sample_weight``.
    kind : str or None
        The kind of uncertainty.
    """

    loss: Callable[..., float | Array]
    kind: str | None

    def __call__(
        self, estimator: Any, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """Score a fitted estimator on X and y."""
        mean, std = _predict_mean_and_std(estimator, X, self.kind)
        return -float(self.loss(y, mean, std, sample_weight=sample_weight))

    def __repr__(self) -> str:
        return f"{self.loss.__name__}_scorer(kind={self.kind!r})"


@dataclass(frozen=True, repr=False)
class IntervalScorer(Scorer):
    """Coverage of prediction intervals, or minus their width.

    ``interval_coverage_scorer`` and ``interval_width_scorer`` are called as
    ``scorer(estimator, X, y, sample_weight=None)``, with an estimator whose
    ``predict_interval(X)`` gives intervals of one confidence level, or a Pipeline that ends in
    one. They can be pickled.

    ``interval_coverage_scorer`` is :func:`interval_coverage` itself, to be reported and compared
    with the confidence level. Do not search for parameters by it: the widest intervals would win.

    ``interval_width_scorer`` is minus :func:`interval_width`, of all rows, measured or not; it is
    -inf where an interval is unbounded. Search by it among estimators of equal coverage, as
    conformal ones are by construction: among others the narrowest intervals would win.

    Attributes
    ----------
    name : str
        Name of the scorer.
    quality : callable
        Of y_true, y_lower, y_upper and ``sample_weight``; greater is better.
    """

    name: str
    quality: Callable[..., float]

    def __call__(
        self, estimator: Any, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """Score a fitted estimator on X and y."""
        lower, upper = _predict_bounds(estimator, X)
        return self.quality(y, lower, upper, sample_weight)

    def __repr__(self) -> str:
        return self.name


def gaussian_nll_scorer(kind: str | None = None) -> GaussianScorer:
    """Return a scorer by minus :func:`gaussian_nll`.

    Parameters
    ----------
    kind : {"epistemic", "aleatoric", "total"}, default=None
        Which uncertainty of our estimators to score. None takes what the estimator says without
        being asked: every component that ours have. Use None for scikit-learn's estimators with
        ``return_std``, which know no kinds.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y, sample_weight=None)``, greater is better, for ``scoring=``. It
        can be pickled. The estimator is reached by ``predict(X, return_std=True)`` alone, so that
        it may be a Pipeline. With metadata routing, ``scorer.set_score_request(
        sample_weight=True)`` returns one that weighs rows.

    Notes
    -----
    Only uncertainty that can cover y makes a likelihood: "epistemic" leaves the noise out.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.gaussian_process import GaussianProcessRegressor
    >>> from sklearn.gaussian_process.kernels import RBF
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn_degu.metrics import gaussian_nll_scorer
    >>> X = np.linspace(-3, 3, 60).reshape(-1, 1)
    >>> y = np.random.default_rng(0).normal(np.sin(X[:, 0]), 0.5)
    >>> process = GaussianProcessRegressor(RBF(length_scale_bounds="fixed"))
    >>> grid = {"alpha": [0.0001, 0.25]}
    >>> search = GridSearchCV(process, grid, scoring=gaussian_nll_scorer())
    >>> search.fit(X, y).best_params_
    {'alpha': 0.25}
    """
    return GaussianScorer(gaussian_nll, kind)


def gaussian_crps_scorer(kind: str | None = None) -> GaussianScorer:
    """Return a scorer by minus :func:`gaussian_crps`.

    Parameters
    ----------
    kind : {"epistemic", "aleatoric", "total"}, default=None
        Which uncertainty of our estimators to score, see :func:`gaussian_nll_scorer`.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y, sample_weight=None)``, greater is better, see
        :func:`gaussian_nll_scorer`.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from sklearn.linear_model import BayesianRidge
    >>> from sklearn_degu.metrics import gaussian_crps_scorer
    >>> X, y = make_regression(60, 2, noise=5, random_state=0)
    >>> scorer = gaussian_crps_scorer()
    >>> scorer(BayesianRidge().fit(X, y), X, y) > scorer(BayesianRidge().fit(X[:5], y[:5]), X, y)
    True
    """
    return GaussianScorer(gaussian_crps, kind)


def _coverage(
    y: ArrayLike, lower: ArrayLike, upper: ArrayLike, sample_weight: ArrayLike | None
) -> float:
    return float(interval_coverage(y, lower, upper, sample_weight=sample_weight))


def _negated_width(
    y: ArrayLike, lower: ArrayLike, upper: ArrayLike, sample_weight: ArrayLike | None
) -> float:
    return -float(interval_width(lower, upper, sample_weight=sample_weight))


interval_coverage_scorer = IntervalScorer("interval_coverage_scorer", _coverage)
interval_width_scorer = IntervalScorer("interval_width_scorer", _negated_width)


def _predict_mean_and_std(estimator: Any, X: Any, kind: str | None) -> tuple[Any, Any]:
    params = {"return_std": True} | ({} if kind is None else {"kind": kind})
    if not hasattr(_chosen(estimator), "predict"):
        raise TypeError(f"The scorer needs a fitted estimator with predict, got {estimator!r:.60}.")
    try:
        mean, std = _chosen(estimator).predict(X, **params)
    except TypeError as error:
        asked = ", ".join(f"{name}={value!r}" for name, value in params.items())
        raise TypeError(
            f"The scorer needs predict(X, {asked}) to return a mean and a standard deviation, "
            f"but {type(estimator).__name__} failed: {error}"
        ) from error
    return mean, std


def _predict_bounds(estimator: Any, X: Any) -> tuple[Array, Array]:
    estimator = _chosen(estimator)
    if isinstance(estimator, Pipeline):
        # A Pipeline does not offer the predict_interval of its last step.
        inputs = estimator[:-1].transform(X) if len(estimator) > 1 else X
        return _predict_bounds(estimator[-1], inputs)
    if not hasattr(estimator, "predict_interval"):
        raise TypeError(
            "The scorer needs an estimator with predict_interval, got "
            f"{type(estimator).__name__}: wrap it in a ConformalRegressor."
        )
    interval = estimator.predict_interval(X)
    if interval.lower.ndim > interval.mean.ndim:
        raise ValueError(
            f"The scorer needs intervals of one confidence level, but {type(estimator).__name__} "
            f"has confidence_level={estimator.confidence_level!r}: set it to one of them."
        )
    return interval.lower, interval.upper


def _chosen(estimator: Any) -> Any:
    """Return the estimator that a search has refitted, for a search passes predict(X) on alone."""
    return getattr(estimator, "best_estimator_", estimator)
