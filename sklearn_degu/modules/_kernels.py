"""The inner loops of k-mer tables, compiled by numba (extra ``[speed]``).

They hold no Python lock, so that members train side by side in threads.

Sequences are codes: symbols 0 to 5 (:mod:`sklearn_degu.modules._symbols`), with ``margin`` columns
of zeros on either side, so that the patch of a filter of width ``2 * margin + 1`` around position i
begins at code i.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_degu.modules._symbols import INVALID, N_SYMBOLS, RECTIFIED, ZEROS, Chunks, columns


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function, once on a machine if there is a folder to keep it in."""
    compiled: Callable[..., Any]
    try:
        compiled = numba.njit(function, nogil=True, error_model="numpy", cache=True)
    except RuntimeError:
        compiled = numba.njit(function, nogil=True, error_model="numpy")
    return compiled


def encode(x: Tensor, margin: int) -> Tensor | None:
    """Return the codes (n, margin + L + margin) of x (n, 4, L), None unless it is one-hot."""
    n, _, length = x.shape
    codes = np.full((n, length + 2 * margin), ZEROS, dtype=np.uint8)
    return torch.from_numpy(codes) if _encode(x.detach().numpy(), codes, margin) else None


@_compiled
def _encode(x: NDArray[Any], codes: NDArray[np.uint8], margin: int) -> bool:
    n, _, length = x.shape
    for row in range(n):
        for i in range(length):
            a, c, g, t = x[row, 0, i], x[row, 1, i], x[row, 2, i], x[row, 3, i]
            code = INVALID
            if a == 0 and c == 0 and g == 0 and t == 0:
                code = ZEROS
            elif a == 1 and c == 0 and g == 0 and t == 0:
                code = 0
            elif a == 0 and c == 1 and g == 0 and t == 0:
                code = 1
            elif a == 0 and c == 0 and g == 1 and t == 0:
                code = 2
            elif a == 0 and c == 0 and g == 0 and t == 1:
                code = 3
            elif a == 0.25 and c == 0.25 and g == 0.25 and t == 0.25:
                code = ZEROS + 1
            if code == INVALID:
                return False
            codes[row, margin + i] = code
    return True


def pair_counts(codes: Tensor, width: int) -> Tensor:
    """Return how often symbols s and t stand at offsets a <= b of the patches of all positions.

    Of shape (width, width, N_SYMBOLS, N_SYMBOLS), indexed [a, b, s, t]; zero where a > b.
    """
    counts = np.zeros((width, width, N_SYMBOLS, N_SYMBOLS), dtype=np.int64)
    _pair_counts(codes.numpy(), width, counts)
    return torch.from_numpy(counts)


@_compiled
def _pair_counts(codes: NDArray[np.uint8], width: int, counts: NDArray[np.int64]) -> None:
    n, padded = codes.shape
    length = padded - width + 1
    for lag in range(width):
        for row in range(n):
            for i in range(length):
                counts[0, lag, codes[row, i], codes[row, i + lag]] += 1
        # A patch's next position sees the same pairs but for the first and the last of a row.
        for first in range(1, width - lag):
            here = counts[first, first + lag]
            here[:] = counts[first - 1, first - 1 + lag]
            for row in range(n):
                before, behind = first - 1, first - 1 + length
                here[codes[row, before], codes[row, before + lag]] -= 1
                here[codes[row, behind], codes[row, behind + lag]] += 1


def kmers(codes: Tensor, chunks: Chunks) -> Tensor:
    """Return the table's row for every chunk of every patch, of shape (n, L, n_chunks)."""
    width = chunks.width
    length = codes.shape[1] - width + 1
    rows = np.empty((len(codes), length, len(chunks.sizes)), dtype=np.int32)
    _kmers(codes.numpy(), np.array(chunks.sizes), np.array(chunks.first_rows), rows)
    return torch.from_numpy(rows)


@_compiled
def _kmers(
    codes: NDArray[np.uint8],
    sizes: NDArray[np.int64],
    first_rows: NDArray[np.int64],
    rows: NDArray[np.int32],
) -> None:
    n, length, n_chunks = rows.shape
    for row in range(n):
        for i in range(length):
            at = i
            for chunk in range(n_chunks):
                kmer = 0
                for _ in range(sizes[chunk]):
                    kmer = kmer * N_SYMBOLS + codes[row, at]
                    at += 1
                rows[row, i, chunk] = first_rows[chunk] + kmer


