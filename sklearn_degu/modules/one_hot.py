"""The first block of an architecture, several times faster where its input is one-hot."""

from __future__ import annotations

import functools
from importlib.util import find_spec
from types import ModuleType
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch._C._functorch import is_functorch_wrapped_tensor
from torch.autograd import forward_ad

from sklearn_degu.modules._layers import as_image
from sklearn_degu.modules._symbols import RECTIFIED


class OneHotBlock(nn.Sequential):
    """Convolution, batch norm and what follows, over sequences; fast where they are one-hot.

    An ordinary :class:`torch.nn.Sequential` of ordinary layers, with their weights where they
    always are. Where the input is one-hot and nobody watches the layers in between, it computes
    the same numbers on a CPU from tables of k-mers, without a convolution: a position of a filter
    of width 7 is the sum of a row of the table of 4-mers and a row of that of 3-mers. Batch norm
    is folded into the tables, and pooling and ReLU are taken while the sum is at hand. It needs
    the extra ``[speed]``. Sequences may hold unknown bases, as zeros or as 0.25 in all channels.

    Parameters
    ----------
    *layers : torch.nn.Module
        For the tables: a :class:`torch.nn.Conv2d` of images (n, 4, 1, L) that keeps their length,
        of odd width, without stride, dilation or groups; a :class:`torch.nn.BatchNorm2d`; maybe a
        :class:`torch.nn.MaxPool2d` of positions side by side; and whatever follows. Any others
        compute as they always do.

    Notes
    -----
    Through the tables the gradient of the weights can be taken once. For second derivatives, or
    for the gradient of the sequences, pass sequences that require a gradient: then the ordinary
    layers compute.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from sklearn_degu.modules import OneHotBlock
    >>> conv = nn.Conv2d(4, 16, (1, 7), padding=(0, 3))
    >>> block = OneHotBlock(conv, nn.BatchNorm2d(16), nn.MaxPool2d((1, 2)), nn.ReLU())
    >>> block(torch.eye(4).repeat(3, 1, 5)).shape
    torch.Size([3, 16, 1, 10])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map sequences (n, channels, L) to images of features (n, n_filters, 1, L // pool)."""
        tables = kmer_tables() if _may_be_one_hot(x) else None
        plan = _Plan.of(list(self)) if tables is not None else None
        if tables is None or plan is None or not plan.suits(x):
            return self._ordinary(x)
        width = plan.conv.kernel_size[1]
        codes = tables.encode(x, width)
        if codes is None:
            return self._ordinary(x)
        moments = tables.PatchMoments.of(codes, width) if plan.norm.training else None
        weight, bias = tables.folded(plan.conv, plan.norm, moments)
        features = tables.convolve(codes, weight, bias, plan.pool, plan.rectify)
        # As an image with its channels last in memory, as the layers behind it like it.
        image: Tensor = features.permute(0, 2, 1).unsqueeze(2)
        for layer in plan.rest:
            image = layer(image)
        return image

    def _ordinary(self, x: Tensor) -> Tensor:
        image: Tensor = super().forward(as_image(x))  # type: ignore[no-untyped-call]
        return image


@functools.cache
def kmer_tables() -> ModuleType | None:
    """Return the module that computes by tables; None without numba, which compiles it."""
    if find_spec("numba") is None:
        return None
    from sklearn_degu.modules import _kmer_tables

    return _kmer_tables


class _Plan(NamedTuple):
    """Layers that tables stand for, and those behind them."""

    conv: nn.Conv2d
    norm: nn.BatchNorm2d
    pool: int
    rectify: bool
    rest: list[nn.Module]

    @classmethod
    def of(cls, layers: list[nn.Module]) -> _Plan | None:
        """Return the plan for the layers of a block, None if tables cannot stand for them."""
        if len(layers) < 2 or any(map(_is_watched, layers)):
            return None
        conv, norm, *rest = layers
        if not (isinstance(conv, nn.Conv2d) and _keeps_length(conv)):
            return None
        if not (isinstance(norm, nn.BatchNorm2d) and _is_plain_norm(norm)):
            return None
        pool = 1
        if rest and isinstance(rest[0], nn.MaxPool2d):
            pool, rest = _positions(rest[0]), rest[1:]
        rectify = bool(rest) and type(rest[0]) is nn.ReLU
        # Which position of a pool was the largest is kept in a byte.
        return cls(conv, norm, pool, rectify, rest[rectify:]) if 0 < pool <= RECTIFIED else None

    def suits(self, x: Tensor) -> bool:
        """Whether tables can be made of the weights, and filled by x of shape (n, 4, L)."""
        state = (*self.conv.parameters(), *self.norm.parameters(), *self.norm.buffers())
        if any(map(is_functorch_wrapped_tensor, state)):
            return False
        weight = self.conv.weight
        alike = x.device == weight.device and x.dtype == weight.dtype
        return alike and x.shape[2] >= self.pool and x[:, 0].numel() > 1


def _may_be_one_hot(x: Tensor) -> bool:
    """Whether x is plain numbers in memory, of the shape of sequences, and nothing hangs on it."""
    return (
        type(x) is Tensor
        and not is_functorch_wrapped_tensor(x)
        and x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.float64)
        and x.ndim == 3
        and x.shape[1] == 4
        and not x.requires_grad
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()  # type: ignore[no-untyped-call, attr-defined]
        and forward_ad.unpack_dual(x).tangent is None  # type: ignore[no-untyped-call]
    )


def _is_watched(layer: nn.Module) -> bool:
    """Whether somebody's hook expects to see what goes through a layer."""
    return bool(
        layer._forward_hooks
        or layer._forward_pre_hooks
        or layer._backward_hooks
        or layer._backward_pre_hooks
    )


def _keeps_length(conv: nn.Conv2d) -> bool:
    height, width = conv.kernel_size
    plain = conv.stride == conv.dilation == (1, 1) and conv.groups == 1 and height == 1
    padded = conv.padding in ("same", (0, width // 2)) and conv.padding_mode == "zeros"
    return plain and padded and width % 2 == 1 and conv.in_channels == 4


def _is_plain_norm(norm: nn.BatchNorm2d) -> bool:
    return norm.affine and norm.track_running_stats and norm.momentum is not None


def _positions(pool: nn.MaxPool2d) -> int:
    """Return over how many positions side by side a pooling goes; 0 if it does otherwise."""
    size = pool.kernel_size
    height, width = size if isinstance(size, tuple) else (size, size)
    plain = pool.padding in (0, (0, 0)) and pool.dilation in (1, (1, 1))
    other = pool.ceil_mode or pool.return_indices or pool.stride != size
    return width if height == 1 and plain and not other else 0
