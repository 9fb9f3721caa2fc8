"""Standard deviations made to match the errors on rows that the estimator was not fitted on."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, Literal, get_args, overload

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from sklearn_degu._calibration import (
    CalibratedRegressor,
    CalibrationRows,
    check_targets_of,
    offers_std,
    predict_with_std,
)
from sklearn_degu._deviation_maps import (
    Errors,
    MonotoneDeviation,
    ScaledDeviation,
    fit_curve,
    fit_factor,
)
from sklearn_degu._failed_fits import restored_on_failure
from sklearn_degu._overlap import describe_overlap, hashes_as_read
from sklearn_degu._targets import check_weight
from sklearn_degu._wrapped import last_step
from sklearn_degu.metrics._arrays import check_gaussians
from sklearn_degu.uncertainty import Array, Kind

Method = Literal["scalar", "isotonic"]

# The relative standard error of a standard deviation that n Gaussian errors give is
# 1 / sqrt(2 n): fewer than 50 leave more than 10 %.
FEW_ROWS = 50


class RecalibratedRegressor(CalibratedRegressor):
    r"""Regressor whose standard deviation is made to match its errors on held-out rows.

    A clone of ``estimator`` is fitted on a part of the rows. On the others, its standard
    deviation :math:`\sigma` is compared with its errors, :math:`y - \mu`, target by target, and
    mapped to one of their size. Predictions stay as they are.

    ``method="scalar"`` multiplies by one factor [1]_ [2]_,

    .. math:: s = \sqrt{\frac{1}{n} \sum_i \frac{(y_i - \mu_i)^2}{\sigma_i^2}},

    of all factors the one of the highest Gaussian likelihood. It leaves the order of the
    deviations and their ratios as they are, and is all that a few hundred rows support.

    ``method="isotonic"`` takes the square root of the isotonic regression of the squared errors on
    :math:`\sigma`: of all curves that never fall, again the one of the highest Gaussian likelihood
    [3]_. This is recalibration in the sense of [4]_ for deviations instead of quantiles. It mends
    deviations that are wrong here by one factor and there by another, and needs more rows.

    Parameters
    ----------
    estimator : regressor
        Its ``predict`` takes ``return_std=True``: one of this package, a Pipeline that ends in
        one, or one of scikit-learn's such as ``GaussianProcessRegressor``. It is cloned and
        fitted. A fitted one is used as it is if wrapped, ``FrozenEstimator(fitted)``; all rows of
        ``fit`` are then for recalibration and must be new to it.
    method : {"scalar", "isotonic"}, default="scalar"
        One factor, or a curve that never falls.
    kind : {"epistemic", "aleatoric", "total"}, default=None
        Which standard deviation of the estimator is recalibrated. None leaves the choice to the
        estimator.
    calibration : float or splitter, default=0.2
        The rows to recalibrate on: a fraction (whole groups, if ``groups`` are passed to fit), or
        a scikit-learn splitter, of which the first split is taken. Not used with a
        ``FrozenEstimator``.
    random_state : int, RandomState instance or None, default=None
        Decides which rows are held out, and everything random in an estimator whose own
        ``random_state`` is None.

    Attributes
    ----------
    estimator_ : regressor
        The fitted estimator. Its deviations are those before recalibration.
    recalibrations_ : list of ScaledDeviation or MonotoneDeviation
        What maps the estimator's deviations to recalibrated ones, one for each target.
    uncertainty_kinds_ : tuple of str
        ``("total",)``: whatever it was made from, a recalibrated deviation is that of the
        measured y.
    n_features_in_ : int
        Number of features, if the estimator says so.
    feature_names_in_ : ndarray of str
        Names of the columns, if the estimator says so.

    See Also
    --------
    ConformalRegressor : Intervals with guaranteed coverage; it can wrap this estimator.
    sklearn_degu.metrics.expected_normalized_calibration_error : What recalibration lowers.

    Notes
    -----
    The isotonic regression is on the means of :math:`\sqrt{n}` bins of rows with neighbouring
    deviations. Isotonic regression pools many more rows than that by itself except at both ends,
    where it would follow single rows: the smallest of all errors would become a deviation near
    zero. Below the first bin the curve is constant, because no smaller error was observed over
    a bin of rows: this is the floor of the recalibrated deviation. Above the last bin it is
    proportional to the deviation, so that a row about which the estimator is less sure than about
    any calibration row does not pass for one of those. A deviation is at least a thousandth of
    the root mean square error, even where all errors of a bin are zero.

    Recalibration guarantees nothing about single rows, nor about other data than those it was
    made on, and those say nothing more of its quality: test it, or conformalise it, on new rows.
    The standard error of the factor from n rows is about :math:`s / \sqrt{2 n}`.

    What is set in the fitted estimator later, such as its ``noise_of``, changes its deviations but
    not their recalibration: fit again.

    References
    ----------
    .. [1] Laves, Ihler, Fast, Kahrs and Ortmaier, "Well-calibrated regression uncertainty in
       medical imaging with deep learning", MIDL 2020.
    .. [2] Levi, Gispan, Giladi and Fetaya, "Evaluating and calibrating uncertainty prediction in
       regression tasks", Sensors 22, 2022.
    .. [3] Robertson, Wright and Dykstra, "Order restricted statistical inference", 1988, theorem
       1.5.2: isotonic regression by least squares maximises the likelihood of every exponential
       family, such as that of squared Gaussian errors.
    .. [4] Kuleshov, Fenner and Ermon, "Accurate uncertainties for deep learning using calibrated
       regression", ICML 2018.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from sklearn_degu import EnsembleRegressor
    >>> from sklearn_degu.recalibration import RecalibratedRegressor
    >>> X, y = make_regression(n_samples=300, n_features=5, noise=20.0, random_state=0)
    >>> ensemble = EnsembleRegressor(n_estimators=3)
    >>> model = RecalibratedRegressor(ensemble, random_state=0).fit(X, y)
    >>> mean, std = model.predict(X[:4], return_std=True)
    >>> std.shape
    (4,)
    >>> bool(model.recalibrations_[0].factor > 1)  # members agree about what all of them miss
    True
    """

    def __init__(
        self,
        estimator: Any,
        *,
        method: Method = "scalar",
        kind: Kind | None = None,
        calibration: Any = 0.2,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.method = method
        self.kind = kind
        self.calibration = calibration
        self.random_state = random_state

    def fit(
        self, X: ArrayLike, y: ArrayLike, *, groups: ArrayLike | None = None, **fit_params: Any
    ) -> RecalibratedRegressor:
        """Fit the estimator on a part of the rows, and recalibrate it on the others.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Samples, as the estimator reads them.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets; NaN where missing, if the estimator allows it.
        groups : array-like of shape (n_samples,), optional
            Groups of the samples, which ``calibration`` does not tear apart, and for an estimator
            whose ``fit`` takes them.
        **fit_params : dict
            For the ``fit`` of the estimator; what has a value a row is split as the rows are.
            ``sample_weight`` also weighs the rows of the recalibration.

        Returns
        -------
        self : RecalibratedRegressor
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter is not usable, the estimator lacks ``kind``, or rows to recalibrate on
            are too few, are known from the estimator's training, or have deviations that no
            recalibration can mend.
        TypeError
            If the estimator has no standard deviation.
        """
        self._check_params()
        with restored_on_failure(self):
            rows = self._fit_estimator(X, y, groups, fit_params)
            self._check_unseen(rows)
            fit_one = _METHODS[self.method]
            self.recalibrations_ = [fit_one(errors) for errors in self._errors(rows)]
            # What was recalibrated: a kind that is set later is that of the next fit.
            self._kind = self.kind
            self._calibrated_on = hashes_as_read(self.estimator_, rows.X)
            return self

    def _check_params(self) -> None:
        if self.method not in get_args(Method):
            raise ValueError(f"method must be 'scalar' or 'isotonic', got {self.method!r}.")
        if hasattr(self.estimator, "predict") and not offers_std(self.estimator):
            raise TypeError(
                f"{type(self).__name__} needs an estimator with a standard deviation, whose "
                f"predict takes return_std=True; {type(last_step(self.estimator)).__name__} has "
                "none."
            )

    def _check_unseen(self, rows: CalibrationRows) -> None:
        """Raise, or of rows that ``fit`` held out warn, if the estimator knows some of them."""
        overlap = describe_overlap(self.estimator_, rows.X)
        if overlap and not rows.held_out:
            raise ValueError(f"{overlap} Leave these rows out.")
        if overlap:
            warnings.warn(
                f"{overlap} Pass groups that keep copies of a row together, or leave the copies "
                "out.",
                stacklevel=3,
            )

    def _errors(self, rows: CalibrationRows) -> list[Errors]:
        """Return the errors of the fitted estimator, target by target."""
        mean, std = predict_with_std(self.estimator_, rows.X, self.kind)
        targets = check_targets_of(self.estimator_, rows.y)
        if targets.ndim == 3 and targets.shape != mean.shape:
            raise ValueError(
                f"y has shape {targets.shape}, but the estimator predicts {mean.shape} for "
                "these rows."
            )
        given = check_weight(rows.sample_weight, len(mean))
        weight = np.ones(len(mean)) if given is None else given
        counted = weight > 0
        measured, mean, std = check_gaussians(
            *(_columns(values)[counted] for values in (targets, mean, std)),
            zero_std=True,
            at_least=2,
            purpose="recalibration",
        )
        _warn_if_few(measured)
        squared = (measured - mean) ** 2
        present = ~np.isnan(measured)
        return [
            Errors(target, std[of, target], squared[of, target], weight[counted][of])
            for target, of in enumerate(present.T)
        ]

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
        """Predict y by the estimator, and on request the recalibrated standard deviation.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Samples, as the estimator reads them.
        return_std : bool, default=False
            Whether to return the standard deviation too.
        kind : {"total"}, default=None
            The recalibrated deviation is the total one.

        Returns
        -------
        y_mean : ndarray of shape (n_samples,) or (n_samples, n_targets)
            What the estimator predicts.
        y_std : ndarray of the same shape
            Recalibrated standard deviation in y's units. Only with ``return_std=True``.

        Raises
        ------
        ValueError
            If ``kind`` is another than "total".
        """
        check_is_fitted(self)
        if kind not in (None, "total"):
            raise ValueError(
                f"A recalibrated standard deviation is the 'total' one, got kind={kind!r}. The "
                "kinds before recalibration are those of estimator_; which of them is "
                f"recalibrated is said by {type(self).__name__}(kind=...)."
            )
        if not return_std:
            return super().predict(X)
        mean, std = predict_with_std(self.estimator_, X, self._kind)
        recalibrated = [
            recalibration(column)
            for recalibration, column in zip(self.recalibrations_, _columns(std).T, strict=True)
        ]
        return mean, np.stack(recalibrated, axis=1).reshape(std.shape)

    @property
    def uncertainty_kinds_(self) -> tuple[str, ...]:
        """The kind of the recalibrated deviation."""
        check_is_fitted(self)
        return ("total",)


_METHODS: dict[Method, Callable[[Errors], ScaledDeviation | MonotoneDeviation]] = {
    "scalar": fit_factor,
    "isotonic": fit_curve,
}


def _warn_if_few(measured: Array) -> None:
    fewest = int((~np.isnan(measured)).sum(axis=0).min())
    if fewest < FEW_ROWS:
        warnings.warn(
            f"Recalibration on {fewest} rows is rough: its relative standard error is about "
            f"{1 / math.sqrt(2 * fewest):.0%}. With {FEW_ROWS} rows or more it is at most 10 %.",
            stacklevel=4,
        )


def _columns(values: Array) -> Array:
    return values.reshape(len(values), -1)
