"""The members of an ensemble as one net: their weights stacked, and run by :func:`torch.vmap`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from operator import itemgetter
from typing import Any, Protocol

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, LRScheduler
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state

from sklearn_degu.modules import Dropout
from sklearn_degu.nets.checkpoints import Training
from sklearn_degu.nets.data import InMemoryBatches, mapped
from sklearn_degu.nets.net import training_precision
from sklearn_degu.nets.progress import EpochReporter
from sklearn_degu.nets.recorded import Step, StepRecorder


class Member(Protocol):
    """A net in training, its loader and the generator of its dropout masks."""

    net: NeuralNet
    batches: InMemoryBatches
    dropout: torch.Generator
    training: Training


class MemberStack:
    """The weights of members, one over the other, and their pass in one, for an epoch.

    The members' own parameters and gradients are views of the stacked ones, so that their
    optimisers step, and their callbacks see, what is in the stack.
    """

    def __init__(
        self, members: Sequence[Member], skeleton: ModuleAndLoss, recorder: StepRecorder
    ) -> None:
        self.members = members
        self._recorder = recorder
        self._modules = [ModuleAndLoss(member.net) for member in members]
        self._parameters, self._buffers = stack_module_state(self._modules)
        self._learnable = [list(member.net.get_all_learnable_params()) for member in members]
        self._own = [
            (own, self._parameters[name], i)
            for i, module in enumerate(self._modules)
            for name, own in module.named_parameters()
        ]
        for own, stacked, i in self._own:
            own.data = stacked.data[i]
        for i, module in enumerate(self._modules):
            for name, buffer in module.named_buffers():
                buffer.data = self._buffers[name][i]
        self._skeleton = skeleton
        for layer in self._skeleton.modules():
            if isinstance(layer, Dropout):
                layer.generator = [member.dropout for member in members]
        self._is_watched = any(_watches_batches(member.net) for member in members)

    def __call__(self, X: Tensor, target: Any, training: bool) -> tuple[Tensor, Tensor]:
        """Return the losses (n_members,) and the outputs (n_members, n, k) of all members."""
        self._skeleton.train(training)
        run: Callable[..., tuple[Tensor, Tensor]] = torch.vmap(self._run)
        return run(self._parameters, self._buffers, X, target)

    def _run(
        self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], X: Tensor, target: Any
    ) -> Any:
        return functional_call(self._skeleton, (parameters, buffers), (X, target))

    def training(self) -> AbstractContextManager[Step]:
        """Return the context of an epoch: in it is what trains on a batch and returns losses."""
        if self._is_watched:
            return nullcontext(self._train)
        # The order of the rows is drawn elsewhere.
        kind = self._recorder.device.type
        drawn_from = [member.training.generators for member in self.members]
        generators = [own for all_ in drawn_from for own in all_ if own.device.type == kind]
        optimizers = [member.net.optimizer_ for member in self.members]
        n_batches = len(self.members[0].batches)
        return self._recorder.steps(self._train, n_batches, generators, optimizers)

    def _train(self, X: Tensor, target: Any) -> Tensor:
        X = self._edited(X)
        self._notify("on_batch_begin", X, target, training=True)
        losses, predictions = self(X, target, training=True)
        self._backward(losses)
        for i, member in enumerate(self.members):
            self._notify_of_gradients(i, X, target)
            member.net.optimizer_.step()
        results = {"loss": losses.detach(), "y_pred": predictions.detach()}
        self._notify("on_batch_end", X, target, training=True, **results)
        return losses.detach()

    def validate(self, X: Tensor, target: Any) -> Tensor:
        """Return the losses (n_members,) of a batch to validate on."""
        self._notify("on_batch_begin", X, target, training=False)
        losses, predictions = self(X, target, training=False)
        results = {"loss": losses, "y_pred": predictions}
        self._notify("on_batch_end", X, target, training=False, **results)
        return losses

    def _edited(self, X: Tensor) -> Tensor:
        loaders = [member.batches for member in self.members]
        if not any(loader.edits for loader in loaders):
            return X
        return torch.stack([loader.edited(x) for loader, x in zip(loaders, X, strict=True)])

    def _backward(self, losses: Tensor) -> None:
        """Give every member the gradient of its own loss."""
        for parameter in self._parameters.values():
            parameter.grad = None
        # A member's weights move its own loss alone, so that the sum has every member's gradient.
        losses.sum().backward()  # type: ignore[no-untyped-call]
        for own, stacked, i in self._own:
            # A callback may have frozen it.
            learns = stacked.grad is not None and own.requires_grad
            own.grad = stacked.grad[i] if learns else None

    def release(self) -> None:
        """Give the members their weights to keep: a copy of a view would be one of the stack."""
        for module in self._modules:
            for own in (*module.parameters(), *module.buffers()):
                own.data = own.data.clone()
                own.grad = None

    def _notify(
        self, event: str, X: Tensor, target: Any, *, training: bool, **results: Tensor
    ) -> None:
        """Tell every member's callbacks of its batch, if any wants to know."""
        if not self._is_watched:
            return
        for i, member in enumerate(self.members):
            batch = mapped(itemgetter(i), X, target)
            own = {name: values[i] for name, values in results.items()}
            member.net.notify(event, batch=batch, training=training, **own)

    def _notify_of_gradients(self, i: int, X: Tensor, target: Any) -> None:
        if self._is_watched:
            batch = mapped(itemgetter(i), X, target)
            named = self._learnable[i]
            self.members[i].net.notify(
                "on_grad_computed", named_parameters=named, batch=batch, training=True
            )


class ModuleAndLoss(nn.Module):
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


def _watches_batches(net: NeuralNet) -> bool:
    """Whether a callback of a net wants to know of every batch."""
    return any(_is_told_of_batches(callback) for _, callback in net.callbacks_)


def _is_told_of_batches(callback: Any) -> bool:
    of_epochs = {Callback.on_batch_begin, Callback.on_batch_end, Callback.on_grad_computed}
    # It looks whether other threads failed, and here are none.
    of_epochs.add(EpochReporter.on_batch_begin)
    if getattr(callback, "step_every", None) == "epoch":
        of_epochs.add(LRScheduler.on_batch_end)
    events = ("on_batch_begin", "on_batch_end", "on_grad_computed")
    methods = [getattr(callback, name) for name in events]
    return any(getattr(method, "__func__", method) not in of_epochs for method in methods)
