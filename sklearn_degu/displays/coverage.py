"""Coverage of prediction intervals against their confidence level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binom

from sklearn_degu.displays._data import (
    Array,
    Interval,
    MeasuredTarget,
    ResponseMethod,
    gaussian_intervals,
    given_intervals,
    predict_intervals,
)
from sklearn_degu.displays._drawing import (
    LIGHT_GREY,
    axes_to_draw_on,
    data_range,
    draw_diagonal,
    draw_legend,
    import_pyplot,
    line_style,
    make_square,
    next_style,
    shared_entry,
    unchanged_limits,
)
from sklearn_degu.metrics import interval_coverage

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LEVELS = tuple(step / 20 for step in range(1, 20))
_BAND_LEVEL = 0.95
# So that three high levels are not lost in an empty square from 0 to 1.
_MARGIN = 0.05


class CoverageDisplay:
    """Empirical coverage of prediction intervals against their confidence level.

    Intervals are right if they cover as many measurements as they say: points on the diagonal.
    Above it the intervals are too wide, below it too narrow. The grey band is where 95 % of
    test sets of this size would put intervals that are exactly right, by the binomial distribution.

    Make one by :meth:`from_estimator`, :meth:`from_predictions` or :meth:`from_intervals`. Several
    displays may be drawn on the same axes, each under its name.

    Parameters
    ----------
    confidence_level : ndarray of shape (n_levels,)
        Confidence levels.
    coverage : ndarray of shape (n_levels,)
        Fraction of the measurements that the intervals of each level cover.
    n_samples : int
        Number of measurements.
    name : str, default=None
        Name in the legend.

    Attributes
    ----------
    line_ : matplotlib Line2D
        Coverage of the levels.
    diagonal_ : matplotlib Artist
        Where coverage equals the level.
    band_ : matplotlib Artist
        The binomial band.
    ax_ : matplotlib Axes
        Axes with the picture.
    figure_ : matplotlib Figure
        Figure with the axes.

    See Also
    --------
    GroupCoverageDisplay : Coverage of parts of the data at one level. It may be wrong in every
        part where it is right for all together.

    Notes
    -----
    The band knows the randomness of the test rows alone. The coverage of conformal intervals also
    varies with the calibration rows, as if there were fewer test rows.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_degu.displays import CoverageDisplay
    >>> rng = np.random.default_rng(0)
    >>> y_pred = rng.normal(size=500)
    >>> y_true = y_pred + 0.5 * rng.normal(size=500)
    >>> display = CoverageDisplay.from_predictions(
    ...     y_true, y_pred, np.full(500, 0.5), confidence_level=[0.5, 0.9]
    ... )
    >>> display.coverage
    array([0.5..., 0.9...])
    """

    def __init__(
        self,
        *,
        confidence_level: Array,
        coverage: Array,
        n_samples: int,
        name: str | None = None,
    ) -> None:
        self.confidence_level = confidence_level
        self.coverage = coverage
        self.n_samples = n_samples
        self.name = name

    def plot(
        self, ax: Axes | None = None, *, name: str | None = None, **kwargs: Any
    ) -> CoverageDisplay:
        """Draw the picture.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        name : str, default=None
            Name in the legend. None is the display's own.
        **kwargs : dict
            Passed to matplotlib's ``plot``, for the line.

        Returns
        -------
        display : CoverageDisplay
            This object.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        self.ax_ = axes_to_draw_on(self, ax)
        self.figure_ = self.ax_.figure
        defaults = {"label": name or self.name, **next_style(self.ax_)}
        style = line_style(kwargs, **defaults, markersize=4, linewidth=1.2)
        (self.line_,) = self.ax_.plot(self.confidence_level, self.coverage, **style)
        self._draw_band()
        self.diagonal_ = draw_diagonal(self.ax_)
        low, high = data_range(self.ax_)
        make_square(self.ax_, max(low - _MARGIN, 0.0), min(high + _MARGIN, 1.0))
        self.ax_.set(xlabel="confidence level", ylabel="empirical coverage")
        draw_legend(self.ax_, "best")
        return self

    def _draw_band(self) -> None:
        levels = np.linspace(0, 1, 1001)
        lower, upper = binom.interval(_BAND_LEVEL, self.n_samples, levels)
        label = f"{_BAND_LEVEL:.0%} band, n = {self.n_samples:,}"
        with unchanged_limits(self.ax_):
            self.band_ = self.ax_.fill_between(
                levels,
                lower / self.n_samples,
                upper / self.n_samples,
                color=LIGHT_GREY,
                linewidth=0,
                zorder=0.5,
                **shared_entry(self.ax_, label),
            )

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
        confidence_level: ArrayLike | None = None,
        name: str | None = None,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> CoverageDisplay:
        """Draw the coverage of a fitted estimator's intervals.

        Parameters
        ----------
        estimator : estimator
            Fitted regressor with ``predict_interval(X)``, such as ``ConformalRegressor`` with
            several levels, or with ``predict(X, return_std=True)``.
        X : array-like
            Samples, as the estimator takes them; not those that it was fitted on.
        y : array-like of shape (n,) or (n, n_targets)
            Measurements; NaN where missing, which leaves the sample out.
        target : int, default=None
            Column of y to draw; needed if there are several.
        response_method : {"auto", "predict", "predict_interval"}, default="auto"
            Where the intervals come from: ``predict_interval``, or the Gaussian ones of
            ``predict(X, return_std=True)``. "auto" prefers the first, unless ``kind`` is set.
        kind : {"epistemic", "aleatoric", "total"}, default=None
            Which standard deviation. None is the estimator's choice.
        confidence_level : array-like of shape (n_levels,), default=None
            Levels. None is the estimator's own with ``predict_interval``, and 0.05, 0.1, ..., 0.95
            with Gaussian intervals.
        name : str, default=None
            Name in the legend. None is the name of the estimator's class.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **kwargs : dict
            Passed to :meth:`plot`.

        Returns
        -------
        display : CoverageDisplay
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
        _, _, intervals = predict_intervals(
            estimator,
            X,
            response_method=response_method,
            kind=kind,
            confidence_level=confidence_level,
            default_level=_LEVELS,
        )
        name = type(estimator).__name__ if name is None else name
        return cls._of(y, intervals, target, name).plot(ax, **kwargs)

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        y_std: ArrayLike,
        *,
        target: int | None = None,
        confidence_level: ArrayLike = _LEVELS,
        name: str | None = None,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> CoverageDisplay:
        """Draw the coverage of Gaussian intervals.

        Parameters
        ----------
        y_true : array-like of shape (n,) or (n, n_targets)
            Measurements; NaN where missing, which leaves the sample out.
        y_pred, y_std : array-like of the same shape
            Predictions and their standard deviations, in y's units.
        target : int, default=None
            Column of y to draw; needed if there are several.
        confidence_level : array-like of shape (n_levels,), default=(0.05, 0.1, ..., 0.95)
            Levels.
        name : str, default=None
            Name in the legend.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **kwargs : dict
            Passed to :meth:`plot`.

        Returns
        -------
        display : CoverageDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the arrays differ in shape, or a parameter is not usable.
        """
        import_pyplot(cls.__name__)
        intervals = gaussian_intervals(y_pred, y_std, confidence_level)
        return cls._of(y_true, intervals, target, name).plot(ax, **kwargs)

    @classmethod
    def from_intervals(
        cls,
        y_true: ArrayLike,
        y_lower: ArrayLike,
        y_upper: ArrayLike,
        *,
        confidence_level: ArrayLike,
        target: int | None = None,
        name: str | None = None,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> CoverageDisplay:
        """Draw the coverage of intervals of any origin.

        Parameters
        ----------
        y_true : array-like of shape (n,) or (n, n_targets)
            Measurements; NaN where missing, which leaves the sample out.
        y_lower, y_upper : array-like of shape (n, n_levels) or (n, n_targets, n_levels)
            Bounds of the intervals; without the last axis if ``confidence_level`` is a number.
        confidence_level : float or array-like of shape (n_levels,)
            Levels.
        target : int, default=None
            Column of y to draw; needed if there are several.
        name : str, default=None
            Name in the legend.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **kwargs : dict
            Passed to :meth:`plot`.

        Returns
        -------
        display : CoverageDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the arrays differ in shape, or a parameter is not usable.
        """
        import_pyplot(cls.__name__)
        intervals = given_intervals(y_lower, y_upper, confidence_level)
        return cls._of(y_true, intervals, target, name).plot(ax, **kwargs)

    @classmethod
    def _of(
        cls,
        y_true: ArrayLike,
        intervals: Sequence[Interval],
        target: int | None,
        name: str | None,
    ) -> CoverageDisplay:
        rows = MeasuredTarget(y_true, target)
        ordered = sorted(intervals, key=lambda interval: interval.level)
        coverage = [
            interval_coverage(rows.y_true, rows.take("y_lower", lower), rows.take("y_upper", upper))
            for _, lower, upper in ordered
        ]
        return cls(
            confidence_level=np.array([interval.level for interval in ordered]),
            coverage=np.array(coverage),
            n_samples=len(rows.y_true),
            name=name,
        )
