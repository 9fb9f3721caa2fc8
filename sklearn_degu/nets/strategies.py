"""Train the members of an ensemble: apart, side by side, or all at once."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal, get_args

import torch
from joblib import effective_n_jobs, parallel_config
from joblib.parallel import get_active_backend
from sklearn.utils.parallel import Parallel, delayed
from skorch import NeuralNet
from torch import nn

from sklearn_degu.modules import MLP
from sklearn_degu.nets.checkpoints import Checkpoint
from sklearn_degu.nets.data import Rows
from sklearn_degu.nets.joint import can_train_jointly, train_jointly
from sklearn_degu.nets.memory import check_training_memory
from sklearn_degu.nets.progress import EpochReporter
from sklearn_degu.nets.randomness import may_draw_globally, one_intra_op_thread
from sklearn_degu.nets.training import Weights, train_net

Strategy = Literal["auto", "loop", "threads", "processes", "joint"]

# Layers of this width or less take longer to call than to compute, and threads would wait for each
# other to call them.
TINY = 128


def check_strategy(strategy: Strategy, nets: Sequence[NeuralNet], n_members: int) -> Strategy:
    """Return how members of these nets are trained; "auto" is decided here.

    Threads and processes are what joblib is asked to prefer: a backend that the user chose by
    :func:`joblib.parallel_config` comes first.

    Raises
    ------
    ValueError
        If there is no such strategy, or if it cannot train these nets.
    """
    if strategy not in get_args(Strategy):
        raise ValueError(f"strategy must be one of {get_args(Strategy)}, got {strategy!r}.")
    if strategy == "joint" and len(nets) > 1:
        raise ValueError(
            f'strategy="joint" runs one architecture, but there are {len(nets)} named nets. '
            'Use another strategy, such as "auto".'
        )
    if strategy != "auto":
        return strategy
    alike = n_members > 1 and len(nets) == 1 and can_train_jointly(nets[0])
    if alike and (_on_gpu(nets[0]) or _is_tiny(nets[0])):
        return "joint"
    # Threads share the data, but nets that draw from the global generator would wait in them.
    return "processes" if any(map(may_draw_globally, nets)) else "threads"


def _on_gpu(net: NeuralNet) -> bool:
    return torch.device(net.device or "cpu").type == "cuda"


def _is_tiny(net: NeuralNet) -> bool:
    """Whether a net spends more time between its operations than in them."""
    default = inspect.signature(MLP).parameters["hidden"].default
    hidden = net.get_params_for("module").get("hidden", default)
    return net.module is MLP and max(hidden, default=0) <= TINY


def train_members(
    nets: Sequence[NeuralNet],
    train: Rows,
    valid: Rows | None,
    *,
    seeds: Sequence[int],
    dtype: torch.dtype,
    strategy: Strategy,
    n_jobs: int | None,
    verbose: int,
    checkpoint: Callable[[str], Checkpoint | None] = lambda name: None,
    augment: nn.Module | None = None,
    initial: Sequence[Weights] | None = None,
    epochs_later: int = 0,
) -> list[NeuralNet]:
    """Return configured nets after training, each from its seed.

    Parameters
    ----------
    nets : sequence of skorch.NeuralNet
        Nets as :func:`~sklearn_degu.nets.configure.configure` returns them.
    train, valid : Rows
        What to train on and what to stop on.
    seeds : sequence of int
        The seed of every net.
    dtype : torch.dtype
        What to compute in.
    strategy : str
        As :func:`check_strategy` returns it.
    n_jobs : int or None
        Members at a time, in threads or processes.
    verbose : int
        Print a line for every member (1) or every epoch (2).
    checkpoint : callable, optional
        Returns where the training of a name is kept.
    augment : torch.nn.Module, optional
        Edits every batch of training rows.
    initial : sequence of dict, optional
        The weights that the nets begin with, those of a training from the same seeds.
    epochs_later : int, default=0
        How many epochs every net trains on for after this training, for the time left.
    """
    joint, side_by_side = strategy == "joint", strategy in ("threads", "processes")
    n_workers = min(effective_n_jobs(n_jobs), len(nets)) if side_by_side else 1
    at_once = len(nets) if joint else n_workers
    mend = 'Lower batch_size, or train fewer nets at a time (n_jobs, or strategy="loop").'
    for net in {id(net.module): net for net in nets}.values():
        check_training_memory(net, train, dtype, 1 if _dask() else at_once, mend)
    name = "member" if initial is None else "fine-tuning of member"
    reporters = _reporters(name, len(nets), at_once, verbose, epochs_later)
    if joint:
        return train_jointly(
            nets,
            train,
            valid,
            seeds=seeds,
            dtype=dtype,
            reporters=reporters,
            checkpoint=checkpoint("members"),
            augment=augment,
            initial=initial,
        )
    if strategy == "processes":
        _take_turns_on_gpus(nets)
    tasks = [
        delayed(train_net)(
            net,
            train,
            valid,
            seed=seed,
            dtype=dtype,
            reporter=reporter,
            checkpoint=checkpoint(f"member-{i}"),
            augment=augment,
            initial=None if initial is None else initial[i],
            stage=int(initial is not None),
        )
        for i, (net, seed, reporter) in enumerate(zip(nets, seeds, reporters, strict=True))
    ]
    with one_intra_op_thread, _everywhere(train, valid), _abandoned_on_error(reporters):
        parallel = Parallel(n_jobs, prefer=strategy) if side_by_side else Parallel(n_jobs=1)
        fitted: list[NeuralNet] = parallel(tasks)
    return fitted


def _reporters(
    name: str, n_nets: int, at_once: int, verbose: int, epochs_later: int
) -> list[EpochReporter]:
    """Return what reports on each net: its name, and how many trainings come after it."""
    rounds = math.ceil(n_nets / at_once)
    waiting = [(n_nets - 1 - i) / at_once if at_once < n_nets else 0 for i in range(n_nets)]
    return [
        EpochReporter(f"{name} {i + 1}/{n_nets}", n_waiting, verbose, rounds * epochs_later)
        for i, n_waiting in enumerate(waiting)
    ]


@contextmanager
def _abandoned_on_error(reporters: Sequence[EpochReporter]) -> Iterator[None]:
    """Stop the trainings in other threads, which nobody waits for any more, after an error."""
    try:
        yield
    except BaseException:
        for reporter in reporters:
            reporter.is_abandoned = True
        raise


def _take_turns_on_gpus(nets: Sequence[NeuralNet]) -> None:
    """Give nets that ask for any GPU those that there are, one after another."""
    n_gpus = torch.cuda.device_count()
    for i, net in enumerate(nets):
        if str(net.device) == "cuda" and n_gpus > 1:
            net.set_params(device=f"cuda:{i % n_gpus}")


def _dask() -> Any:
    """Return joblib's backend if it is a dask cluster, else None."""
    backend, _ = get_active_backend()
    return backend if type(backend).__name__ == "DaskDistributedBackend" else None


def _everywhere(*data: Rows | None) -> AbstractContextManager[Any]:
    """Have joblib send data to all workers of a dask cluster, once, and not with every task.

    Where every worker has them, none takes them along when it dies.
    """
    backend = _dask()
    if backend is None:
        return nullcontext()
    scatter = [rows for rows in data if rows is not None]
    configured: AbstractContextManager[Any] = parallel_config(
        "dask", client=backend.client, scatter=scatter, **backend.submit_kwargs
    )
    return configured
