"""The one-cycle schedule of the learning rate, over a training whose length the data decide."""

from __future__ import annotations

from typing import Any

from skorch import NeuralNet
from skorch.callbacks import Callback
from torch.optim.lr_scheduler import OneCycleLR


class OneCycle(Callback):
    """Raise the learning rate to the net's ``lr`` and lower it to nearly zero, once a training.

    :class:`torch.optim.lr_scheduler.OneCycleLR` [1]_, which has to know the number of steps: here
    that of the batches of an epoch times ``max_epochs``. The rate begins at ``lr / 25``, follows a
    cosine up to ``lr`` and another down to ``lr / 250,000``; the optimiser's momentum goes the
    other way, between 0.95 and 0.85.

    Parameters
    ----------
    pct_start : float, default=0.3
        Fraction of the steps in which the rate rises, between 0 and 1; at least one step.

    Raises
    ------
    ValueError
        At the begin of the training, if ``pct_start`` is not between 0 and 1.

    Notes
    -----
    The number of batches is that of the first epoch. Should later epochs have more, the rate
    stays where the cycle ended.

    References
    ----------
    .. [1] Smith and Topin, "Super-convergence: very fast training of neural networks using large
       learning rates", arXiv 1708.07120, 2018.

    Examples
    --------
    >>> from sklearn_degu.nets import OneCycle
    >>> from sklearn_degu.recipes import mlp_net
    >>> net = mlp_net(lr=0.05, callbacks=[("lr_schedule", OneCycle(pct_start=0.1))])
    """

    def __init__(self, pct_start: float = 0.3) -> None:
        self.pct_start = pct_start

    def on_train_begin(self, net: NeuralNet, X: Any = None, **kwargs: Any) -> None:
        """Lay the cycle over all the steps that there will be."""
        if not 0 <= self.pct_start <= 1:
            raise ValueError(f"pct_start must be between 0 and 1, got {self.pct_start!r}.")
        peaks = [group["lr"] for group in net.optimizer_.param_groups]
        n_batches = len(net.get_iterator(X, training=True))
        # torch divides by zero where the rate has no more than a step to rise in.
        n_steps = max(2, n_batches * net.max_epochs)
        rise = max(float(self.pct_start), (1 + 1e-6) / n_steps)
        self.schedule_ = OneCycleLR(net.optimizer_, peaks, n_steps, pct_start=rise)

    def on_batch_end(self, net: NeuralNet, training: bool = False, **kwargs: Any) -> None:
        """Go on to the rate of the next step."""
        if training and self.schedule_.last_epoch + 1 < self.schedule_.total_steps:
            self.schedule_.step()
