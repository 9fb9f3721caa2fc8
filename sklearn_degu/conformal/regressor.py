"""Prediction intervals with guaranteed coverage, around any regressor."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
from mapie.conformity_scores import BaseRegressionScore
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import indexable
from sklearn.utils.validation import check_is_fitted

from sklearn_degu._calibration import CalibratedRegressor, check_regressor, check_targets_of
from sklearn_degu._failed_fits import restored_on_failure
from sklearn_degu._numbers import check_rows
from sklearn_degu._overlap import describe_overlap
from sklearn_degu._targets import check_measurements
from sklearn_degu.conformal.conformity import Conformity
from sklearn_degu.conformal.predicted_rows import predict_rows
from sklearn_degu.conformal.ranks import Levels, check_levels
from sklearn_degu.conformal.row_functions import NO_GROUPS, check_known_groups, group_rows
from sklearn_degu.conformal.scores import score_for
from sklearn_degu.uncertainty import Array, Kind

__all__ = ["ConformalRegressor", "PredictionInterval"]


class PredictionInterval(NamedTuple):
    """Predictions with the bounds of their intervals.

    Attributes
    ----------
    mean : ndarray of shape (n_samples,) or (n_samples, n_targets)
        Predicted mean.
    lower, upper : ndarray of the shape of ``mean``, or of this shape + (n_levels,)
        Bounds in y's units; the last axis is there if ``confidence_level`` is a sequence.
    """

    mean: Array
    lower: Array
    upper: Array


class ConformalRegressor(CalibratedRegressor):
    r"""Prediction intervals with guaranteed coverage, by split conformal prediction [1]_.

    A clone of the estimator is fitted on some of the rows. On the others, the calibration rows,
    the error of each prediction is measured by a *conformity score*, by default
    :math:`s_i = |y_i - \hat y_i| / \hat\sigma_i`. The interval of a new row is
    :math:`\hat y \pm q \hat\sigma`, where :math:`q` is the score of rank
    :math:`\lceil (n + 1) (1 - \alpha) \rceil` among the :math:`n` calibration rows. It covers y
    with a probability of at least the confidence level :math:`1 - \alpha`, whatever the estimator
    and the distribution, and however many rows there are.

    The guarantee is *marginal*: it holds on average over calibration rows and new rows, not for
    each row or kind of row (``mondrian`` gives it to each group), and it holds for rows that are
    *exchangeable*, such as independent draws from one distribution. Two things break it:

    - Under covariate shift, where the new rows come from elsewhere, it does not hold.
      ``check_exchangeability`` in :mod:`sklearn_degu.shift` tests for it, and
      ``likelihood_ratio`` mends it where the ratio of the densities is known or learned.
    - Rows that share sequence, such as overlapping tiles, variants of one element or homologous
      elements, are not exchangeable one by one with rows that share none. Pass ``groups`` to
      :meth:`fit`, so that whole groups are held out.

    Parameters
    ----------
    estimator : regressor
        Any scikit-learn regressor: one of this package, a Pipeline that ends in one, or another.
        It is cloned. A fitted one is used as it is if wrapped, ``FrozenEstimator(model)``: then
        all rows passed to :meth:`fit` are calibration rows, which the model must not have seen.
    confidence_level : float or sequence of float, default=0.9
        Probability, between 0 and 1, with which an interval covers y. With a sequence there are
        intervals of several levels, in its order; one of a higher level contains one of a lower.
    conformity_score : {"normalized", "absolute", "gamma", "residual_normalized"} or \
            mapie.conformity_scores.BaseRegressionScore, default="normalized"
        The conformity score. "normalized" is :math:`|y - \hat y| / \hat\sigma` and needs an
        estimator with ``predict(X, return_std=True)``: intervals are wide where the estimator is
        unsure. "absolute" is :math:`|y - \hat y|`: all intervals are equally wide. The others
        are MAPIE's; the intervals of an asymmetric one leave out half of :math:`\alpha` on
        each side.
    kind : {"epistemic", "aleatoric", "total"}, default=None
        The uncertainty that "normalized" divides by. None takes every component that the
        estimator has.
    calibration : float or splitter, default=0.2
        Rows held out to calibrate on: a fraction (whole groups, if ``groups`` are passed to fit),
        or a scikit-learn splitter, of which the first split is taken.
    mondrian : callable, default=None
        Called with X, as it is passed to the methods of this estimator, it returns the label of a
        group for each row. Each group is calibrated by its own rows, so that coverage is
        guaranteed in every group [3]_.
    likelihood_ratio : callable, default=None
        Called with X, it returns for each row a positive number proportional to the density of
        such rows among the new rows over that among the calibration rows. Intervals then hold
        under this covariate shift [2]_ (within each group, with ``mondrian``).
    allow_overlap : bool, default=False
        Whether calibration rows may be rows that the estimator was trained or stopped on.
    random_state : int, RandomState instance or None, default=None
        Decides a random choice of calibration rows, and everything random in an estimator whose
        own ``random_state`` is None.

    Attributes
    ----------
    estimator_ : regressor
        The fitted estimator.
    confidence_level_ : float or sequence of float
        The level or levels of the intervals, as they were calibrated.
    n_calibration_ : ndarray of int of shape (n_targets,) or (n_groups, n_targets)
        Number of calibration rows of each target; with ``mondrian`` in each group.
    quantiles_ : ndarray of shape (n_targets, n_levels, 2) or (n_groups, n_targets, n_levels, 2)
        Lower and upper quantile of the signed scores. Not with ``likelihood_ratio``, which
        makes them depend on the row.
    effective_sample_size_ : ndarray of float of the shape of ``n_calibration_``
        :math:`(\sum w_i)^2 / \sum w_i^2`: the number of rows of equal weight that say as much as
        the calibration rows. Without ``likelihood_ratio`` it is their number.
    groups_ : list
        Labels of the groups, in the order of the other attributes. Only with ``mondrian``.
    n_features_in_, feature_names_in_, uncertainty_kinds_ : int, ndarray of str, tuple of str
        Those of the estimator, where it has them.

    See Also
    --------
    mapie.regression.SplitConformalRegressor : The same for one target; it cannot be cloned, and
        so cannot stand in a search.

    Notes
    -----
    Each target has its own quantile, and its intervals the confidence level; they do not cover
    all targets at once with this probability. NaN in y is a missing measurement: the row is left
    out of this target's calibration.

    ``sample_weight`` is passed by its name, as one of ``**fit_params``.

    What is set in the fitted estimator later, such as its ``noise_of``, changes its deviations but
    not their calibration: :meth:`conformalize` again.

    References
    ----------
    .. [1] Lei, G'Sell, Rinaldo, Tibshirani and Wasserman, "Distribution-free predictive inference
       for regression", Journal of the American Statistical Association 113, 2018: algorithm 2 and
       section 5.2.
    .. [2] Tibshirani, Barber, Candès and Ramdas, "Conformal prediction under covariate shift",
       NeurIPS 2019.
    .. [3] Vovk, Gammerman and Shafer, "Algorithmic learning in a random world", 2005: Mondrian
       predictors, section 4.5.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from sklearn_degu import EnsembleRegressor
    >>> from sklearn_degu.conformal import ConformalRegressor
    >>> X, y = make_regression(n_samples=300, n_features=5, noise=10, random_state=0)
    >>> ensemble = EnsembleRegressor(n_estimators=3)
    >>> model = ConformalRegressor(ensemble, random_state=0).fit(X[:200], y[:200])
    >>> mean, lower, upper = model.predict_interval(X[200:])
    >>> bool(((lower <= y[200:]) & (y[200:] <= upper)).mean() > 0.8)
    True
    """

    def __init__(
        self,
        estimator: Any,
        *,
        confidence_level: float | Sequence[float] = 0.9,
        conformity_score: str | BaseRegressionScore = "normalized",
        kind: Kind | None = None,
        calibration: Any = 0.2,
        mondrian: Callable[[Any], Any] | None = None,
        likelihood_ratio: Callable[[Any], Any] | None = None,
        allow_overlap: bool = False,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.confidence_level = confidence_level
        self.conformity_score = conformity_score
        self.kind = kind
        self.calibration = calibration
        self.mondrian = mondrian
        self.likelihood_ratio = likelihood_ratio
        self.allow_overlap = allow_overlap
        self.random_state = random_state

    def fit(
        self, X: ArrayLike, y: ArrayLike, *, groups: ArrayLike | None = None, **fit_params: Any
    ) -> ConformalRegressor:
        """Fit a clone of the estimator on some rows, and calibrate it on the others.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Samples, as the estimator reads them: arrays, tables, or strings for a Pipeline.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets. NaN is a missing measurement, if the estimator allows it.
        groups : array-like of shape (n_samples,), optional
            Groups of rows to hold out together. The estimator's ``fit`` is given them too if it
            takes ``groups``.
        **fit_params : dict
            Passed to the estimator's ``fit``, such as ``sample_weight`` (in a Pipeline
            ``step__sample_weight``); of values with one entry a row of X, those of the rows that
            it is fitted on. With metadata routing, what the estimator requests.

        Returns
        -------
        self : ConformalRegressor
            The fitted estimator.

        Warns
        -----
        UserWarning
            If there are too few calibration rows for a level, whose bounds are then infinite;
            if the likelihood ratios leave too little of them; or if some equal rows that the
            estimator was trained or stopped on.

        Raises
        ------
        TypeError
            If the estimator is not a regressor.
        ValueError
            If a parameter or the data are not usable; or if the estimator is frozen and was
            trained or stopped on the rows.
        """
        score, levels = self._checked_params()
        with restored_on_failure(self):
            rows = self._fit_estimator(X, y, groups, fit_params)
            self._check_unseen(rows.X, held_out=rows.held_out)
            conformity = self._calibrated(score, levels, rows.X, rows.y)
            scarcity = conformity.scarcity()
            if scarcity:
                warnings.warn(f"{scarcity} The bounds are infinite there.", stacklevel=2)
            return self._use(conformity)

    def conformalize(self, X: ArrayLike, y: ArrayLike) -> ConformalRegressor:
        """Calibrate the fitted estimator on other rows; this replaces the calibration of ``fit``.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Samples that the estimator has not seen, as it reads them.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Their targets; NaN where missing.

        Returns
        -------
        self : ConformalRegressor
            The estimator, calibrated anew.

        Warns
        -----
        UserWarning
            If the likelihood ratios leave too little of the rows.

        Raises
        ------
        ValueError
            If there are too few rows for a level, if the estimator was trained or stopped on some
            of them, or if the data are not usable.
        """
        check_is_fitted(self)
        score, levels = self._checked_params()
        check_rows(X, "X")
        check_measurements(y)
        X, y = indexable(X, y)
        self._check_unseen(X, held_out=False)
        conformity = self._calibrated(score, levels, X, y)
        scarcity = conformity.scarcity()
        if scarcity:
            raise ValueError(f"{scarcity} Pass more rows, or lower the level.")
        return self._use(conformity)

    def predict_interval(self, X: ArrayLike) -> PredictionInterval:
        """Predict y and intervals that cover it.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Samples, as the estimator reads them.

        Returns
        -------
        interval : PredictionInterval
            A tuple ``(mean, lower, upper)`` in y's units. The mean has the shape that
            :meth:`predict` gives it, and so have the bounds; for a sequence of levels they have
            one more axis, of shape (n_levels,). Bounds are infinite where too few calibration
            rows can bound y at this level.

        Raises
        ------
        ValueError
            If a row belongs to a group that was not calibrated.
        """
        check_is_fitted(self)
        check_rows(X, "X")
        (X,) = indexable(X)
        score = self._conformity.score
        rows, shape = predict_rows(self.estimator_, X, score, self._kind, self._likelihood_ratio)
        groups = group_rows(self._mondrian, X, len(rows.mean))
        check_known_groups(groups, self._conformity.groups)
        axes = (*shape, *self._levels_shape)
        lower, upper = (bound.reshape(axes) for bound in self._conformity.bounds(rows, groups))
        return PredictionInterval(rows.mean.reshape(shape), lower, upper)

    def _checked_params(self) -> tuple[BaseRegressionScore, Levels]:
        """Check what can be checked before a training; return the score and the levels."""
        check_regressor(self)
        score = score_for(self.estimator, self.conformity_score, self.kind, self.random_state)
        return score, check_levels(self.confidence_level)

    def _check_unseen(self, X: Any, *, held_out: bool) -> None:
        """Raise, or of rows that ``fit`` held out warn, if the estimator knows some of them."""
        overlap = "" if self.allow_overlap else describe_overlap(self.estimator_, X)
        if overlap and not held_out:
            raise ValueError(f"{overlap} Leave these rows out, or set allow_overlap=True.")
        if overlap:
            warnings.warn(f"{overlap} Pass groups that keep their copies together.", stacklevel=3)

    def _calibrated(self, score: BaseRegressionScore, levels: Levels, X: Any, y: Any) -> Conformity:
        rows, shape = predict_rows(self.estimator_, X, score, self.kind, self.likelihood_ratio)
        measured = check_targets_of(self.estimator_, y)
        differs = measured.ndim == 3 and measured.shape != shape
        if differs or measured.reshape(len(measured), -1).shape != rows.mean.shape:
            raise ValueError(
                f"y has shape {measured.shape}, but the estimator predicts {shape} for these rows."
            )
        groups = group_rows(self.mondrian, X, len(rows.mean))
        targets = measured.reshape(rows.mean.shape)
        conformity = Conformity.fit(score, levels, rows, targets, groups)
        weakness = conformity.weakness()
        if weakness:
            warnings.warn(weakness, stacklevel=3)
        return conformity

    def _use(self, conformity: Conformity) -> ConformalRegressor:
        # What the calibration was made with: parameters that are set later change the next one.
        self._conformity = conformity
        self._kind, self._mondrian = self.kind, self.mondrian
        self._likelihood_ratio = self.likelihood_ratio
        self.confidence_level_ = self.confidence_level
        self._levels_shape = np.shape(self.confidence_level)
        return self

    def _of_places(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return values of shape (n_groups, n_targets, ...), without groups if there are none."""
        return values[0] if NO_GROUPS in self._conformity.groups else values

    @property
    def n_calibration_(self) -> NDArray[np.intp]:
        """Number of calibration rows of each target, in each group."""
        return self._of_places(self._conformity.n_rows)

    @property
    def effective_sample_size_(self) -> Array:
        """Number of rows of equal weight that say as much as the calibration rows."""
        return self._of_places(self._conformity.effective_sample_size)

    @property
    def quantiles_(self) -> Array:
        """Lower and upper quantile of the signed scores, for each target and level."""
        return self._of_places(self._conformity.quantiles)

    @property
    def groups_(self) -> list[Hashable]:
        """Labels of the groups."""
        labels = [*self._conformity.groups]
        if labels == [NO_GROUPS]:
            raise AttributeError("There are no groups: mondrian was None.")
        return labels
