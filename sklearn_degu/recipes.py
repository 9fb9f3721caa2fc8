"""Ready skorch nets: an architecture with its published hyperparameters.

Every parameter of a net can be set by keyword, with skorch's names:
``deepstarr_net(lr=5e-4, module__dropout=0.3, callbacks__early_stopping__patience=5)``.
"""

from __future__ import annotations

from typing import Any

import torch
from skorch.callbacks import EarlyStopping, LRScheduler
from torch import nn

from sklearn_degu.modules import MLP, DeepSTARR, ResidualBind
from sklearn_degu.nets.net import InMemoryNet

__all__ = ["deepstarr_net", "mlp_net", "residualbind_net"]


def mlp_net(**params: Any) -> InMemoryNet:
    """Small multilayer perceptron for tabular data, the default of the estimators.

    It trains for a fixed number of epochs, so that it needs no validation rows.

    Parameters
    ----------
    **params : object
        Parameters of the net, such as ``lr``, ``max_epochs``, ``module__hidden``, ``device``.

    Returns
    -------
    net : InMemoryNet
        Unfitted skorch net of :class:`~sklearn_degu.modules.MLP`: Adam at 1e-2, batches of 256,
        100 epochs.
    """
    defaults = {"module": MLP, "lr": 1e-2, "batch_size": 256, "max_epochs": 100}
    return _net(defaults, params)


def deepstarr_net(**params: Any) -> InMemoryNet:
    """DeepSTARR with the hyperparameters that DEGU trains it with.

    Parameters
    ----------
    **params : object
        Parameters of the net, such as ``lr``, ``max_epochs``, ``module__dropout``, ``device``.

    Returns
    -------
    net : InMemoryNet
        Unfitted skorch net of :class:`~sklearn_degu.modules.DeepSTARR`: Adam at 1e-3, batches of
        128, at most 100 epochs; stops when the validation loss has not improved for 10 epochs
        and restores the best weights; a tenth of the learning rate after 5 epochs without
        improvement, down to 1e-7. It needs validation rows: ``validation=0.1`` on the estimator.
    """
    return _net({"module": DeepSTARR, **_PUBLISHED, "callbacks": _watch_validation()}, params)


def residualbind_net(**params: Any) -> InMemoryNet:
    """ResidualBind with the hyperparameters that DEGU trains it with.

    Parameters
    ----------
    **params : object
        Parameters of the net, such as ``lr``, ``max_epochs``, ``device``.

    Returns
    -------
    net : InMemoryNet
        Unfitted skorch net of :class:`~sklearn_degu.modules.ResidualBind`, with the optimiser,
        patience and schedule of :func:`deepstarr_net`.
    """
    return _net({"module": ResidualBind, **_PUBLISHED, "callbacks": _watch_validation()}, params)


_PUBLISHED: dict[str, Any] = {"lr": 1e-3, "batch_size": 128, "max_epochs": 100}


def _net(defaults: dict[str, Any], params: dict[str, Any]) -> InMemoryNet:
    common = {"criterion": nn.MSELoss, "optimizer": torch.optim.Adam}
    return InMemoryNet(**{**common, **defaults, **params})


def _watch_validation() -> list[tuple[str, Any]]:
    # torch lowers the rate once the loss has not improved for more than `patience` epochs, Keras,
    # in which the published patience of 5 is meant, at the fifth.
    schedule = LRScheduler(
        policy="ReduceLROnPlateau", monitor="valid_loss", patience=4, factor=0.1, min_lr=1e-7
    )
    return [
        ("lr_schedule", schedule),
        ("early_stopping", EarlyStopping(monitor="valid_loss", patience=10, load_best=True)),
    ]
