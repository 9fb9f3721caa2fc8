"""Convolution of one-hot sequences as a sum of rows of k-mer tables.

A filter of width 7 over a one-hot sequence adds up seven of its weights, which the bases choose.
The sum over four neighbouring bases has 4**4 values and that over three 4**3: written down once a
batch, a position costs two rows of a table in place of 28 multiplications. Batch norm is folded
into the filters *before* the convolution, because the mean and the variance of what they will
answer follow from how often the bases stand where: for a patch p, the one-hot columns that a
filter w sees, the answers ``w @ p`` have the mean ``w @ E[p]`` and the variance
``w @ Cov[p] @ w``. Both are exact, and so are the gradients through them.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from sklearn_degu.modules import _kernels as kernels
from sklearn_degu.modules._symbols import Chunks, columns


def encode(x: Tensor, width: int) -> Tensor | None:
    """Return codes (n, L + width - 1) of sequences (n, 4, L); None unless they are one-hot."""
    return kernels.encode(x, width // 2)


class PatchMoments(NamedTuple):
    """Mean and covariance of the patches that a filter sees, flattened as its weights are.

    Attributes
    ----------
    mean : Tensor of shape (4 * width,)
    covariance : Tensor of shape (4 * width, 4 * width)
    n_patches : int
        How many there were.
    """

    mean: Tensor
    covariance: Tensor
    n_patches: int

    @classmethod
    def of(cls, codes: Tensor, width: int) -> PatchMoments:
        """Count them in codes (n, L + width - 1)."""
        count = len(codes) * (codes.shape[1] - width + 1)
        pairs = kernels.pair_counts(codes, width).double() / count
        one_hot = columns(pairs)
        upper = torch.einsum("abst,sc,td->cadb", pairs, one_hot, one_hot)
        once = torch.triu(torch.ones(width, width, dtype=torch.float64), diagonal=1)
        square = upper + (upper * once[:, None, :]).permute(2, 3, 0, 1)
        mean = torch.einsum("aast,sc->ca", pairs, one_hot).flatten()
        square = square.reshape(len(mean), len(mean))
        return cls(mean, square - torch.outer(mean, mean), count)


def convolve(codes: Tensor, weight: Tensor, bias: Tensor, pool: int, rectify: bool) -> Tensor:
    """Convolve codes (n, L + width - 1) with filters, and take maxima over pools.

    Parameters
    ----------
    codes : Tensor of uint8 of shape (n, L + width - 1)
        Sequences as :func:`encode` returns them.
    weight : Tensor of shape (n_filters, 4, width)
        Filters.
    bias : Tensor of shape (n_filters,)
        Added to every answer.
    pool : int
        Positions of a pool; an incomplete rest is dropped.
    rectify : bool
        Whether negative maxima become zero.

    Returns
    -------
    maxima : Tensor of shape (n, L // pool, n_filters)
    """
    maxima: Tensor = _Convolution.apply(  # type: ignore[no-untyped-call]
        weight, bias, codes, pool, rectify
    )
    return maxima


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, bias: Tensor, codes: Tensor, pool: int, rectify: bool
    ) -> Tensor:
        chunks = Chunks.of(weight.shape[2])
        rows = kernels.kmers(codes, chunks)
        maxima, which = kernels.look_up(_table(weight, bias, chunks), rows, pool, rectify)
        ctx.save_for_backward(which, rows)
        ctx.pool, ctx.chunks = pool, chunks
        return maxima

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        which, rows = ctx.saved_tensors
        weight, bias = kernels.gradients(grad.contiguous(), which, rows, ctx.pool, ctx.chunks)
        return weight, bias, None, None, None


def _table(weight: Tensor, bias: Tensor, chunks: Chunks) -> Tensor:
    """Return the answers of all filters to all k-mers, of shape (n_rows, n_filters)."""
    # (width, N_SYMBOLS, n_filters): what a symbol at an offset adds.
    answers = torch.einsum("sc,fcw->wsf", columns(weight), weight)
    tables, at = [], 0
    for size in chunks.sizes:
        table = answers[at] if at else answers[at] + bias
        for offset in range(at + 1, at + size):
            table = (table[:, None, :] + answers[offset]).flatten(0, 1)
        tables.append(table)
        at += size
    return torch.cat(tables)


def folded(
    conv: nn.Conv2d, norm: nn.BatchNorm2d, moments: PatchMoments | None
) -> tuple[Tensor, Tensor]:
    """Return filters (n_filters, 4, width) and biases that convolve and normalise in one.

    With moments, as a training step does: by the statistics of the batch, which move the running
    ones. Without, by the running statistics.
    """
    weight = conv.weight.flatten(1)
    mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
    bias = torch.zeros_like(mean) if conv.bias is None else conv.bias
    if moments is not None:
        mean = weight @ moments.mean.to(weight) + bias
        variance = (weight @ moments.covariance.to(weight) * weight).sum(dim=1)
        _move_running_statistics(norm, mean.detach(), variance.detach(), moments.n_patches)
    scale = norm.weight * torch.rsqrt(variance + norm.eps)
    return (
        (weight * scale[:, None]).view(len(weight), conv.in_channels, -1),
        norm.bias + (bias - mean) * scale,
    )


@torch.no_grad()
def _move_running_statistics(
    norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor, count: int
) -> None:
    cast(Tensor, norm.num_batches_tracked).add_(1)
    unbiased = variance * (count / (count - 1))
    for running, batch in ((norm.running_mean, mean), (norm.running_var, unbiased)):
        cast(Tensor, running).lerp_(batch, cast(float, norm.momentum))
