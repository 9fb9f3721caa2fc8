"""Predicted against measured, with the intervals of the predictions."""

from __future__ import annotations

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
)
from sklearn_degu.displays._drawing import (
    PALETTE,
    axes_to_draw_on,
    draw_diagonal,
    draw_legend,
    finite_range,
    import_pyplot,
    make_square,
    points_style,
    with_units,
)
from sklearn_degu.metrics import interval_coverage

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import LineCollection, PathCollection

# Covered and missed differ in form, too, for a print in grey.
_POINTS: tuple[dict[str, Any], ...] = (
    {"marker": "o", "s": 7, "linewidth": 0},
    {"marker": "x", "s": 12, "linewidth": 0.8},
)
# So many bars make a vector graphic slow to open.
_RASTERISED_ABOVE = 300


class PredictionIntervalDisplay:
    """Scatter of predicted against measured values, with the intervals of the predictions.

    A vertical bar is the prediction interval of a sample. It covers the measurement if it crosses
    the diagonal. Bars that miss it have another colour, and the legend says how many there are.

    Make one by :meth:`from_estimator`, :meth:`from_predictions` or :meth:`from_intervals`.

    Parameters
    ----------
    y_true : ndarray of shape (n,)
        Measurements of one target, without NaN.
    y_pred : ndarray of shape (n,)
        Predictions.
    y_lower, y_upper : ndarray of shape (n,)
        Bounds of the intervals, which may be infinite.
    confidence_level : float
        Confidence level of the intervals.

    Attributes
    ----------
    points_, bars_ : tuple of two matplotlib Artists
        Points and bars of the samples whose interval covers the measurement, and of the others.
    line_ : matplotlib Artist
        The diagonal.
    ax_ : matplotlib Axes
        Axes with the picture.
    figure_ : matplotlib Figure
        Figure with the axes.

    See Also
    --------
    CoverageDisplay : How often intervals of many levels cover the measurement.
    sklearn.metrics.PredictionErrorDisplay : Predictions without intervals.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_degu.displays import PredictionIntervalDisplay
    >>> rng = np.random.default_rng(0)
    >>> y_pred = rng.normal(size=100)
    >>> y_true = y_pred + 0.5 * rng.normal(size=100)
    >>> display = PredictionIntervalDisplay.from_predictions(y_true, y_pred, np.full(100, 0.5))
    >>> display.ax_.get_xlabel(), display.ax_.get_ylabel()
    ('measured', 'predicted')
    """

    def __init__(
        self,
        *,
        y_true: Array,
        y_pred: Array,
        y_lower: Array,
        y_upper: Array,
        confidence_level: float,
    ) -> None:
        self.y_true = y_true
        self.y_pred = y_pred
        self.y_lower = y_lower
        self.y_upper = y_upper
        self.confidence_level = confidence_level

    def plot(
        self,
        ax: Axes | None = None,
        *,
        units: str | None = None,
        subsample: int | None = 500,
        **kwargs: Any,
    ) -> PredictionIntervalDisplay:
        """Draw the picture.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        units : str, default=None
            Units of y, for the labels of the axes.
        subsample : int or None, default=500
            Most samples to draw. Of more, so many are chosen at random, the same in every call,
            and the legend says so. Its percentages are those of all samples. None draws all.
        **kwargs : dict
            Passed to matplotlib's ``scatter``, for the points.

        Returns
        -------
        display : PredictionIntervalDisplay
            This object.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If ``subsample`` is not positive.
        """
        rows = self._rows_to_draw(subsample)
        self.ax_ = axes_to_draw_on(self, ax)
        self.figure_ = self.ax_.figure
        shown = (self.y_true, self.y_pred, self.y_lower, self.y_upper)
        limits = finite_range(*(values[rows] for values in shown))
        rate = float(interval_coverage(self.y_true, self.y_lower, self.y_upper))
        covered = (self.y_lower <= self.y_true) & (self.y_true <= self.y_upper)
        parts = (covered, f"{rate:.1%} covered"), (~covered, f"{1 - rate:.1%} missed")
        rasterized = len(rows) > _RASTERISED_ABOVE
        drawn = []
        for (part, label), color, form in zip(parts, PALETTE, _POINTS, strict=False):
            of, style = rows[part[rows]], {"color": color, "rasterized": rasterized}
            points = points_style(kwargs, label=label, zorder=2.5, **form, **style)
            drawn.append((self._draw_bars(of, limits, style), self._draw_points(of, points)))
        self.bars_, self.points_ = zip(*drawn, strict=True)
        self.line_ = draw_diagonal(self.ax_)
        make_square(self.ax_, *limits)
        self.ax_.set(xlabel=with_units("measured", units), ylabel=with_units("predicted", units))
        draw_legend(self.ax_, "upper left", title=self._legend_title(len(rows)))
        return self

    def _draw_bars(
        self, rows: NDArray[np.intp], limits: tuple[float, float], style: dict[str, Any]
    ) -> LineCollection:
        low, high = limits
        # An infinite bar ends outside the axes.
        lower = np.maximum(self.y_lower[rows], low - (high - low))
        upper = np.minimum(self.y_upper[rows], high + (high - low))
        x = self.y_true[rows]
        return self.ax_.vlines(x, lower, upper, linewidths=0.6, alpha=0.4, **style)

    def _draw_points(self, rows: NDArray[np.intp], style: dict[str, Any]) -> PathCollection:
        return self.ax_.scatter(self.y_true[rows], self.y_pred[rows], **style)

    def _rows_to_draw(self, subsample: int | None) -> NDArray[np.intp]:
        n_rows = len(self.y_true)
        if subsample is not None and subsample < 1:
            raise ValueError(f"subsample must be a positive number or None, got {subsample!r}.")
        if subsample is None or n_rows <= subsample:
            return np.arange(n_rows)
        return np.random.default_rng(0).choice(n_rows, subsample, replace=False)

    def _legend_title(self, n_drawn: int) -> str:
        title = f"{100 * self.confidence_level:.4g}% intervals"
        if n_drawn == len(self.y_true):
            return title
        return f"{title}\n{n_drawn:,} of {len(self.y_true):,} drawn"

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        target: int | None = None,
        response_method: ResponseMethod = "auto",
        kind: str | None = None,
        confidence_level: float | None = None,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> PredictionIntervalDisplay:
        """Draw the predictions of a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            Fitted regressor with ``predict_interval(X)``, such as ``ConformalRegressor``, or with
            ``predict(X, return_std=True)``.
        X : array-like
            Samples, as the estimator takes them.
        y : array-like of shape (n,) or (n, n_targets)
            Measurements; NaN where missing, which leaves the sample out.
        target : int, default=None
            Column of y to draw; needed if there are several: one panel shows one target.
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
        display : PredictionIntervalDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If the estimator gives no standard deviation.
        ValueError
            If y and the predictions differ in shape, or a parameter is not usable.

        Notes
        -----
        Epistemic deviations alone leave out the noise of the measurements: their intervals are
        not meant to cover y.
        """
        import_pyplot(cls.__name__)
        y_pred, _, intervals = predict_intervals(
            estimator,
            X,
            response_method=response_method,
            kind=kind,
            confidence_level=confidence_level,
            default_level=0.9,
        )
        interval = only_level(intervals)
        return cls._from_interval(y, y_pred, interval, target).plot(ax, **kwargs)

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        y_std: ArrayLike,
        *,
        target: int | None = None,
        confidence_level: float = 0.9,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> PredictionIntervalDisplay:
        """Draw predictions with the Gaussian intervals of their standard deviations.

        Parameters
        ----------
        y_true : array-like of shape (n,) or (n, n_targets)
            Measurements; NaN where missing, which leaves the sample out.
        y_pred, y_std : array-like of the same shape
            Predictions and their standard deviations, in y's units.
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
        display : PredictionIntervalDisplay
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
        return cls._from_interval(y_true, y_pred, interval, target).plot(ax, **kwargs)

    @classmethod
    def from_intervals(
        cls,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        y_lower: ArrayLike,
        y_upper: ArrayLike,
        *,
        confidence_level: float,
        target: int | None = None,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> PredictionIntervalDisplay:
        """Draw predictions with intervals of any origin.

        Parameters
        ----------
        y_true : array-like of shape (n,) or (n, n_targets)
            Measurements; NaN where missing, which leaves the sample out.
        y_pred, y_lower, y_upper : array-like of the same shape
            Predictions and the bounds of their intervals, in y's units.
        confidence_level : float
            Level of the intervals.
        target : int, default=None
            Column of y to draw; needed if there are several.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **kwargs : dict
            Passed to :meth:`plot`.

        Returns
        -------
        display : PredictionIntervalDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the arrays differ in shape, or a parameter is not usable.
        """
        import_pyplot(cls.__name__)
        interval = only_level(given_intervals(y_lower, y_upper, confidence_level))
        return cls._from_interval(y_true, y_pred, interval, target).plot(ax, **kwargs)

    @classmethod
    def _from_interval(
        cls, y_true: ArrayLike, y_pred: ArrayLike, interval: Interval, target: int | None
    ) -> PredictionIntervalDisplay:
        rows = MeasuredTarget(y_true, target)
        return cls(
            y_true=rows.y_true,
            y_pred=rows.take("y_pred", y_pred),
            y_lower=rows.take("y_lower", interval.lower),
            y_upper=rows.take("y_upper", interval.upper),
            confidence_level=interval.level,
        )
