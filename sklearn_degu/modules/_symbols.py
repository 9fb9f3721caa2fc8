"""The alphabet of k-mer tables, and how a filter is cut into k-mers."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

# A, C, G, T; a column of zeros (padding, or an unknown base); a column of 0.25 (an unknown base).
N_SYMBOLS = 6
ZEROS = 4
INVALID = 255

# Where the rectified maximum of a pool is zero, no position of it takes a gradient.
RECTIFIED = 255

# Table rows grow sixfold with a base: four bases are 1,296 rows, which stay in a core's cache.
LONGEST = 4


class Chunks(NamedTuple):
    """How a filter's width is cut into k-mers, and where their rows begin in the table."""

    sizes: tuple[int, ...]
    first_rows: tuple[int, ...]

    @classmethod
    def of(cls, width: int) -> Chunks:
        """Cut a width into k-mers of at most ``LONGEST`` bases, as equal as can be."""
        n = -(-width // LONGEST)
        sizes = tuple(width // n + (i < width % n) for i in range(n))
        n_rows = [N_SYMBOLS**size for size in sizes]
        return cls(sizes, tuple(sum(n_rows[:i]) for i in range(n)))

    @property
    def width(self) -> int:
        """Bases of the whole filter."""
        return sum(self.sizes)

    @property
    def n_rows(self) -> int:
        """Rows of the table."""
        return sum(N_SYMBOLS**size for size in self.sizes)


def columns(like: Tensor) -> Tensor:
    """Return the one-hot column of every symbol, of shape (N_SYMBOLS, 4)."""
    one_hot = torch.zeros(N_SYMBOLS, 4, dtype=like.dtype, device=like.device)
    one_hot[:4] = torch.eye(4)
    one_hot[ZEROS + 1] = 0.25
    return one_hot
