"""How it is drawn: what the pictures have in common."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito, "Color universal design", 2008: told apart by colour-blind readers.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
# As many, so that a print in grey tells them apart, too.
MARKERS = ("o", "s", "^", "D", "v", "P")
GREY = "0.55"
LIGHT_GREY = "0.88"

# Size of a panel in inches: readable in one column of a paper.
PANEL = (4.2, 3.8)

# How lines are drawn that data are compared with.
REFERENCE: dict[str, Any] = {"color": GREY, "linewidth": 1, "linestyle": "--", "zorder": 0.9}

# Marks what many displays on the same axes share: one entry, at the end of the legend.
_SHARED = "shared"
_MARGIN = 0.04
# Characters of a label's line: about a third of a panel's width.
_LABEL_WIDTH = 26
_COMPACT: dict[str, Any] = {
    "fontsize": "small",
    "title_fontsize": "small",
    "alignment": "left",
    "edgecolor": "none",
    "handlelength": 1.5,
    "handletextpad": 0.5,
    "labelspacing": 0.3,
    "borderaxespad": 0.2,
}


def import_pyplot(caller: str) -> ModuleType:
    """Return matplotlib's pyplot.

    Parameters
    ----------
    caller : str
        What needs it, for the message.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(
            f"{caller} draws with matplotlib, which comes with the extra [plots]: "
            "pip install 'sklearn-degu[plots]'"
        ) from error
    return pyplot


def axes_to_draw_on(display: object, ax: Axes | None, figsize: tuple[float, float] = PANEL) -> Axes:
    """Return the given axes, or those of a new figure, without the box around them."""
    pyplot = import_pyplot(type(display).__name__)
    if ax is None:
        _, ax = pyplot.subplots(figsize=figsize, layout="constrained")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def line_style(kwargs: dict[str, Any], **defaults: Any) -> dict[str, Any]:
    """Return defaults of a line, overridden by the user's, however they abbreviate a name."""
    from matplotlib.cbook import normalize_kwargs
    from matplotlib.lines import Line2D

    return defaults | normalize_kwargs(kwargs, Line2D)


def points_style(kwargs: dict[str, Any], **defaults: Any) -> dict[str, Any]:
    """Return defaults of a scatter, overridden by the user's, however they abbreviate a name."""
    from matplotlib.cbook import normalize_kwargs
    from matplotlib.collections import Collection

    named_in_full = {"color" if name == "c" else name: value for name, value in kwargs.items()}
    return defaults | normalize_kwargs(named_in_full, Collection)


def next_style(ax: Axes) -> dict[str, str]:
    """Return the first colour and the first marker that no line on the axes has yet."""
    from matplotlib.colors import to_hex

    lines = ax.get_lines()
    return {
        "color": _first_unused(PALETTE, [to_hex(line.get_color()) for line in lines]),
        "marker": _first_unused(MARKERS, [line.get_marker() for line in lines]),
    }


def _first_unused(choices: Sequence[str], used: Sequence[Any]) -> str:
    return next((choice for choice in choices if choice not in used), choices[0])


def draw_diagonal(ax: Axes) -> Any:
    """Draw the line y = x behind everything else, once for all displays on the axes."""
    for line in ax.get_lines():
        if line.get_gid() == "diagonal":
            return line
    with unchanged_limits(ax):
        line = ax.axline((0, 0), slope=1, **REFERENCE)
    line.set_gid("diagonal")
    return line


@contextmanager
def unchanged_limits(ax: Axes) -> Iterator[None]:
    """Keep the limits to what the data need, whatever is drawn behind them."""
    before = ax.dataLim.frozen()
    yield
    ax.dataLim.set(before)


def data_range(ax: Axes) -> tuple[float, float]:
    """Return the least and the greatest value that is drawn on either axis."""
    limits = np.array(ax.dataLim.extents)
    return float(limits.min()), float(limits.max())


def finite_range(*arrays: NDArray[np.float64]) -> tuple[float, float]:
    """Return the least and the greatest finite value."""
    values = np.concatenate(arrays)
    finite = values[np.isfinite(values)]
    return float(finite.min()), float(finite.max())


def make_square(ax: Axes, low: float, high: float) -> None:
    """Give both axes the same limits, ticks and scale, so that the eye can compare them."""
    margin = _MARGIN * (high - low)
    limits = (low - margin, high + margin)
    ax.set(xlim=limits, ylim=limits)
    ax.set_aspect("equal", adjustable="box")
    ax.locator_params(nbins=5)


def shared_entry(ax: Axes, label: str) -> dict[str, Any]:
    """Return label and mark of an artist that displays on the same axes have in common."""
    is_there = label in ax.get_legend_handles_labels()[1]
    return {"label": None if is_there else label, "gid": _SHARED}


def draw_legend(ax: Axes, loc: Any, **kwargs: Any) -> None:
    """Draw a legend that hides little of what is behind it, if there is anything to say."""
    entries = list(zip(*ax.get_legend_handles_labels(), strict=True))
    if not entries:
        return
    entries.sort(key=lambda entry: entry[0].get_gid() == _SHARED)
    handles, labels = zip(*entries, strict=True)
    legend = ax.legend(handles, labels, loc=loc, **_COMPACT, **kwargs)
    # It lies within the axes: a layout engine need not make room for it.
    legend.set_in_layout(False)


def with_units(label: str, units: str | None) -> str:
    """Return an axis label that names its units, if they are known."""
    return label if units is None else f"{label} ({units})"


def wrapped(label: str) -> str:
    """Return a label in lines that leave room for the picture."""
    return textwrap.fill(label, _LABEL_WIDTH)


def named(name: str | None, text: str) -> str:
    """Return a legend entry: what is said of whom."""
    return text if name is None else f"{name}: {text}"
