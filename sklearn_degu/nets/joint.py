"""Train all members of one architecture at once: one batched pass for all of them.

A GPU is not filled by one member, and it waits for the launch of every kernel. Here the weights of
the members are stacked, :func:`torch.vmap` runs the members as one, and each keeps its own order
of the rows, dropout masks, optimiser, learning rate and callbacks: the numbers are those of members
that train one after another. A member that stops early leaves the stack.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from typing import Any

import torch
from skorch import NeuralNet, NeuralNetRegressor
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state

from sklearn_degu.modules import Dropout
from sklearn_degu.nets.data import InMemoryBatches, InMemoryDataset, Rows
from sklearn_degu.nets.net import EpochLoss, InMemoryNet, training_precision
from sklearn_degu.nets.progress import EpochReporter
from sklearn_degu.nets.randomness import (
    Seeds,
    draws_globally,
    is_served_from_memory,
    one_intra_op_thread,
)
from sklearn_degu.nets.training import initialize, training_run


def train_jointly(
    nets: Sequence[NeuralNet],
    train: Rows,
    valid: Rows | None,
    *,
    seeds: Sequence[int],
    dtype: torch.dtype,
    reporters: Sequence[EpochReporter],
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
        for net, seed, reporter in zip(nets, map(Seeds, seeds), reporters, strict=True):
            runs.enter_context(training_run(net, reporter))
            initialize(net, train, seed, dtype)
            _check_joint(net)
            members.append(_Member(net, train_set, seed))
        _fit(members, valid_set)
    return list(nets)


def can_train_jointly(net: NeuralNet) -> bool:
    """Whether a net that is not initialised yet can surely train together with its like."""
    ours = getattr(net.module, "__module__", "").startswith("sklearn_degu.modules")
    return ours and type(net) is InMemoryNet and is_served_from_memory(net)


class _Member:
    """A net in training, with its own order of the rows that all share."""

    def __init__(self, net: NeuralNet, rows: InMemoryDataset, seed: Seeds) -> None:
        self.net = net
        self.rows = copy.copy(rows)
        self.rows.generator = torch.Generator().manual_seed(seed.order)
        device = torch.device(net.device or "cpu")
        self.dropout = torch.Generator(device).manual_seed(seed.dropout)
        self.batches: InMemoryBatches = net.get_iterator(self.rows, training=True)

    def goes_on(self, **datasets: Any) -> bool:
        """End an epoch; return whether the net trains on."""
        try:
            self.net.notify("on_epoch_end", **datasets)
        except KeyboardInterrupt:
            # That is how skorch's callbacks stop a training.
            return False
        return bool(len(self.net.history) < self.net.max_epochs)


def _fit(members: list[_Member], valid_set: InMemoryDataset | None) -> None:
    for member in members:
        member.net.notify("on_train_begin", X=member.rows, y=None)
    stack = _Stack(members)
    while stack.members:
        for member in stack.members:
            member.net.notify("on_epoch_begin", dataset_train=member.rows, dataset_valid=valid_set)
        _train_epoch(stack)
        if valid_set is not None:
            _validate(stack, valid_set)
        stopped = [
            member
            for member in stack.members
            if not member.goes_on(dataset_train=member.rows, dataset_valid=valid_set)
        ]
        if stopped:
            stack = stack.without(stopped)
        for member in stopped:
            member.net.notify("on_train_end", X=member.rows, y=None)


def _train_epoch(stack: _Stack) -> None:
    epoch = EpochLoss()
    for batches in zip(*(member.batches for member in stack.members), strict=True):
        stack.notify("on_batch_begin", batches, training=True)
        stack.zero_grad()
        loss, prediction = stack(batches, training=True)
        # A member's weights move its own loss alone, so that the sum has every member's gradient.
        loss.sum().backward()  # type: ignore[no-untyped-call]
        for member, batch in zip(stack.members, batches, strict=True):
            net = member.net
            parameters = list(net.get_all_learnable_params())
            net.notify("on_grad_computed", named_parameters=parameters, batch=batch, training=True)
            net.optimizer_.step()
        epoch.add(loss.detach(), *batches)
        results = [
            {"loss": each, "y_pred": predicted}
            for each, predicted in zip(loss.detach(), prediction.detach(), strict=True)
        ]
        stack.notify("on_batch_end", batches, results, training=True)
    epoch.record([member.net.history for member in stack.members], "train")


@torch.no_grad()
def _validate(stack: _Stack, valid_set: InMemoryDataset) -> None:
    epoch = EpochLoss()
    for batch in stack.members[0].net.get_iterator(valid_set, training=False):
        batches = [batch] * len(stack.members)
        stack.notify("on_batch_begin", batches, training=False)
        loss, prediction = stack(batches, training=False)
        epoch.add(loss, *batches)
        results = [
            {"loss": each, "y_pred": predicted}
            for each, predicted in zip(loss, prediction, strict=True)
        ]
        stack.notify("on_batch_end", batches, results, training=False)
    epoch.record([member.net.history for member in stack.members], "valid")


class _Stack:
    """The weights of members, one over the other, and their pass in one.

    The members' own parameters and gradients become views of the stacked ones, so that their
    optimisers step, and their callbacks see, what is in the stack.
    """

    def __init__(self, members: list[_Member]) -> None:
        self.members = members
        if not members:
            return
        modules = [_ModuleAndLoss(member.net) for member in members]
        self.parameters, self.buffers = stack_module_state(modules)
        for parameter in self.parameters.values():
            parameter.grad = torch.zeros_like(parameter)
        for i, module in enumerate(modules):
            for name, own in module.named_parameters():
                own.data = self.parameters[name].data[i]
                own.grad = self.parameters[name].grad[i]
            for name, buffer in module.named_buffers():
                buffer.data = self.buffers[name][i]
        self._skeleton = copy.deepcopy(modules[0]).to("meta")
        for layer in self._skeleton.modules():
            if isinstance(layer, Dropout):
                layer.generator = [member.dropout for member in members]

    def __call__(self, batches: Sequence[Any], training: bool) -> tuple[Tensor, Tensor]:
        """Return the loss (n_members,) and the outputs (n_members, n, k) of all members."""
        self._skeleton.train(training)
        run: Callable[..., tuple[Tensor, Tensor]] = torch.vmap(self._run)
        return run(self.parameters, self.buffers, *_stacked(batches))

    def _run(
        self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], X: Tensor, target: Any
    ) -> Any:
        return functional_call(self._skeleton, (parameters, buffers), (X, target))

    def zero_grad(self) -> None:
        """Set all gradients to zero, where they are."""
        torch._foreach_zero_([parameter.grad for parameter in self.parameters.values()])

    def without(self, stopped: list[_Member]) -> _Stack:
        """Return the stack of the other members; those that stopped keep copies of their own."""
        for member in stopped:
            for own in _ModuleAndLoss(member.net).state_dict(keep_vars=True).values():
                own.data = own.data.clone()
        return _Stack([member for member in self.members if member not in stopped])

    def notify(
        self,
        event: str,
        batches: Sequence[Any],
        results: Sequence[dict[str, Tensor]] | None = None,
        *,
        training: bool,
    ) -> None:
        """Tell every member's callbacks of its batch."""
        for i, member in enumerate(self.members):
            result = {} if results is None else results[i]
            member.net.notify(event, batch=batches[i], training=training, **result)


