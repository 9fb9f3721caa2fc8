"""A sequence whose letters are as high as their contributions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from sklearn_degu.attribution._explained import inner_model
from sklearn_degu.attribution.displays._drawing import (
    Array,
    OneMap,
    draw_logo,
    finish_positions,
    in_two_lines,
    one_sequence,
    picture_width,
)
from sklearn_degu.attribution.ensembles import ensemble_attribution
from sklearn_degu.attribution.maps import Map
from sklearn_degu.attribution.saliency import saliency
from sklearn_degu.displays._drawing import axes_to_draw_on, import_pyplot
from sklearn_degu.ensemble import EnsembleRegressor

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HEIGHT = 2.2


class SequenceLogoDisplay:
    """Logo of a sequence: letters as high as their contributions, with error bands.

    Make one by :meth:`from_estimator` or :meth:`from_maps`.

    Parameters
    ----------
    one : OneMap
        The stretch of a map, and its bases.
    std : ndarray of shape (n_positions,), default=None
        Standard deviation of the contributions that are drawn.

    Attributes
    ----------
    logo_ : logomaker.Logo
        The letters.
    band_ : matplotlib PolyCollection or None
        From the contribution less ``n_std`` deviations to that with as many added.
    ax_ : matplotlib Axes
        Axes with the picture.
    figure_ : matplotlib Figure
        Figure with the axes.

    See Also
    --------
    MapComparisonDisplay : Logos of several models below each other.
    """

    def __init__(self, *, one: OneMap, std: Array | None = None) -> None:
        self.one = one
        self.std = std

    def plot(
        self,
        ax: Axes | None = None,
        *,
        n_std: float = 2.0,
        label: str = "contribution",
        units: str | None = None,
    ) -> SequenceLogoDisplay:
        """Draw the picture.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        n_std : float, default=2.0
            How many standard deviations the band reaches up and down.
        label : str, default="contribution"
            What the letters' heights are.
        units : str, default=None
            Their units.

        Returns
        -------
        display : SequenceLogoDisplay
            This object.

        Raises
        ------
        ImportError
            If matplotlib or logomaker is not installed.
        """
        one, heights = self.one, self.one.observed
        figsize = (picture_width(len(heights)), _HEIGHT)
        self.ax_ = axes_to_draw_on(self, ax, figsize)
        self.figure_ = self.ax_.figure
        self.logo_ = draw_logo(self.ax_, one.codes, heights, one.start, type(self).__name__)
        self.band_ = None
        if self.std is not None:
            self.band_ = self._draw_band(heights, n_std)
            self.ax_.legend(loc="upper right", frameon=False, fontsize="small", borderaxespad=0)
        finish_positions(self.ax_, one)
        self.ax_.set(xlabel="position", ylabel=in_two_lines(label, units))
        return self

    def _draw_band(self, heights: Array, n_std: float) -> Any:
        """Draw a box around the end of every letter, behind them."""
        reach = n_std * np.asarray(self.std)
        edges = np.concatenate([self.one.places - 0.5, [self.one.places[-1] + 0.5]])
        lower, upper = (np.append(bound, bound[-1]) for bound in (heights - reach, heights + reach))
        style: dict[str, Any] = {"color": "0.86", "linewidth": 0, "zorder": -1}
        text = f"± {n_std:g} standard deviations"
        band = self.ax_.fill_between(edges, lower, upper, step="post", label=text, **style)
        low, high = min(0.0, lower.min()), max(0.0, upper.max())
        # Room for the legend above.
        self.ax_.set_ylim(low - 0.03 * (high - low), high + 0.15 * (high - low))
        return band

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        *,
        row: int = 0,
        positions: slice | None = None,
        method: Callable[..., Map] = saliency,
        head: str = "mean",
        target: int = 0,
        ax: Axes | None = None,
        n_std: float = 2.0,
        label: str = "contribution",
        units: str | None = None,
        **params: Any,
    ) -> SequenceLogoDisplay:
        """Explain one sequence and draw it; for an ensemble, with the deviation of its members.

        Parameters
        ----------
        estimator : estimator or torch.nn.Module
            What :func:`saliency` takes.
        X : array-like of shape (n_sequences, 4, length) or (n_sequences,)
            Sequences, as the estimator reads them.
        row : int, default=0
            Which of them.
        positions : slice, default=None
            Which stretch of it, indices from 0. None is all.
        method : callable, default=saliency
            A method of this package.
        head, target : str, int
            As for the method.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        n_std, label, units
            As for :meth:`plot`.
        **params : dict
            Further parameters of the method.

        Returns
        -------
        display : SequenceLogoDisplay
            The display, drawn. The band is there for an ensemble and ``head="mean"``.

        Raises
        ------
        ImportError
            If a library of the extra is not installed.
        TypeError, ValueError
            If the method cannot explain the estimator.
        """
        import_pyplot(cls.__name__)
        model, sequence = inner_model(estimator, one_sequence(X, row), head)
        params |= {"head": head, "target": target}
        std = None
        if isinstance(model, EnsembleRegressor) and len(model.estimators_) > 1 and head == "mean":
            maps, std, _ = ensemble_attribution(method, model, sequence, **params)
        else:
            maps = method(model, sequence, **params)
        how: dict[str, Any] = {"n_std": n_std, "label": label, "units": units}
        return cls.from_maps(maps, sequence, std=std, positions=positions, ax=ax, **how)

    @classmethod
    def from_maps(
        cls,
        maps: ArrayLike,
        X: ArrayLike,
        *,
        std: ArrayLike | None = None,
        row: int = 0,
        positions: slice | None = None,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> SequenceLogoDisplay:
        """Draw one of the maps that are there.

        Parameters
        ----------
        maps : array-like of shape (n_sequences, 4, length)
            Attribution maps.
        X : array-like of shape (n_sequences, 4, length)
            The one-hot sequences that they explain.
        std : array-like of shape (n_sequences, 4, length), default=None
            Standard deviation of the maps, as of :class:`EnsembleMaps`.
        row : int, default=0
            Which sequence.
        positions : slice, default=None
            Which stretch of it, indices from 0. None is all.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **kwargs : dict
            Passed to :meth:`plot`.

        Returns
        -------
        display : SequenceLogoDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib or logomaker is not installed.
        ValueError
            If shapes do not match, or there is no such row or stretch.
        """
        one = OneMap.of(maps, X, row, positions)
        of_letters = None if std is None else OneMap.of(std, X, row, positions, "std").observed
        return cls(one=one, std=of_letters).plot(ax, **kwargs)
