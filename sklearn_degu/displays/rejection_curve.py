"""Error of what remains when uncertain predictions are rejected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from sklearn_degu.displays._data import Array, MeasuredTarget, predict_std
from sklearn_degu.displays._drawing import (
    axes_to_draw_on,
    draw_legend,
    import_pyplot,
    line_style,
    named,
    next_style,
    shared_entry,
    with_units,
)
from sklearn_degu.metrics import error_rejection_area, error_rejection_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ErrorMeasure = Literal["mse", "mae"]
# Beyond, so few predictions remain that their error is noise.
_DRAWN_UP_TO = 0.99
# Room above the curves for an entry of the legend, as a part of their height.
_HEADROOM = 0.12
# Part of the axes' diagonal from marker to marker: the curve has a point for every prediction.
_MARK_EVERY = 0.15
_LABELS = {"mse": "MSE of the rest", "mae": "MAE of the rest"}


class RejectionCurveDisplay:
    """Error of the predictions that remain when the most uncertain ones are rejected.

    The curve falls if deviations are large where errors are. Between it and the dotted line of an
    oracle, which rejects the largest errors first, is what a better order of the deviations could
    gain; above the dashed line it would be better to reject at random. The area in the legend is
    the part of the oracle's gain that the deviations achieve: 1 for the oracle, 0 for chance.
    The curves are drawn up to 0.99 rejected: beyond, few predictions remain.

    Make one by :meth:`from_estimator` or :meth:`from_predictions`. Several displays may be drawn
    on the same axes, each under its name and with its own oracle.

    Parameters
    ----------
    fraction_rejected : ndarray of shape (n,)
        Fraction of the predictions that are rejected.
    remaining_error : ndarray of shape (n,)
        Error of the rest, if the largest deviations are rejected.
    oracle_error : ndarray of shape (n,)
        Error of the rest, if the largest errors are rejected.
    area : float
        See :func:`~sklearn_degu.metrics.error_rejection_area`.
    error : {"mse", "mae"}
        Which error it is.
    name : str, default=None
        Name in the legend.

    Attributes
    ----------
    line_ : matplotlib Line2D
        Rejection by deviation.
    oracle_ : matplotlib Line2D
        Rejection by error.
    random_ : matplotlib Line2D
        Rejection at random.
    ax_ : matplotlib Axes
        Axes with the picture.
    figure_ : matplotlib Figure
        Figure with the axes.

    See Also
    --------
    ReliabilityDisplay : Whether the deviations have the right size.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_degu.displays import RejectionCurveDisplay
    >>> rng = np.random.default_rng(0)
    >>> y_pred, y_std = np.zeros(1000), rng.uniform(1, 4, size=1000)
    >>> y_true = rng.normal(y_pred, y_std)
    >>> display = RejectionCurveDisplay.from_predictions(y_true, y_pred, y_std)
    >>> 0 < display.area < 1
    True
    """

    def __init__(
        self,
        *,
        fraction_rejected: Array,
        remaining_error: Array,
        oracle_error: Array,
        area: float,
        error: ErrorMeasure = "mse",
        name: str | None = None,
    ) -> None:
        self.fraction_rejected = fraction_rejected
        self.remaining_error = remaining_error
        self.oracle_error = oracle_error
        self.area = area
        self.error = error
        self.name = name

    def plot(
        self,
        ax: Axes | None = None,
        *,
        name: str | None = None,
        units: str | None = None,
        **kwargs: Any,
    ) -> RejectionCurveDisplay:
        """Draw the picture.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        name : str, default=None
            Name in the legend. None is the display's own.
        units : str, default=None
            Units of y, for the label of the axis.
        **kwargs : dict
            Passed to matplotlib's ``plot``, for the curve.

        Returns
        -------
        display : RejectionCurveDisplay
            This object.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        self.ax_ = axes_to_draw_on(self, ax)
        self.figure_ = self.ax_.figure
        label = named(self.name if name is None else name, f"area = {self.area:.2f}")
        defaults = {"label": label, **next_style(self.ax_), "markevery": _MARK_EVERY}
        style = line_style(kwargs, **defaults, markersize=4, linewidth=1.4)
        drawn = self.fraction_rejected <= _DRAWN_UP_TO
        fraction = self.fraction_rejected[drawn]
        (self.line_,) = self.ax_.plot(fraction, self.remaining_error[drawn], **style)
        self._draw_references(fraction, self.oracle_error[drawn])
        squared = "²" if units is not None and self.error == "mse" else ""
        n_entries = len(self.ax_.get_legend_handles_labels()[1])
        self.ax_.set(
            xlabel="fraction rejected",
            ylabel=with_units(_LABELS[self.error], units) + squared,
            xlim=(0, 1),
            ylim=(0, (1 + _HEADROOM * n_entries) * self.ax_.dataLim.y1),
        )
        draw_legend(self.ax_, "upper right")
        return self

    def _draw_references(self, fraction: Array, oracle: Array) -> None:
        """Draw oracle and chance in the curve's colour: every model has its own."""
        style: dict[str, Any] = {"color": self.line_.get_color(), "linewidth": 1, "zorder": 1.5}
        ends, chance = fraction[[0, -1]], self.remaining_error[[0, 0]]
        (self.random_,) = self.ax_.plot(
            ends, chance, linestyle="--", **style, **shared_entry(self.ax_, "random")
        )
        (self.oracle_,) = self.ax_.plot(
            fraction, oracle, linestyle=":", **style, **shared_entry(self.ax_, "oracle")
        )

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        target: int | None = None,
        kind: str | None = None,
        error: ErrorMeasure = "mse",
        name: str | None = None,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> RejectionCurveDisplay:
        """Draw what a fitted estimator's deviations gain.

        Parameters
        ----------
        estimator : estimator
            Fitted regressor with ``predict(X, return_std=True)``.
        X : array-like
            Samples, as the estimator takes them; not those that it was fitted on.
        y : array-like of shape (n,) or (n, n_targets)
            Measurements; NaN where missing, which leaves the sample out.
        target : int, default=None
            Column of y to draw; needed if there are several.
        kind : {"epistemic", "aleatoric", "total"}, default=None
            Which standard deviation. None is the estimator's choice.
        error : {"mse", "mae"}, default="mse"
            Mean squared or mean absolute error.
        name : str, default=None
            Name in the legend. None is the name of the estimator's class.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **kwargs : dict
            Passed to :meth:`plot`.

        Returns
        -------
        display : RejectionCurveDisplay
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
        y_pred, y_std = predict_std(estimator, X, kind)
        name = type(estimator).__name__ if name is None else name
        return cls.from_predictions(
            y, y_pred, y_std, target=target, error=error, name=name, ax=ax, **kwargs
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        y_std: ArrayLike,
        *,
        target: int | None = None,
        error: ErrorMeasure = "mse",
        name: str | None = None,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> RejectionCurveDisplay:
        """Draw what deviations gain.

        Parameters
        ----------
        y_true : array-like of shape (n,) or (n, n_targets)
            Measurements; NaN where missing, which leaves the sample out.
        y_pred, y_std : array-like of the same shape
            Predictions and their standard deviations, in y's units.
        target : int, default=None
            Column of y to draw; needed if there are several.
        error : {"mse", "mae"}, default="mse"
            Mean squared or mean absolute error.
        name : str, default=None
            Name in the legend.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **kwargs : dict
            Passed to :meth:`plot`.

        Returns
        -------
        display : RejectionCurveDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the arrays differ in shape, or a parameter is not usable.
        """
        import_pyplot(cls.__name__)
        rows = MeasuredTarget(y_true, target)
        y, mean, std = rows.y_true, rows.take("y_pred", y_pred), rows.take("y_std", y_std)
        fraction, remaining = error_rejection_curve(y, mean, std, error=error)
        _, oracle = error_rejection_curve(y, mean, np.abs(y - mean), error=error)
        return cls(
            fraction_rejected=fraction,
            remaining_error=remaining,
            oracle_error=oracle,
            area=float(error_rejection_area(y, mean, std, error=error)),
            error=error,
            name=name,
        ).plot(ax, **kwargs)
