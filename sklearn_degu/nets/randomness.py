"""Keep the random numbers of nets apart, and torch's global generator as it was."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from skorch import NeuralNet
from torch import nn

from sklearn_degu.modules import Dropout
from sklearn_degu.nets.data import InMemoryBatches

_GLOBAL_GENERATOR = threading.RLock()

# Layers of torch that draw from its global generator while they train.
_DRAWS_GLOBALLY = (
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.FeatureAlphaDropout,
    nn.RReLU,
    nn.FractionalMaxPool2d,
    nn.FractionalMaxPool3d,
    nn.MultiheadAttention,
    nn.TransformerEncoderLayer,
    nn.TransformerDecoderLayer,
)

# Seeds drawn from a RandomState lie below it.
MAX_SEED = np.iinfo(np.int32).max


class Seeds:
    """The independent random streams of one net, all from one seed.

    Parameters
    ----------
    seed : int
        The seed of the net.
    stage : int, default=0
        Counts the trainings of the net, one after another: each has streams of its own, but all
        begin from the module that the seed makes.

    Attributes
    ----------
    weights, order, dropout, augmentation : int
        Seeds of the initial weights, of the order of the rows, of the dropout masks and of the
        augmentation.
    """

    def __init__(self, seed: int, stage: int = 0) -> None:
        children = np.random.SeedSequence(seed).generate_state(4 + 3 * stage).tolist()
        self.weights = children[0]
        self.order, self.dropout, self.augmentation = children[-3:]


@contextmanager
def global_generator(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Seed torch's global generators within the block, alone, and restore them afterwards."""
    devices = [device] if device is not None and device.type == "cuda" else []
    with _GLOBAL_GENERATOR, torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(seed)
        if devices:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


@contextmanager
def random_stream(
    net: NeuralNet, seed: int, device: torch.device
) -> Iterator[list[torch.Generator]]:
    """Give a net's random layers a stream of their own for the length of a training run.

    Our :class:`~sklearn_degu.modules.Dropout` draws from a generator of the net's own. A net with
    other random layers, or a loader of the user's, is trained under a lock, on the global
    generator. The block is given the generators that are drawn from.
    """
    if draws_globally(net.module_) or not is_served_from_memory(net):
        with global_generator(seed, device):
            yield _global_generators(device)
        return
    generator = torch.Generator(device).manual_seed(seed)
    for layer in net.module_.modules():
        if isinstance(layer, Dropout):
            layer.generator = generator
    yield [generator]


def _global_generators(device: torch.device) -> list[torch.Generator]:
    generators = [torch.default_generator]
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        generators.append(torch.cuda.default_generators[index])
    return generators


def draws_globally(module: nn.Module) -> bool:
    """Whether training the module may draw from torch's global generator.

    Layers of torch are known; what a class of the user's own does is not, unless the class says
    ``draws_globally = False``.
    """
    return any(_layer_draws_globally(layer) for layer in module.modules())


def may_draw_globally(net: NeuralNet) -> bool:
    """Whether a net that is not initialised yet may have to train under the lock."""
    declared = getattr(net.module, "draws_globally", None)
    ours = getattr(net.module, "__module__", "").startswith("sklearn_degu.modules")
    return not is_served_from_memory(net) or (not ours if declared is None else bool(declared))


def is_served_from_memory(net: NeuralNet) -> bool:
    """Whether our own loader decides the order of the rows, and not one of the user's."""
    return net.iterator_train is net.iterator_valid is InMemoryBatches


def _layer_draws_globally(layer: nn.Module) -> bool:
    if isinstance(layer, Dropout):
        return False
    if isinstance(layer, _DRAWS_GLOBALLY):
        return True
    if isinstance(layer, nn.RNNBase):
        return bool(layer.dropout)
    if hasattr(layer, "draws_globally"):
        return bool(layer.draws_globally)
    return not type(layer).__module__.startswith(("torch.nn.", "sklearn_degu.modules"))


class _OneIntraOpThread:
    """Let torch compute on one thread a net, so that results depend on no thread count.

    Nets train side by side, one thread each: on a CPU that is faster than one net on all of
    them. torch's setting is of the thread that sets it and of all that begin later, so that every
    thread sets it back where it leaves, to what it was before the first of all entered.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._outer = 1
        self._depth = threading.local()

    @property
    def threads_outside(self) -> int:
        """How many threads torch computes on outside of the block."""
        with self._lock:
            return self._outer if self._inside else torch.get_num_threads()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._outer = torch.get_num_threads()
            self._inside += 1
            self._depth.value = getattr(self._depth, "value", 0) + 1
            torch.set_num_threads(1)

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._inside -= 1
            self._depth.value -= 1
            if self._depth.value == 0:
                torch.set_num_threads(self._outer)


one_intra_op_thread = _OneIntraOpThread()
