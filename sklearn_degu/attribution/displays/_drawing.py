"""What the pictures of maps have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_degu._numbers import is_whole
from sklearn_degu.attribution._extras import import_extra
from sklearn_degu.attribution.maps import as_maps
from sklearn_degu.sequences._one_hot import BASES, UNKNOWN, check_one_hot_shape, column_codes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]

# Okabe and Ito, "Color universal design", 2008; letters are told apart by their shapes, too.
COLOURS = {"A": "#009e73", "C": "#0072b2", "G": "#e69f00", "T": "#d55e00"}

# Inches: a letter, and what is beside them.
_LETTER = 0.11
_MARGIN = 0.9
_WIDTHS = (4.2, 14.0)


class OneMap(NamedTuple):
    """A stretch of the map of one sequence.

    Attributes
    ----------
    values : ndarray of shape (4, n_positions)
        The map.
    codes : ndarray of uint8 of shape (n_positions,)
        The bases that are there, 0 to 3 for A, C, G and T, 4 for unknown ones.
    start : int
        Index of the first position in the sequence.
    """

    values: Array
    codes: NDArray[np.uint8]
    start: int

    @classmethod
    def of(
        cls, maps: ArrayLike, X: ArrayLike, row: int, positions: slice | None, name: str = "maps"
    ) -> OneMap:
        """Cut the stretch out of maps (n, 4, length).

        Raises
        ------
        ValueError
            If shapes do not match, there is no such row, or the stretch is empty.
        """
        values, sequences = as_maps(maps, name), check_one_hot_shape(X)
        if values.shape != sequences.shape:
            raise ValueError(
                f"{name} of shape {values.shape} do not belong to X of shape {sequences.shape}."
            )
        if not is_whole(row) or not 0 <= row < len(values):
            raise ValueError(f"row must be from 0 to {len(values) - 1}, got {row!r}.")
        indices = np.arange(values.shape[2])[slice(None) if positions is None else positions]
        if not len(indices) or (np.diff(indices) != 1).any():
            raise ValueError(f"positions={positions!r} is no unbroken stretch of the sequence.")
        stretch = slice(int(indices[0]), int(indices[-1]) + 1)
        codes = column_codes(sequences[row : row + 1])[0, stretch]
        return cls(values[row, :, stretch], codes, stretch.start)

    @property
    def observed(self) -> Array:
        """Values of the bases that are there, of shape (n_positions,); 0 for unknown ones."""
        known = self.codes != UNKNOWN
        picked: Array = self.values[np.where(known, self.codes, 0), np.arange(len(self.codes))]
        return np.where(known, picked, 0.0)

    @property
    def places(self) -> NDArray[np.int64]:
        """Positions on the axis, counted from 1."""
        return np.arange(len(self.codes)) + self.start + 1


def one_sequence(X: Any, row: int) -> Any:
    """Return one of the sequences that an estimator reads, alone.

    Raises
    ------
    ValueError
        If there is no such row.
    """
    sequences = np.asarray(X)
    if not is_whole(row) or not 0 <= row < len(sequences):
        raise ValueError(f"row must be from 0 to {len(sequences) - 1}, got {row!r}.")
    return sequences[row : row + 1]


def picture_width(n_positions: int) -> float:
    """Return the width in inches at which letters can be read."""
    return float(np.clip(_MARGIN + _LETTER * n_positions, *_WIDTHS))


def draw_logo(ax: Axes, codes: NDArray[np.uint8], heights: Array, start: int, caller: str) -> Any:
    """Draw letters with the given heights.

    Raises
    ------
    ImportError
        If logomaker or pandas, which it needs, is not installed.
    """
    logomaker, pandas = import_extra("logomaker", caller), import_extra("pandas", caller)
    is_there = codes[:, np.newaxis] == np.arange(len(BASES))
    table = pandas.DataFrame(np.where(is_there, heights[:, np.newaxis], 0.0), columns=[*BASES])
    table.index = table.index + start + 1
    logo = logomaker.Logo(table, ax=ax, color_scheme=COLOURS, baseline_width=0.6, show_spines=False)
    ax.spines[["left", "bottom"]].set_visible(True)
    return logo


def in_two_lines(label: str, units: str | None) -> str:
    """Return the label of a low axis, with its units below, if they are known."""
    return label if units is None else f"{label}\n({units})"


def finish_positions(ax: Axes, one: OneMap) -> None:
    """Set the axis of positions."""
    ax.set_xlim(one.places[0] - 0.6, one.places[-1] + 0.6)
    ax.locator_params(axis="x", integer=True)
