"""What the user's functions of X say of rows: their group, their likelihood ratio."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_degu.uncertainty import Array

Groups = Mapping[Hashable, NDArray[np.intp]]

# The label of all rows where there are no groups; a user's own label cannot be None.
NO_GROUPS = None


def group_rows(mondrian: Callable[[Any], Any] | None, X: Any, n_rows: int) -> Groups:
    """Return the indices of the rows of each group, by its label.

    Parameters
    ----------
    mondrian : callable or None
        Returns a label for every row of X. None makes one group of all rows.
    X : array-like of n rows
        As the user passed them.
    n_rows : int
        Number of rows.

    Raises
    ------
    ValueError
        If the labels are not one a row, or some are missing.
    """
    if mondrian is None:
        return {NO_GROUPS: np.arange(n_rows)}
    rows: dict[Hashable, list[int]] = {}
    for row, label in enumerate(_one_a_row("mondrian", "label", mondrian(X), n_rows).tolist()):
        if label is None or label != label:
            raise ValueError(f"mondrian returned no label (but {label!r}) for row {row}.")
        rows.setdefault(label, []).append(row)
    return {label: np.array(members) for label, members in rows.items()}


def check_known_groups(groups: Groups, known: Mapping[Hashable, Any]) -> None:
    """Raise if rows to predict belong to a group that was not calibrated.

    Raises
    ------
    ValueError
        With the names of these groups and of those that are known.
    """
    unknown = [label for label in groups if label not in known]
    if unknown:
        raise ValueError(
            f"mondrian puts rows into groups that had no calibration rows: {_names(unknown)}. "
            f"Known groups: {_names([*known])}. Calibrate on rows of every group, or merge "
            "groups in mondrian."
        )


def likelihood_ratios(
    likelihood_ratio: Callable[[Any], Any] | None, X: Any, n_rows: int
) -> Array | None:
    """Return the likelihood ratio of every row, or None without a function for it.

    Parameters
    ----------
    likelihood_ratio : callable or None
        Returns a positive number for every row of X.
    X : array-like of n rows
        As the user passed them.
    n_rows : int
        Number of rows.

    Raises
    ------
    ValueError
        If the ratios are not one a row, positive and finite.
    """
    if likelihood_ratio is None:
        return None
    given = _one_a_row("likelihood_ratio", "ratio", likelihood_ratio(X), n_rows)
    ratios: Array = given.astype(np.float64)
    wrong = np.flatnonzero(~(np.isfinite(ratios) & (ratios > 0)))
    if len(wrong):
        raise ValueError(
            f"likelihood_ratio must return positive, finite numbers, but {len(wrong)} of "
            f"{n_rows} are not; the first is {ratios[wrong[0]]} for row {wrong[0]}."
        )
    return ratios


def _one_a_row(function: str, noun: str, values: Any, n_rows: int) -> Any:
    array = np.asarray(values)
    if array.shape != (n_rows,):
        raise ValueError(
            f"{function} must return one {noun} a row, an array of shape ({n_rows},); got shape "
            f"{array.shape}."
        )
    return array


def _names(labels: list[Any], most: int = 10) -> str:
    more = f" and {len(labels) - most} more" if len(labels) > most else ""
    return ", ".join(map(repr, labels[:most])) + more
