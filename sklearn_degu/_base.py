"""What the estimators share: prediction, its uncertainty, score and tags."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNet

from sklearn_degu._inputs import check_predict_data
from sklearn_degu._positions import pooled, pooled_weight
from sklearn_degu._prediction_module import PredictionModule
from sklearn_degu._rows import row_hashes
from sklearn_degu._targets import check_measurements, check_weight
from sklearn_degu._validation import TrainingRows
from sklearn_degu.nets.positions import count_positions
from sklearn_degu.uncertainty import Array, Kind, combine


class NeuralRegressor(RegressorMixin, BaseEstimator):
    """Regressor whose nets predict a mean and the variance of its components.

    Subclasses set in ``fit`` what :meth:`_predict_moments` needs, ``input_shape_``,
    ``n_outputs_`` and ``uncertainty_kinds_``; they :meth:`_read_layout` of y and :meth:`_remember`
    their rows.
    """

    # With metadata routing, a Pipeline passes these on without being told to.
    __metadata_request__predict: ClassVar = {"return_std": True, "kind": True}

    input_shape_: tuple[int, ...]
    n_outputs_: int
    uncertainty_kinds_: tuple[str, ...]
    _y_ndim: int
    # Of profiles, whose columns lie side by side inside. Files of older versions lack it.
    _n_positions: int | None = None
    # Sorted hashes of the rows that were trained or stopped on, as far as they are known.
    _seen_rows: NDArray[np.uint64]

    @abstractmethod
    def _predict_moments(self, X: NDArray[Any]) -> tuple[Array, dict[str, Array]]:
        """Return the mean and the variance of each component, all (n, n_outputs_)."""

    @abstractmethod
    def _prediction_module(self, names: tuple[str, ...]) -> PredictionModule:
        """Return a module of the mean and kinds of uncertainty that are named."""

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
        """Predict y, and on request the standard deviation of the prediction.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, channels, length)
            Samples.
        return_std : bool, default=False
            Whether to return the standard deviation too.
        kind : {"epistemic", "aleatoric", "total"}, default=None
            Which uncertainty ``return_std`` means. None takes every component that the model
            has (``uncertainty_kinds_``). The mean is the same for all: without ``return_std`` it
            changes nothing, so that what hands the same parameters to every ``predict``, as MAPIE
            does, may name it.

        Returns
        -------
        y_mean : ndarray of shape (n_samples,), (n_samples, n_targets) or \
                (n_samples, n_targets, n_positions)
            Predicted mean, in the shape and units of the y of ``fit``.
        y_std : ndarray of the same shape
            Standard deviation in y's units. Only with ``return_std=True``.

        Raises
        ------
        ValueError
            If X differs from the training data in shape, or the model lacks ``kind``.
        """
        check_is_fitted(self)
        mean, variances = self._finite_moments(X)
        if not return_std and kind is None:
            return self._like_y(mean)
        std = combine(variances, kind)
        return (self._like_y(mean), self._like_y(std)) if return_std else self._like_y(mean)

    def predict_uncertainty(self, X: ArrayLike, kind: Kind | None = None) -> Array:
        """Predict the standard deviation of one kind.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, channels, length)
            Samples.
        kind : {"epistemic", "aleatoric", "total"}, default=None
            Which uncertainty. None takes every component that the model has.

        Returns
        -------
        y_std : ndarray of shape (n_samples,), (n_samples, n_targets) or \
                (n_samples, n_targets, n_positions)
            Standard deviation in y's units, never negative.

        Raises
        ------
        ValueError
            If X differs from the training data in shape, or the model lacks ``kind``.
        """
        return self.predict(X, return_std=True, kind=kind)[1]

    def predict_components(self, X: ArrayLike) -> dict[str, Array]:
        """Predict the mean and the standard deviations of all kinds, in one pass.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, channels, length)
            Samples.

        Returns
        -------
        components : dict of str to ndarray of shape (n_samples,), (n_samples, n_targets) or \
                (n_samples, n_targets, n_positions)
            ``"mean"``, and a standard deviation for every kind in ``uncertainty_kinds_``.

        Raises
        ------
        ValueError
            If X differs from the training data in shape.
        """
        check_is_fitted(self)
        mean, variances = self._finite_moments(X)
        stds = {kind: combine(variances, kind) for kind in self.uncertainty_kinds_}
        return {name: self._like_y(values) for name, values in {"mean": mean, **stds}.items()}

    def to_module(self) -> PredictionModule:
        """Return a torch module that predicts as this estimator does, to take gradients of.

        Returns
        -------
        module : torch.nn.Module
            In evaluation mode, on the device and of the floating type of the fitted weights,
            whose memory it shares: training it changes this estimator. Changing its mode, its
            hooks, its device or its type does not. It maps a tensor X of shape
            (n_samples, ``*input_shape_``) to a dict of tensors of shape (n_samples, n_outputs_):
            ``"mean"``, and the standard deviation of every kind in ``uncertainty_kinds_``, equal
            to :meth:`predict_components` but for rounding.

        Raises
        ------
        TypeError
            If predictions are no function of X that could be differentiated.
        """
        check_is_fitted(self)
        return self._prediction_module(("mean", *self.uncertainty_kinds_))

    def seen(self, X: ArrayLike) -> NDArray[np.bool_]:
        """Tell which samples the model was trained or stopped on.

        Such samples must not be used to calibrate or to test it. A sequence is known again on
        either strand.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, channels, length)
            Samples.

        Returns
        -------
        seen : ndarray of bool of shape (n_samples,)
            False everywhere for nets that were trained elsewhere, whose rows are not known.

        Raises
        ------
        ValueError
            If X differs from the training data in shape.
        """
        check_is_fitted(self)
        return np.isin(row_hashes(check_predict_data(self, X)), self._seen_rows)

    def _finite_moments(self, X: ArrayLike) -> tuple[Array, dict[str, Array]]:
        rows = check_predict_data(self, X)
        mean, variances = self._predict_moments(rows)
        check_finite(mean, variances, rows)
        return mean, variances

    def _remember(self, rows: TrainingRows, *more: NDArray[np.uint64]) -> None:
        """Keep what :meth:`seen` needs: the rows of a fit, and hashes of further ones."""
        parts = [part.X for part in (rows.train, rows.valid) if part is not None]
        self._seen_rows = np.unique(np.concatenate([*map(row_hashes, parts), *more]))

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return R², averaged over targets, over the measurements that are present.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, channels, length)
            Samples.
        y : array-like of shape (n_samples,), (n_samples, n_targets) or \
                (n_samples, n_targets, n_positions)
            Measurements; NaN where missing.
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the samples.

        Returns
        -------
        score : float
            Mean of the coefficients of determination of the targets that were measured. Of
            profiles a target has one, over all samples and positions.
        """
        predicted = np.asarray(self.predict(X)).reshape(-1, self.n_outputs_)
        measured = check_measurements(y)
        if measured.reshape(len(measured), -1).shape != predicted.shape:
            raise ValueError(
                f"y has shape {measured.shape}, but the predictions have {predicted.shape}."
            )
        measured = measured.reshape(predicted.shape)
        weight = check_weight(sample_weight, len(measured))
        n_positions = self._n_positions or 1
        predicted, measured = (pooled(values, n_positions) for values in (predicted, measured))
        weight = pooled_weight(weight, n_positions)
        return mean_r2(measured, predicted, weight)

    def _like_y(self, values: Array) -> Array:
        """Return values of shape (..., n, n_outputs_) in the shape that y had."""
        if self._y_ndim == 3:
            return values.reshape(*values.shape[:-1], -1, self._n_positions or 1)
        return values[..., 0] if self._y_ndim == 1 else values

    def _read_layout(self, y: Any, nets: Sequence[NeuralNet], y_val: Any = None) -> int | None:
        """Keep how y is laid out, and return the positions of a profile, if it holds profiles."""
        shape = np.asarray(y).shape
        shape_val = _shape_of(y_val)
        if len(shape) == len(shape_val) == 3 and shape[1:] != shape_val[1:]:
            raise ValueError(
                f"y_val has shape {shape_val}, but y has {shape}: targets and positions differ."
            )
        self._y_ndim = len(shape)
        self._n_positions = count_positions(shape, nets)
        return self._n_positions

    def __sklearn_tags__(self) -> Tags:
        """Say that several targets and sequences of three axes are welcome."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.input_tags.three_d_array = True
        return tags


def _shape_of(values: Any) -> tuple[int, ...]:
    """Return the shape of values, or () of what is no array, which is refused where it is read."""
    try:
        return np.asarray(values).shape
    except (RuntimeError, TypeError, ValueError):
        return ()


def layout(n_positions: int | None) -> dict[str, int]:
    """Return what tells targets of one layout from others of the same columns, if profiles."""
    return {} if n_positions is None else {"n_positions": n_positions}


def mean_r2(measured: Array, predicted: Array, weight: NDArray[Any] | None) -> float:
    """Return the mean R² of the columns that were measured.

    Raises
    ------
    ValueError
        If none was.
    """
    targets = np.flatnonzero(~np.isnan(measured).all(axis=0))
    if not len(targets):
        raise ValueError("y holds no measurement (all is NaN), so there is nothing to score.")
    return float(np.mean([_r2(measured[:, t], predicted[:, t], weight) for t in targets]))


def _r2(measured: Array, predicted: Array, weight: NDArray[Any] | None) -> float:
    present = ~np.isnan(measured)
    weight = None if weight is None else weight[present]
    return float(r2_score(measured[present], predicted[present], sample_weight=weight))


def check_finite(mean: Array, variances: Mapping[str, Array], rows: NDArray[Any]) -> None:
    """Raise if the means (n, ...) of rows, or variances of the same shape, overflow."""
    for what, values in {"mean": mean, **variances}.items():
        finite = np.asarray(np.isfinite(values).reshape(len(rows), -1).all(axis=1))
        if not finite.all():
            name = "predictions" if what == "mean" else f"{what} deviations"
            raise ValueError(
                f"The {name} of {np.sum(~finite)} of {len(finite)} samples, the first in row "
                f"{np.argmin(finite)}, are NaN or infinite: values of X, up to "
                f"{np.abs(rows).max():g} in magnitude, overflow in the net. Check for "
                "placeholders of missing values, and use the units of the training data."
            )
