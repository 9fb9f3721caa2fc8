"""Numbers as users pass them: read as they are, or refused in words that say how to mend them.

A leaf of the package, which knows numpy and scikit-learn alone, so that metrics and sequences may
use it too.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_array
from sklearn.utils.validation import check_consistent_length

# The squares of larger numbers, summed over many rows, would leave the range of float64.
LARGEST = 1e140


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number; a bool is none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_real(value: Any) -> bool:
    """Whether a value is a real number, NaN and infinity among them; a bool is none."""
    return isinstance(value, Real) and not isinstance(value, bool)


@contextmanager
def read_as_numbers(values: Any, name: str) -> Iterator[None]:
    """Guard scikit-learn's checks of an array: what they would change in silence is refused.

    Errors of other libraries on the way from a container to numbers become errors that name the
    container or the entry that is no number. scikit-learn's own errors stay as they are.

    Parameters
    ----------
    values : object
        What the user passed.
    name : str
        What the user calls it.

    Raises
    ------
    TypeError
        If it is no array, or one of dates.
    ValueError
        If it is a masked array, ragged, complex, or has an entry that is no number.
    """
    _refuse_masked(values, name)
    _refuse_times(values, name)
    _refuse_equal_names(values, name)
    try:
        yield
    except Exception as error:
        explanation = _explanation(values, name)
        if explanation is None:
            raise
        raise explanation from error


def as_floats(
    values: Any, name: str, *, finite: bool | Literal["allow-nan"] = True, at_least: int = 1
) -> NDArray[np.float64]:
    """Return values of any number of axes as an array of float64.

    Parameters
    ----------
    values : array-like
        What the user passed.
    name : str
        What the user calls it.
    finite : bool or "allow-nan", default=True
        Whether infinite values, and NaN, are refused, and too large ones with them.
    at_least : int, default=1
        The smallest number of rows.

    Raises
    ------
    TypeError, ValueError
        As :func:`read_as_numbers`, and if values are not as described.
    """
    with read_as_numbers(values, name):
        checked: NDArray[np.float64] = check_array(
            values,
            dtype=np.float64,
            ensure_2d=False,
            allow_nd=True,
            ensure_all_finite=finite,
            ensure_min_samples=at_least,
            input_name=name,
        )
    if finite:
        _refuse_large(checked, name)
    return checked


def as_array(values: Any, name: str) -> NDArray[Any]:
    """Return values as an array of at least one axis, whatever its dtype.

    Raises
    ------
    TypeError
        If numpy cannot read them, or reads them as a single object.
    ValueError
        If they are ragged, or some are masked.
    """
    _refuse_masked(values, name)
    try:
        array = np.asarray(values)
    # A container may raise whatever its authors chose while numpy reads it.
    except Exception as error:
        raise _unreadable(values, name, error) from error
    if array.ndim == 0:
        raise _no_array(values, name)
    return array


def _refuse_large(values: NDArray[np.float64], name: str) -> None:
    large = np.abs(values) > LARGEST
    if large.any():
        place = _place(np.argwhere(large)[0])
        raise ValueError(
            f"{name} holds {values[large][0]:g} at index {place}, but numbers up to {LARGEST:g} in "
            "magnitude were expected: larger ones overflow when they are squared. Check for "
            "placeholders of missing values, or change the units."
        )


def check_rows(X: Any, name: str) -> None:
    """Raise if an object has no rows that could be counted and taken.

    Raises
    ------
    TypeError
        That says what it is.
    """
    if isinstance(X, Set):
        raise _no_array(X, name)
    try:
        check_consistent_length(X)
    except TypeError as error:
        raise _no_array(X, name) from error


def check_groups(groups: Any, n_rows: int) -> NDArray[Any] | None:
    """Return one label for every row, or None if there are none.

    Parameters
    ----------
    groups : array-like or None
        As passed to ``fit``; of shape (n_rows,), or (n_rows, 1) as a column of a table has it.
    n_rows : int
        Number of rows.

    Raises
    ------
    TypeError
        If groups are no array, or labels of types that have no order among them.
    ValueError
        If there is not one label a row, or one is missing.
    """
    if groups is None:
        return None
    labels = as_array(groups, "groups")
    if labels.shape not in ((n_rows,), (n_rows, 1)):
        raise ValueError(
            f"groups has shape {labels.shape}, but one label for each of the {n_rows} samples was "
            f"expected: ({n_rows},). groups and X have inconsistent numbers of samples, or groups "
            "has more than one column."
        )
    return check_labels(labels.reshape(n_rows))


def check_labels(labels: NDArray[Any]) -> NDArray[Any]:
    """Return the labels of groups if none is missing and they have an order among them.

    Raises
    ------
    TypeError
        If the types of the labels have no order among them.
    ValueError
        If a label is None or NaN.
    """
    for row, label in enumerate(labels.tolist()):
        if _is_missing(label):
            raise ValueError(
                f"groups holds missing labels ({label!r} at row {row}). Give rows without a group "
                "a name of their own, or leave them out."
            )
    _refuse_unordered(labels)
    return labels


def _refuse_unordered(labels: NDArray[Any]) -> None:
    if labels.dtype != object:
        return
    kinds = sorted({type(label).__name__ for label in labels})
    try:
        np.unique(labels)
    except TypeError as error:
        raise TypeError(
            f"groups mixes labels of the types {', '.join(kinds)}, which have no order among them. "
            "Make them all strings: [str(label) for label in groups]."
        ) from error


def _refuse_masked(values: Any, name: str) -> None:
    """Refuse a mask: numpy and scikit-learn drop it, and read what it was to hide."""
    if not isinstance(values, np.ma.MaskedArray):
        return
    n_masked = int(np.ma.getmaskarray(values).sum())
    if n_masked:
        raise ValueError(
            f"{name} is a masked array with {n_masked} masked entries, whose values would be read "
            f"as if they were not masked. Fill them: {name}.filled(np.nan) where a missing value "
            "is allowed, or leave their rows out."
        )


def _refuse_times(values: Any, name: str) -> None:
    """Refuse dates and durations: as numbers they would count nanoseconds or days."""
    times = [dtype for dtype in _dtypes(values) if getattr(dtype, "kind", "") in ("m", "M")]
    if times:
        raise TypeError(
            f"{name} holds dates or durations (dtype {times[0]}), but numbers were expected. "
            "Convert them to numbers of a unit that you choose, such as days since a date."
        )


def _refuse_equal_names(values: Any, name: str) -> None:
    """Refuse a table with several columns of one name, which nothing can tell apart."""
    columns = list(getattr(values, "columns", ()))
    if len(set(columns)) < len(columns):
        equal = next(column for column in columns if columns.count(column) > 1)
        raise ValueError(
            f"{name} has {columns.count(equal)} columns of the name {equal!r}. Give every column a "
            f"name of its own, or pass {name}.to_numpy()."
        )


def _dtypes(values: Any) -> list[Any]:
    """Return the dtypes of a table's columns, of an array, or of the first entry of a list."""
    while isinstance(values, list | tuple) and len(values):
        values = values[0]
    if getattr(values, "ndim", None) == 2 and hasattr(values, "iloc"):
        return list(values.dtypes)
    return [getattr(values, "dtype", None)]


