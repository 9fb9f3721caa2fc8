"""What is recorded and said about the epochs of a training."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skorch import NeuralNet
from skorch.callbacks import Callback

from sklearn_degu.exceptions import TrainingDivergedError

HISTORY_DTYPE = np.dtype(
    [
        ("member", np.int64),
        ("epoch", np.int64),
        ("train_loss", np.float64),
        ("valid_loss", np.float64),
        ("lr", np.float64),
        ("seconds", np.float64),
    ]
)


class TrainingAbandonedError(Exception):
    """Another net's training, or the user, has put an end to all of them."""


class EpochReporter(Callback):
    """Record the learning rate, refuse a diverged loss, and print where the training is.

    Parameters
    ----------
    name : str, default="net"
        What is trained, for the messages: ``"member 3/10"``.
    n_waiting : float, default=0
        How many trainings of this length come after this one.
    verbose : int, default=0
        Print a line at the end of a net's training (1) or of every epoch (2).
    epochs_later : int, default=0
        How many epochs come after all these trainings.
    """

    # It is of this run and not of the training, so that no checkpoint holds it.
    outlives_checkpoints = True

    def __init__(
        self, name: str = "net", n_waiting: float = 0, verbose: int = 0, epochs_later: int = 0
    ) -> None:
        self.name = name
        self.n_waiting = n_waiting
        self.verbose = verbose
        self.epochs_later = epochs_later
        self.is_abandoned = False

    def added_to(self, callbacks: Any) -> Any:
        """Return a net's ``callbacks`` parameter with this callback in front.

        ``"disable"`` disables the user's callbacks, but not the record of the epochs.
        """
        others = [] if callbacks in (None, "disable") else callbacks
        return [("epoch_reporter", self), *others]

    def on_batch_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        """Stop a training that nobody waits for any more."""
        if self.is_abandoned:
            raise TrainingAbandonedError

    def on_epoch_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        """Record the learning rate of the epoch, before a schedule changes it."""
        net.history.record("lr", net.optimizer_.param_groups[0]["lr"])

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Refuse a loss that is not finite; report the epoch."""
        row = net.history[-1]
        for name in ("train_loss", "valid_loss"):
            if not math.isfinite(row.get(name, 0.0)):
                raise TrainingDivergedError(
                    f"The training of {self.name} diverged: {name} is {row[name]} in epoch "
                    f"{row['epoch']}. Lower the learning rate (lr={row['lr']:g}), or check X and "
                    "y for extreme values."
                )
        if self.verbose > 1:
            self._report(net, f"epoch {row['epoch']}/{net.max_epochs}")

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Report the whole training of the net."""
        if self.verbose == 1 and net.history:
            self._report(net, f"{len(net.history)} epochs")

    def _report(self, net: NeuralNet, what: str) -> None:
        row = net.history[-1]
        losses = [f"{name} {row[name]:.4f}" for name in ("train_loss", "valid_loss") if name in row]
        seconds = sum(net.history[:, "dur"])
        left = self._seconds_left(net, seconds / len(net.history))
        # The line break in one string with the line: members in other threads report too.
        print(
            f"{self.name}, {what}: {', '.join(losses)}, {seconds:.0f} s, at most "
            f"{_duration(left)} left\n",
            end="",
            flush=True,
        )

    def _seconds_left(self, net: NeuralNet, seconds_an_epoch: float) -> float:
        """Bound the time left: every net runs all its epochs, at this net's pace."""
        own = net.max_epochs - len(net.history) if self.verbose > 1 else 0
        waiting = math.ceil(self.n_waiting) * net.max_epochs
        return seconds_an_epoch * float(own + waiting + self.epochs_later)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def tidy_history(nets: list[NeuralNet]) -> NDArray[Any]:
    """Return the epochs of all nets as a structured array, one row an epoch of a member."""
    rows = [
        (
            member,
            *(row.get(name, math.nan) for name in ("epoch", "train_loss", "valid_loss", "lr")),
            row.get("dur", math.nan),
        )
        for member, net in enumerate(nets)
        for row in net.history
    ]
    return np.array(rows, dtype=HISTORY_DTYPE)
