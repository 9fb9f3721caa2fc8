"""Training from a file that is larger than memory, against training from memory.

An HDF5 file of random one-hot sequences of 249 bp is written, as bytes. A net of DeepSTARR's
architecture, a sixteenth as wide, then trains on it for an epoch: out of core, by HDF5Array, and
from an array in memory, in alternating order. Each training runs in a process of its own, which
reports the highest resident memory that the operating system has seen above that before the fit
(less the array itself, where there is one). Linux only.

    python benchmarks/out_of_core.py [--gib 4] [--repeats 2] [--folder FOLDER] [--compression gzip]
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import h5py
import numpy as np
import torch

from sklearn_degu import EnsembleRegressor
from sklearn_degu.datasets import HDF5Array
from sklearn_degu.recipes import deepstarr_net

LENGTH = 249
N_TARGETS = 2
CHUNK = 1024
WIDTH = 1 / 16
MEMORY_LIMIT_GB = 2.0
SPEED_LIMIT = 0.8
GIB = 2**30


class Measured(NamedTuple):
    """A training.

    Attributes
    ----------
    above : float
        Highest resident memory above the baseline, in bytes.
    fit_seconds : float
        Time of the whole fit: checks of the rows, the epoch, and hashes of the rows.
    epoch_seconds : float
        Time of the epoch.
    """

    above: float
    fit_seconds: float
    epoch_seconds: float


def write(path: Path, n_rows: int, compression: str | None) -> None:
    """Write random sequences, some rows at a time."""
    rng = np.random.default_rng(0)
    letters = np.arange(4, dtype=np.uint8)[:, np.newaxis]
    with h5py.File(path, "w") as file:
        X = file.create_dataset(
            "X", (n_rows, 4, LENGTH), np.uint8, chunks=(CHUNK, 4, LENGTH), compression=compression
        )
        for start in range(0, n_rows, CHUNK):
            n = min(CHUNK, n_rows - start)
            bases = rng.integers(0, 4, size=(n, 1, LENGTH), dtype=np.uint8)
            X[start : start + n] = bases == letters


def resident() -> float:
    """Return the memory of this process in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def highest_resident() -> float:
    """Return the most memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def train(path: str, where: str, n_threads: int) -> Measured:
    """Train an epoch in this process, on rows in the file or in memory."""
    torch.set_num_threads(n_threads)
    net = deepstarr_net(module__width=WIDTH, max_epochs=1, callbacks=None)
    model = EnsembleRegressor(net, n_estimators=1, random_state=0)
    stored = HDF5Array(path, "X")
    y = np.random.default_rng(1).normal(size=(len(stored), N_TARGETS))
    # What a fit loads besides its data, such as libraries, is part of the baseline.
    model.fit(np.asarray(stored[:1024]), y[:1024])
    X: Any = np.asarray(stored) if where == "memory" else stored
    before, start = resident(), time.perf_counter()
    model.fit(X, y)
    seconds = time.perf_counter() - start
    return Measured(highest_resident() - before, seconds, float(model.history_["seconds"].sum()))


def main() -> None:
    parser = argparse.ArgumentParser(description="Training out of core against from memory")
    parser.add_argument("--gib", type=float, default=4.0)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folder", help="where the file is written; a temporary one by default")
    parser.add_argument("--compression", choices=["gzip", "lzf"])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path = Path(folder, "sequences.h5")
        n_rows = round(arguments.gib * GIB / (4 * LENGTH))
        write(path, n_rows, arguments.compression)
        print(f"{n_rows:,} sequences, a file of {path.stat().st_size / 1e9:.2f} GB", flush=True)
        report(compare(path, arguments.repeats, arguments.threads))


def compare(path: Path, repeats: int, n_threads: int) -> dict[str, list[Measured]]:
    """Train in turns, the first in turns too."""
    runs: dict[str, list[Measured]] = {"file": [], "memory": []}
    processes = multiprocessing.get_context("spawn")
    for repeat in range(repeats):
        for where in sorted(runs, reverse=bool(repeat % 2)):
            with processes.Pool(1) as pool:
                measured = pool.apply(train, (str(path), where, n_threads))
            runs[where].append(measured)
            print(
                f"from {where}: {measured.fit_seconds:.1f} s ({measured.epoch_seconds:.1f} s the "
                f"epoch), {measured.above / 1e9:.2f} GB above the baseline",
                flush=True,
            )
    return runs


def report(runs: dict[str, list[Measured]]) -> None:
    """Print the ratio of the speeds, and the memory."""
    of_fit, of_epoch = (
        median(getattr(run, name) for run in runs["memory"])
        / median(getattr(run, name) for run in runs["file"])
        for name in ("fit_seconds", "epoch_seconds")
    )
    above = max(run.above for run in runs["file"]) / 1e9
    print(
        f"out of core: {above:.2f} GB above the baseline (wanted: at most {MEMORY_LIMIT_GB:g}), "
        f"{of_fit:.2f} of the speed from memory for the fit, {of_epoch:.2f} for the epoch "
        f"(wanted: at least {SPEED_LIMIT:g})"
    )


if __name__ == "__main__":
    main()
