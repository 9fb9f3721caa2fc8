"""The skorch net of the recipes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from skorch import NeuralNet, NeuralNetRegressor
from skorch.callbacks import EpochTimer
from skorch.history import History
from torch import Tensor, nn

from sklearn_degu.nets.data import InMemoryBatches, InMemoryDataset

Precision = Literal["float32", "bfloat16"]


class InMemoryNet(NeuralNetRegressor):
    """skorch regressor that trains from memory at the speed of a hand-written loop.

    It differs from :class:`skorch.NeuralNetRegressor` in three defaults (rows are served by
    index, in a new order every epoch, and none are held out) and in one habit: losses are
    recorded once an epoch instead of once a batch, which on a GPU spares a synchronisation at
    every step. ``on_batch_begin`` and ``on_batch_end`` reach the callbacks as always.

    Parameters
    ----------
    module : class
        The module, as a class.
    precision : {"float32", "bfloat16"}, default="float32"
        What a training step computes its convolutions and matrix products in. bfloat16 is faster
        on processors and GPUs that have it, and rounds to three digits; weights, loss, validation
        and prediction stay as they are.
    **kwargs : object
        Parameters of :class:`skorch.NeuralNetRegressor`.
    """

    def __init__(
        self,
        module: type[nn.Module],
        *,
        precision: Precision = "float32",
        dataset: Any = InMemoryDataset,
        iterator_train: Any = InMemoryBatches,
        iterator_train__shuffle: bool = True,
        iterator_valid: Any = InMemoryBatches,
        train_split: Any = None,
        verbose: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            module,
            dataset=dataset,
            iterator_train=iterator_train,
            iterator_train__shuffle=iterator_train__shuffle,
            iterator_valid=iterator_valid,
            train_split=train_split,
            verbose=verbose,
            **kwargs,
        )
        self.precision = precision

    def infer(self, x: Any, **fit_params: Any) -> Any:
        """Run the module, in training in the precision that the net was given."""
        if not self.module_.training:
            return super().infer(x, **fit_params)
        with training_precision(self):
            return super().infer(x, **fit_params).to(x.dtype)

    def get_params(self, deep: bool = True, **kwargs: Any) -> dict[str, Any]:
        """Return the parameters, without the bookkeeping that skorch lists among them."""
        params: dict[str, Any] = super().get_params(deep, **kwargs)
        return {name: value for name, value in params.items() if not name.startswith("_")}

    @property
    def _default_callbacks(self) -> list[tuple[str, Any]]:
        return [("epoch_timer", EpochTimer())]

    def run_single_epoch(
        self,
        iterator: Iterable[Any] | None,
        training: bool,
        prefix: str,
        step_fn: Callable[..., dict[str, Any]],
        **fit_params: Any,
    ) -> None:
        """Run one pass over the training or validation rows and record its mean loss."""
        if iterator is None:
            return
        epoch = EpochLoss()
        for batch in iterator:
            self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch, **fit_params)
            epoch.add(step["loss"].detach().unsqueeze(0), batch_weight(*batch))
            self.notify("on_batch_end", batch=batch, training=training, **step)
        epoch.record([self.history], prefix)


def training_precision(net: NeuralNet) -> AbstractContextManager[Any]:
    """Return the context in which a net's module runs in training."""
    if getattr(net, "precision", "float32") == "float32":
        return nullcontext()
    return torch.autocast(torch.device(net.device or "cpu").type, torch.bfloat16)


class EpochLoss:
    """Mean losses of an epoch of nets side by side: summed up on the device, read at the end."""

    def __init__(self) -> None:
        self._total = torch.zeros(())
        self._weight: Tensor | float = 0.0
        self._n_batches = 0

    def add(self, losses: Tensor, weight: Tensor | int) -> None:
        """Add the mean losses (n_nets,) of the nets' batches, and what each weighs."""
        self._total = self._total + losses * weight
        self._weight = self._weight + weight
        self._n_batches += 1

    def record(self, histories: Sequence[History], prefix: str) -> None:
        """Write the means into the current epoch of the nets, and whether they are the best."""
        name, losses = f"{prefix}_loss", self._total / self._weight
        for history, loss in zip(histories, losses.tolist(), strict=True):
            earlier = [row[name] for row in history[:-1]]
            history.record(name, loss)
            history.record(f"{name}_best", loss < min(earlier, default=float("inf")))
            history.record(f"{prefix}_batch_count", self._n_batches)


def batch_weight(X: Tensor, target: Any) -> Tensor | int:
    """Return what the mean loss of a batch weighs in the mean over an epoch."""
    return target[1].sum() if isinstance(target, (tuple, list)) else len(X)
