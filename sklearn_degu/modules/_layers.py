"""Layers that the architectures share."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch._C._functorch import is_functorch_wrapped_tensor

from sklearn_degu._stored_rows import StoredRows

# Keras' default, under which the published networks were trained; torch's own is 1e-5.
BATCH_NORM_EPS = 1e-3


class Dropout(nn.Dropout):
    """Dropout that can draw its masks from a generator of its own.

    torch's generator is global to a process, so nets that train side by side in threads would
    take each other's random numbers. With a generator of its own a net's masks depend on its
    seed alone. Without one (``generator=None``) it is an ordinary :class:`torch.nn.Dropout`.

    Parameters
    ----------
    p : float, default=0.5
        Probability that an element is set to zero.

    Attributes
    ----------
    generator : torch.Generator or list of torch.Generator or None
        The source of the masks; a list has one for every net of those that :func:`torch.vmap`
        runs together. It belongs to a training run: it is neither saved nor copied.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)
        self.generator: torch.Generator | list[torch.Generator] | None = None

    def forward(self, input: Tensor) -> Tensor:
        """Zero elements at random in training, and scale the others by ``1 / (1 - p)``."""
        if not self.training or self.p == 0 or self.generator is None:
            return super().forward(input)
        keep = 1.0 - self.p
        if keep == 0:
            return input * 0
        if isinstance(self.generator, list):
            masks: Tensor = _MemberMasks.apply(input, keep, self.generator)  # type: ignore[no-untyped-call]
            return input * masks
        return input * _mask(input, keep, self.generator)

    def __getstate__(self) -> dict[str, object]:
        """Leave the generator behind: it is state of a training run, not of the net."""
        return {**self.__dict__, "generator": None}


def _mask(like: Tensor, keep: float, generator: torch.Generator) -> Tensor:
    # One layout for all images: a generator fills a mask in the order of its memory.
    layout = torch.channels_last if like.ndim == 4 else torch.contiguous_format
    mask = torch.empty_like(like, memory_format=layout)
    mask.bernoulli_(keep, generator=generator)
    return mask.div_(keep)


class _MemberMasks(torch.autograd.Function):
    """Masks under :func:`torch.vmap`, each member's from a generator of its own."""

    generate_vmap_rule = False

    @staticmethod
    def forward(input: Tensor, keep: float, generators: list[torch.Generator]) -> Tensor:
        raise RuntimeError("A list of generators is for nets that torch.vmap runs together.")

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        pass

    @staticmethod
    def vmap(
        info: Any, in_dims: Any, input: Tensor, keep: float, generators: list[torch.Generator]
    ) -> tuple[Tensor, int]:
        members = input.detach().movedim(in_dims[0], 0)
        masks = [_mask(x, keep, g) for x, g in zip(members, generators, strict=True)]
        return torch.stack(masks), 0


def dropout_or(p: float | None, published: float) -> Dropout:
    """Build a dropout of the probability that is asked for, or of the published one."""
    return Dropout(published if p is None else p)


class Standardize(nn.Module):
    """Subtract the mean and divide by the standard deviation of the training rows.

    The statistics are buffers, so that they are saved with the weights; :meth:`adapt` sets them
    before training. A feature that does not vary is left unscaled.

    Parameters
    ----------
    n_features : int
        Number of columns.
    """

    loc: Tensor
    scale: Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.register_buffer("loc", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(n_features))

    def adapt(self, X: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Take the statistics of the training rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Training rows; everything behind the first axis is flattened.
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the rows.
        """
        weights = None if sample_weight is None else np.asarray(sample_weight)
        loc, variance = _moments(X, weights)
        scale = np.sqrt(variance)
        # Rounding leaves a constant column of large values a deviation that is not quite zero.
        scale[scale <= 10 * np.finfo(scale.dtype).eps * np.abs(loc)] = 1.0
        self.loc.copy_(torch.from_numpy(loc))
        self.scale.copy_(torch.from_numpy(scale))

    def forward(self, x: Tensor) -> Tensor:
        """Standardise each column of ``x``, of shape (n, n_features)."""
        return (x - self.loc) / self.scale


def _moments(X: Any, weights: NDArray[Any] | None) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return mean and variance of every column; of rows in a file, some rows at a time."""
    if isinstance(X, StoredRows) and not X.fits_buffer:
        loc = _streamed_average(X, weights, np.zeros(1), power=1)
        return loc, _streamed_average(X, weights, loc, power=2)
    # float64, because a sum of many float32 values down a column loses its last digits.
    rows = np.asarray(X, dtype=np.float64)
    rows = rows.reshape(len(rows), -1)
    loc = np.average(rows, axis=0, weights=weights)
    # Averaging the squared distances keeps the precision that E[x²] - E[x]² would lose.
    return loc, np.average((rows - loc) ** 2, axis=0, weights=weights)


def _streamed_average(
    X: StoredRows, weights: NDArray[Any] | None, loc: NDArray[Any], power: int
) -> NDArray[Any]:
    weights = np.ones(len(X)) if weights is None else weights
    order = np.argsort(X.stored_at, kind="stable")
    total, start = np.zeros(1), 0
    for part in X.in_storage_order().parts():
        weight = weights[order[start : start + len(part)]]
        total = total + weight @ (part.reshape(len(part), -1).astype(np.float64) - loc) ** power
        start += len(part)
    average: NDArray[Any] = total / weights.sum()
    return average


class MeanOverPositions(nn.Module):
    """Average an image of features (n, n_filters, 1, L) over its positions."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the means (n, n_filters)."""
        return x.mean(dim=(2, 3))


def as_image(x: Tensor) -> Tensor:
    """View sequences (n, channels, L) as images (n, channels, 1, L), channels last in memory.

    torch's two-dimensional kernels keep the channels of a position together, for which its
    convolutions, batch norms and poolings are about twice as fast on a CPU as the
    one-dimensional ones that keep the positions of a channel together.
    """
    if type(x) is Tensor and is_functorch_wrapped_tensor(x):
        # torch.vmap knows one layout.
        return x.unsqueeze(2)
    return x.unsqueeze(2).contiguous(memory_format=torch.channels_last)


def conv(n_in: int, n_out: int, width: int, *, dilation: int = 1, bias: bool = True) -> nn.Conv2d:
    """Build a length-preserving convolution over the positions of a sequence as an image."""
    padding = (0, dilation * (width // 2))
    return nn.Conv2d(n_in, n_out, (1, width), padding=padding, dilation=(1, dilation), bias=bias)


def pool(width: int) -> nn.MaxPool2d:
    """Build a maximum over ``width`` neighbouring positions; an incomplete rest is dropped."""
    return nn.MaxPool2d((1, width))
