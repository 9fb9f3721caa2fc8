"""Reading DNA strings: from whatever holds them to codes, one byte a base.

Strings are joined and translated batch by batch at the speed of a memory copy; only when a batch
turns out to hold something else is it looked at entry by entry, to name the offender.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt

from sklearn_degu._numbers import as_array
from sklearn_degu.sequences._batches import row_batches
from sklearn_degu.sequences._one_hot import BASES, INVALID

# A list or tuple of strings stays what it is: as a numpy array it would take 4 bytes a letter.
Rows: TypeAlias = Sequence[Any] | npt.NDArray[Any]

_EXPECTED = "Expected a 1-D array, list or Series of DNA strings, or a single column of them"

_LETTERS_ALLOWED = {
    True: (
        "Allowed are A, C, G, T and N, in either case. Write U as T and ambiguous letters as N, "
        "or drop the row."
    ),
    False: (
        "Allowed are A, C, G and T, in either case. Write U as T, drop the row, or accept N with "
        "SequenceEncoder(unknown='zero')."
    ),
}


class Batch(NamedTuple):
    """Some consecutive strings: their rows, all codes end to end, and each string's length."""

    rows: slice
    codes: npt.NDArray[np.uint8]
    lengths: npt.NDArray[np.intp]


def as_rows(X: Any) -> Rows:
    """Return the strings in X as a list, a tuple or a 1-D array, entries yet unchecked.

    Raises
    ------
    TypeError
        If X is a single string, or holds numbers.
    ValueError
        If X is empty or of another shape.
    """
    if isinstance(X, str | bytes):
        raise TypeError(f"{_EXPECTED}, got a single string. Wrap it in a list: [sequence].")
    rows = X if _is_flat_sequence(X) else _as_vector(X)
    if len(rows) == 0:
        raise ValueError(f"{_EXPECTED}, got 0 sequences. At least 1 is required.")
    return rows


def _is_flat_sequence(X: Any) -> bool:
    """Tell a list or tuple of strings from one of nested columns, such as [["ACGT"], ["CCGT"]]."""
    return isinstance(X, list | tuple) and not any(
        isinstance(entry, list | tuple | np.ndarray) for entry in X[:1]
    )


def _as_vector(X: Any) -> npt.NDArray[Any]:
    """Return an array, Series, one-column table or nested list as a 1-D array."""
    try:
        array = np.asarray(X, dtype=object) if isinstance(X, list | tuple) else as_array(X, "X")
    except TypeError as error:
        raise TypeError(f"{_EXPECTED}, got an object of type {type(X).__name__}.") from error
    if array.dtype.kind not in "USOT":
        raise TypeError(
            f"{_EXPECTED}, got an array of dtype {array.dtype} and shape {array.shape}. "
            "Leave SequenceEncoder out if X is one-hot already."
        )
    if array.ndim > 2 or array.shape[1:] not in ((), (1,)):
        raise ValueError(
            f"{_EXPECTED}, got an array of shape {array.shape}. Select the column that holds "
            "the sequences."
        )
    return array.reshape(len(array))


def read_batches(rows: Rows, *, allow_unknown: bool) -> Iterator[Batch]:
    """Yield the codes of all strings, some rows at a time.

    Raises
    ------
    TypeError
        If an entry is no string.
    ValueError
        If an entry is missing, empty, or has a letter other than A, C, G, T and, with
        `allow_unknown`, N.
    """
    table = _TABLES[allow_unknown]
    for batch in row_batches(len(rows)):
        entries = rows[batch].tolist() if isinstance(rows, np.ndarray) else list(rows[batch])
        joined, lengths = _join(entries, first_row=batch.start)
        codes = np.frombuffer(joined.translate(table), dtype=np.uint8)
        if codes.max() == INVALID:
            _refuse_letter(
                entries, codes, lengths, first_row=batch.start, allow_unknown=allow_unknown
            )
        yield Batch(batch, codes, lengths)


def _translation_table(*, allow_unknown: bool) -> bytes:
    """Map each of the 256 bytes to its code."""
    table = np.full(256, INVALID, dtype=np.uint8)
    for code, letter in enumerate(BASES + "N" if allow_unknown else BASES):
        table[[ord(letter), ord(letter.lower())]] = code
    return table.tobytes()


_TABLES = {allowed: _translation_table(allow_unknown=allowed) for allowed in (False, True)}


def _join(entries: list[Any], *, first_row: int) -> tuple[bytes, npt.NDArray[np.intp]]:
    """Return all strings end to end, one byte a letter, and their lengths."""
    try:
        # A letter that is not ASCII becomes "?", one for one, and is refused as such later.
        joined = "".join(entries).encode("ascii", errors="replace")
    except TypeError:
        entries = [_as_bytes(entry, first_row + i) for i, entry in enumerate(entries)]
        joined = b"".join(entries)
    lengths = np.fromiter(map(len, entries), dtype=np.intp, count=len(entries))
    if not lengths.all():
        row = first_row + int(lengths.argmin())
        raise ValueError(f"Row {row} is an empty string; expected at least one base. Drop the row.")
    return joined, lengths


def _as_bytes(entry: Any, row: int) -> bytes:
    """Return one entry as bytes, or raise an error that names its row."""
    if isinstance(entry, str):
        return entry.encode("ascii", errors="replace")
    if isinstance(entry, bytes):
        return entry
    if _is_missing(entry):
        raise ValueError(f"Row {row} is missing ({entry!r}); expected a DNA string. Drop the row.")
    raise TypeError(
        f"Row {row} is of type {type(entry).__name__} ({entry!r:.60}); expected a DNA string."
    )


def _is_missing(entry: Any) -> bool:
    """Recognise None, NaN and pandas' NA and NaT, without importing pandas."""
    is_nan = isinstance(entry, float | np.floating) and entry != entry
    return entry is None or is_nan or type(entry).__name__ in ("NAType", "NaTType")


def _refuse_letter(
    entries: list[Any],
    codes: npt.NDArray[np.uint8],
    lengths: npt.NDArray[np.intp],
    *,
    first_row: int,
    allow_unknown: bool,
) -> NoReturn:
    """Raise an error that names the first letter that is not allowed."""
    ends = lengths.cumsum()
    offset = int((codes == INVALID).argmax())
    row = int(ends.searchsorted(offset, side="right"))
    position = offset - int(ends[row] - lengths[row])
    letter = entries[row][position : position + 1]
    if isinstance(letter, bytes):
        letter = letter.decode("latin-1")
    raise ValueError(
        f"Row {first_row + row} has the letter {letter!r} at position {position}. "
        f"{_LETTERS_ALLOWED[allow_unknown]}"
    )
