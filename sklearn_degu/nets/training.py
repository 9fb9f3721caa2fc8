"""Train one net: initial weights, epochs, best weights, all from one seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from numpy.typing import NDArray
from sklearn.base import clone
from skorch import NeuralNet
from skorch.callbacks import Callback
from skorch.helper import predefined_split
from torch import Tensor, nn

from sklearn_degu.nets.augmented import BatchEdits
from sklearn_degu.nets.checkpoints import Checkpoint, Training
from sklearn_degu.nets.data import InMemoryDataset, Rows
from sklearn_degu.nets.interruption import ctrl_c
from sklearn_degu.nets.progress import EpochReporter
from sklearn_degu.nets.randomness import (
    Seeds,
    global_generator,
    one_intra_op_thread,
    random_stream,
)

# By the names of a net's modules and criteria.
Weights = dict[str, dict[str, Any]]

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def train_net(
    net: NeuralNet,
    train: Rows,
    valid: Rows | None,
    *,
    seed: int,
    dtype: torch.dtype,
    reporter: EpochReporter,
    checkpoint: Checkpoint | None = None,
    refresh: Callable[[int], Rows | None] | None = None,
    augment: nn.Module | None = None,
    initial: Weights | None = None,
    stage: int = 0,
) -> NeuralNet:
    """Train a configured net in place and return it.

    Everything random comes from ``seed``; torch's global generators are left as they were.

    Parameters
    ----------
    net : skorch.NeuralNet
        A net as :func:`~sklearn_degu.nets.configure.configure` returns it.
    train, valid : Rows
        What to train on and what to stop on.
    seed : int
        Decides initial weights, order of the rows and dropout masks.
    dtype : torch.dtype
        What to compute in.
    reporter : EpochReporter
        Records the epochs and reports them.
    checkpoint : Checkpoint, optional
        Where the training is kept, and goes on from if it was cut off.
    refresh : callable, optional
        Called with the index of every epoch at its start; returns the rows to go on with, or None
        to keep those that there are.
    augment : torch.nn.Module, optional
        Edits every batch of training rows.
    initial : dict, optional
        The weights to begin with, as :func:`weights_of` returns them.
    stage : int, default=0
        Counts the trainings of a net, one after another, from one seed. The order of the rows, the
        dropout masks and the edits of each are others.

    Raises
    ------
    TrainingDivergedError
        If a loss becomes NaN or infinite.
    """
    seeds = Seeds(seed, stage)
    with one_intra_op_thread, training_run(net, reporter):
        initialize(net, train, seeds, dtype, initial)
        device = torch.device(net.device or "cpu")
        order = torch.Generator().manual_seed(seeds.order)
        edits = None
        if augment is not None:
            edits = BatchEdits(augment, seeds.augmentation, device, dtype)
        train_set = InMemoryDataset(
            *train,
            dtype=dtype,
            device=device,
            generator=order,
            refresh=None if refresh is None else lambda: refresh(len(net.history) - 1),
            augment=edits,
        )
        valid_set = None if valid is None else InMemoryDataset(*valid, dtype=dtype, device=device)
        with random_stream(net, seeds.dropout, device) as generators:
            drawn_from = [order, *generators, *([edits.generator] if edits else [])]
            training = Training(net, drawn_from)
            _fit_loop(training, train_set, valid_set, checkpoint or Checkpoint(None))
    return net


@contextmanager
def training_run(net: NeuralNet, reporter: EpochReporter) -> Iterator[None]:
    """Give a net callbacks of its own for a training; forget what only the training needs."""
    callbacks = net.callbacks
    # By attribute: skorch's set_params fails on a net without any callback.
    # Clones, because fitted callbacks keep copies of the weights.
    net.callbacks = reporter.added_to(clone(callbacks, safe=False))
    yield
    net.callbacks = callbacks
    forget_training(net)


def initialize(
    net: NeuralNet,
    train: Rows,
    seeds: Seeds,
    dtype: torch.dtype,
    initial: Weights | None = None,
) -> None:
    """Give a net its initial weights, those of the seed or given ones, in the type to compute in.

    Given weights are laid over those of the seed: what a module keeps beside its weights and
    buffers is as it was in the training that they come from.
    """
    with global_generator(seeds.weights):
        net.initialize()
    _prepare_module(net.module_, train, dtype)
    for name, weights in (initial or {}).items():
        getattr(net, f"{name}_").load_state_dict(weights)


def weights_of(net: NeuralNet) -> Weights:
    """Return the weights and buffers of a fitted net's modules and criteria, on the CPU."""
    return {
        name: {
            key: value.cpu() if isinstance(value, Tensor) else value
            for key, value in getattr(net, f"{name}_").state_dict().items()
        }
        for name in (*net._modules, *net._criteria)
    }


