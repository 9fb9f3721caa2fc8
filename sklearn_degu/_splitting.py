"""Which rows a fit holds out: a fraction of them, or the first split of a splitter."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupShuffleSplit, ShuffleSplit
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _check_method_params

from sklearn_degu._numbers import is_real

Split = tuple[NDArray[np.intp], NDArray[np.intp]]


class HoldOut(NamedTuple):
    """What a parameter says of the rows to hold out.

    Attributes
    ----------
    name : str
        Name of the parameter, for messages.
    value : float or splitter
        A fraction, or a scikit-learn splitter of which the first split is taken.
    purpose : str
        What the rows are for, such as "validate on".
    otherwise : str, default=""
        What else the parameter may be, for messages, such as "None, ".
    """

    name: str
    value: Any
    purpose: str
    otherwise: str = ""

    def split(self, X: Any, y: Any, groups: Any, seed: int) -> Split:
        """Return the indices of the rows to train on and of those to hold out.

        Parameters
        ----------
        X, y, groups : array-like or None
            What the splitter is given. A fraction holds out whole groups where there are groups.
        seed : int
            Decides a random split.

        Raises
        ------
        ValueError
            If the parameter is something else, or leaves no rows on one side.
        """
        n_rows = len(y)
        splitter = self._splitter(seed, grouped=groups is not None)
        try:
            train, held_out = map(np.asarray, next(iter(splitter.split(X, y, groups)), ([], [])))
        except ValueError as error:
            raise ValueError(
                f"{self.name}={self.value!r} cannot split the {n_rows} training rows: {error}"
            ) from error
        self._check(train, held_out, n_rows)
        return train, held_out

    def _check(self, train: NDArray[Any], held_out: NDArray[Any], n_rows: int) -> None:
        if not len(train) or not len(held_out):
            raise ValueError(
                f"{self.name}={self.value!r} leaves {len(train)} of {n_rows} rows to train on and "
                f"{len(held_out)} to {self.purpose}; both need at least one."
            )
        last = max(train.max(), held_out.max())
        if last >= n_rows:
            raise ValueError(
                f"{self.name}={self.value!r} asks for row {last}, but there are only {n_rows} "
                "training rows; it was made for other data."
            )

    def _splitter(self, seed: int, *, grouped: bool) -> Any:
        if hasattr(self.value, "split") and not isinstance(self.value, str):
            return self.value
        if not (is_real(self.value) and 0 < self.value < 1):
            raise ValueError(
                f"{self.name} must be {self.otherwise}a fraction between 0 and 1, or a splitter "
                f"with a split method such as GroupKFold(5); got {self.value!r}."
            )
        kind = GroupShuffleSplit if grouped else ShuffleSplit
        return kind(n_splits=1, test_size=float(self.value), random_state=seed)


def take_rows(X: Any, rows: NDArray[Any]) -> Any:
    """Return some rows of an array, a table, a sparse matrix or a list, as the same type."""
    return _safe_indexing(X, rows)


def take_params(X: Any, params: dict[str, Any], rows: NDArray[Any]) -> dict[str, Any]:
    """Return fit parameters, of those with a value a row the values of some rows."""
    of_rows = {name: value for name, value in params.items() if not _has_own_rows(name)}
    return {**params, **_check_method_params(X, of_rows, indices=rows)}


def _has_own_rows(name: str) -> bool:
    """Whether a fit parameter describes rows other than X's, even if there are as many."""
    name = name.rpartition("__")[2]
    return name.endswith("_val") or name == "X_unlabeled"
