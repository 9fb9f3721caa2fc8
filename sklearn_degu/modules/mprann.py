"""The MPRAnn architecture."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from sklearn_degu.modules._layers import BATCH_NORM_EPS, as_image, dropout_or, pool


class MPRAnn(nn.Module):
    """Convolutional network for the activity of regulatory sequences in an MPRA.

    Four convolutions without padding and two dense layers, as published [1]_ and as used by
    DEGU [2]_. The first convolution is followed by ReLU, the others by a softmax over the
    filters of a position; the dense layers end in sigmoids. Batch norm comes behind the
    non-linearities. Initial weights are Glorot-uniform and biases zero, as in Keras.

    Parameters
    ----------
    n_outputs : int
        Number of outputs, each linear.
    seq_len : int, default=230
        Length of the sequences in base pairs, at least 21.
    n_channels : int, default=4
        Channels of a position: A, C, G, T.
    width : float, default=1.0
        Factor on the width of every hidden layer.
    dropout : float, default=None
        Probability of every dropout. None leaves the published ones: 0.1, 0.1 and 0.3.

    Raises
    ------
    ValueError
        If ``seq_len`` is shorter than the 21 positions that the convolutions and the pooling
        need.

    References
    ----------
    .. [1] Agarwal et al., "Massively parallel characterization of transcriptional regulatory
       elements", Nature 639, 2025.
    .. [2] Zhou et al., "Uncertainty-aware genomic deep learning with knowledge distillation",
       npj Artificial Intelligence 2, 2026.

    Examples
    --------
    >>> import torch
    >>> from sklearn_degu.modules import MPRAnn
    >>> MPRAnn(n_outputs=2, seq_len=230)(torch.zeros(3, 4, 230)).shape
    torch.Size([3, 2])
    """

    FILTERS = (250, 250, 250, 100)
    DENSE = (300, 200)

    def __init__(
        self,
        n_outputs: int,
        seq_len: int = 230,
        n_channels: int = 4,
        width: float = 1.0,
        dropout: float | None = None,
    ) -> None:
        super().__init__()
        n_positions = (seq_len - 13) // 2 - 3
        if n_positions < 1:
            raise ValueError(
                f"MPRAnn convolves without padding and needs sequences of at least 21 positions, "
                f"got seq_len={seq_len}. Pad the sequences, or use another module."
            )
        filters = [n_channels, *(max(1, round(width * n)) for n in self.FILTERS)]
        first, second, third, fourth = pairwise(filters)
        self.convolutions = nn.Sequential(
            *_convolution(*first, 7, nn.ReLU()),
            *_convolution(*second, 8, nn.Softmax(dim=1)),
            *(pool(2), dropout_or(dropout, 0.1)),
            *_convolution(*third, 3, nn.Softmax(dim=1)),
            # The published pooling behind the last convolution is by one position: none.
            *_convolution(*fourth, 2, nn.Softmax(dim=1)),
            dropout_or(dropout, 0.1),
        )
        wide, narrow = (max(1, round(width * n)) for n in self.DENSE)
        self.dense = nn.Sequential(
            *(nn.Flatten(), nn.Linear(filters[-1] * n_positions, wide), nn.Sigmoid()),
            dropout_or(dropout, 0.3),
            *(nn.Linear(wide, narrow), nn.Sigmoid()),
        )
        self.output = nn.Linear(narrow, n_outputs)
        self.apply(_initialize_as_keras)

    def forward(self, x: Tensor) -> Tensor:
        """Map sequences (n, n_channels, seq_len) to outputs (n, n_outputs)."""
        output: Tensor = self.output(self.dense(self.convolutions(as_image(x))))
        return output


def _convolution(n_in: int, n_out: int, width: int, activation: nn.Module) -> list[nn.Module]:
    norm = nn.BatchNorm2d(n_out, eps=BATCH_NORM_EPS)
    return [nn.Conv2d(n_in, n_out, (1, width)), activation, norm]


def _initialize_as_keras(layer: nn.Module) -> None:
    if isinstance(layer, (nn.Conv2d, nn.Linear)):
        nn.init.xavier_uniform_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
