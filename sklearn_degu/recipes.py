"""Ready skorch nets: an architecture with its published hyperparameters.

Every parameter of a net can be set by keyword, with skorch's names:
``deepstarr_net(lr=5e-4, module__dropout=0.3, callbacks__early_stopping__patience=5)``.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from skorch.callbacks import EarlyStopping, LRScheduler
from torch import nn

from sklearn_degu.modules import MLP, DeepSTARR, DreamRNN, MPRAnn, ProfileNet, ResidualBind
from sklearn_degu.nets.net import InMemoryNet
from sklearn_degu.nets.one_cycle import OneCycle

__all__ = [
    "deepstarr_net",
    "dream_rnn_net",
    "mlp_net",
    "mprann_net",
    "profile_net",
    "residualbind_net",
]


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


def mprann_net(**params: Any) -> InMemoryNet:
    """MPRAnn with the hyperparameters that DEGU trains it with.

    Parameters
    ----------
    **params : object
        Parameters of the net, such as ``lr``, ``max_epochs``, ``module__width``, ``device``.

    Returns
    -------
    net : InMemoryNet
        Unfitted skorch net of :class:`~sklearn_degu.modules.MPRAnn`, with the optimiser,
        patience and schedule of :func:`deepstarr_net`.
    """
    return _net({"module": MPRAnn, **_PUBLISHED, "callbacks": _watch_validation()}, params)


def dream_rnn_net(**params: Any) -> InMemoryNet:
    """DREAM-RNN with the hyperparameters that DEGU trains it with.

    The parameter ``lr`` is the peak of the cycle.

    Parameters
    ----------
    **params : object
        Parameters of the net, such as ``lr``, ``max_epochs``, ``module__width``, ``device``.

    Returns
    -------
    net : InMemoryNet
        Unfitted skorch net of :class:`~sklearn_degu.modules.DreamRNN`: AdamW with a weight decay
        of 0.01, batches of 1,024, 80 epochs; one cycle of the learning rate
        (:class:`~sklearn_degu.nets.OneCycle`), which rises to 5e-3 in a tenth of the steps, as
        the students for lentiMPRA do; the weights of the epoch with the best validation loss. It
        needs validation rows: ``validation=0.1`` on the estimator.
    """
    best = EarlyStopping(monitor="valid_loss", patience=math.inf, load_best=True)
    defaults = {
        "module": DreamRNN,
        "optimizer": torch.optim.AdamW,
        "optimizer__weight_decay": 0.01,
        "lr": 5e-3,
        "batch_size": 1024,
        "max_epochs": 80,
        "callbacks": [("lr_schedule", OneCycle(pct_start=0.1)), ("best_weights", best)],
    }
    return _net(defaults, params)


def profile_net(**params: Any) -> InMemoryNet:
    """Base-resolution profile network with the hyperparameters of BPNet.

    DEGU's own profile model and its training are not published; these are those of BPNet's
    published configuration (Avsec et al., Nature Genetics 53, 2021).

    With y of shape (n, n_targets, n_positions) the estimators set ``module__n_positions``; y
    flattened to two axes needs it set here. For counts take
    ``criterion=sklearn_degu.nets.MultinomialCountLoss`` or ``torch.nn.PoissonNLLLoss``. At the
    constant learning rate of the publication validation losses of sparse counts jump, those of
    totals above all: :class:`~sklearn_degu.nets.OneCycle` among the ``callbacks`` steadies them.

    Parameters
    ----------
    **params : object
        Parameters of the net, such as ``lr``, ``max_epochs``, ``module__n_positions``, ``device``.

    Returns
    -------
    net : InMemoryNet
        Unfitted skorch net of :class:`~sklearn_degu.modules.ProfileNet`, with outputs of shape
        (n, n_outputs, n_positions): Adam at 4e-3, batches of 128, at most 200 epochs; stops when
        the validation loss has not improved for 5 epochs and restores the best weights. It needs
        validation rows.
    """
    stop = EarlyStopping(monitor="valid_loss", patience=5, load_best=True)
    defaults = {"module": ProfileNet, "lr": 4e-3, "batch_size": 128, "max_epochs": 200}
    return _net({**defaults, "callbacks": [("early_stopping", stop)]}, params)


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
