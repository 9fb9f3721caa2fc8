"""The skorch net of the recipes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from skorch import NeuralNetRegressor
from skorch.callbacks import EpochTimer
from torch import Tensor, nn

from sklearn_degu.nets.data import InMemoryBatches, InMemoryDataset


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
    **kwargs : object
        Parameters of :class:`skorch.NeuralNetRegressor`.
    """

    def __init__(
        self,
        module: type[nn.Module],
        *,
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
        total, weight, n_batches = torch.zeros(()), torch.zeros(()), 0
        for batch in iterator:
            self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch, **fit_params)
            batch_weight = _weight_of(batch)
            total = total + step["loss"].detach() * batch_weight
            weight = weight + batch_weight
            n_batches += 1
            self.notify("on_batch_end", batch=batch, training=training, **step)
        self._record_loss(f"{prefix}_loss", float(total / weight))
        self.history.record(f"{prefix}_batch_count", n_batches)

    def _record_loss(self, name: str, loss: float) -> None:
        earlier = [row[name] for row in self.history[:-1]]
        self.history.record(name, loss)
        self.history.record(f"{name}_best", loss < min(earlier, default=float("inf")))


def _weight_of(batch: Any) -> Tensor | int:
    """Return what a batch's mean loss weighs in the mean over an epoch."""
    X, target = batch
    if isinstance(target, (tuple, list)):
        weight: Tensor = target[1].sum()
        return weight
    return len(X)
