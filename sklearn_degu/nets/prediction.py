"""Run a fitted net over rows in memory."""

from __future__ import annotations

import math
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from skorch import NeuralNet
from torch import nn

from sklearn_degu._stored_rows import StoredRows
from sklearn_degu.nets.data import Rows, as_tensor
from sklearn_degu.nets.randomness import one_intra_op_thread

# On a CPU, DeepSTARR needs half the time in batches of 128 that it needs in batches of 1024, whose
# activations go back to the operating system after every layer; short rows want larger batches. A
# GPU wants to be filled.
CPU_BATCH_SIZE = 128
CPU_BATCH_NUMBERS = 2**17
GPU_BATCH_SIZE = 1024

# How many rows tell whether a net answers all alike.
N_COMPARED = 1024

# Targets have unit deviation; a net whose outputs vary by less explains a millionth of them.
CONSTANT = 1e-3


def forward(net: NeuralNet, X: NDArray[Any] | StoredRows) -> NDArray[np.float64]:
    """Return the raw outputs of a fitted net, of shape (n, k); profiles are flattened.

    On a CPU, batches of our modules are computed side by side in as many threads as torch has, on
    one thread each: faster than one batch on all threads, and the same whatever their number.

    Parameters
    ----------
    net : skorch.NeuralNet
        A fitted net. ``iterator_valid__batch_size`` sets the rows of a batch.
    X : ndarray or StoredRows of shape (n, ...)
        Rows of any real dtype; a batch is cast on the device.

    Raises
    ------
    ValueError
        If the net does not return one row of outputs for every row of X.
    """
    if isinstance(X, StoredRows):
        return X.map(partial(forward, net))
    device = torch.device(net.device or "cpu")
    batch_size = _batch_size(net, X, device)
    while True:
        try:
            return _forward(net, X, device, batch_size)
        except torch.OutOfMemoryError:
            if batch_size == 1:
                raise
            batch_size = math.ceil(batch_size / 2)
            warnings.warn(
                f"The memory of {device} is too small for a batch of the net's predictions; they "
                f"go on with batches of {batch_size}. Set iterator_valid__batch_size on the net "
                "to begin with that.",
                UserWarning,
                stacklevel=2,
            )


def output_shape(net: NeuralNet, input_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a fitted net's outputs for one row, (1, k) or (1, k, n_positions).

    Raises
    ------
    ValueError
        If it is another.
    RuntimeError
        If the net cannot read rows of this shape.
    """
    row = torch.zeros((1, *input_shape), dtype=compute_dtype(net), device=net.device or "cpu")
    output = net.evaluation_step((row, None), training=False)
    _check_output(output, 1)
    return tuple(output.shape)


def _check_output(output: torch.Tensor, n_rows: int) -> None:
    if output.ndim not in (2, 3) or len(output) != n_rows:
        raise ValueError(
            "The net's module must return (n_samples, n_outputs), or profiles (n_samples, "
            f"n_outputs, n_positions); for {n_rows} samples it returned {tuple(output.shape)}."
        )


def _forward(
    net: NeuralNet, X: NDArray[Any], device: torch.device, batch_size: int
) -> NDArray[np.float64]:
    dtype = compute_dtype(net)

    def outputs_from(start: int) -> NDArray[np.float64]:
        # A copy: a module may write to what it is given.
        batch = as_tensor(X[start : start + batch_size]).to(device).to(dtype, copy=True)
        output = net.evaluation_step((batch, None), training=False)
        _check_output(output, len(batch))
        outputs: NDArray[np.float64] = output.detach().flatten(1).to("cpu", torch.float64).numpy()
        return outputs

    starts = range(0, len(X), batch_size)
    if device.type != "cpu" or not _is_stateless(net.module_):
        return np.concatenate([outputs_from(start) for start in starts])
    with one_intra_op_thread:
        n_threads = min(len(starts), one_intra_op_thread.threads_outside)
        if n_threads == 1:
            return np.concatenate([outputs_from(start) for start in starts])
        with ThreadPoolExecutor(
            n_threads, initializer=torch.set_num_threads, initargs=(1,)
        ) as pool:
            return np.concatenate(list(pool.map(outputs_from, starts)))


def _batch_size(net: NeuralNet, X: NDArray[Any], device: torch.device) -> int:
    default = GPU_BATCH_SIZE
    if device.type == "cpu":
        default = max(CPU_BATCH_SIZE, CPU_BATCH_NUMBERS // max(1, X[0].size))
    size = net.get_params_for("iterator_valid").get("batch_size", default)
    return len(X) if size == -1 else int(size)


def _is_stateless(module: nn.Module) -> bool:
    """Whether batches can be computed side by side: hooks and classes of users may keep a state."""
    return all(
        type(layer).__module__.startswith(("torch.nn.", "sklearn_degu.modules"))
        and not (layer._forward_hooks or layer._forward_pre_hooks)
        for layer in module.modules()
    )


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
            stacklevel=5,
        )


def compute_dtype(net: NeuralNet) -> torch.dtype:
    """Return the floating type of the net's weights."""
    floating = (p.dtype for p in net.module_.parameters() if p.is_floating_point())
    return next(floating, torch.float32)
