"""Quantiles of a fitted estimator's predictive distribution, as estimators of their own."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike
from scipy.special import ndtri
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from sklearn_degu._calibration import predict_with_std
from sklearn_degu._numbers import is_real, is_whole
from sklearn_degu.uncertainty import Array, Kind


class GaussianQuantileRegressor(RegressorMixin, BaseEstimator):
    r"""A quantile of what a fitted estimator predicts, by its mean and standard deviation.

    A view of a fitted estimator that predicts

    .. math:: \mu(x) + \Phi^{-1}(q) \, \sigma(x)

    for one target, where :math:`\mu` and :math:`\sigma` are what
    ``estimator.predict(X, return_std=True)`` returns and :math:`\Phi^{-1}` is the quantile
    function of the standard normal distribution. It is for tools that ask for fitted quantile
    regressors, such as MAPIE's ``ConformalizedQuantileRegressor(prefit=True)`` [1]_, for which
    :func:`quantile_estimators` makes the three that it needs.

    Parameters
    ----------
    estimator : estimator
        A fitted regressor whose ``predict`` takes ``return_std=True``, or a Pipeline that ends in
        one. It is not copied.
    quantile : float, default=0.5
        Which quantile, between 0 and 1 exclusive.
    kind : {"epistemic", "aleatoric", "total"}, default=None
        Which standard deviation, as in :meth:`EnsembleRegressor.predict`. None leaves the choice
        to the estimator.
    target : int, default=None
        Which column of y, if the estimator predicts several. None is the only one.

    Attributes
    ----------
    n_features_in_ : int
        Number of features, if the estimator knows it.
    is_fitted : bool
        Whether the estimator is fitted. MAPIE looks for this where there is no
        ``n_features_in_``, as in a Pipeline that reads strings.

    See Also
    --------
    quantile_estimators : The lower and upper bound and the median, for MAPIE.

    Notes
    -----
    As with :class:`~sklearn.frozen.FrozenEstimator`, ``fit`` changes nothing and a clone is a
    view of the same fitted estimator.

    References
    ----------
    .. [1] Romano, Patterson and Candès, "Conformalized quantile regression", NeurIPS 2019.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from sklearn.gaussian_process import GaussianProcessRegressor
    >>> from sklearn_degu.quantiles import GaussianQuantileRegressor
    >>> X, y = make_regression(n_samples=30, n_features=2, random_state=0)
    >>> process = GaussianProcessRegressor(alpha=1.0, normalize_y=True).fit(X, y)
    >>> upper = GaussianQuantileRegressor(process, 0.95)
    >>> bool((upper.predict(X) > process.predict(X)).all())
    True
    """

    def __init__(
        self,
        estimator: Any,
        quantile: float = 0.5,
        *,
        kind: Kind | None = None,
        target: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.quantile = quantile
        self.kind = kind
        self.target = target

    def fit(self, X: Any = None, y: Any = None) -> GaussianQuantileRegressor:
        """Check that the estimator is fitted, and change nothing.

        Parameters
        ----------
        X, y : object
            Ignored.

        Returns
        -------
        self : GaussianQuantileRegressor
            This view.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        """
        check_is_fitted(self.estimator)
        return self

    def predict(self, X: ArrayLike) -> Array:
        """Predict the quantile of the target.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, channels, length)
            Samples, as the estimator reads them.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            The quantile in y's units.

        Raises
        ------
        ValueError
            If a parameter is not usable, or the estimator lacks ``kind``.
        TypeError
            If the estimator's ``predict`` does not take ``return_std``.
        """
        _check_probability("quantile", self.quantile)
        mean, std = predict_with_std(self.estimator, X, self.kind)
        return self._one_target(mean + ndtri(self.quantile) * std)

    def _one_target(self, values: Array) -> Array:
        columns = values.reshape(len(values), -1)
        n_targets = columns.shape[1]
        if self.target is None and n_targets > 1:
            raise ValueError(
                f"The estimator predicts {n_targets} targets, but a quantile estimator is of one: "
                f"pass target, from 0 to {n_targets - 1}."
            )
        target = 0 if self.target is None else self.target
        if not is_whole(target) or not 0 <= target < n_targets:
            raise ValueError(
                f"target must be None or an integer from 0 to {n_targets - 1}, got {target!r}."
            )
        return columns[:, target]

    @property
    def n_features_in_(self) -> int:
        """Number of features, if the estimator knows it."""
        return int(self.estimator.n_features_in_)

    @property
    def is_fitted(self) -> bool:
        """Whether the estimator is fitted."""
        return self.__sklearn_is_fitted__()

    def __sklearn_is_fitted__(self) -> bool:
        """Whether the estimator is fitted."""
        try:
            check_is_fitted(self.estimator)
        except NotFittedError:
            return False
        return True

    def __sklearn_clone__(self) -> GaussianQuantileRegressor:
        """Return a view of the same fitted estimator."""
        return type(self)(**self.get_params(deep=False))


def quantile_estimators(
    estimator: Any,
    confidence_level: float = 0.9,
    *,
    kind: Kind | None = None,
    target: int | None = None,
) -> list[GaussianQuantileRegressor]:
    """Return the fitted quantile estimators for MAPIE's conformalized quantile regression [1]_.

    They share the fitted estimator and predict its Gaussian quantiles at
    ``(1 - confidence_level) / 2``, ``(1 + confidence_level) / 2`` and 0.5, in the order that
    ``ConformalizedQuantileRegressor(..., prefit=True)`` asks for. MAPIE then shifts both bounds by
    constants, so that they cover whatever the distribution is. Each call of it predicts three
    times.

    Parameters
    ----------
    estimator : estimator
        A fitted regressor whose ``predict`` takes ``return_std=True``, or a Pipeline that ends in
        one.
    confidence_level : float, default=0.9
        Coverage of the interval, between 0 and 1 exclusive; give MAPIE the same.
    kind : {"epistemic", "aleatoric", "total"}, default=None
        Which standard deviation. None leaves the choice to the estimator.
    target : int, default=None
        Which column of y, if the estimator predicts several: MAPIE takes one at a time.

    Returns
    -------
    estimators : list of GaussianQuantileRegressor
        Those of the lower bound, the upper bound and the median.

    Raises
    ------
    ValueError
        If ``confidence_level`` is not between 0 and 1.
    NotFittedError
        If the estimator is not fitted.

    References
    ----------
    .. [1] Romano, Patterson and Candès, "Conformalized quantile regression", NeurIPS 2019.

    Examples
    --------
    >>> from mapie.regression import ConformalizedQuantileRegressor
    >>> from sklearn.datasets import make_regression
    >>> from sklearn_degu import EnsembleRegressor
    >>> from sklearn_degu.quantiles import quantile_estimators
    >>> X, y = make_regression(n_samples=100, n_features=5, noise=10.0, random_state=0)
    >>> ensemble = EnsembleRegressor(n_estimators=3, random_state=0).fit(X[:50], y[:50])
    >>> conformal = ConformalizedQuantileRegressor(
    ...     quantile_estimators(ensemble, 0.8), confidence_level=0.8, prefit=True
    ... )
    >>> conformal = conformal.conformalize(X[50:90], y[50:90])
    >>> points, intervals = conformal.predict_interval(X[90:])
    >>> intervals.shape
    (10, 2, 1)
    """
    _check_probability("confidence_level", confidence_level)
    quantiles = ((1 - confidence_level) / 2, (1 + confidence_level) / 2, 0.5)
    return [
        GaussianQuantileRegressor(estimator, quantile, kind=kind, target=target).fit()
        for quantile in quantiles
    ]


def _check_probability(name: str, value: Any) -> None:
    if not is_real(value) or not 0 < value < 1:
        raise ValueError(f"{name} must be a number between 0 and 1, both exclusive, got {value!r}.")