def look_up(table: Tensor, rows: Tensor, pool: int, rectify: bool) -> tuple[Tensor, Tensor]:
    """Add up the table's rows of every patch, and take the maximum of every pool.

    Returns the maxima (n, L // pool, n_filters), rectified if asked, and which position of its
    pool each is, `RECTIFIED` where it is rectified to zero.
    """
    n, length, _ = rows.shape
    best = np.empty((n, length // pool, table.shape[1]), dtype=table.detach().numpy().dtype)
    which = np.empty(best.shape, dtype=np.uint8)
    _look_up(table.detach().numpy(), rows.numpy(), pool, rectify, best, which)
    return torch.from_numpy(best), torch.from_numpy(which)


@_compiled
def _look_up(
    table: NDArray[Any],
    rows: NDArray[np.int32],
    pool: int,
    rectify: bool,
    best: NDArray[Any],
    which: NDArray[np.uint8],
) -> None:
    n, length, n_filters = best.shape
    n_chunks = rows.shape[2]
    value = np.empty(n_filters, table.dtype)
    for row in range(n):
        for j in range(length):
            maximum, argument = best[row, j], which[row, j]
            for k in range(pool):
                kmer = rows[row, j * pool + k]
                first = table[kmer[0]]
                if n_chunks == 1:
                    value[:] = first
                else:
                    second = table[kmer[1]]
                    for f in range(n_filters):
                        value[f] = first[f] + second[f]
                for chunk in range(2, n_chunks):
                    further = table[kmer[chunk]]
                    for f in range(n_filters):
                        value[f] += further[f]
                if k == 0:
                    for f in range(n_filters):
                        maximum[f] = value[f]
                        argument[f] = 0
                else:
                    for f in range(n_filters):
                        larger = value[f] > maximum[f]
                        maximum[f] = value[f] if larger else maximum[f]
                        argument[f] = k if larger else argument[f]
            if rectify:
                for f in range(n_filters):
                    # NaN is neither, and stays.
                    argument[f] = RECTIFIED if maximum[f] <= 0 else argument[f]
                    maximum[f] = 0 if maximum[f] <= 0 else maximum[f]


def gradients(
    grad: Tensor, which: Tensor, rows: Tensor, pool: int, chunks: Chunks
) -> tuple[Tensor, Tensor]:
    """Return the gradients of the filters (n_filters, 4, width) and of their biases.

    From that of the maxima (n, L // pool, n_filters), by the rows of the table that made them.
    """
    received = np.zeros((chunks.n_rows, grad.shape[2]), dtype=grad.numpy().dtype)
    _scatter(grad.numpy(), which.numpy(), rows.numpy(), pool, received)
    tables = torch.split(torch.from_numpy(received), [N_SYMBOLS**size for size in chunks.sizes])
    by_symbol = [
        offset
        for table, size in zip(tables, chunks.sizes, strict=True)
        for offset in _by_offset(table, size)
    ]
    weight = torch.einsum("wsf,sc->fcw", torch.stack(by_symbol), columns(grad))
    return weight, tables[0].sum(dim=0)


def _by_offset(table: Tensor, size: int) -> list[Tensor]:
    """Sum the rows of all k-mers with a symbol at an offset: (N_SYMBOLS, n_filters) each."""
    if size == 1:
        return [table]
    by_first = table.view(N_SYMBOLS, -1, table.shape[1])
    return [by_first.sum(dim=1), *_by_offset(by_first.sum(dim=0), size - 1)]


@_compiled
def _scatter(
    grad: NDArray[Any],
    which: NDArray[np.uint8],
    rows: NDArray[np.int32],
    pool: int,
    received: NDArray[Any],
) -> None:
    n, length, n_filters = grad.shape
    n_chunks = rows.shape[2]
    for row in range(n):
        for j in range(length):
            for k in range(pool):
                kmer = rows[row, j * pool + k]
                for chunk in range(n_chunks):
                    sums = received[kmer[chunk]]
                    for f in range(n_filters):
                        sums[f] += grad[row, j, f] if which[row, j, f] == k else 0
