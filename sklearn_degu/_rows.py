"""Know a row again: a hash that does not depend on type, process or strand."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_degu._stored_rows import StoredRows

_CHUNK = 4096
_BYTES = 8


def row_hashes(X: NDArray[Any] | StoredRows) -> NDArray[np.uint64]:
    """Return a 64-bit hash of every row.

    Two rows of equal values, in single precision, have equal hashes, whatever their number type;
    two that differ have equal hashes with a probability of 2^-64. A sequence (4, length) and its
    reverse complement have equal hashes, because they are the two strands of one molecule.

    Parameters
    ----------
    X : ndarray or StoredRows of shape (n, ...)
        Rows of numbers. (n, 4, length) are sequences, with A, C, G and T in this order.

    Returns
    -------
    hashes : ndarray of uint64 of shape (n,)
        The same in every process and on every machine.

    Examples
    --------
    >>> import numpy as np
    >>> strand = np.array([[[1, 0], [0, 1], [0, 0], [0, 0]]])  # AC, whose complement is GT
    >>> row_hashes(strand) == row_hashes(strand[:, ::-1, ::-1].astype(float))
    array([ True])
    """
    if isinstance(X, StoredRows):
        return X.map(row_hashes)
    hashes = np.empty(len(X), dtype=np.uint64)
    for start in range(0, len(X), _CHUNK):
        rows = X[start : start + _CHUNK]
        values = _one_strand_hashes(rows)
        if rows.ndim == 3 and rows.shape[1] == 4:
            values = np.minimum(values, _one_strand_hashes(rows[:, ::-1, ::-1]))
        hashes[start : start + len(rows)] = values
    return hashes


def _one_strand_hashes(rows: NDArray[Any]) -> NDArray[np.uint64]:
    digests = b"".join(
        blake2b(row, digest_size=_BYTES).digest() for row in _as_bytes(rows.reshape(len(rows), -1))
    )
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def _as_bytes(rows: NDArray[Any]) -> Iterator[memoryview]:
    """Yield every row in the one form that its values decide: bytes if they fit, else singles.

    Singles, because a model that was trained in float32 is often shown the same table in float64.
    """
    if rows.dtype in (np.uint8, np.bool_):
        for row in np.ascontiguousarray(rows, dtype=np.uint8):
            yield memoryview(row)
        return
    # Zero is added because -0.0 equals 0.0 and differs from it in a bit.
    with np.errstate(over="ignore"):
        singles = rows.astype("<f4", order="C") + np.float32(0)
    small = np.clip(singles, 0, 255).astype(np.uint8)
    fits = (small == singles).all(axis=1)
    for fit, short, long in zip(fits, small, singles, strict=True):
        yield memoryview(short if fit else long)
