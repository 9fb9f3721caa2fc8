"""A base-resolution profile architecture."""

from __future__ import annotations

from torch import Tensor, nn

from sklearn_degu.modules._layers import BATCH_NORM_EPS, Dropout, MeanOverPositions, conv
from sklearn_degu.modules.one_hot import OneHotBlock


class ProfileNet(nn.Module):
    """Dilated residual convolutions from sequence to a value at every position.

    DEGU's own profile model is not published. This one is in the spirit of BPNet [1]_, whose sizes
    it has: a first convolution of width 25, nine residual convolutions of width 3 whose dilation
    doubles, 64 filters each, and a last convolution of width 25. Batch norm and dropout, which
    BPNet does without, are those of DEGU's laboratory's earlier profile models [2]_. BPNet's two
    heads are one sum here: a profile, and a level that is linear in the mean of the features and
    the same at all positions. Read as logarithms of rates, the profile is the shape and the level
    the total count.

    Parameters
    ----------
    n_outputs : int
        Number of tracks, each linear.
    seq_len : int, default=1000
        Length of the sequences in base pairs.
    n_channels : int, default=4
        Channels of a position: A, C, G, T.
    n_positions : int, default=None
        Number of positions to predict, from the middle of the sequence; those around are context.
        If the two cannot be equal on both sides, the right one is longer by one. None predicts
        all.
    n_dilations : int, default=9
        Number of residual convolutions, dilated by 2, 4, 8 and so on: with nine an output sees
        1,046 positions to either side.
    width : float, default=1.0
        Factor on the width of every hidden layer.
    dropout : float, default=0.1
        Dropout probability in every residual convolution.

    Raises
    ------
    ValueError
        If ``n_positions`` is not between 1 and ``seq_len``.

    References
    ----------
    .. [1] Avsec et al., "Base-resolution models of transcription-factor binding reveal soft motif
       syntax", Nature Genetics 53, 2021.
    .. [2] Toneyan, Tang and Koo, "Evaluating deep learning for predicting epigenomic profiles",
       Nature Machine Intelligence 4, 2022.

    Examples
    --------
    >>> import torch
    >>> from sklearn_degu.modules import ProfileNet
    >>> ProfileNet(n_outputs=2, seq_len=300, n_positions=100)(torch.zeros(3, 4, 300)).shape
    torch.Size([3, 2, 100])
    """

    FILTERS = 64

    def __init__(
        self,
        n_outputs: int,
        seq_len: int = 1000,
        n_channels: int = 4,
        n_positions: int | None = None,
        n_dilations: int = 9,
        width: float = 1.0,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.n_positions = seq_len if n_positions is None else n_positions
        if not 1 <= self.n_positions <= seq_len:
            raise ValueError(
                f"n_positions must be between 1 and seq_len={seq_len}, got {n_positions!r}. Pass "
                "longer sequences, or predict fewer positions."
            )
        filters = max(1, round(width * self.FILTERS))
        self.features = nn.Sequential(
            OneHotBlock(conv(n_channels, filters, 25), _norm(filters), nn.ReLU()),
            *(_Residual(filters, 2**i, dropout) for i in range(1, n_dilations + 1)),
        )
        self.profile = conv(filters, n_outputs, 25)
        self.level = nn.Sequential(MeanOverPositions(), nn.Linear(filters, n_outputs, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Map sequences (n, n_channels, seq_len) to profiles (n, n_outputs, n_positions)."""
        features = self.features(x)
        profile: Tensor = self.profile(features).squeeze(2)
        start = (profile.shape[-1] - self.n_positions) // 2
        level: Tensor = self.level(features).unsqueeze(-1)
        return profile.narrow(-1, start, self.n_positions) + level


class _Residual(nn.Module):
    """``x + dropout(relu(norm(conv(x))))`` with a dilated convolution of width three."""

    def __init__(self, n_filters: int, dilation: int, dropout: float) -> None:
        super().__init__()
        dilated = conv(n_filters, n_filters, 3, dilation=dilation)
        self.stack = nn.Sequential(dilated, _norm(n_filters), nn.ReLU(), Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        """Map features (n, n_filters, 1, L) to features of the same shape."""
        features: Tensor = x + self.stack(x)
        return features


def _norm(n_filters: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(n_filters, eps=BATCH_NORM_EPS)
