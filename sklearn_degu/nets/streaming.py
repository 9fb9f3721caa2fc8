"""Batches of rows that stay in a file: shuffled within a buffer, read ahead of their use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sklearn_degu._stored_rows import StoredRows

Positions = NDArray[np.int64]
Read = tuple[Positions, NDArray[Any]]


def batches_of(
    X: StoredRows,
    sizes: Sequence[int],
    shuffle: Callable[[int], Positions] | None,
) -> Iterator[Read]:
    """Yield the positions and the values of the rows of every batch.

    At any time about three buffers are in memory, of ``X.buffer_size`` bytes: one in use, one
    that is read ahead, and a copy while a batch is put together from two.

    Parameters
    ----------
    X : StoredRows
        The rows.
    sizes : sequence of int
        How many rows each batch has; all rows together.
    shuffle : callable or None
        Maps n to a random order of n. None takes the rows in the order of the file.
    """
    windows = _in_order(X) if shuffle is None else _shuffled(X, shuffle)
    return _cut(_read_ahead(X, windows), sizes)


def drawn_by(generator: torch.Generator | None) -> Callable[[int], Positions]:
    """Return what draws random orders from a generator, by default from torch's global one."""
    return lambda n: torch.randperm(n, generator=generator).numpy()


def _in_order(X: StoredRows) -> list[Positions]:
    order = np.argsort(X.stored_at, kind="stable")
    window_rows = max(1, X.buffer_size // X.row_bytes)
    return np.split(order, range(window_rows, len(order), window_rows))


def _shuffled(X: StoredRows, shuffle: Callable[[int], Positions]) -> list[Positions]:
    """Return positions of rows, a buffer at a time: blocks in random order, mixed row by row."""
    order = np.argsort(X.stored_at, kind="stable")
    ends = np.flatnonzero(np.diff(X.stored_at[order] // X.block_rows)) + 1
    blocks = np.split(order, ends)
    drawn = [blocks[i] for i in shuffle(len(blocks))]
    starts = np.cumsum([0, *map(len, drawn[:-1])])
    window_of = starts // max(1, X.buffer_size // X.row_bytes)
    first_blocks = np.flatnonzero(np.diff(window_of)) + 1
    windows = np.split(np.concatenate(drawn), starts[first_blocks])
    return [window[shuffle(len(window))] for window in windows]


def _read_ahead(X: StoredRows, windows: Sequence[Positions]) -> Iterator[Read]:
    """Yield the rows of every window; while one is in use a thread reads the next."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        ahead = pool.submit(X.read, windows[0])
        for window, following in zip(windows, [*windows[1:], None], strict=True):
            rows = ahead.result()
            if following is not None:
                ahead = pool.submit(X.read, following)
            yield window, rows


def _cut(windows: Iterable[Read], sizes: Sequence[int]) -> Iterator[Read]:
    """Cut windows into batches; what is left of one is the beginning of the next."""
    waiting = iter(sizes)
    size = next(waiting)
    rest: Read | None = None
    for window in windows:
        positions, rows = window if rest is None else _joined(rest, window)
        start = 0
        while size and start + size <= len(rows):
            yield positions[start : start + size], rows[start : start + size]
            start += size
            size = next(waiting, 0)
        # A copy, because a view would keep the whole window.
        rest = positions[start:], rows[start:].copy()


def _joined(first: Read, second: Read) -> Read:
    return np.concatenate([first[0], second[0]]), np.concatenate([first[1], second[1]])