def warm_weights(
    student: NeuralNet, member: NeuralNet, factor: NDArray[Any], offset: NDArray[Any]
) -> Weights:
    """Return the weights of an initialised student, with those of a member in their place.

    The last layer, whose numbers of outputs differ, takes the member's first ones for its own,
    times a factor and plus an offset: into the units of the student.

    Parameters
    ----------
    student, member : skorch.NeuralNet
        Nets of one architecture.
    factor, offset : ndarray of shape (n_outputs,)
        For every output that is taken.

    Raises
    ------
    ValueError
        If the architectures differ in more than the number of outputs.
    """
    own, given = (net.module_.state_dict() for net in (student, member))
    n_outputs = len(factor)
    same = own.keys() == given.keys()
    wider = [name for name in own if same and own[name].shape != given[name].shape]
    if not same or not all(_has_more_outputs(own[k], given[k], n_outputs) for k in wider):
        raise ValueError(
            "warm_start_from_teacher=True needs a student of the teacher's architecture, but the "
            f"weights of the {type(student.module_).__name__} and those of the teacher's first "
            f"member, a {type(member.module_).__name__}, differ in more than the number of "
            "outputs. Leave student out, or set warm_start_from_teacher=False."
        )
    merged = {name: given[name].to(fresh) for name, fresh in own.items()}
    # Of several biases that add up, one has the offset.
    bias = next((name for name in wider if own[name].ndim == 1), None)
    for name in wider:
        taken = merged[name][:n_outputs] * _along_rows(factor, own[name])
        if name == bias:
            taken = taken + _along_rows(offset, own[name])
        merged[name] = torch.cat([taken, own[name][n_outputs:]])
    return {"module": merged}


def _has_more_outputs(fresh: Tensor, trained: Tensor, n_outputs: int) -> bool:
    along = fresh.ndim > 0 and fresh.shape[1:] == trained.shape[1:]
    return along and fresh.ndim == trained.ndim and len(trained) % n_outputs == 0


def _along_rows(values: NDArray[Any], like: Tensor) -> Tensor:
    """Return values as a tensor that goes along the first axis of another."""
    return torch.as_tensor(values.copy()).to(like).reshape(-1, *(1 for _ in like.shape[1:]))


def _prepare_module(module: nn.Module, train: Rows, dtype: torch.dtype) -> None:
    if len(train.X) == 1 and any(isinstance(layer, _BATCH_NORMS) for layer in module.modules()):
        raise ValueError(
            "Got 1 sample (n_samples = 1) to train on, but the net has batch norm, which needs "
            "at least 2. Pass more samples, or a net without batch norm."
        )
    module.to(dtype)
    for layer in module.modules():
        adapt = getattr(layer, "adapt", None)
        if callable(adapt):
            adapt(train.X, train.weight)


def _fit_loop(
    training: Training,
    train_set: InMemoryDataset,
    valid_set: InMemoryDataset | None,
    checkpoint: Checkpoint,
) -> None:
    net = training.net
    [kept] = checkpoint.load(n_nets=1)
    if kept is not None and kept.finished:
        training.restore(kept)
        return
    net.train_split = None if valid_set is None else predefined_split(valid_set)
    net.notify("on_train_begin", X=train_set, y=None)
    if kept is not None:
        training.restore(kept)
    elif checkpoint.is_due:
        # What cannot be kept is refused now and not an epoch later.
        training.state()
    net.callbacks_.append(("keeper", _Keeper(training, checkpoint)))
    with ctrl_c.watched():
        try:
            net.fit_loop(train_set, epochs=net.max_epochs - len(net.history))
        except KeyboardInterrupt:
            # skorch's callbacks stop a training by KeyboardInterrupt, as does a user's Ctrl-C.
            # The callbacks do it behind the last batch of an epoch.
            last_count = "train_batch_count" if valid_set is None else "valid_batch_count"
            if ctrl_c.pressed or not net.history or last_count not in net.history[-1]:
                raise
        finally:
            net.train_split = None
    net.notify("on_train_end", X=train_set, y=None)
    checkpoint.save([training.finished()])


class _Keeper(Callback):
    """Keep the training behind every epoch; the last callback, which sees what the others did."""

    outlives_checkpoints = True

    def __init__(self, training: Training, checkpoint: Checkpoint) -> None:
        self.training = training
        self.checkpoint = checkpoint

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Keep the training, unless that was done a moment ago."""
        if self.checkpoint.is_due:
            self.checkpoint.save(training.state() for training in [self.training])


def forget_training(net: NeuralNet) -> None:
    """Drop what only training needs: optimiser, callbacks' copies of weights, generators."""
    net.callbacks_ = []
    net.optimizer_ = None
    for layer in net.module_.modules():
        if hasattr(layer, "generator"):
            layer.generator = None
    net.module_.eval()
