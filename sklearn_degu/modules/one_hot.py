"""The first block of an architecture, several times faster where its input is one-hot."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch._C._functorch import is_functorch_wrapped_tensor

from sklearn_degu.modules._layers import as_image

try:
    from sklearn_degu.modules import _kmer_tables
except ImportError:  # numba comes with the extra [speed].
    _kmer_tables = None  # type: ignore[assignment]


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
    conv : torch.nn.Conv2d
        Length-preserving convolution of images (n, channels, 1, L), of odd width.
    norm : torch.nn.BatchNorm2d
        Its batch norm, with weights and running statistics.
    *rest : torch.nn.Module
        Maybe a :class:`torch.nn.MaxPool2d` of neighbouring positions, and further layers.

    Raises
    ------
    ValueError
        If the convolution, the batch norm or the pooling is of another kind.

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

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d, *rest: nn.Module) -> None:
        _check_convolution(conv)
        _check_norm(norm)
        super().__init__(conv, norm, *rest)
        self._width = conv.kernel_size[1]
        self._pool = _pool_size(rest[0]) if rest and isinstance(rest[0], nn.MaxPool2d) else 1
        n_taken = 2 + (self._pool > 1)
        self._rectify = len(self) > n_taken and isinstance(self[n_taken], nn.ReLU)
        self._n_taken = n_taken + self._rectify

    def forward(self, x: Tensor) -> Tensor:
        """Map sequences (n, channels, L) to images of features (n, n_filters, 1, L // pool)."""
        codes = _kmer_tables.encode(x, self._width) if self._may_use_tables(x) else None
        if codes is None:
            image: Tensor = super().forward(as_image(x))  # type: ignore[no-untyped-call]
            return image
        conv, norm = cast(nn.Conv2d, self[0]), cast(nn.BatchNorm2d, self[1])
        moments = _kmer_tables.PatchMoments.of(codes, self._width) if self.training else None
        weight, bias = _kmer_tables.folded(conv, norm, moments)
        features = _kmer_tables.convolve(codes, weight, bias, self._pool, self._rectify)
        # As an image with its channels last in memory, as the layers behind it like it.
        image = features.permute(0, 2, 1).unsqueeze(2)
        for layer in list(self)[self._n_taken :]:
            image = layer(image)
        return image

    def _may_use_tables(self, x: Tensor) -> bool:
        weight = cast(nn.Conv2d, self[0]).weight
        return (
            _kmer_tables is not None
            and x.device.type == weight.device.type == "cpu"
            and x.dtype == weight.dtype
            and x.dtype in (torch.float32, torch.float64)
            and x.ndim == 3
            and x.shape[1] == 4
            and x[:, 0].numel() > 1
            and x.shape[2] >= self._pool
            and not x.requires_grad
            and not _is_transformed(x)
            and not any(_is_watched(layer) for layer in self)
        )


def _is_transformed(x: Tensor) -> bool:
    """Whether x stands for something else: of torch.vmap, torch.compile or a trace."""
    return bool(
        is_functorch_wrapped_tensor(x) or torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[no-untyped-call, attr-defined]
    )


def _is_watched(layer: nn.Module) -> bool:
    """Whether somebody's hook expects to see what goes through a layer."""
    return bool(
        layer._forward_hooks
        or layer._forward_pre_hooks
        or layer._backward_hooks
        or layer._backward_pre_hooks
    )


def _check_convolution(conv: nn.Conv2d) -> None:
    height, width = conv.kernel_size
    plain = conv.stride == conv.dilation == (1, 1) and conv.groups == 1
    keeps_length = width % 2 == 1 and conv.padding == (0, width // 2)
    if not (height == 1 and plain and keeps_length and conv.padding_mode == "zeros"):
        raise ValueError(
            "The convolution of a OneHotBlock must keep the length of a sequence: a kernel of "
            "(1, width) with odd width, padding (0, width // 2) of zeros, and no stride, dilation "
            f"or groups; got {conv}."
        )


def _check_norm(norm: nn.BatchNorm2d) -> None:
    if not (norm.affine and norm.track_running_stats and norm.momentum is not None):
        raise ValueError(
            "The batch norm of a OneHotBlock must have weights, running statistics and a "
            f"momentum; got {norm}."
        )


def _pool_size(pool: nn.MaxPool2d) -> int:
    size = pool.kernel_size
    height, width = size if isinstance(size, tuple) else (size, size)
    plain = pool.padding in (0, (0, 0)) and pool.dilation in (1, (1, 1)) and not pool.ceil_mode
    if height != 1 or pool.stride != size or not plain or pool.return_indices:
        raise ValueError(
            "The pooling of a OneHotBlock must take the maximum over (1, width) positions side by "
            f"side, without padding or dilation; got {pool}."
        )
    return width
