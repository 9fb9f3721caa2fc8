"""Run a fitted net over rows in memory."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from skorch import NeuralNet

from sklearn_degu.nets.data import Rows, as_tensor

# On a CPU, DeepSTARR needs half the time in batches of 128 that it needs in batches of 1024, whose
# activations go back to the operating system after every layer. A GPU wants to be filled.
CPU_BATCH_SIZE = 128
GPU_BATCH_SIZE = 1024

# How many rows tell whether a net answers all alike.
N_COMPARED = 1024

# Targets have unit deviation; a net whose outputs vary by less explains a millionth of them.
CONSTANT = 1e-3


def forward(net: NeuralNet, X: NDArray[Any]) -> NDArray[np.float64]:
    """Return the raw outputs of a fitted net, of shape (n, k).

    Parameters
    ----------
    net : skorch.NeuralNet
        A fitted net. ``iterator_valid__batch_size`` sets the rows of a batch.
    X : ndarray of shape (n, ...)
        Rows of any real dtype; a batch is cast on the device.

    Raises
    ------
    ValueError
        If the net does not return one row of outputs for every row of X.
    """
    device = torch.device(net.device or "cpu")
    default = CPU_BATCH_SIZE if device.type == "cpu" else GPU_BATCH_SIZE
    batch_size = net.get_params_for("iterator_valid").get("batch_size", default)
    batch_size = len(X) if batch_size == -1 else batch_size
    dtype = compute_dtype(net)
    outputs = []
    for start in range(0, len(X), batch_size):
        batch = as_tensor(X[start : start + batch_size]).to(device).to(dtype)
        output = net.evaluation_step((batch, None), training=False)
        if output.ndim != 2 or len(output) != len(batch):
            raise ValueError(
                f"The net's module must return (n_samples, n_outputs); for {len(batch)} samples "
                f"it returned {tuple(output.shape)}."
            )
        outputs.append(output.detach().to("cpu", torch.float64).numpy())
    return np.concatenate(outputs)


def warn_if_constant(net: NeuralNet, train: Rows, who: str, n_outputs: int | None = None) -> None:
    """Warn if a fitted net gives one answer to all rows although their targets vary.

    Only the first ``n_outputs`` are looked at: a noise that is equal everywhere is no failure.
    """
    some = slice(0, N_COMPARED)
    targets = np.ma.masked_invalid(train.y[some, :n_outputs])
    varies = targets.std(axis=0).filled(0.0) > CONSTANT
    outputs = forward(net, train.X[some])[:, :n_outputs]
    constant = varies & (outputs.std(axis=0) < CONSTANT)
    if constant.any():
        warnings.warn(
            f"{who} predicts a constant for {int(constant.sum())} of its {len(constant)} outputs "
            "although the targets vary: it has learned nothing. Try another learning rate or "
            "more epochs, and check that X and y belong together.",
            ConvergenceWarning,
            stacklevel=4,
        )


def compute_dtype(net: NeuralNet) -> torch.dtype:
    """Return the floating type of the net's weights."""
    floating = (p.dtype for p in net.module_.parameters() if p.is_floating_point())
    return next(floating, torch.float32)