def _explanation(values: Any, name: str) -> Exception | None:
    """Say why values cannot be read as an array of numbers, or return None if they can."""
    if hasattr(values, "sparse"):
        return TypeError(
            f"{name} has sparse columns, but a dense table was expected. Pass "
            f"{name}.sparse.to_dense()."
        )
    if hasattr(values, "toarray"):
        return None
    try:
        array = as_array(values, name)
    except (TypeError, ValueError) as explanation:
        return explanation
    return _no_number(array, name)


def _no_array(values: Any, name: str) -> TypeError:
    return TypeError(
        f"{name} must be an array, a list or a table with one entry for every sample, got "
        f"{_described(values)}. Put its entries into an array first."
    )


def _described(values: Any) -> str:
    return f"an object of type {type(values).__name__} ({values!r:.40})"


def _unreadable(values: Any, name: str, error: Exception) -> Exception:
    if isinstance(values, list | tuple) and isinstance(error, ValueError):
        return ValueError(
            f"{name} is ragged: its samples differ in shape. Give every sample the same number of "
            "values, with NaN where a missing value is allowed. Sequences of unequal length are "
            "padded or trimmed by SequenceEncoder."
        )
    return TypeError(
        f"{name}, of type {type(values).__name__}, cannot be read as an array: "
        f"{str(error).rstrip('.')}. Pass a "
        f"numpy array; a torch tensor becomes one by {name}.detach().cpu().float().numpy()."
    )


def _no_number(array: NDArray[Any], name: str) -> Exception | None:
    """Say which entry of an array is no number, or return None if all are."""
    if array.dtype.kind == "c":
        return ValueError(
            f"Complex data not supported: {name} has dtype {array.dtype}, expected real numbers. "
            f"Pass {name}.real, or its absolute values."
        )
    if array.dtype.kind == "V":
        return TypeError(
            f"{name} is a structured array with the fields {array.dtype.names}, but an array of "
            "numbers was expected. Pass numpy.lib.recfunctions.structured_to_unstructured of it."
        )
    if array.dtype.kind not in "OSUT":
        return None
    for place, entry in np.ndenumerate(array):
        try:
            np.nan if _is_missing(entry) else float(entry)
        except (TypeError, ValueError, OverflowError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            return kind(
                f"{name} holds {entry!r:.60} at index {_place(place)}, but a number was expected "
                f"({error}). Convert or drop it; decimal commas, units and names are no numbers."
            )
    return None


def _place(index: Any) -> Any:
    """Return an index as the user writes it."""
    place = tuple(map(int, index))
    return place[0] if len(place) == 1 else place


def _is_missing(entry: Any) -> bool:
    """Recognise None, NaN, NaT and pandas' NA, which has no truth value."""
    if entry is None or type(entry).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(entry, float | np.floating | np.datetime64) and bool(entry != entry)
