"""What estimators share that fit a clone on some rows and calibrate it on the others."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, signature
from typing import Any, Literal, NamedTuple, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone, is_regressor
from sklearn.frozen import FrozenEstimator
from sklearn.utils import check_random_state, indexable
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sklearn_degu._numbers import check_groups, check_rows
from sklearn_degu._splitting import HoldOut, take_params, take_rows
from sklearn_degu._targets import check_measurements
from sklearn_degu._wrapped import WrappedRegressor, last_step
from sklearn_degu.nets.randomness import MAX_SEED
from sklearn_degu.uncertainty import Array, Kind

Method = TypeVar("Method", bound=Callable[..., Any])

_only_with_std: Callable[[Method], Method] = available_if(lambda self: offers_std(self.estimator))


class CalibrationRows(NamedTuple):
    """Rows that the fitted estimator is calibrated on.

    Attributes
    ----------
    X, y : array-like
        As they were passed to ``fit``, of the same types.
    sample_weight : array-like or None
        Their weights, if ``fit`` was given ``sample_weight``.
    held_out : bool
        Whether ``fit`` held them out. Else the estimator was frozen, and all rows are the user's.
    """

    X: Any
    y: Any
    sample_weight: Any
    held_out: bool


class CalibratedRegressor(WrappedRegressor):
    """Regressor that fits a clone on some rows and calibrates it on the others.

    Subclasses have the parameters ``estimator``, ``calibration`` and ``random_state``; their
    ``fit`` calls :meth:`_fit_estimator` and calibrates ``estimator_`` on what it returns.
    ``sample_weight`` is one of ``**fit_params`` there, as in scikit-learn's meta-estimators that
    split the rows: which rows are held out depends on how often a row is repeated, so that a
    weight of two cannot equal a repeated row.
    """

    calibration: Any
    random_state: Any

    def _fit_estimator(
        self, X: Any, y: Any, groups: Any, fit_params: dict[str, Any]
    ) -> CalibrationRows:
        """Fit a clone on some rows, as ``estimator_``, and return the rows to calibrate it on.

        A :class:`~sklearn.frozen.FrozenEstimator` is not fitted: all rows are for calibration.

        Raises
        ------
        TypeError
            If ``estimator`` is not a regressor.
        ValueError
            If the rows cannot be split as ``calibration`` says.
        """
        check_regressor(self)
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None."
            )
        # Before a long training, not after it.
        n_rows = len(check_measurements(y))
        check_rows(X, "X")
        X, y = indexable(X, y)
        groups = check_groups(groups, n_rows)
        if isinstance(self.estimator, FrozenEstimator):
            check_is_fitted(self.estimator)
            self.estimator_ = self.estimator
            return CalibrationRows(X, y, fit_params.get("sample_weight"), held_out=False)
        random_state = check_random_state(self.random_state)
        seed = random_state.randint(MAX_SEED)
        hold_out = HoldOut("calibration", self.calibration, "calibrate on")
        train, held_out = hold_out.split(X, y, groups, seed)
        estimator = _seeded(clone(self.estimator), random_state)
        routed = take_params(X, self._routed(groups, fit_params), train)
        self.estimator_ = estimator.fit(take_rows(X, train), take_rows(y, train), **routed)
        weight = take_params(X, fit_params, held_out).get("sample_weight")
        return CalibrationRows(take_rows(X, held_out), take_rows(y, held_out), weight, True)

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
        """Predict y by the estimator, and on request its standard deviation.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Samples, as the estimator reads them.
        return_std : bool, default=False
            Whether to return the standard deviation too, if the estimator has one.
        kind : {"epistemic", "aleatoric", "total"}, default=None
            Which uncertainty ``return_std`` means, for an estimator that has several. The mean is
            the same for all.

        Returns
        -------
        y_mean : ndarray of shape (n_samples,) or (n_samples, n_targets)
            What the estimator predicts.
        y_std : ndarray of the same shape
            Standard deviation in y's units. Only with ``return_std=True``.

        Raises
        ------
        TypeError
            If ``return_std`` or ``kind`` is asked of an estimator that has no standard deviation.
        """
        check_is_fitted(self)
        if not return_std and kind is None:
            predicted: Array = self.estimator_.predict(X)
            return predicted
        mean, std = predict_with_std(self.estimator_, X, kind)
        return (mean, std) if return_std else mean

    @_only_with_std
    def predict_uncertainty(self, X: ArrayLike, kind: Kind | None = None) -> Array:
        """Predict the standard deviation of one kind; only if the estimator has one.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Samples, as the estimator reads them.
        kind : {"epistemic", "aleatoric", "total"}, default=None
            Which uncertainty, for an estimator that has several.

        Returns
        -------
        y_std : ndarray of shape (n_samples,) or (n_samples, n_targets)
            Standard deviation in y's units.
        """
        return self.predict(X, return_std=True, kind=kind)[1]

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the score of the estimator's predictions, R² for a regressor.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Samples, as the estimator reads them.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Measurements; NaN where missing, for an estimator whose score leaves them out.
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the samples.

        Returns
        -------
        score : float
            What the estimator's own ``score`` returns.
        """
        check_is_fitted(self)
        weight = {} if sample_weight is None else {"sample_weight": sample_weight}
        return float(self.estimator_.score(X, y, **weight))

    @property
    def uncertainty_kinds_(self) -> tuple[str, ...]:
        """The kinds of uncertainty that the estimator offers, if it is one of this package."""
        kinds: tuple[str, ...] = last_step(self.estimator_).uncertainty_kinds_
        return kinds


