"""Sums over bins of base-resolution profiles: total counts and coarser tracks."""

from __future__ import annotations

from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from sklearn_degu._base import NeuralRegressor, mean_r2
from sklearn_degu._failed_fits import restored_on_failure
from sklearn_degu._numbers import as_floats
from sklearn_degu._positions import bin_sums, check_bin_size, count_bins
from sklearn_degu._targets import check_weight
from sklearn_degu._wrapped import WrappedRegressor, last_step
from sklearn_degu.ensemble import EnsembleRegressor
from sklearn_degu.uncertainty import Array, Kind, combine

__all__ = ["BinnedProfileRegressor", "bin_profile"]


def bin_profile(y: ArrayLike, bin_size: int | None = None) -> Array:
    """Return the sums of profiles over bins of neighbouring positions.

    Parameters
    ----------
    y : array-like of shape (n_samples, n_targets, n_positions)
        Profiles; NaN where missing.
    bin_size : int, default=None
        Positions of a bin, a divisor of ``n_positions``. None is all of them: total counts.

    Returns
    -------
    sums : ndarray of shape (n_samples, n_targets * n_bins), or (n_samples,) if there is one column
        In the order of targets, then of bins, as :class:`BinnedProfileRegressor` predicts them and
        scikit-learn's scorers read them. NaN where a position of the bin is missing.

    Raises
    ------
    ValueError
        If y has another number of axes, or ``bin_size`` does not divide its positions.

    Examples
    --------
    >>> from sklearn_degu.profiles import bin_profile
    >>> bin_profile([[[1, 2, 3, 4]], [[0, 0, 5, 0]]], bin_size=2)
    array([[3., 7.],
           [0., 5.]])
    >>> bin_profile([[[1, 2, 3, 4]], [[0, 0, 5, 0]]])
    array([10.,  5.])
    """
    profiles = as_floats(y, "y", finite="allow-nan")
    if profiles.ndim != 3:
        raise ValueError(
            "Profiles have shape (n_samples, n_targets, n_positions), but y has "
            f"{profiles.shape}. Flattened profiles: y.reshape(len(y), n_targets, -1)."
        )
    return _as_columns(bin_sums(profiles, bin_size))


