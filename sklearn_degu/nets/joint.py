"""Train all members of one architecture at once: one batched pass for all of them.

A GPU is not filled by one member, and it waits for the launch of every kernel. Here the weights of
the members are stacked, :func:`torch.vmap` runs the members as one, and each keeps its own order
of the rows, dropout masks, optimiser, learning rate and callbacks: the numbers are those of members
that train one after another. A member that stops early leaves the stack.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from skorch import NeuralNet
from torch import Tensor, nn

from sklearn_degu.nets.augmented import BatchEdits
from sklearn_degu.nets.checkpoints import Checkpoint, NetState, Training
from sklearn_degu.nets.data import InMemoryBatches, InMemoryDataset, Rows, mapped, stacked_batches
from sklearn_degu.nets.interruption import ctrl_c
from sklearn_degu.nets.member_stack import MemberStack, ModuleAndLoss
from sklearn_degu.nets.net import EpochLoss, InMemoryNet
from sklearn_degu.nets.progress import EpochReporter
from sklearn_degu.nets.randomness import (
    Seeds,
    draws_globally,
    is_served_from_memory,
    one_intra_op_thread,
)
from sklearn_degu.nets.recorded import StepRecorder
from sklearn_degu.nets.training import Weights, initialize, training_run


def train_jointly(
    nets: Sequence[NeuralNet],
    train: Rows,
    valid: Rows | None,
    *,
    seeds: Sequence[int],
    dtype: torch.dtype,
    reporters: Sequence[EpochReporter],
    checkpoint: Checkpoint | None = None,
    augment: nn.Module | None = None,
    initial: Sequence[Weights] | None = None,
) -> list[NeuralNet]:
    """Train configured nets of one architecture in place, and return them.

    Parameters
    ----------
    nets : sequence of skorch.NeuralNet
        Nets as :func:`~sklearn_degu.nets.configure.configure` returns them, alike but for their
        seeds.
    train, valid : Rows
        What to train on and what to stop on.
    seeds : sequence of int
        Decide initial weights, order of the rows and dropout masks, net by net.
    dtype : torch.dtype
        What to compute in.
    reporters : sequence of EpochReporter
        Record and report the epochs, net by net.
    checkpoint : Checkpoint, optional
        Where the training is kept, and goes on from if it was cut off.
    augment : torch.nn.Module, optional
        Edits every batch of training rows.
    initial : sequence of dict, optional
        The weights to begin with, net by net, as for
        :func:`~sklearn_degu.nets.training.train_net`.

    Raises
    ------
    ValueError
        If the nets cannot be trained together; the message says why.
    TrainingDivergedError
        If a loss becomes NaN or infinite.
    """
    device = torch.device(nets[0].device or "cpu")
    with one_intra_op_thread, ExitStack() as runs:
        train_set = InMemoryDataset(*train, dtype=dtype, device=device)
        valid_set = None if valid is None else InMemoryDataset(*valid, dtype=dtype, device=device)
        members = []
        given = [None] * len(nets) if initial is None else initial
        for net, seed, reporter, weights in zip(nets, seeds, reporters, given, strict=True):
            runs.enter_context(training_run(net, reporter))
            streams = Seeds(seed, stage=int(weights is not None))
            initialize(net, train, streams, dtype, weights)
            members.append(_Member(net, train_set, streams, augment))
        with ctrl_c.watched():
            _fit(members, valid_set, checkpoint or Checkpoint(None))
    return list(nets)


def can_train_jointly(net: NeuralNet) -> bool:
    """Whether a net that is not initialised yet can surely train together with its like."""
    ours = getattr(net.module, "__module__", "").startswith("sklearn_degu.modules")
    recurrent = getattr(net.module, "is_recurrent", False)
    return ours and not recurrent and not _loop_of_its_own(net)


class _Member:
    """A net in training, with its own order of the rows that all share."""

    def __init__(
        self, net: NeuralNet, rows: InMemoryDataset, seed: Seeds, augment: nn.Module | None
    ) -> None:
        self.net = net
        self.rows = copy.copy(rows)
        order = self.rows.generator = torch.Generator().manual_seed(seed.order)
        device = torch.device(net.device or "cpu")
        self.dropout = torch.Generator(device).manual_seed(seed.dropout)
        generators = [order, self.dropout]
        if augment is not None:
            edits = BatchEdits(augment, seed.augmentation, device, rows.dtype)
            self.rows.augment = edits
            generators.append(edits.generator)
        self.batches: InMemoryBatches = net.get_iterator(self.rows, training=True)
        self.training = Training(net, generators)
        self.finished: NetState | None = None

    def begin(self, kept: NetState | None) -> None:
        """Begin the training, or go on with one that was kept."""
        self.net.notify("on_train_begin", X=self.rows, y=None)
        _check_joint(self.net)
        if kept is not None:
            self.training.restore(kept)
            self.finished = kept if kept.finished else None

    def end_epoch(self, **datasets: Any) -> None:
        """End an epoch, and the training if it was the last."""
        try:
            self.net.notify("on_epoch_end", **datasets)
            goes_on = len(self.net.history) < self.net.max_epochs
        except KeyboardInterrupt:
            # That is how skorch's callbacks stop a training.
            if ctrl_c.pressed:
                raise
            goes_on = False
        if not goes_on:
            self.net.notify("on_train_end", X=self.rows, y=None)
            self.finished = self.training.finished()

    def state(self) -> NetState:
        """Return what a checkpoint keeps of the member."""
        return self.finished or self.training.state()


def _fit(members: list[_Member], valid_set: InMemoryDataset | None, checkpoint: Checkpoint) -> None:
    for member, kept in zip(members, checkpoint.load(len(members)), strict=True):
        member.begin(kept)
    # What all members compute, without weights.
    skeleton = copy.deepcopy(ModuleAndLoss(members[0].net)).to("meta")
    recorder = StepRecorder(torch.device(members[0].net.device or "cpu"))
    while active := [member for member in members if member.finished is None]:
        if checkpoint.is_due:
            checkpoint.save(member.state() for member in members)
        datasets = [{"dataset_train": m.rows, "dataset_valid": valid_set} for m in active]
        for member, sets in zip(active, datasets, strict=True):
            member.net.notify("on_epoch_begin", **sets)
        stack = MemberStack(active, skeleton, recorder)
        _train_epoch(stack)
        if valid_set is not None:
            _validate(stack, valid_set)
        stack.release()
        for member, sets in zip(active, datasets, strict=True):
            member.end_epoch(**sets)
    checkpoint.save(member.state() for member in members)


def _train_epoch(stack: MemberStack) -> None:
    epoch = EpochLoss()
    with stack.training() as step:
        for X, target in stacked_batches([member.batches for member in stack.members]):
            epoch.add(step(X, target), _weights_of(X, target))
        epoch.record([member.net.history for member in stack.members], "train")


@torch.no_grad()
def _validate(stack: MemberStack, valid_set: InMemoryDataset) -> None:
    epoch = EpochLoss()
    for batch in stack.members[0].net.get_iterator(valid_set, training=False):
        # The same rows for all take no more memory.
        X, target = mapped(lambda values: values.expand(len(stack.members), *values.shape), *batch)
        epoch.add(stack.validate(X, target), _weights_of(X, target))
    epoch.record([member.net.history for member in stack.members], "valid")


def _weights_of(X: Tensor, target: Any) -> Tensor | int:
    """Return what the mean losses of the members' batches weigh in the means over an epoch."""
    return target[1].flatten(1).sum(1) if isinstance(target, (tuple, list)) else X.shape[1]


