"""Rows that stay in their file, and are read when they are asked for."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

# How much of a file is read at a time where all of it is looked at once.
PART_BYTES = 2**24

# Prediction computes batches of up to this many rows. Parts of a multiple of it give the batches,
# and so the rounding, of rows in memory.
PART_ROWS = 1024


class StoredRows(ABC):
    """Array-like of which rows are taken without being read.

    ``X[rows]``, for a slice, a mask or indices, is again such an array; ``X[3]`` and
    ``np.asarray(X)`` read. Subclasses say how rows that stand together are read.

    Parameters
    ----------
    shape : tuple of int
        Shape of all rows as they are served.
    dtype : dtype
        What they are served in.
    block_rows : int
        Rows that are read together at little more than the cost of one of them.
    buffer_size : int
        Bytes that a training keeps at a time, and shuffles within.
    """

    def __init__(
        self, shape: tuple[int, ...], dtype: DTypeLike, block_rows: int, buffer_size: int
    ) -> None:
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.block_rows = block_rows
        self.buffer_size = buffer_size
        self._sample_shape = shape[1:]
        self._n_stored = shape[0]
        # Where in the file each row stands; None is all of the file in its order.
        self._rows: NDArray[np.int64] | None = None

    @abstractmethod
    def _read_stored(self, start: int, stop: int) -> NDArray[Any]:
        """Return the rows of the file from ``start`` to before ``stop``, of any sample shape."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of rows, and the shape of each."""
        return (self._n_stored if self._rows is None else len(self._rows), *self._sample_shape)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that all rows would take in memory."""
        return self.size * self.dtype.itemsize

    @property
    def fits_buffer(self) -> bool:
        """Whether a training would rather read all rows into memory, once."""
        return self.nbytes <= self.buffer_size

    @property
    def row_bytes(self) -> int:
        """Bytes that a row takes in memory, at least 1."""
        return max(1, math.prod(self._sample_shape) * self.dtype.itemsize)

    @property
    def stored_at(self) -> NDArray[np.int64]:
        """Where in the file each row stands, of shape (n,)."""
        return np.arange(self._n_stored) if self._rows is None else self._rows

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.shape[0]

    def __getitem__(self, index: Any) -> Any:
        """Return one row as an array, or several as rows that are not read yet."""
        taken = self._stored(_row_index(index))
        if np.ndim(taken) == 0:
            return self._read_sorted(np.array([taken]))[0]
        if taken.ndim > 1:
            raise IndexError(f"Rows are taken by a list of them, got {taken.ndim} axes of indices.")
        return self._changed(_rows=taken)

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """Yield the rows one by one; they are read some at a time."""
        for part in self.parts():
            yield from part

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Read all rows into memory."""
        if copy is False:
            raise ValueError("Rows of a file cannot become an array without a copy.")
        return self.read(np.arange(len(self))).astype(dtype or self.dtype, copy=False)

    def astype(self, dtype: DTypeLike) -> Self:
        """Return the rows, to be served in another dtype."""
        return self._changed(dtype=np.dtype(dtype))

    def reshape(self, n_rows: int, *sample_shape: int) -> Self:
        """Return the rows, each to be served in another shape.

        Parameters
        ----------
        n_rows : int
            As there are, or -1.
        *sample_shape : int
            Shape of a row.
        """
        sizes = math.prod(sample_shape), math.prod(self._sample_shape)
        if n_rows not in (-1, len(self)) or sizes[0] != sizes[1]:
            raise ValueError(
                f"{len(self)} rows of shape {self._sample_shape} cannot be served in the shape "
                f"{(n_rows, *sample_shape)}: each row must keep its {sizes[1]} values."
            )
        return self._changed(_sample_shape=sample_shape)

    def read(self, positions: NDArray[Any]) -> NDArray[Any]:
        """Return the rows at some positions as an array, in their order.

        The file is read in its own order, whatever that of the positions is.
        """
        at = positions if self._rows is None else self._rows[positions]
        stored, places = np.unique(at, return_inverse=True)
        values = self._read_sorted(stored)
        in_order = len(stored) == len(places) and bool((np.diff(places) > 0).all())
        return values if in_order else values[places]

    def parts(self) -> Iterator[NDArray[Any]]:
        """Yield all rows as arrays of some MiB; one that is empty if there are none."""
        step = max(PART_ROWS, PART_BYTES // self.row_bytes // PART_ROWS * PART_ROWS)
        for start in range(0, max(1, len(self)), step):
            yield self.read(np.arange(start, min(start + step, len(self))))

    def in_storage_order(self) -> Self:
        """Return the rows in the order in which the file has them."""
        return self if self._rows is None else self._changed(_rows=np.sort(self._rows))

    def map(self, function: Callable[[NDArray[Any]], NDArray[Any]]) -> NDArray[Any]:
        """Return what a function that knows nothing of other rows makes of every row.

        Parameters
        ----------
        function : callable
            Maps an array of rows to an array with an entry for each.
        """
        values = np.concatenate([function(part) for part in self.in_storage_order().parts()])
        if self._rows is None:
            return values
        places = np.empty(len(self), dtype=np.int64)
        places[np.argsort(self._rows, kind="stable")] = np.arange(len(self))
        return values[places]

    def _stored(self, index: Any) -> Any:
        """Return where in the file the rows of an index stand."""
        if self._rows is not None:
            return self._rows[index]
        # Without an array of all rows, which would take longer than the reading of a few.
        if isinstance(index, slice):
            return np.arange(*index.indices(self._n_stored))
        if isinstance(index, int | np.integer):
            return range(self._n_stored)[index]
        return np.arange(self._n_stored)[index]

    def _changed(self, **attributes: Any) -> Self:
        view = copy.copy(self)
        vars(view).update(attributes)
        return view

    def _read_sorted(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Return rows of the file, given in ascending order, in reads of neighbours."""
        values = np.empty((len(rows), *self._sample_shape), self.dtype)
        for part in self._neighbours(rows):
            first, last = int(rows[part][0]), int(rows[part][-1])
            block = self._read_stored(first, last + 1).reshape(-1, *self._sample_shape)
            whole = len(block) == len(values[part])
            values[part] = block if whole else block[rows[part] - first]
        return values

    def _neighbours(self, rows: NDArray[Any]) -> Iterator[slice]:
        """Yield slices of ascending rows that are read at once: gaps and reads stay small."""
        piece_rows = self.block_rows * max(1, PART_BYTES // (self.block_rows * self.row_bytes))
        is_apart = (np.diff(rows) > self.block_rows) | (np.diff(rows // piece_rows) > 0)
        bounds = [0, *(np.flatnonzero(is_apart) + 1).tolist(), len(rows)]
        for start, stop in pairwise(bounds):
            if stop > start:
                yield slice(start, stop)


def _row_index(index: Any) -> Any:
    """Return what an index says of the rows, if it says nothing of other axes."""
    if isinstance(index, tuple) and len(index) == 2 and index[1] is Ellipsis:
        index = index[0]
    if isinstance(index, tuple) or index is None or index is Ellipsis:
        raise IndexError(
            f"Got the index {index!r}, but only rows can be taken from rows in a file, as X[rows]. "
            "np.asarray(X) reads all of them into memory."
        )
    if isinstance(index, slice | int | np.integer):
        return index
    rows = np.asarray(index)
    return rows.astype(np.int64) if rows.size == 0 else rows
