"""Edits of training batches, anew in every epoch, from a stream of the net's own."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from torch import Tensor, nn

from sklearn_degu.nets.data import InMemoryBatches, Rows, as_tensor

# So many rows are edited for a look at what comes out.
N_TRIED = 64


class BatchEdits:
    """What a net's training batches are edited by: a module, and a generator of the net's own.

    Parameters
    ----------
    augment : torch.nn.Module
        Called as ``augment(X, generator)``, returns an edited X. It is copied, so that nets side
        by side share nothing.
    seed : int
        Decides the edits.
    device : torch.device
        Where the batches are.
    dtype : torch.dtype
        The type of the batches.
    """

    def __init__(
        self, augment: nn.Module, seed: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.generator = torch.Generator(device).manual_seed(seed)
        self._augment = copy.deepcopy(augment).to(device, dtype)

    @torch.no_grad()
    def __call__(self, X: Tensor) -> Tensor:
        """Return a batch edited."""
        edited: Tensor = self._augment(X, self.generator)
        return edited


def check_augment(augment: Any) -> None:
    """Raise unless batches can be edited by it, as far as that shows before a fit.

    Raises
    ------
    TypeError
        If it is neither None nor a torch module.
    ValueError
        If it has weights to train.
    """
    if augment is None:
        return
    if not isinstance(augment, nn.Module):
        raise TypeError(
            "augment must be None or a torch module, such as augmentation.Augment(), that is "
            "called as augment(X_batch, generator) with a tensor and a torch.Generator; got "
            f"{augment!r}."
        )
    if any(parameter.requires_grad for parameter in augment.parameters()):
        raise ValueError(
            f"augment has parameters that require a gradient, but nothing trains them: "
            f"{type(augment).__name__} is called without gradients. Turn them off, "
            "augment.requires_grad_(False), or put the module into the net."
        )


def check_keeps_positions(augment: nn.Module | None) -> None:
    """Raise if letters would change places that measured profiles stay at.

    Raises
    ------
    ValueError
        If one of our transforms moves them; what other modules do is not known.
    """
    parts = [] if augment is None else augment.modules()
    moving = [type(part).__name__ for part in parts if getattr(part, "moves_positions", False)]
    if moving:
        raise ValueError(
            f"augment has {', '.join(moving)}, which moves letters, but y holds profiles, which "
            "would stay where they are. Use transforms that leave letters in their places, "
            "Augment([Mutation(), Noise()]), or add edited rows with their profiles to X and y."
        )


def check_edits(augment: nn.Module, net: NeuralNet, train: Rows, dtype: torch.dtype) -> None:
    """Try what edits the batches on a few rows, before any training.

    Parameters
    ----------
    augment : torch.nn.Module
        What edits them.
    net : skorch.NeuralNet
        A net as :func:`~sklearn_degu.nets.configure.configure` returns it.
    train : Rows
        What is trained on.
    dtype : torch.dtype
        What is computed in.

    Raises
    ------
    ValueError
        If the net's loader would not ask for edits, if what is returned is no tensor of finite
        numbers of the same shape and type, or if the generator alone does not decide it.
    """
    if net.iterator_train is not InMemoryBatches:
        raise ValueError(
            "The net has an iterator_train of its own, which does not ask for edited rows. Leave "
            "iterator_train out, or set augment=None and edit the rows in it."
        )
    device = torch.device(net.device or "cpu")
    some = train.X[np.arange(min(N_TRIED, len(train.X)))]
    X = as_tensor(some).to(device, dtype)
    edits = BatchEdits(augment, 0, device, dtype)
    start = edits.generator.get_state()
    first = _checked(edits(X.clone()), X)
    edits.generator.set_state(start)
    if not torch.equal(first, edits(X.clone())):
        raise ValueError(
            "augment must draw all that is random from the generator that it is given, and keep "
            "no state: called twice with the same rows and the same generator, "
            f"{type(augment).__name__} returned different rows."
        )


def _checked(edited: Any, X: Tensor) -> Tensor:
    if not isinstance(edited, Tensor) or not torch.isfinite(edited).all():
        raise ValueError(
            "augment must return finite numbers; it returned "
            f"{'missing or infinite values' if isinstance(edited, Tensor) else repr(edited)}."
        )
    if edited.shape != X.shape or edited.dtype != X.dtype or edited.device != X.device:
        raise ValueError(
            "augment must return a tensor of the shape, type and device that it is given, "
            f"{tuple(X.shape)} of {X.dtype} on {X.device}; it returned {tuple(edited.shape)} of "
            f"{edited.dtype} on {edited.device}."
        )
    return edited
