"""Data in memory, served in batches by direct indexing, or streamed from a file.

skorch's default loader collates row by row, which on sequences costs more than reading them.
Here a batch is one index into one tensor. uint8, int8 and bool stay as they are until the batch
is on the device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from sklearn_degu._stored_rows import StoredRows
from sklearn_degu.nets.streaming import batches_of, drawn_by

Target = Tensor | tuple[Tensor, Tensor]


class Rows(NamedTuple):
    """Rows to train or to validate on.

    Attributes
    ----------
    X : ndarray or StoredRows of shape (n, ...)
        Inputs.
    y : ndarray of shape (n, k)
        Encoded targets, one column an output; NaN where missing.
    weight : ndarray of shape (n,) or None
        Weights of the rows.
    target_weight : ndarray of shape (k,) or (n, k) or None
        Further weights, of the single targets.
    """

    X: NDArray[Any] | StoredRows
    y: NDArray[Any]
    weight: NDArray[Any] | None = None
    target_weight: NDArray[Any] | None = None


class InMemoryDataset(Dataset[Any]):
    """Rows and targets as tensors on one device.

    Parameters
    ----------
    X : ndarray or StoredRows of shape (n, ...)
        Rows, of any real dtype. More stored rows than fit their buffer stay where they are.
    y : ndarray of shape (n, k), optional
        Targets; NaN where missing.
    sample_weight : ndarray of shape (n,), optional
        Weights of the rows.
    target_weight : ndarray of shape (k,) or (n, k), optional
        Further weights, of the single targets.
    dtype : torch.dtype, default=torch.float32
        What the batches are computed in.
    device : str or torch.device, default="cpu"
        Where the tensors are kept.
    generator : torch.Generator, optional
        Source of the order of the rows; torch's global one by default.
    refresh : callable, optional
        Called at the start of every epoch; returns the rows to go on with, or None to keep those
        that there are.
    augment : callable, optional
        Maps the rows of a training batch to edited ones.
    """

    def __init__(
        self,
        X: NDArray[Any] | StoredRows,
        y: NDArray[Any] | None = None,
        sample_weight: NDArray[Any] | None = None,
        target_weight: NDArray[Any] | None = None,
        *,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = "cpu",
        generator: torch.Generator | None = None,
        refresh: Callable[[], Rows | None] | None = None,
        augment: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.dtype = dtype
        self.device = device
        self.generator = generator
        self.refresh = refresh
        self.augment = augment
        self.X, self.y, self.weight = self._tensors(X, y, sample_weight, target_weight)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.X)

    def __getitem__(self, index: Any) -> tuple[Tensor, Any]:
        """Return rows and targets, ready to compute with.

        Targets are ``(y, weight)`` where rows or single targets weigh unequally. Without
        targets, as in prediction, skorch expects an empty tensor.
        """
        rows = self.X[index]
        return self.with_targets(rows if torch.is_tensor(rows) else np.asarray(rows), index)

    def with_targets(self, rows: Tensor | NDArray[Any], index: Any) -> tuple[Tensor, Any]:
        """Return rows that were read already, and their targets, ready to compute with."""
        tensor = rows if isinstance(rows, Tensor) else as_tensor(rows).to(self.device)
        # A copy: a module may write to what it is given.
        X = tensor.to(self.dtype, copy=True)
        if self.y is None:
            return X, torch.empty(0)
        if self.weight is None:
            return X, self.y[index]
        return X, (self.y[index], self.weight[index])

    def start_epoch(self) -> None:
        """Take the rows of this epoch, if they are new."""
        rows = None if self.refresh is None else self.refresh()
        if rows is not None:
            self.X, self.y, self.weight = self._tensors(*rows)

    def _tensors(
        self,
        X: NDArray[Any] | StoredRows,
        y: NDArray[Any] | None,
        sample_weight: NDArray[Any] | None,
        target_weight: NDArray[Any] | None,
    ) -> tuple[Tensor | StoredRows, Tensor | None, Tensor | None]:
        rows = self._kept(X)
        if y is None:
            return rows, None, None
        targets, weight = (
            None if part is None else as_tensor(part).to(self.device, self.dtype)
            for part in split_targets(y, sample_weight, target_weight)
        )
        return rows, targets, weight

    def _kept(self, X: NDArray[Any] | StoredRows) -> Tensor | StoredRows:
        if isinstance(X, StoredRows) and not X.fits_buffer:
            return X
        return as_tensor(np.asarray(X)).to(self.device)


class InMemoryBatches:
    """Iterate over an :class:`InMemoryDataset` in batches; skorch's ``iterator_train``.

    A last batch of a single row joins the batch before it, because batch norm has no variance
    of one row.

    Parameters
    ----------
    dataset : InMemoryDataset
        The rows.
    batch_size : int, default=128
        Rows of a batch.
    shuffle : bool, default=False
        Draw a new order in every epoch, as training does; only then are the rows edited.
    """

    def __init__(
        self, dataset: InMemoryDataset, batch_size: int = 128, shuffle: bool = False
    ) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(batch_bounds(len(self.dataset), self.batch_size)) - 1

    def __iter__(self) -> Iterator[tuple[Tensor, Any]]:
        """Yield ``(X, target)`` for every batch."""
        for X, target in self.as_they_are():
            yield self.edited(X), target

    @property
    def edits(self) -> bool:
        """Whether the rows of a batch are edited."""
        return self.shuffle and self.dataset.augment is not None

    def edited(self, X: Tensor) -> Tensor:
        """Return the rows of a batch edited, if they are to be."""
        augment = self.dataset.augment
        return augment(X) if self.shuffle and augment is not None else X

    def as_they_are(self) -> Iterator[tuple[Tensor, Any]]:
        """Yield every batch before it is edited."""
        data = self.dataset
        if self.shuffle:
            data.start_epoch()
        if isinstance(data.X, StoredRows):
            yield from self._streamed(data.X)
            return
        order = self._order().to(data.X.device) if self.shuffle else None
        for start, stop in pairwise(batch_bounds(len(data), self.batch_size)):
            yield data[slice(start, stop) if order is None else order[start:stop]]

    def _order(self) -> Tensor:
        return torch.randperm(len(self.dataset), generator=self.dataset.generator)

    def _streamed(self, X: StoredRows) -> Iterator[tuple[Tensor, Any]]:
        data = self.dataset
        sizes = np.diff(batch_bounds(len(data), self.batch_size)).tolist()
        shuffle = drawn_by(data.generator) if self.shuffle else None
        for positions, rows in batches_of(X, sizes, shuffle):
            yield data.with_targets(rows, torch.from_numpy(positions).to(data.device))


def stacked_batches(loaders: Sequence[InMemoryBatches]) -> Iterator[tuple[Tensor, Any]]:
    """Yield the batches that several loaders draw from the same rows, before they are edited.

    Tensors have an axis of the loaders in front. Each loader draws its own order, as if it were
    alone.
    """
    data = loaders[0].dataset
    if isinstance(data.X, StoredRows) or not all(loader.shuffle for loader in loaders):
        for batches in zip(*(loader.as_they_are() for loader in loaders), strict=True):
            yield _stacked(batches)
        return
    for loader in loaders:
        loader.dataset.start_epoch()
    orders = torch.stack([loader._order() for loader in loaders]).to(data.X.device)
    for start, stop in pairwise(batch_bounds(len(data), loaders[0].batch_size)):
        yield data[orders[:, start:stop]]


def _stacked(batches: Sequence[tuple[Tensor, Any]]) -> tuple[Tensor, Any]:
    inputs, targets = zip(*batches, strict=True)
    if isinstance(targets[0], tuple):
        return torch.stack(inputs), tuple(map(torch.stack, zip(*targets, strict=True)))
    return torch.stack(inputs), torch.stack(targets)


def mapped(change: Callable[[Tensor], Tensor], X: Tensor, target: Any) -> tuple[Tensor, Any]:
    """Return a batch with all of its tensors changed."""
    if isinstance(target, (tuple, list)):
        return change(X), tuple(map(change, target))
    return change(X), change(target)


def batch_bounds(n_rows: int, batch_size: int) -> list[int]:
    """Return where batches begin and end; a last single row joins the batch before it."""
    bounds = [*range(0, n_rows, batch_size), n_rows]
    if len(bounds) > 2 and bounds[-1] - bounds[-2] == 1:
        del bounds[-2]
    return bounds


def split_targets(
    y: NDArray[Any],
    sample_weight: NDArray[Any] | None,
    target_weight: NDArray[Any] | None = None,
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Return targets without NaN, and the weight of every single target.

    The weights are None where all are equal, so that the common case computes a plain mean.
    """
    missing = np.isnan(y)
    if sample_weight is None and target_weight is None and not missing.any():
        return y, None
    rows = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight)
    single = 1.0 if target_weight is None else target_weight
    return np.where(missing, 0.0, y), np.where(missing, 0.0, rows[:, np.newaxis] * single)


def as_tensor(array: NDArray[Any]) -> Tensor:
    """Return a tensor over the array's memory, or over a copy where it is read-only."""
    array = np.ascontiguousarray(array)
    return torch.from_numpy(array if array.flags.writeable else array.copy())
