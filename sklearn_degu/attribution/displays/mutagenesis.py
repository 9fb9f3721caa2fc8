"""Effects of all substitutions as a heat map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from sklearn_degu.attribution._explained import inner_model
from sklearn_degu.attribution.displays._drawing import (
    OneMap,
    finish_positions,
    in_two_lines,
    one_sequence,
    picture_width,
)
from sklearn_degu.attribution.saturation_mutagenesis import saturation_mutagenesis
from sklearn_degu.displays._drawing import axes_to_draw_on, import_pyplot
from sklearn_degu.sequences._one_hot import BASES, UNKNOWN

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HEIGHT = 1.9


class MutagenesisDisplay:
    """Heat map of saturation mutagenesis: a row a base, a column a position.

    Dots mark the bases that are there. The default colours become lighter from negative to
    positive effects, so that the sign survives a print in grey.

    Make one by :meth:`from_estimator` or :meth:`from_maps`.

    Parameters
    ----------
    one : OneMap
        The stretch of a map, and its bases.

    Attributes
    ----------
    image_ : matplotlib AxesImage
        The heat map.
    colorbar_ : matplotlib Colorbar
        Its scale.
    ax_ : matplotlib Axes
        Axes with the picture.
    figure_ : matplotlib Figure
        Figure with the axes.
    """

    def __init__(self, *, one: OneMap) -> None:
        self.one = one

    def plot(
        self,
        ax: Axes | None = None,
        *,
        limit: float | None = None,
        cmap: str = "cividis",
        label: str = "effect",
        units: str | None = None,
    ) -> MutagenesisDisplay:
        """Draw the picture.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        limit : float, default=None
            Colours reach from ``-limit`` to ``limit``. None is the largest effect.
        cmap : str, default="cividis"
            Colour map; ``"RdBu_r"`` is white for no effect, but in grey its two ends are alike.
        label : str, default="effect"
            What is drawn.
        units : str, default=None
            Its units.

        Returns
        -------
        display : MutagenesisDisplay
            This object.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        one = self.one
        self.ax_ = axes_to_draw_on(self, ax, (picture_width(len(one.codes)) + 0.8, _HEIGHT))
        self.figure_ = self.ax_.figure
        largest = float(np.abs(one.values).max()) or 1.0
        reach = largest if limit is None else limit
        edges = (one.places[0] - 0.5, one.places[-1] + 0.5, len(BASES) - 0.5, -0.5)
        style: dict[str, Any] = {
            "vmin": -reach,
            "vmax": reach,
            "aspect": "auto",
            "interpolation": "nearest",
        }
        self.image_ = self.ax_.imshow(one.values, cmap=cmap, extent=edges, **style)
        known = np.flatnonzero(one.codes != UNKNOWN)
        self.ax_.plot(one.places[known], one.codes[known], ".", color="white", markersize=4)
        self.ax_.set_yticks(range(len(BASES)), [*BASES])
        self.ax_.tick_params(axis="y", length=0)
        finish_positions(self.ax_, one)
        self.ax_.set(xlabel="position (dot: the base that is there)", ylabel="mutated to")
        more = "both" if largest > reach else "neither"
        self.colorbar_ = self.ax_.figure.colorbar(
            self.image_, ax=self.ax_, label=in_two_lines(label, units), extend=more, pad=0.01
        )
        return self

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        *,
        row: int = 0,
        positions: slice | None = None,
        target: int = 0,
        head: str = "mean",
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> MutagenesisDisplay:
        """Predict all mutants of one sequence and draw their effects.

        Parameters
        ----------
        estimator : estimator or torch.nn.Module
            What :func:`saturation_mutagenesis` takes.
        X : array-like of shape (n_sequences, 4, length) or (n_sequences,)
            Sequences, as the estimator reads them.
        row : int, default=0
            Which of them.
        positions : slice, default=None
            Which stretch of it, indices from 0. None is all.
        target, head : int, str
            As for :func:`saturation_mutagenesis`.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **kwargs : dict
            Passed to :meth:`plot`.

        Returns
        -------
        display : MutagenesisDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError, ValueError
            If the estimator, X, ``head`` or ``target`` is not usable.
        """
        import_pyplot(cls.__name__)
        model, sequence = inner_model(estimator, one_sequence(X, row), head)
        maps = saturation_mutagenesis(model, sequence, target=target, head=head)
        return cls.from_maps(maps, sequence, positions=positions, ax=ax, **kwargs)

    @classmethod
    def from_maps(
        cls,
        maps: ArrayLike,
        X: ArrayLike,
        *,
        row: int = 0,
        positions: slice | None = None,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> MutagenesisDisplay:
        """Draw one of the maps that are there.

        Parameters
        ----------
        maps : array-like of shape (n_sequences, 4, length)
            What :func:`saturation_mutagenesis` returns.
        X : array-like of shape (n_sequences, 4, length)
            The one-hot sequences.
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
        display : MutagenesisDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If shapes do not match, or there is no such row or stretch.
        """
        return cls(one=OneMap.of(maps, X, row, positions)).plot(ax, **kwargs)
