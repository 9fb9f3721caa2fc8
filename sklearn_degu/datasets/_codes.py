"""DNA as small integers: what the splitters and the simulator compute on.

A, C, G and T are 0, 1, 2 and 3, so that the complement of a base is ``3 - base``; every other
letter of the IUPAC alphabet is `UNKNOWN`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_degu._numbers import as_array

Codes = NDArray[np.uint8]

UNKNOWN = 4
_INVALID = 255
_LETTERS = np.frombuffer(b"ACGT", dtype="S1")


def _letter_table() -> Codes:
    table = np.full(256, _INVALID, dtype=np.uint8)
    for letter in "RYSWKMBDHVN":
        table[[ord(letter), ord(letter.lower())]] = UNKNOWN
    for code, letter in enumerate("ACGT"):
        table[[ord(letter), ord(letter.lower())]] = code
    return table


_TABLE = _letter_table()


def as_strings(sequences: ArrayLike) -> list[str]:
    """Return the sequences as a list of Python strings.

    Parameters
    ----------
    sequences : array-like of str, shape (n,) or (n, 1)
        DNA sequences.

    Returns
    -------
    list of str, length n

    Raises
    ------
    TypeError
        If an entry is no string.
    """
    strings: list[Any] = as_array(sequences, "sequences").ravel().tolist()
    for row, entry in enumerate(strings):
        if not isinstance(entry, str):
            raise TypeError(
                f"Row {row} of the sequences is {entry!r} of type {type(entry).__name__}, but a "
                "string was expected. Drop the rows without a sequence, and decode bytes with "
                ".decode()."
            )
    return strings


def flat_codes(strings: Sequence[str]) -> tuple[Codes, NDArray[np.int64]]:
    """Return the codes of all sequences end to end, and the length of each.

    Parameters
    ----------
    strings : sequence of str, length n
        DNA in upper or lower case; letters of the IUPAC alphabet other than ACGT are unknown.

    Returns
    -------
    codes : ndarray of uint8, shape (sum of the lengths,)
    lengths : ndarray of int64, shape (n,)

    Raises
    ------
    ValueError
        If a sequence holds a character that is no IUPAC letter of DNA.
    """
    lengths = np.fromiter((len(s) for s in strings), dtype=np.int64, count=len(strings))
    letters = np.frombuffer("".join(strings).encode("ascii", "replace"), dtype=np.uint8)
    codes = _TABLE[letters]
    if codes.size and codes.max() == _INVALID:
        _refuse_character(strings, int(np.argmax(codes == _INVALID)), lengths)
    return codes, lengths


def _refuse_character(strings: Sequence[str], position: int, lengths: NDArray[np.int64]) -> None:
    ends = np.cumsum(lengths)
    row = int(np.searchsorted(ends, position, side="right"))
    column = position - int(ends[row] - lengths[row])
    raise ValueError(
        f"Sequence {row} holds {strings[row][column]!r} at position {column}, but only A, C, G, "
        "T and the IUPAC letters of unknown bases (N, R, Y, ...) were expected. Replace unknown "
        "characters by N."
    )


def one_hot_codes(X: NDArray[Any]) -> Codes:
    """Return the codes of one-hot sequences.

    Parameters
    ----------
    X : ndarray, shape (n, 4, L) or (n, 4 * L)
        One-hot DNA, channels in the order ACGT; a position whose four values are equal (all
        zero, or a quarter each) is unknown.

    Returns
    -------
    ndarray of uint8, shape (n, L)

    Raises
    ------
    ValueError
        If the shape does not fit or a position is neither one-hot nor unknown.
    """
    X = _channels_first(X)
    low, high, total = X.min(axis=1), X.max(axis=1), X.sum(axis=1)
    unknown = low == high
    bad = ~(unknown | ((low == 0) & (high == 1) & (total == 1)))
    if bad.any():
        row, position = np.argwhere(bad)[0]
        raise ValueError(
            f"Row {row} is not one-hot at position {position}: it holds "
            f"{X[row, :, position].tolist()}, but one 1 and three 0 (or four equal values for "
            "an unknown base) were expected. Pass the sequences before they are augmented."
        )
    codes: Codes = X.argmax(axis=1).astype(np.uint8)
    codes[unknown] = UNKNOWN
    return codes


def _channels_first(X: NDArray[Any]) -> NDArray[Any]:
    if X.ndim == 2 and X.shape[1] % 4 == 0 and X.size:
        return X.reshape(len(X), 4, -1)
    if X.ndim == 3 and X.shape[1] == 4 and X.size:
        return X
    hint = ""
    if X.ndim == 3 and X.shape[2] == 4:
        hint = " Turn (n, L, 4) into (n, 4, L) with X.transpose(0, 2, 1)."
    raise ValueError(
        f"X has the shape {X.shape}, but DNA strings of shape (n,) or one-hot sequences of shape "
        f"(n, 4, L) or (n, 4 * L) were expected, with one row or more.{hint}"
    )


def to_strings(codes: Codes) -> NDArray[np.str_]:
    """Return codes of shape (n, L) as DNA strings of shape (n,)."""
    letters = np.ascontiguousarray(_LETTERS[codes])
    strings: NDArray[np.str_] = letters.view(f"S{codes.shape[1]}").ravel().astype(np.str_)
    return strings
