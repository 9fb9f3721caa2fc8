"""The nets of the plain PyTorch rivals, written as the papers describe them."""

from __future__ import annotations

from torch import Tensor, nn


class PlainDeepSTARR(nn.Module):
    """DeepSTARR as published: convolution, batch norm, ReLU and pooling, and two dense layers.

    Sequences come as (n, 4, length) or flattened, as scikit-learn's bagging passes them.
    """

    def __init__(self, n_outputs: int, length: int = 249) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        n_in = 4
        for n_out, kernel in ((256, 7), (60, 3), (60, 5), (120, 3)):
            layers += [
                nn.Conv1d(n_in, n_out, kernel, padding="same"),
                nn.BatchNorm1d(n_out),
                nn.ReLU(),
                nn.MaxPool1d(2),
            ]
            n_in = n_out
        layers.append(nn.Flatten())
        for n_in in (120 * (length // 16), 256):
            layers += [nn.Linear(n_in, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Dropout(0.4)]
        self.layers = nn.Sequential(*layers, nn.Linear(256, n_outputs))

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.layers(x.reshape(len(x), 4, -1))
        return output


def plain_mlp(n_features: int, n_outputs: int) -> nn.Module:
    """Return the arithmetic of ours for tables; it reads standardised features."""
    return nn.Sequential(
        nn.Linear(n_features, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, n_outputs)
    )
