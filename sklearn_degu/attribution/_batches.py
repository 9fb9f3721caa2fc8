"""Batches of rows: side by side on a CPU, with a line now and then of how far they are."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from sklearn_degu._numbers import is_whole
from sklearn_degu.nets.prediction import CPU_BATCH_NUMBERS, CPU_BATCH_SIZE, GPU_BATCH_SIZE
from sklearn_degu.nets.randomness import one_intra_op_thread

# Seconds between lines.
_PAUSE = 5.0


def check_batch_size(
    batch_size: int | None, device: torch.device, n_numbers: int, rows_each: int = 1
) -> int:
    """Return how many sequences to compute at a time.

    Parameters
    ----------
    batch_size : int or None
        Rows that pass through the net at a time; None chooses.
    device : torch.device
        Where the net is.
    n_numbers : int
        Numbers of a sequence.
    rows_each : int, default=1
        Rows that a sequence needs.

    Raises
    ------
    ValueError
        If it is no positive integer.
    """
    if batch_size is None:
        on_cpu = max(CPU_BATCH_SIZE, CPU_BATCH_NUMBERS // n_numbers)
        batch_size = on_cpu if device.type == "cpu" else GPU_BATCH_SIZE
    if not is_whole(batch_size) or batch_size < 1:
        raise ValueError(f"batch_size must be a positive integer or None, got {batch_size!r}.")
    return max(1, batch_size // rows_each)


class Progress:
    """Says how far a long computation is.

    Parameters
    ----------
    name : str
        What is computed.
    n_total : int
        Number of sequences.
    verbose : int
        Print a line every few seconds (1 or more) or nothing (0).
    """

    def __init__(self, name: str, n_total: int, verbose: int) -> None:
        self.name = name
        self.n_total = n_total
        self.verbose = verbose
        self.n_done = 0
        self._lock = threading.Lock()
        self._start = self._last = time.perf_counter()

    def add(self, n: int) -> None:
        """Count sequences that are done."""
        with self._lock:
            self.n_done += n
            now = time.perf_counter()
            is_last = self.n_done >= self.n_total
            if self.verbose and (is_last or now - self._last > _PAUSE):
                self._last = now
                self._print(now - self._start)

    def _print(self, seconds: float) -> None:
        left = seconds * (self.n_total - self.n_done) / self.n_done
        print(
            f"{self.name}: {self.n_done:,} of {self.n_total:,} sequences, {seconds:.0f} s, "
            f"about {left:.0f} s left",
            flush=True,
        )


def for_each_batch(
    compute: Callable[[slice], None],
    n: int,
    batch_size: int,
    progress: Progress,
    *,
    threads: bool,
) -> None:
    """Call a function with the slice of every batch of n rows.

    Parameters
    ----------
    compute : callable
        Computes the rows of a slice, and writes them where they belong.
    n, batch_size : int
        Number of rows, and of rows at a time.
    progress : Progress
        Is told of every batch.
    threads : bool
        Whether batches may be computed side by side, on one thread each.
    """

    def one(start: int) -> None:
        rows = slice(start, min(start + batch_size, n))
        compute(rows)
        progress.add(rows.stop - rows.start)

    starts = range(0, n, batch_size)
    if not threads or len(starts) == 1:
        for start in starts:
            one(start)
        return
    with one_intra_op_thread:
        n_threads = min(len(starts), one_intra_op_thread.threads_outside)
        with ThreadPoolExecutor(
            n_threads, initializer=torch.set_num_threads, initargs=(1,)
        ) as pool:
            for _ in pool.map(one, starts):
                pass


def may_run_side_by_side(module: nn.Module, device: torch.device) -> bool:
    """Whether batches can be computed side by side: classes of users may keep a state."""
    known = ("torch.nn.", "sklearn_degu.")
    return device.type == "cpu" and all(
        type(layer).__module__.startswith(known)
        and not (layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks)
        for layer in module.modules()
    )


def differentiable_recurrence(device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which recurrent layers have gradients in evaluation mode.

    cuDNN's have them in training mode only.
    """
    if device.type != "cuda":
        return nullcontext()
    context: AbstractContextManager[object] = torch.backends.cudnn.flags(enabled=False)
    return context
