"""Run a fitted net with dropout on: one thinned net a pass, the same for all rows."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skorch import NeuralNet
from torch import Tensor, nn

from sklearn_degu.nets.prediction import forward

_CHANNELWISE = (nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
_OTHER_LAYERS = (nn.AlphaDropout, nn.FeatureAlphaDropout)

# The masks hang on the module: two predictions at a time would apply both.
_PREDICTING = threading.RLock()


def dropout_layers(module: nn.Module) -> list[nn.Module]:
    """Return the layers that :func:`dropout_passes` drops elements or channels in."""
    layers = (layer for layer in module.modules() if isinstance(layer, (nn.Dropout, *_CHANNELWISE)))
    return [layer for layer in layers if layer.p > 0]


def unreached_dropout(module: nn.Module) -> list[str]:
    """Return the classes of the layers whose dropout :func:`dropout_passes` leaves out."""
    return sorted({type(layer).__name__ for layer in module.modules() if _drops_otherwise(layer)})


def dropout_passes(
    net: NeuralNet, X: NDArray[Any], seeds: Sequence[int]
) -> Iterator[NDArray[np.float64]]:
    """Yield the raw outputs of a fitted net, of shape (n, k), with dropout, once for every seed.

    A pass draws one mask for every dropout layer from its seed, and applies it to all rows, so
    that an output depends on the row and the seed alone: not on the batch, on the other rows or
    on the device. Everything else in the net, batch norm too, does as in prediction. torch's
    global generator is not used.

    Parameters
    ----------
    net : skorch.NeuralNet
        A fitted net, whose dropout layers see the rows along their first axis. It is left as it
        was.
    X : ndarray of shape (n, ...)
        Rows.
    seeds : sequence of int
        The seed of every pass.
    """
    for seed in seeds:
        with _thinned(net.module_, seed):
            outputs = forward(net, X)
        yield outputs


@contextmanager
def _thinned(module: nn.Module, seed: int) -> Iterator[None]:
    """Put the masks of one seed behind the dropout layers, which are idle in prediction."""
    # On the CPU, wherever the net is: a mask is small, and so the same on every device.
    generator = torch.Generator()

    def restart(*_: Any) -> None:
        generator.manual_seed(seed)

    def drop(layer: Any, _: Any, output: Tensor) -> Tensor:
        return output * _mask(layer, output, generator)

    with _PREDICTING, ExitStack() as hooks:
        hooks.callback(module.register_forward_pre_hook(restart).remove)
        for layer in dropout_layers(module):
            hooks.callback(layer.register_forward_hook(drop).remove)
        yield


def _mask(layer: Any, output: Tensor, generator: torch.Generator) -> Tensor:
    """Return a mask for all rows, which keeps the mean of what it thins."""
    shape = output.shape[1:]
    if isinstance(layer, _CHANNELWISE):
        shape = torch.Size([shape[0], *(1 for _ in shape[1:])])
    p = float(layer.p)
    kept = torch.rand((1, *shape), generator=generator) >= p
    return kept.to(output) * (1 / (1 - p) if p < 1 else 0.0)


def _drops_otherwise(layer: Any) -> bool:
    if isinstance(layer, _OTHER_LAYERS):
        return bool(layer.p)
    if isinstance(layer, nn.RNNBase):
        return bool(layer.dropout) and layer.num_layers > 1
    return isinstance(layer, nn.MultiheadAttention) and bool(layer.dropout)
