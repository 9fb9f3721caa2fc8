"""The DeepSTARR architecture."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from sklearn_degu.modules._layers import BATCH_NORM_EPS, Dropout, conv, pool
from sklearn_degu.modules.one_hot import OneHotBlock


class DeepSTARR(nn.Module):
    """Convolutional network for enhancer activity from DNA sequence.

    Four blocks of convolution, batch norm, ReLU and pooling by two, and two dense layers of 256
    with batch norm, ReLU and dropout, as published [1]_ and as used by DEGU [2]_. The ReLU comes
    behind the pooling: the maximum of rectified values is the rectified maximum, at half the
    work.

    Parameters
    ----------
    n_outputs : int
        Number of outputs, each linear.
    seq_len : int, default=249
        Length of the sequences in base pairs, at least 16.
    n_channels : int, default=4
        Channels of a position: A, C, G, T.
    width : float, default=1.0
        Factor on the width of every hidden layer.
    dropout : float, default=0.4
        Dropout probability behind each dense layer.

    Raises
    ------
    ValueError
        If ``seq_len`` is shorter than the 16 positions that four poolings need.

    References
    ----------
    .. [1] de Almeida et al., "DeepSTARR predicts enhancer activity from DNA sequence and enables
       the de novo design of synthetic enhancers", Nature Genetics 54, 2022.
    .. [2] Zhou et al., "Uncertainty-aware genomic deep learning with knowledge distillation",
       npj Artificial Intelligence 2, 2026.

    Examples
    --------
    >>> import torch
    >>> from sklearn_degu.modules import DeepSTARR
    >>> DeepSTARR(n_outputs=2, seq_len=249)(torch.zeros(3, 4, 249)).shape
    torch.Size([3, 2])
    """

    FILTERS = (256, 60, 60, 120)
    WIDTHS = (7, 3, 5, 3)
    DENSE = 256

    def __init__(
        self,
        n_outputs: int,
        seq_len: int = 249,
        n_channels: int = 4,
        width: float = 1.0,
        dropout: float = 0.4,
    ) -> None:
        super().__init__()
        n_positions = seq_len // 2 ** len(self.FILTERS)
        if n_positions < 1:
            raise ValueError(
                f"DeepSTARR pools four times by two and needs sequences of at least 16 "
                f"positions, got seq_len={seq_len}. Pad the sequences, or use another module."
            )
        filters = [n_channels, *(max(1, round(width * n)) for n in self.FILTERS)]
        dense = max(1, round(width * self.DENSE))
        blocks = [
            (OneHotBlock if i == 0 else nn.Sequential)(
                conv(n_in, n_out, k), nn.BatchNorm2d(n_out, eps=BATCH_NORM_EPS), pool(2), nn.ReLU()
            )
            for i, ((n_in, n_out), k) in enumerate(zip(pairwise(filters), self.WIDTHS, strict=True))
        ]
        self.convolutions = nn.Sequential(*blocks)
        self.dense = nn.Sequential(
            nn.Flatten(),
            *_dense_block(filters[-1] * n_positions, dense, dropout),
            *_dense_block(dense, dense, dropout),
        )
        self.output = nn.Linear(dense, n_outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map sequences (n, n_channels, seq_len) to outputs (n, n_outputs)."""
        output: Tensor = self.output(self.dense(self.convolutions(x)))
        return output


def _dense_block(n_in: int, n_out: int, dropout: float) -> list[nn.Module]:
    norm = nn.BatchNorm1d(n_out, eps=BATCH_NORM_EPS)
    return [nn.Linear(n_in, n_out), norm, nn.ReLU(), Dropout(dropout)]