def check_regressor(wrapper: CalibratedRegressor) -> None:
    """Raise unless the wrapped estimator is one that can be fitted and predicts numbers.

    Raises
    ------
    TypeError
        If it is something else.
    """
    estimator = wrapper.estimator
    if isinstance(estimator, type) or not hasattr(estimator, "predict"):
        raise TypeError(
            f"{type(wrapper).__name__} needs an estimator instance that predicts, such as "
            f"EnsembleRegressor() or a Pipeline that ends in one; got {estimator!r}."
        )
    if not is_regressor(estimator):
        raise TypeError(
            f"{type(wrapper).__name__} needs a regressor, got {type(estimator).__name__}."
        )


def check_targets_of(estimator: Any, y: Any) -> Array:
    """Return measurements as numbers, laid out as a fitted estimator predicts them.

    Raises
    ------
    TypeError, ValueError
        If there are none, if they have more than three axes, are infinite or no numbers, or are
        none of what the estimator predicts.
    """
    fitted = last_step(estimator)
    if isinstance(fitted, CalibratedRegressor):
        return check_targets_of(fitted.estimator_, y)
    measured = check_measurements(y)
    return fitted.bin_targets(measured) if hasattr(fitted, "bin_targets") else measured


def offers_std(estimator: Any) -> bool:
    """Whether ``predict(X, return_std=True)`` of an estimator, fitted or not, can be asked for."""
    return _predict_takes(estimator, "return_std")


def _predict_takes(estimator: Any, name: str) -> bool:
    parameters = signature(last_step(estimator).predict).parameters
    return name in parameters or any(
        parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters.values()
    )


def predict_with_std(estimator: Any, X: Any, kind: Kind | None) -> tuple[Array, Array]:
    """Return mean and standard deviation, each of the shape that the estimator gives them.

    Raises
    ------
    TypeError
        If the estimator has no standard deviation.
    ValueError
        If it has a single kind of one, but ``kind`` names one.
    """
    if not offers_std(estimator):
        raise TypeError(
            f"{type(last_step(estimator)).__name__} predicts no standard deviation: its predict "
            "takes no return_std=True."
        )
    if kind is not None and not _predict_takes(estimator, "kind"):
        raise ValueError(
            f"kind={kind!r} chooses among several standard deviations, but the predict of "
            f"{type(last_step(estimator)).__name__} has one and takes no kind. Leave kind at None."
        )
    chosen = {} if kind is None else {"kind": kind}
    mean, std = estimator.predict(X, return_std=True, **chosen)
    return np.asarray(mean), np.asarray(std)


def _seeded(estimator: Any, random_state: np.random.RandomState) -> Any:
    """Set every ``random_state`` of an estimator that is None, so that one decides everything."""
    params = estimator.get_params(deep=True)
    unset = [
        name
        for name in sorted(params)
        if name.rpartition("__")[2] == "random_state" and params[name] is None
    ]
    return estimator.set_params(**{name: random_state.randint(MAX_SEED) for name in unset})
