"""The ResidualBind architecture."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from sklearn_degu.modules._layers import (
    BATCH_NORM_EPS,
    Dropout,
    MeanOverPositions,
    conv,
    dropout_or,
    pool,
)
from sklearn_degu.modules.one_hot import OneHotBlock


class DilatedResidual(nn.Module):
    """Residual block of dilated convolutions: ``SiLU(x + stack(x))``.

    Parameters
    ----------
    n_filters : int
        Channels in and out.
    dilations : tuple of int, default=(1, 2, 4, 8, 16)
        Dilation of each convolution behind the first.
    dropout : float, default=0.1
        Dropout probability in front of each dilated convolution.
    """

    def __init__(
        self,
        n_filters: int,
        dilations: tuple[int, ...] = (1, 2, 4, 8, 16),
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [conv(n_filters, n_filters, 3, bias=False), _norm(n_filters)]
        for dilation in dilations:
            dilated = conv(n_filters, n_filters, 3, dilation=dilation, bias=False)
            layers += [nn.ReLU(), Dropout(dropout), dilated, _norm(n_filters)]
        self.stack = nn.Sequential(*layers)
        self.activation = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        """Map features (n, n_filters, 1, L) to features of the same shape."""
        output: Tensor = self.activation(x + self.stack(x))
        return output


class ResidualBind(nn.Module):
    """Residual dilated convolutional network, the lentiMPRA model of DEGU [1]_.

    A wide convolution, a residual block of six convolutions with growing dilation, a second
    convolution, a dense layer at every position, the mean over positions, and a dense layer.

    Parameters
    ----------
    n_outputs : int
        Number of outputs, each linear.
    n_channels : int, default=4
        Channels of a position: A, C, G, T.
    seq_len : int, default=230
        Length of the sequences in base pairs, at least 25.
    head_width : int, default=None
        Hidden units of a head of its own for every output: a dense layer, SiLU, dropout of 0.5
        and a linear layer. The published model with separate heads has 32. None: one linear
        layer has all outputs.
    width : float, default=1.0
        Factor on the width of every hidden layer but those of the separate heads.
    dropout : float, default=None
        Probability of every dropout. None leaves the published ones: 0.1 in the residual block,
        0.2 around the convolutions and 0.5 around the dense layers.

    Raises
    ------
    ValueError
        If ``seq_len`` is shorter than the 25 positions that two poolings by five need, or if
        ``head_width`` is not positive.

    References
    ----------
    .. [1] Zhou et al., "Uncertainty-aware genomic deep learning with knowledge distillation",
       npj Artificial Intelligence 2, 2026.

    Examples
    --------
    >>> import torch
    >>> from sklearn_degu.modules import ResidualBind
    >>> ResidualBind(n_outputs=1, seq_len=100)(torch.zeros(3, 4, 100)).shape
    torch.Size([3, 1])
    """

    FILTERS = (196, 256)

    def __init__(
        self,
        n_outputs: int,
        n_channels: int = 4,
        seq_len: int = 230,
        head_width: int | None = None,
        width: float = 1.0,
        dropout: float | None = None,
    ) -> None:
        super().__init__()
        if seq_len < 25:
            raise ValueError(
                f"ResidualBind pools twice by five and needs sequences of at least 25 "
                f"positions, got seq_len={seq_len}. Pad the sequences, or use another module."
            )
        drop = partial(dropout_or, dropout)
        first, second = (max(1, round(width * n)) for n in self.FILTERS)
        self.convolutions = nn.Sequential(
            OneHotBlock(conv(n_channels, first, 19), _norm(first), nn.SiLU()),
            *(drop(0.2), DilatedResidual(first, dropout=drop(0.1).p), drop(0.2), pool(5)),
            *(conv(first, second, 7), _norm(second), nn.SiLU(), drop(0.2), pool(5)),
            # A dense layer at every position is a convolution of width one.
            *(conv(second, second, 1), _norm(second), nn.SiLU(), drop(0.5)),
            MeanOverPositions(),
        )
        norm = nn.BatchNorm1d(second, eps=BATCH_NORM_EPS)
        self.dense = nn.Sequential(nn.Linear(second, second), norm, nn.SiLU(), drop(0.5))
        self.output = _output(second, n_outputs, head_width, drop(0.5).p)

    def forward(self, x: Tensor) -> Tensor:
        """Map sequences (n, n_channels, seq_len) to outputs (n, n_outputs)."""
        output: Tensor = self.output(self.dense(self.convolutions(x)))
        return output


class _SeparateHeads(nn.Module):
    """A small net for every output, side by side."""

    def __init__(self, n_in: int, n_outputs: int, width: int, dropout: float) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(
                *(nn.Linear(n_in, width), nn.SiLU(), Dropout(dropout), nn.Linear(width, 1))
            )
            for _ in range(n_outputs)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map features (n, n_in) to outputs (n, n_outputs)."""
        return torch.cat([head(x) for head in self.heads], dim=1)


def _output(n_in: int, n_outputs: int, head_width: int | None, dropout: float) -> nn.Module:
    if head_width is None:
        return nn.Linear(n_in, n_outputs)
    if head_width < 1:
        raise ValueError(
            f"head_width must be a positive integer, or None for one linear layer, got "
            f"{head_width!r}."
        )
    return _SeparateHeads(n_in, n_outputs, head_width, dropout)


def _norm(n_filters: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(n_filters, eps=BATCH_NORM_EPS)