class _ModuleAndLoss(nn.Module):
    """A net's module with its loss behind it, which may have parameters too."""

    def __init__(self, net: NeuralNet) -> None:
        super().__init__()
        self.module = net.module_
        self.criterion = net.criterion_
        self._precision = training_precision(net)

    def forward(self, X: Tensor, target: Any) -> tuple[Tensor, Tensor]:
        """Return the loss of a batch, and the module's outputs."""
        with self._precision if self.training else nullcontext():
            prediction = self.module(X).to(X.dtype)
        return self.criterion(prediction, target), prediction


def _stacked(batches: Sequence[Any]) -> tuple[Tensor, Any]:
    """Stack the members' batches; validation rows, which are the same, take no more memory."""
    inputs, targets = zip(*batches, strict=True)
    if isinstance(targets[0], (tuple, list)):
        return _stack(inputs), tuple(map(_stack, zip(*targets, strict=True)))
    return _stack(inputs), _stack(targets)


def _stack(tensors: Sequence[Tensor]) -> Tensor:
    if all(tensor is tensors[0] for tensor in tensors):
        return tensors[0].expand(len(tensors), *tensors[0].shape)
    return torch.stack(list(tensors))


def _check_joint(net: NeuralNet) -> None:
    plain = type(net) in (InMemoryNet, NeuralNetRegressor)
    if not plain or not is_served_from_memory(net):
        raise ValueError(
            'strategy="joint" trains nets by a loop of its own, which would pass over what '
            f"{type(net).__name__} does differently. Use recipes or InMemoryNet with the loaders "
            'left alone, or strategy="loop".'
        )
    if draws_globally(net.module_):
        raise ValueError(
            f'strategy="joint" gives every member random numbers of its own, but the module '
            f"{type(net.module_).__name__} may draw from torch's global generator. Use "
            "sklearn_degu.modules.Dropout for its dropout, and say draws_globally = False on the "
            'class, or strategy="loop".'
        )
    if any(isinstance(layer, nn.RNNBase) for layer in net.module_.modules()):
        raise ValueError('torch.vmap cannot run recurrent layers: use strategy="loop".')
    if isinstance(net.optimizer_, torch.optim.LBFGS):
        raise ValueError('strategy="joint" cannot call LBFGS, which needs a closure: "loop" can.')