def _check_joint(net: NeuralNet) -> None:
    """Raise if an initialised net would be another when trained in one pass with its like."""
    reason = _loop_of_its_own(net) or _own_state(net.module_)
    if reason:
        raise ValueError(f'strategy="joint" cannot train this net: {reason}. Use strategy="loop".')


def _loop_of_its_own(net: NeuralNet) -> str:
    """Say what a net does in training that one pass for all would leave out; nothing if nothing."""
    if type(net) is not InMemoryNet or not is_served_from_memory(net):
        return (
            f"it is a {type(net).__name__} with its own training step or loader, and not an "
            "InMemoryNet as the recipes make it"
        )
    if issubclass(net.optimizer, torch.optim.LBFGS):
        return "LBFGS asks for the loss several times a step"
    return ""


def _own_state(module: nn.Module) -> str:
    """Say what a module has that cannot be stacked; nothing if all is parameters and buffers."""
    layers = list(module.modules())
    name = type(module).__name__
    if draws_globally(module):
        return (
            f"{name} may draw from torch's global generator (use sklearn_degu.modules.Dropout for "
            "dropout, and say draws_globally = False on the class)"
        )
    if any(isinstance(layer, nn.RNNBase) for layer in layers):
        return "torch.vmap cannot run recurrent layers"
    if len(list(module.named_parameters(remove_duplicate=False))) > len(list(module.parameters())):
        return f"layers of {name} share weights"
    if any(isinstance(value, Tensor) for layer in layers for value in vars(layer).values()):
        return f"{name} keeps a tensor that is neither a parameter nor a buffer"
    if any(_has_hooks(layer) for layer in layers) or any(_hooks_of(module.parameters())):
        return f"there are hooks on layers or weights of {name}"
    return ""


def _has_hooks(layer: nn.Module) -> bool:
    return bool(layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks)


def _hooks_of(parameters: Iterable[nn.Parameter]) -> Iterable[bool]:
    return (bool(getattr(parameter, "_backward_hooks", None)) for parameter in parameters)
