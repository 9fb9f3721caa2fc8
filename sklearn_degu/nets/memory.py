"""How much memory a training will take, before it begins."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from torch import Tensor, nn

from sklearn_degu._stored_rows import StoredRows
from sklearn_degu.nets.data import Rows, as_tensor
from sklearn_degu.nets.randomness import global_generator

# Weights, their gradients, and the two moments of Adam.
COPIES_OF_WEIGHTS = 4

# What a batch keeps for its gradients is measured on this many rows.
N_MEASURED = 2

GIB = 2**30


def check_training_memory(
    net: NeuralNet,
    train: Rows,
    dtype: torch.dtype,
    n_at_once: int = 1,
    mend: str = "Lower the net's batch_size.",
) -> None:
    """Raise if a training will not fit into the memory of its device.

    Parameters
    ----------
    net : skorch.NeuralNet
        A net as :func:`~sklearn_degu.nets.configure.configure` returns it.
    train : Rows
        What is trained on.
    dtype : torch.dtype
        What is computed in.
    n_at_once : int, default=1
        How many such nets train at a time.
    mend : str, optional
        What would take less memory, for the message.

    Raises
    ------
    MemoryError
        If the forecast exceeds the memory that is free. A device whose free memory is not known
        is not checked.
    """
    device = torch.device(net.device or "cpu")
    free = free_memory(device)
    if free is not None and (needed := forecast(net, train, dtype, n_at_once)) > free:
        raise MemoryError(
            f"The training would take about {needed / GIB:.1f} GiB on {device}, of which "
            f"{free / GIB:.1f} are free: {n_at_once} nets at a time in batches of "
            f"{_batch_size(net, train)}, and {len(train.X)} rows. {mend}"
        )


def forecast(net: NeuralNet, train: Rows, dtype: torch.dtype, n_at_once: int) -> int:
    """Return about how many bytes a training takes beside the data in main memory."""
    size = torch.empty((), dtype=dtype).element_size()
    rows = 0
    if torch.device(net.device or "cpu").type != "cpu":
        streamed = isinstance(train.X, StoredRows) and not train.X.fits_buffer
        rows = (0 if streamed else train.X.nbytes) + 2 * train.y.size * size
    with global_generator(seed=0):
        module = net.module(**net.get_params_for("module")).to(dtype).train()
        some = as_tensor(train.X[np.arange(N_MEASURED) % len(train.X)]).to(dtype)
        kept = _kept_for_gradients(module, some) * _batch_size(net, train) / N_MEASURED
    weights = sum(parameter.nbytes for parameter in module.parameters())
    return int(rows + n_at_once * (COPIES_OF_WEIGHTS * weights + kept))


def _kept_for_gradients(module: nn.Module, X: Tensor) -> int:
    """Return the bytes that a pass keeps until its gradients are computed, without weights."""
    storages: dict[Any, int] = {}

    def count(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage._cdata] = storage.nbytes()
        return tensor

    unpack: Callable[[Any], Any] = lambda tensor: tensor  # noqa: E731
    with torch.autograd.graph.saved_tensors_hooks(count, unpack):
        # Held until they are counted: a storage that is freed leaves its address to the next.
        output = module(X)
    own = {parameter.untyped_storage()._cdata for parameter in module.parameters()}
    kept = sum(n_bytes for address, n_bytes in storages.items() if address not in own)
    return kept + int(output.nbytes)


def _batch_size(net: NeuralNet, train: Rows) -> int:
    size = net.get_params_for("iterator_train").get("batch_size", net.batch_size)
    return len(train.X) if size == -1 else min(int(size), len(train.X))


def free_memory(device: torch.device) -> int | None:
    """Return the free bytes of a device, or None where they are not known."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return _free_main_memory() if device.type == "cpu" else None


def _free_main_memory() -> int | None:
    """Return what Linux can give this process, within the limit of its control group."""
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        line = next(line for line in lines if line.startswith("MemAvailable:"))
        available = 1024 * int(line.split()[1])
        with suppress(OSError, ValueError):
            group = Path("/sys/fs/cgroup")
            limit = int((group / "memory.max").read_text())
            used = int((group / "memory.current").read_text())
            cached = (group / "memory.stat").read_text().split("inactive_file ")[1].split()[0]
            available = min(available, limit - used + int(cached))
        return available
    return None
