"""Average the weights of a net over its training."""

from __future__ import annotations

from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import Tensor
from torch.optim.swa_utils import AveragedModel


class WeightAverage(Callback):
    """Validate, and end up with, an exponential moving average of the weights.

    The steps of a training scatter the weights around a valley; their average lies in it [1]_.
    It does for accuracy what lowering the learning rate does, at any time, so that a validation
    loss says how good the net is and not how large the last steps were. Batch-norm statistics
    are averaged too. Training itself goes on from the weights as they are.

    Put it before callbacks that watch the validation loss.

    Parameters
    ----------
    decay : float, default=0.999
        Weight of the past in a step's average. In the first steps it is lower, ``(1 + n) /
        (10 + n)`` after n steps, so that the initial weights are soon forgotten.

    References
    ----------
    .. [1] Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", SIAM
       Journal on Control and Optimization 30, 1992.
    """

    def __init__(self, decay: float = 0.999) -> None:
        self.decay = decay

    def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        """Begin with the initial weights."""
        self.average_ = AveragedModel(net.module_, multi_avg_fn=self._update, use_buffers=True)
        self.n_steps_ = 0
        self.latest_: dict[str, Tensor] | None = None

    def on_epoch_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        """Go on training from the latest weights."""
        if self.latest_ is not None:
            net.module_.load_state_dict(self.latest_)
            self.latest_ = None

    def on_batch_end(self, net: NeuralNet, training: bool = False, **kwargs: Any) -> None:
        """Take a step of training into the average."""
        if training:
            self.average_.update_parameters(net.module_)
            self.n_steps_ += 1

    def on_batch_begin(self, net: NeuralNet, training: bool = False, **kwargs: Any) -> None:
        """Validate the average."""
        if not training:
            self._use_average(net)

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Leave the average in the net, for other callbacks to keep."""
        self._use_average(net)

    def _use_average(self, net: NeuralNet) -> None:
        if self.latest_ is None:
            state = net.module_.state_dict()
            self.latest_ = {name: value.clone() for name, value in state.items()}
            net.module_.load_state_dict(self.average_.module.state_dict())

    def _update(self, averages: Any, latest: Any, _: Tensor | int) -> None:
        # Counted here, because torch's own count lies on the device: reading it would wait for it.
        n = self.n_steps_
        step = 1 - min(self.decay, (1 + n) / (10 + n))
        for average, current in zip(averages, latest, strict=True):
            if torch.is_floating_point(average):
                average.lerp_(current, step)
            else:
                average.copy_(current)
