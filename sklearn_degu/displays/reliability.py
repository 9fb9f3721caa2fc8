"""Whether predicted standard deviations are as large as the errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from sklearn_degu.displays._data import Array, MeasuredTarget, predict_std
from sklearn_degu.displays._drawing import (
    axes_to_draw_on,
    data_range,
    draw_diagonal,
    draw_legend,
    import_pyplot,
    line_style,
    make_square,
    named,
    next_style,
    with_units,
)
from sklearn_degu.metrics import expected_normalized_calibration_error
from sklearn_degu.metrics._calibration import reliability

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class ReliabilityDisplay:
    """Error against predicted standard deviation, in bins of the deviation.

    The samples are ordered by their predicted deviation and cut into bins of equally many. A point
    is a bin: its root mean variance (RMV) and its root mean square error (RMSE) [1]_. On the
    diagonal the deviations are right; above it they are too small, below it too large. A flat line
    means that the deviations do not tell large errors from small ones.

    Make one by :meth:`from_estimator` or :meth:`from_predictions`. Several displays may be drawn
    on the same axes, each under its name.

    Parameters
    ----------
    rmv : ndarray of shape (n_bins,)
        Root mean variance of the bins, in y's units.
    rmse : ndarray of shape (n_bins,)
        Root mean square error of the bins, in y's units.
    ence : float
        Expected normalised calibration error, see
        :func:`~sklearn_degu.metrics.expected_normalized_calibration_error`.
    name : str, default=None
        Name in the legend.

    Attributes
    ----------
    line_ : matplotlib Line2D
        The bins.
    diagonal_ : matplotlib Artist
        Where error and deviation are equal.
    ax_ : matplotlib Axes
        Axes with the picture.
    figure_ : matplotlib Figure
        Figure with the axes.

    See Also
    --------
    RejectionCurveDisplay : Whether the deviations are in the right order, whatever their size.

    References
    ----------
    .. [1] Levi, Gispan, Giladi and Fetaya, "Evaluating and calibrating uncertainty prediction in
       regression tasks", Sensors 22, 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_degu.displays import ReliabilityDisplay
    >>> rng = np.random.default_rng(0)
    >>> y_pred, y_std = np.zeros(10000), rng.uniform(1, 3, size=10000)
    >>> y_true = rng.normal(y_pred, y_std)
    >>> display = ReliabilityDisplay.from_predictions(y_true, y_pred, y_std)
    >>> round(display.ence, 2)
    0.02
    """

    def __init__(self, *, rmv: Array, rmse: Array, ence: float, name: str | None = None) -> None:
        self.rmv = rmv
        self.rmse = rmse
        self.ence = ence
        self.name = name

    def plot(
        self,
        ax: Axes | None = None,
        *,
        name: str | None = None,
        units: str | None = None,
        **kwargs: Any,
    ) -> ReliabilityDisplay:
        """Draw the picture.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        name : str, default=None
            Name in the legend. None is the display's own.
        units : str, default=None
            Units of y, for the labels of the axes.
        **kwargs : dict
            Passed to matplotlib's ``plot``, for the line.

        Returns
        -------
        display : ReliabilityDisplay
            This object.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        self.ax_ = axes_to_draw_on(self, ax)
        self.figure_ = self.ax_.figure
        label = named(self.name if name is None else name, f"ENCE = {self.ence:.2f}")
        style = line_style(kwargs, label=label, **next_style(self.ax_), markersize=4, linewidth=1.2)
        (self.line_,) = self.ax_.plot(self.rmv, self.rmse, **style)
        self.diagonal_ = draw_diagonal(self.ax_)
        make_square(self.ax_, *data_range(self.ax_))
        self.ax_.set(
            xlabel=with_units("predicted deviation", units),
            ylabel=with_units("RMSE", units),
        )
        draw_legend(self.ax_, "best")
        return self

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        target: int | None = None,
        kind: str | None = None,
        n_bins: int = 10,
        name: str | None = None,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> ReliabilityDisplay:
        """Draw the reliability of a fitted estimator's deviations.

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
        n_bins : int, default=10
            Number of bins.
        name : str, default=None
            Name in the legend. None is the name of the estimator's class.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **kwargs : dict
            Passed to :meth:`plot`.

        Returns
        -------
        display : ReliabilityDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If the estimator gives no standard deviation.
        ValueError
            If y and the predictions differ in shape, a deviation is not positive, or there are
            fewer measurements than bins.

        Notes
        -----
        Epistemic deviations alone leave out the noise of the measurements: against measured y
        they lie above the diagonal.
        """
        import_pyplot(cls.__name__)
        y_pred, y_std = predict_std(estimator, X, kind)
        name = type(estimator).__name__ if name is None else name
        return cls.from_predictions(
            y, y_pred, y_std, target=target, n_bins=n_bins, name=name, ax=ax, **kwargs
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        y_std: ArrayLike,
        *,
        target: int | None = None,
        n_bins: int = 10,
        name: str | None = None,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> ReliabilityDisplay:
        """Draw the reliability of deviations.

        Parameters
        ----------
        y_true : array-like of shape (n,) or (n, n_targets)
            Measurements; NaN where missing, which leaves the sample out.
        y_pred, y_std : array-like of the same shape
            Predictions and their standard deviations, in y's units; deviations are positive.
        target : int, default=None
            Column of y to draw; needed if there are several.
        n_bins : int, default=10
            Number of bins.
        name : str, default=None
            Name in the legend.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **kwargs : dict
            Passed to :meth:`plot`.

        Returns
        -------
        display : ReliabilityDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the arrays differ in shape, a deviation is not positive, or there are fewer
            measurements than bins.
        """
        import_pyplot(cls.__name__)
        rows = MeasuredTarget(y_true, target)
        mean, std = rows.take("y_pred", y_pred), rows.take("y_std", y_std)
        ence = expected_normalized_calibration_error(rows.y_true, mean, std, n_bins=n_bins)
        rmv, rmse = reliability(rows.y_true - mean, std, n_bins)
        return cls(rmv=rmv, rmse=rmse, ence=float(ence), name=name).plot(ax, **kwargs)
