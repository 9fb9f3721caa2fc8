"""Two samples, the calibration rows and the new ones, and the units that they consist of."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_degu._numbers import as_array, check_labels

# 50 promoters against 50 other elements are always found by their k-mers; but if only a third of
# the new rows are promoters, 200 against 200 are found in 70 % of trials, and 400 always.
FEW = 100


class Units(NamedTuple):
    """What is independent of each other: single rows, or groups of rows.

    Attributes
    ----------
    of_row : ndarray of shape (n_rows,)
        Unit of every row; the calibration rows come first, then the new ones.
    is_new : ndarray of bool of shape (n_units,)
        Whether a unit is of the new rows. Units of the calibration rows come first.
    name : str
        "rows" or "groups".
    """

    of_row: NDArray[np.intp]
    is_new: NDArray[np.bool_]
    name: str

    @property
    def smaller(self) -> int:
        """Number of units of the smaller sample."""
        n_new = int(self.is_new.sum())
        return min(n_new, len(self.is_new) - n_new)


def make_units(n_calibration: int, n_new: int, groups: ArrayLike | None) -> Units:
    """Return the units of two samples.

    Parameters
    ----------
    n_calibration, n_new : int
        Number of rows of each.
    groups : array-like of shape (n_calibration + n_new,) or None
        Groups of the rows of both; None makes every row a unit.

    Raises
    ------
    ValueError
        If ``groups`` has another length, or a group has rows in both samples.
    """
    is_new = np.repeat([False, True], [n_calibration, n_new])
    if groups is None:
        return Units(np.arange(len(is_new)), is_new, "rows")
    labels = check_groups(groups, n_calibration, n_new)
    _, first, of_row = np.unique(labels, return_index=True, return_inverse=True)
    # In order of appearance, so that the calibration rows' come first.
    rank = np.argsort(np.argsort(first))
    units = Units(rank[of_row], is_new[np.sort(first)], "groups")
    _refuse_mixed(labels, is_new != units.is_new[units.of_row])
    return units


def check_groups(groups: ArrayLike, n_calibration: int, n_new: int) -> NDArray[Any]:
    """Return the groups of all rows.

    Raises
    ------
    ValueError
        If there is not one a row.
    """
    labels = as_array(groups, "groups")
    if labels.shape != (n_calibration + n_new,):
        raise ValueError(
            f"groups has shape {labels.shape}, but one label a row was expected, of the "
            f"{n_calibration} rows of the first sample and then the {n_new} of the second: "
            f"({n_calibration + n_new},)."
        )
    return check_labels(labels)


def warn_if_few(units: Units, stacklevel: int) -> None:
    """Warn if the smaller sample has too few units to tell much by."""
    if units.smaller < FEW:
        warnings.warn(
            f"The smaller sample has {units.smaller} {units.name}, fewer than {FEW}: even a "
            "large shift may go unnoticed. A small p-value counts; a large one says little.",
            UserWarning,
            stacklevel=stacklevel,
        )


def _refuse_mixed(labels: NDArray[Any], in_both: NDArray[np.bool_]) -> None:
    if in_both.any():
        mixed = np.unique(labels[in_both])
        raise ValueError(
            f"{len(mixed)} groups, the first {mixed[0]!r}, have rows in both samples, so that no "
            "permutation keeps them whole. Drop their rows from one sample; or leave groups out, "
            "if single rows were dealt to the samples at random."
        )
