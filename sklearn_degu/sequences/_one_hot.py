"""One-hot columns and the small codes that stand for them.

A base is a code: its channel (0 to 3 for A, C, G, T) or `UNKNOWN`. Codes are one byte a base, so
that work on them costs a quarter of the work on one-hot arrays.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from sklearn_degu._numbers import as_array

BASES = "ACGT"
UNKNOWN = 4
PADDING = 5
INVALID = 255

_CODE_POINTS = np.array([ord(letter) for letter in BASES + "N"], dtype=np.uint32)

_BIT_OF_CHANNEL = np.array([1, 2, 4, 8], dtype=np.uint8)

# From the set of channels that are on (as bits 0 to 3) to the code of the column.
_CODE_OF_CHANNELS = np.full(16, INVALID, dtype=np.uint8)
_CODE_OF_CHANNELS[0] = UNKNOWN
_CODE_OF_CHANNELS[_BIT_OF_CHANNEL] = range(len(BASES))


def check_one_hot_shape(X: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return X as an array after checking that it is numeric and of shape (n, 4, length).

    Raises
    ------
    TypeError
        If X does not hold numbers.
    ValueError
        If X has another shape.
    """
    array = as_array(X, "X")
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"Expected a one-hot array of numbers, got dtype {array.dtype}. "
            "Encode strings with SequenceEncoder first."
        )
    if array.ndim != 3 or array.shape[1] != len(BASES):
        raise ValueError(
            "Expected a one-hot array of shape (n_sequences, 4, length) with the channels "
            f"A, C, G, T, got shape {array.shape}.{_shape_remedy(array.shape)}"
        )
    if array.shape[2] == 0:
        raise ValueError(f"Expected sequences of at least one base, got shape {array.shape}.")
    return array


def _shape_remedy(shape: tuple[int, ...]) -> str:
    """Say how an array of a wrong but familiar shape becomes (n, 4, length)."""
    if len(shape) == 3 and shape[2] == len(BASES):
        return " Bring the channels to the second axis: X.transpose(0, 2, 1)."
    if len(shape) == 2 and shape[0] == len(BASES):
        return " Give a single sequence an axis of its own: X[None]."
    if len(shape) == 2 and shape[1] % len(BASES) == 0:
        return " Unfold a flattened array: X.reshape(len(X), 4, -1)."
    return ""


def write_one_hot(codes: npt.NDArray[np.uint8], out: npt.NDArray[Any]) -> None:
    """Write the one-hot columns of codes (n, length) into out (n, 4, length).

    Unknown bases are 0.25 in every channel if `out` is of a float type and zero otherwise;
    padding is always zero.
    """
    for channel in range(len(BASES)):
        np.equal(codes, channel, out=out[:, channel])
    if out.dtype.kind == "f":
        np.copyto(out, 0.25, where=(codes == UNKNOWN)[:, None])


def column_codes(X: npt.NDArray[Any], *, first_row: int = 0) -> npt.NDArray[np.uint8]:
    """Return the codes (n, length) of a one-hot array (n, 4, length).

    Raises
    ------
    ValueError
        If a column is neither one-hot nor all 0 nor all 0.25; the row is counted from
        `first_row`.
    """
    on = _channels_as_bits(X == 1)
    codes = np.where(on == _channels_as_bits(X != 0), _CODE_OF_CHANNELS.take(on), INVALID)
    if (codes == INVALID).any():
        codes[(X == 0.25).all(axis=1)] = UNKNOWN
        _refuse_invalid_columns(X, codes == INVALID, first_row)
    return codes


def _channels_as_bits(on: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Fold the four channels of (n, 4, length) into one byte a position (n, length)."""
    # np.packbits does the same fifty times slower along any but the last axis.
    bits: npt.NDArray[np.uint8] = np.einsum("ncl,c->nl", on.view(np.uint8), _BIT_OF_CHANNEL)
    return bits


def _refuse_invalid_columns(
    X: npt.NDArray[Any], invalid: npt.NDArray[np.bool_], first_row: int
) -> None:
    """Raise an error that names the first invalid column, if there is one."""
    if not invalid.any():
        return
    row, position = np.argwhere(invalid)[0]
    raise ValueError(
        f"Row {first_row + row} is not one-hot at position {position}: its channels A, C, G, T "
        f"hold {X[row, :, position].tolist()}. Expected a single 1 among zeros, or, for an "
        "unknown base, 0 or 0.25 in every channel."
    )


def codes_to_strings(codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.str_]:
    """Return codes (n, length) as an array of n strings; numpy stores 4 bytes a letter."""
    return _CODE_POINTS.take(codes).view(f"U{codes.shape[1]}")[:, 0]
