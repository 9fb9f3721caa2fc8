"""Coverage of prediction intervals in parts of the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_degu.displays._data import (
    Array,
    Interval,
    MeasuredTarget,
    ResponseMethod,
    gaussian_intervals,
    given_intervals,
    only_level,
    predict_intervals,
    predict_std,
)
from sklearn_degu.displays._drawing import (
    PALETTE,
    PANEL,
    REFERENCE,
    axes_to_draw_on,
    import_pyplot,
    line_style,
    with_units,
    wrapped,
)
from sklearn_degu.displays._parts import by_deviation, by_group, wilson_error_bars

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Inches: at least, for the label of the axis; the axis below the rows; a line of a row's name.
_LEAST_HEIGHT = 2.9
_AXIS_HEIGHT = 1.4
_LINE_HEIGHT = 0.15


class GroupCoverageDisplay:
    """Coverage of prediction intervals by group, or by bin of the predicted deviation.

    Intervals that cover nine tenths of all measurements may cover all of the easy ones and few of
    the hard ones. A row of the picture is a part of the data, with the number of its measurements,
    the fraction that the intervals cover and the 95 % confidence interval of that fraction [1]_.
    The dashed line is the confidence level of the intervals.

    Make one by :meth:`from_estimator`, :meth:`from_predictions` or :meth:`from_intervals`.

    Parameters
    ----------
    groups : sequence of str, of length n_groups
        Names of the groups, drawn from top to bottom.
    coverage : ndarray of shape (n_groups,)
        Fraction of each group's measurements that the intervals cover.
    n_samples : ndarray of int of shape (n_groups,)
        Number of each group's measurements.
    confidence_level : float
        Confidence level of the intervals.
    grouping : str, default=None
        What the groups are, for the label of the axis.

    Attributes
    ----------
    error_bars_ : matplotlib ErrorbarContainer
        Coverage of the groups, with error bars.
    line_ : matplotlib Line2D
        The confidence level.
    ax_ : matplotlib Axes
        Axes with the picture.
    figure_ : matplotlib Figure
        Figure with the axes.

    See Also
    --------
    CoverageDisplay : Coverage of all data together, at several levels.

    References
    ----------
    .. [1] Wilson, "Probable inference, the law of succession, and statistical inference", Journal
       of the American Statistical Association 22, 1927.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_degu.displays import GroupCoverageDisplay
    >>> rng = np.random.default_rng(0)
    >>> y_pred, y_std = np.zeros(3000), rng.uniform(1, 3, size=3000)
    >>> y_true = rng.normal(y_pred, y_std)
    >>> display = GroupCoverageDisplay.from_predictions(y_true, y_pred, y_std)
    >>> display.coverage.round(2)
    array([0.9 , 0.89, 0.9 ])
    """

    def __init__(
        self,
        *,
        groups: Sequence[str],
        coverage: Array,
        n_samples: NDArray[np.intp],
        confidence_level: float,
        grouping: str | None = None,
    ) -> None:
        self.groups = groups
        self.coverage = coverage
        self.n_samples = n_samples
        self.confidence_level = confidence_level
        self.grouping = grouping

    def plot(
        self, ax: Axes | None = None, *, units: str | None = None, **kwargs: Any
    ) -> GroupCoverageDisplay:
        """Draw the picture.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        units : str, default=None
            Units of y, for the label of bins of the deviation.
        **kwargs : dict
            Passed to matplotlib's ``errorbar``.

        Returns
        -------
        display : GroupCoverageDisplay
            This object.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        n_groups = len(self.groups)
        rows = zip(map(wrapped, self.groups), self.n_samples, strict=True)
        names = [f"{group}\nn = {n:,}" for group, n in rows]
        n_lines = 1 + max(1 + name.count("\n") for name in names)
        height = max(_LEAST_HEIGHT, _AXIS_HEIGHT + _LINE_HEIGHT * n_lines * n_groups)
        self.ax_ = axes_to_draw_on(self, ax, (PANEL[0], height))
        self.figure_ = self.ax_.figure
        defaults = {"color": PALETTE[0], "marker": "o", "markersize": 5, "linestyle": "none"}
        self.error_bars_ = self.ax_.errorbar(
            self.coverage,
            range(n_groups),
            xerr=wilson_error_bars(self.coverage, self.n_samples),
            **line_style(kwargs, **defaults),
        )
        self.line_ = self.ax_.axvline(self.confidence_level, **REFERENCE)
        self.ax_.set_yticks(range(n_groups), names, fontsize="small")
        self.ax_.set(
            xlabel=f"coverage (nominal {self.confidence_level:.4g})", ylim=(n_groups - 0.5, -0.5)
        )
        self.ax_.locator_params(axis="x", nbins=5)
        if self.grouping is not None:
            self.ax_.set_ylabel(with_units(self.grouping, units))
        return self

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        groups: ArrayLike | None = None,
        n_bins: int = 3,
        target: int | None = None,
        response_method: ResponseMethod = "auto",
        kind: str | None = None,
        confidence_level: float | None = None,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> GroupCoverageDisplay:
        """Draw the coverage of a fitted estimator's intervals, part by part.

        Parameters
        ----------
        estimator : estimator
            Fitted regressor with ``predict_interval(X)``, such as ``ConformalRegressor``, or with
            ``predict(X, return_std=True)``. Without groups the latter is needed in any case.
        X : array-like
            Samples, as the estimator takes them; not those that it was fitted on.
        y : array-like of shape (n,) or (n, n_targets)
            Measurements; NaN where missing, which leaves the sample out.
        groups : array-like of shape (n,), default=None
            A label for every sample: what its group is called. None makes bins of equally many
            samples, ordered by their predicted deviation.
        n_bins : int, default=3
            Number of bins. Not used with groups.
        target : int, default=None
            Column of y to draw; needed if there are several.
        response_method : {"auto", "predict", "predict_interval"}, default="auto"
            Where the intervals come from: ``predict_interval``, or the Gaussian ones of
            ``predict(X, return_std=True)``. "auto" prefers the first, unless ``kind`` is set.
        kind : {"epistemic", "aleatoric", "total"}, default=None
            Which standard deviation. None is the estimator's choice.
        confidence_level : float, default=None
            Level of the intervals. None is the estimator's own with ``predict_interval``, and 0.9
            with Gaussian intervals.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **kwargs : dict
            Passed to :meth:`plot`.

        Returns
        -------
        display : GroupCoverageDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If the estimator gives no standard deviation.
        ValueError
            If y and the predictions differ in shape, or a parameter is not usable.
        """
        import_pyplot(cls.__name__)
        _, y_std, intervals = predict_intervals(
            estimator,
            X,
            response_method=response_method,
            kind=kind,
            confidence_level=confidence_level,
            default_level=0.9,
        )
        if groups is None and y_std is None:
            y_std = predict_std(estimator, X, kind)[1]
        display = cls._of(y, only_level(intervals), target, groups, y_std, n_bins)
        return display.plot(ax, **kwargs)

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        y_std: ArrayLike,
        *,
        groups: ArrayLike | None = None,
        n_bins: int = 3,
        target: int | None = None,
        confidence_level: float = 0.9,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> GroupCoverageDisplay:
        """Draw the coverage of Gaussian intervals, part by part.

        Parameters
        ----------
        y_true : array-like of shape (n,) or (n, n_targets)
            Measurements; NaN where missing, which leaves the sample out.
        y_pred, y_std : array-like of the same shape
            Predictions and their standard deviations, in y's units.
        groups : array-like of shape (n,), default=None
            Label of every sample's group. None makes bins of ``y_std``.
        n_bins : int, default=3
            Number of bins. Not used with groups.
        target : int, default=None
            Column of y to draw; needed if there are several.
        confidence_level : float, default=0.9
            Level of the intervals.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **kwargs : dict
            Passed to :meth:`plot`.

        Returns
        -------
        display : GroupCoverageDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the arrays differ in shape, or a parameter is not usable.
        """
        import_pyplot(cls.__name__)
        interval = only_level(gaussian_intervals(y_pred, y_std, confidence_level))
        return cls._of(y_true, interval, target, groups, y_std, n_bins).plot(ax, **kwargs)

    @classmethod
    def from_intervals(
        cls,
        y_true: ArrayLike,
        y_lower: ArrayLike,
        y_upper: ArrayLike,
        *,
        confidence_level: float,
        groups: ArrayLike | None = None,
        y_std: ArrayLike | None = None,
        n_bins: int = 3,
        target: int | None = None,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> GroupCoverageDisplay:
        """Draw the coverage of intervals of any origin, part by part.

        Parameters
        ----------
        y_true : array-like of shape (n,) or (n, n_targets)
            Measurements; NaN where missing, which leaves the sample out.
        y_lower, y_upper : array-like of the same shape
            Bounds of the intervals, in y's units.
        confidence_level : float
            Level of the intervals.
        groups : array-like of shape (n,), default=None
            Label of every sample's group. None makes bins of ``y_std``.
        y_std : array-like of the shape of y_true, default=None
            Standard deviations to make bins of. Not used with groups.
        n_bins : int, default=3
            Number of bins. Not used with groups.
        target : int, default=None
            Column of y to draw; needed if there are several.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **kwargs : dict
            Passed to :meth:`plot`.

        Returns
        -------
        display : GroupCoverageDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If there are neither groups nor deviations, the arrays differ in shape, or a parameter
            is not usable.
        """
        import_pyplot(cls.__name__)
        interval = only_level(given_intervals(y_lower, y_upper, confidence_level))
        return cls._of(y_true, interval, target, groups, y_std, n_bins).plot(ax, **kwargs)

    @classmethod
    def _of(
        cls,
        y_true: ArrayLike,
        interval: Interval,
        target: int | None,
        groups: ArrayLike | None,
        y_std: ArrayLike | None,
        n_bins: int,
    ) -> GroupCoverageDisplay:
        rows = MeasuredTarget(y_true, target)
        bounds = rows.take("y_lower", interval.lower), rows.take("y_upper", interval.upper)
        if groups is not None:
            parts = by_group(rows.y_true, *bounds, rows.members(groups))
            return cls(**parts._asdict(), confidence_level=interval.level)
        if y_std is None:
            raise ValueError("Pass groups, or y_std to make bins of.")
        parts = by_deviation(rows.y_true, *bounds, rows.take("y_std", y_std), n_bins)
        return cls(
            **parts._asdict(), confidence_level=interval.level, grouping="predicted deviation"
        )
