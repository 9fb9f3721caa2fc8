"""A small multilayer perceptron for tabular data."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from sklearn_degu.modules._layers import Dropout, Standardize


class MLP(nn.Module):
    """Multilayer perceptron on standardised features.

    It has no batch norm and, by default, no dropout, so that with full batches a weight of two
    is exactly a row that occurs twice.

    Parameters
    ----------
    n_features : int
        Number of input features.
    n_outputs : int
        Number of outputs.
    hidden : sequence of int, default=(64, 64)
        Width of each hidden layer.
    dropout : float, default=0.0
        Dropout probability behind every hidden layer.

    Examples
    --------
    >>> import torch
    >>> from sklearn_degu.modules import MLP
    >>> MLP(n_features=5, n_outputs=2)(torch.zeros(3, 5)).shape
    torch.Size([3, 2])
    """

    def __init__(
        self,
        n_features: int,
        n_outputs: int,
        hidden: Sequence[int] = (64, 64),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        widths = [n_features, *hidden]
        layers: list[nn.Module] = [Standardize(n_features)]
        for n_in, n_out in pairwise(widths):
            layers += [nn.Linear(n_in, n_out), nn.SiLU()]
            if dropout:
                layers.append(Dropout(dropout))
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], n_outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map features (n, ...), flattened to (n, n_features), to outputs (n, n_outputs)."""
        output: Tensor = self.layers(x.flatten(1))
        return output
