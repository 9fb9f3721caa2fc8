"""The DREAM-RNN architecture."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sklearn_degu.modules._layers import BATCH_NORM_EPS, MeanOverPositions, conv, dropout_or
from sklearn_degu.modules.one_hot import OneHotBlock


class DreamRNN(nn.Module):
    """Convolutions of two widths, a bidirectional LSTM, and convolutions again.

    The recurrent network of the Random Promoter DREAM Challenge [1]_, as used by DEGU [2]_. Two
    convolutions side by side see 9 and 15 positions, once the sequence and once what the LSTM
    makes of it; a convolution of width one, the mean over positions and a linear layer follow.
    Every layer keeps the length, so that sequences may have any.

    Parameters
    ----------
    n_outputs : int
        Number of outputs, each linear.
    n_channels : int, default=4
        Channels of a position: A, C, G, T.
    width : float, default=1.0
        Factor on the width of every hidden layer.
    dropout : float, default=None
        Probability of every dropout. None leaves the published ones: 0.2, and 0.5 before the last
        convolution.

    Notes
    -----
    :func:`torch.vmap` cannot run an LSTM, so that members train one after another or side by side
    and not in one pass: ``strategy="auto"`` takes threads, on a GPU too.

    An LSTM of torch has two biases a gate, one of which Keras leaves out: at the published width
    2,560 parameters more, which add nothing.

    References
    ----------
    .. [1] Rafi et al., "A community effort to optimize sequence-based deep learning models of gene
       regulation", Nature Biotechnology 43, 2025.
    .. [2] Zhou et al., "Uncertainty-aware genomic deep learning with knowledge distillation",
       npj Artificial Intelligence 2, 2026.

    Examples
    --------
    >>> import torch
    >>> from sklearn_degu.modules import DreamRNN
    >>> DreamRNN(n_outputs=2, width=0.1)(torch.zeros(3, 4, 230)).shape
    torch.Size([3, 2])
    """

    FILTERS = 160
    RECURRENT = 320
    LAST_FILTERS = 256

    # Read before the module is built, to choose how its members train.
    is_recurrent = True

    def __init__(
        self,
        n_outputs: int,
        n_channels: int = 4,
        width: float = 1.0,
        dropout: float | None = None,
    ) -> None:
        super().__init__()
        filters, recurrent, last = (
            max(1, round(width * n)) for n in (self.FILTERS, self.RECURRENT, self.LAST_FILTERS)
        )
        self.convolutions = _SideBySide(n_channels, filters, dropout)
        self.recurrent = nn.LSTM(2 * filters, recurrent, batch_first=True, bidirectional=True)
        self.convolutions_behind = _SideBySide(2 * recurrent, filters, dropout)
        self.summary = nn.Sequential(
            *(dropout_or(dropout, 0.5), conv(2 * filters, last, 1), MeanOverPositions())
        )
        self.output = nn.Linear(last, n_outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map sequences (n, n_channels, L) to outputs (n, n_outputs)."""
        features = self.convolutions(x).squeeze(2)
        states, _ = self.recurrent(features.transpose(1, 2))
        features = self.convolutions_behind(states.transpose(1, 2))
        output: Tensor = self.output(self.summary(features))
        return output


class _SideBySide(nn.Module):
    """Convolutions that see 9 and 15 positions, of n_filters each."""

    def __init__(self, n_in: int, n_filters: int, dropout: float | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_block(n_in, n_filters, k, dropout) for k in (9, 15))

    def forward(self, x: Tensor) -> Tensor:
        """Map sequences (n, n_in, L) to images of features (n, 2 * n_filters, 1, L)."""
        return torch.cat([block(x) for block in self.blocks], dim=1)


def _block(n_in: int, n_filters: int, width: int, dropout: float | None) -> OneHotBlock:
    norm = nn.BatchNorm2d(n_filters, eps=BATCH_NORM_EPS)
    return OneHotBlock(conv(n_in, n_filters, width), norm, nn.ReLU(), dropout_or(dropout, 0.2))
