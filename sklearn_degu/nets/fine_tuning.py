"""The second stage of an augmented training: a net trains on with the rows as they are."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import clone
from skorch import NeuralNet
from skorch.callbacks import LRScheduler
from skorch.history import History

from sklearn_degu._numbers import is_real, is_whole
from sklearn_degu.nets.one_cycle import OneCycle

# They lay a learning rate over a whole training, which the second stage only continues.
_SCHEDULES = (LRScheduler, OneCycle)

# EvoAug trains at 1e-3, and then at 1e-4.
_SLOWER = 0.1


def check_fine_tuning(epochs: Any, lr: Any) -> None:
    """Raise if the parameters of a second stage are not usable; warn of a rate without one.

    Raises
    ------
    ValueError
        If a number is out of range.
    """
    if not is_whole(epochs) or epochs < 0:
        raise ValueError(
            f"fine_tune_epochs must be a whole number that is not negative, got {epochs!r}."
        )
    if lr is not None and not (is_real(lr) and 0 < lr < np.inf):
        raise ValueError(f"fine_tune_lr must be None or a positive number, got {lr!r}.")
    if lr is not None and not epochs:
        warnings.warn(
            f"fine_tune_lr={lr!r} has no effect: it is that of fine_tune_epochs, of which there "
            "are 0.",
            UserWarning,
            stacklevel=4,
        )


def check_first_stage(epochs: int, *, augments: bool) -> None:
    """Raise if there is no first stage with edited rows.

    Raises
    ------
    ValueError
        If so.
    """
    if epochs and not augments:
        raise ValueError(
            f"fine_tune_epochs={epochs} trains on with the rows as they are after a training on "
            "edited ones, but augment edits none. Pass an augment such as augmentation.Augment(), "
            "or raise the net's max_epochs."
        )


def fine_tuning_net(net: NeuralNet, epochs: int, lr: float | None) -> NeuralNet:
    """Return a copy of a net for the second stage.

    Parameters
    ----------
    net : skorch.NeuralNet
        A net as :func:`~sklearn_degu.nets.configure.configure` returns it, unfitted.
    epochs : int
        How many epochs the second stage has.
    lr : float or None
        Its learning rate; those of groups of parameters keep their ratio to it. None is a tenth of
        the net's.
    """
    copy = clone(net)
    given = copy.get_params_for("optimizer")
    before = given.get("lr", copy.lr)
    lr = _SLOWER * before if lr is None else float(lr)
    if "lr" in given:
        copy.set_params(optimizer__lr=lr)
    if "param_groups" in given:
        groups = [
            (pattern, _scaled(settings, lr / before)) for pattern, settings in given["param_groups"]
        ]
        copy.set_params(optimizer__param_groups=groups)
    copy.set_params(lr=lr, max_epochs=int(epochs))
    # By attribute: skorch's set_params fails on a net without any callback.
    copy.callbacks = _without_schedules(copy.callbacks)
    return copy


def with_both_histories(second: NeuralNet, first: NeuralNet) -> NeuralNet:
    """Give a net of the second stage the epochs of both, counted on, and return it."""
    later = [{**row, "epoch": row["epoch"] + len(first.history)} for row in second.history]
    second.history_ = History([*first.history, *later])
    return second


def _scaled(settings: dict[str, Any], factor: float) -> dict[str, Any]:
    return {**settings, "lr": factor * settings["lr"]} if "lr" in settings else settings


def _without_schedules(callbacks: Any) -> Any:
    if callbacks is None or callbacks == "disable":
        return callbacks
    return [item for item in callbacks if not _is_schedule(item)]


def _is_schedule(item: Any) -> bool:
    callback = item[1] if isinstance(item, tuple) else item
    kind = callback if isinstance(callback, type) else type(callback)
    return issubclass(kind, _SCHEDULES)