class BinnedProfileRegressor(WrappedRegressor):
    r"""Regressor of total counts, or of counts in bins, by a regressor of profiles.

    The estimator is fitted on profiles and predicts them; what is returned are the sums of its
    predictions over bins of positions. It can be calibrated as any regressor,
    ``ConformalRegressor(BinnedProfileRegressor(ensemble)).fit(X, y)`` with profiles y.

    Parameters
    ----------
    estimator : EnsembleRegressor, DistilledRegressor, or Pipeline that ends in one
        It predicts profiles; it is cloned and fitted. A fitted one is used as it is if wrapped,
        ``FrozenEstimator(fitted)``.
    bin_size : int, default=None
        Positions of a bin, a divisor of the positions of a profile. None is all of them: total
        counts. It can be set after fit.

    Attributes
    ----------
    estimator_ : regressor
        The fitted regressor of profiles.
    uncertainty_kinds_ : tuple of str
        The kinds that :meth:`predict_uncertainty` offers: those of an ensemble.

    See Also
    --------
    bin_profile : The same sums of measured profiles.

    Notes
    -----
    The members of an ensemble disagree about a whole profile more than about its shape, or less:
    the deviations of neighbouring positions do not add up to that of their sum. The *epistemic*
    deviation is therefore that of the members' sums, one member after another. The *aleatoric*
    variance of a sum is the sum of the positions' variances, as if the noise of every position
    were independent of the others', as that of counts is; noise that all positions share, such as
    that of a library's depth, is not in it. A :class:`~sklearn_degu.DistilledRegressor` knows
    the deviation of every position, but not how they vary together, so that it has none for sums.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_degu import EnsembleRegressor
    >>> from sklearn_degu.profiles import BinnedProfileRegressor
    >>> from sklearn_degu.recipes import profile_net
    >>> rng = np.random.default_rng(0)
    >>> X = np.eye(4)[rng.integers(4, size=(40, 30))].transpose(0, 2, 1)
    >>> y = rng.poisson(2.0, size=(40, 1, 20))
    >>> net = profile_net(module__n_dilations=1, module__width=0.1, max_epochs=2, callbacks=None)
    >>> model = BinnedProfileRegressor(EnsembleRegressor(net, 2, random_state=0), bin_size=10)
    >>> mean, std = model.fit(X, y).predict(X[:3], return_std=True)
    >>> mean.shape, std.shape
    ((3, 2), (3, 2))
    """

    def __init__(self, estimator: Any, bin_size: int | None = None) -> None:
        self.estimator = estimator
        self.bin_size = bin_size

    def fit(
        self, X: ArrayLike, y: ArrayLike, *, groups: ArrayLike | None = None, **fit_params: Any
    ) -> BinnedProfileRegressor:
        """Fit the estimator on profiles.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Samples, as the estimator reads them.
        y : array-like of shape (n_samples, n_targets, n_positions)
            Profiles, not their sums, or their flattened view; a frozen estimator does not read
            them.
        groups : array-like of shape (n_samples,), optional
            Groups of rows, for the ``fit`` of the estimator if it takes ``groups``.
        **fit_params : dict
            For the ``fit`` of the estimator.

        Returns
        -------
        self : BinnedProfileRegressor
            The fitted estimator.

        Raises
        ------
        TypeError
            If the estimator is none of this package.
        ValueError
            If it does not predict profiles, or ``bin_size`` does not divide their positions.
        """
        if not isinstance(last_step(self.estimator), NeuralRegressor):
            raise TypeError(
                "BinnedProfileRegressor needs a regressor of profiles of this package, such as an "
                f"EnsembleRegressor, or a Pipeline that ends in one; got {self.estimator!r}."
            )
        check_bin_size(self.bin_size)
        if np.ndim(y) == 3:
            count_bins(np.shape(y)[2], self.bin_size)
        with restored_on_failure(self):
            if isinstance(self.estimator, FrozenEstimator):
                check_is_fitted(self.estimator)
                self.estimator_ = self.estimator
            else:
                routed = self._routed(groups, fit_params)
                self.estimator_ = clone(self.estimator).fit(X, y, **routed)
            count_bins(self._n_positions(), self.bin_size)
            return self

    @overload
    def predict(
        self, X: ArrayLike, return_std: Literal[False] = ..., kind: Kind | None = ...
    ) -> Array: ...

    @overload
    def predict(
        self, X: ArrayLike, return_std: Literal[True], kind: Kind | None = ...
    ) -> tuple[Array, Array]: ...

    def predict(
        self, X: ArrayLike, return_std: bool = False, kind: Kind | None = None
    ) -> Array | tuple[Array, Array]:
        """Predict the counts of bins, and on request the standard deviation of the prediction.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Samples, as the estimator reads them.
        return_std : bool, default=False
            Whether to return the standard deviation too; of an ensemble alone.
        kind : {"epistemic", "aleatoric", "total"}, default=None
            Which uncertainty ``return_std`` means. None takes every component that the ensemble
            has. The mean is the same for all.

        Returns
        -------
        y_mean : ndarray of shape (n_samples, n_targets * n_bins), or (n_samples,) if that is one
            Predicted sums, ordered as :func:`bin_profile` orders them.
        y_std : ndarray of the same shape
            Standard deviation in y's units. Only with ``return_std=True``.

        Raises
        ------
        ValueError
            If a deviation is asked of another estimator than an ensemble, or of a kind that it
            lacks.
        """
        check_is_fitted(self)
        if not return_std and kind is None:
            return _as_columns(self._sums(np.asarray(self.estimator_.predict(X))))
        ensemble = last_step(self.estimator_)
        if not isinstance(ensemble, EnsembleRegressor):
            raise ValueError(
                f"{type(ensemble).__name__} knows the deviation of every position, but those do "
                "not add up to that of a sum: positions vary together. Take an EnsembleRegressor, "
                "or fit the estimator on the sums themselves, y=bin_profile(y)."
            )
        mean, variances = ensemble._sum_moments(_as_read(self.estimator_, X), self._sums)
        std = _as_columns(combine(variances, kind))
        return (_as_columns(mean), std) if return_std else _as_columns(mean)

    def predict_uncertainty(self, X: ArrayLike, kind: Kind | None = None) -> Array:
        """Predict the standard deviation of one kind.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Samples, as the estimator reads them.
        kind : {"epistemic", "aleatoric", "total"}, default=None
            Which uncertainty. None takes every component that the ensemble has.

        Returns
        -------
        y_std : ndarray of shape (n_samples, n_targets * n_bins), or (n_samples,) if that is one
            Standard deviation in y's units.
        """
        return self.predict(X, return_std=True, kind=kind)[1]

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return R² of the sums, averaged over targets and bins.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Samples, as the estimator reads them.
        y : array-like of shape (n_samples, n_targets, n_positions), \
                (n_samples, n_targets * n_positions), or of that of the predictions
            Measured profiles, their flattened view, or their sums; NaN where missing.
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the samples.

        Returns
        -------
        score : float
            Mean of the coefficients of determination.
        """
        predicted = self.predict(X)
        measured = self.bin_targets(y)
        if len(measured) != len(predicted):
            raise ValueError(f"X has {len(predicted)} samples, but y has {len(measured)}.")
        columns = (len(predicted), -1)
        weight = check_weight(sample_weight, len(predicted))
        return mean_r2(measured.reshape(columns), predicted.reshape(columns), weight)

    def bin_targets(self, y: ArrayLike) -> Array:
        """Return measurements as they are predicted, as sums over bins.

        Parameters
        ----------
        y : array-like of shape (n_samples, n_targets, n_positions), \
                (n_samples, n_targets * n_positions), or of that of the predictions
            Profiles, their flattened view, or their sums; NaN where missing.

        Returns
        -------
        sums : ndarray of shape (n_samples, n_targets * n_bins), or (n_samples,) if that is one
            As :meth:`predict` returns them.

        Raises
        ------
        ValueError
            If y has neither the columns of the profiles that the estimator was fitted on nor
            those of their sums.
        """
        check_is_fitted(self)
        measured = as_floats(y, "y", finite="allow-nan")
        n_positions, n_outputs = self._n_positions(), last_step(self.estimator_).n_outputs_
        profiles = n_outputs // n_positions, n_positions
        n_sums = profiles[0] * count_bins(n_positions, self.bin_size)
        if measured.shape[1:] in (profiles, (n_outputs,)):
            return _as_columns(self._sums(measured))
        if measured.shape[1:] not in ((n_sums,), () if n_sums == 1 else (n_sums,)):
            raise ValueError(
                f"y has shape {measured.shape}, but the profiles that the estimator was fitted on "
                f"have (n_samples, {profiles[0]}, {n_positions}), and their sums over bins "
                f"{n_sums} {'column' if n_sums == 1 else 'columns'}."
            )
        return _as_columns(measured)

    def seen(self, X: ArrayLike) -> NDArray[np.bool_]:
        """Tell which samples the estimator was trained or stopped on.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Samples, as the estimator reads them.

        Returns
        -------
        seen : ndarray of bool of shape (n_samples,)
            As :meth:`EnsembleRegressor.seen` tells it.
        """
        check_is_fitted(self)
        known: NDArray[np.bool_] = last_step(self.estimator_).seen(_as_read(self.estimator_, X))
        return known

    @property
    def uncertainty_kinds_(self) -> tuple[str, ...]:
        """The kinds of uncertainty of the sums: those of an ensemble, and none of others."""
        fitted = last_step(self.estimator_)
        return fitted.uncertainty_kinds_ if isinstance(fitted, EnsembleRegressor) else ()

    @property
    def input_shape_(self) -> tuple[int, ...]:
        """Shape of a sample, if the estimator says so."""
        shape: tuple[int, ...] = self.estimator_.input_shape_
        return shape

    def _sums(self, values: Array) -> Array:
        """Return what profiles, flattened or not, sum to in bins: (n, n_targets, n_bins)."""
        return bin_sums(values.reshape(len(values), -1, self._n_positions()), self.bin_size)

    def _n_positions(self) -> int:
        n_positions: int | None = last_step(self.estimator_)._n_positions
        if n_positions is None:
            raise ValueError(
                "The estimator was fitted on plain targets, and predicts no profiles to sum. Fit "
                "it on y of shape (n_samples, n_targets, n_positions)."
            )
        return n_positions


def _as_read(estimator: Any, X: Any) -> Any:
    """Return samples as the last step of a fitted estimator reads them."""
    if isinstance(estimator, FrozenEstimator):
        return _as_read(estimator.estimator, X)
    if isinstance(estimator, Pipeline):
        before = estimator[:-1]
        return _as_read(estimator.steps[-1][1], before.transform(X) if len(before) else X)
    return X


def _as_columns(sums: Array) -> Array:
    columns = sums.reshape(len(sums), -1)
    return columns[:, 0] if columns.shape[1] == 1 else columns
