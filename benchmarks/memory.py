"""How much memory a prediction takes beyond its input and its output.

A student of DeepSTARR's architecture, a quarter as wide, predicts mean and deviation of sequences
of 249 bp: one-hot, as bytes; and strings, through an encoder in a Pipeline, whose one-hot array
of 996 bytes a sequence then counts as input too. Each runs in a process of its own, which
reports the highest resident memory that the operating system has seen, so that no short peak is
missed. Linux only.

    python benchmarks/memory.py [--rows 1000000] [--width 0.25]
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline

from sklearn_degu import DistilledRegressor, EnsembleRegressor
from sklearn_degu.recipes import deepstarr_net
from sklearn_degu.sequences import SequenceEncoder

LENGTH = 249
N_TRAINED = 256
CHUNK = 4096
LIMIT_MB = 1000
MEGABYTE = 1e6


class Measured(NamedTuple):
    """Memory of a prediction.

    Attributes
    ----------
    arrays : float
        Input, its one-hot form and output, in bytes.
    above : float
        Highest resident memory less that of the process before the prediction and less that of
        the arrays made in it, in bytes.
    seconds : float
        Time of the prediction.
    """

    arrays: float
    above: float
    seconds: float


def codes(n_rows: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield random bases as 0 to 3, some rows at a time: the making of an input takes no memory."""
    rng = np.random.default_rng(0)
    for start in range(0, n_rows, CHUNK):
        rows = slice(start, min(start + CHUNK, n_rows))
        yield rows, rng.integers(0, 4, size=(rows.stop - start, LENGTH), dtype=np.uint8)


def one_hot(n_rows: int) -> np.ndarray:
    """Return random sequences as an array of shape (n_rows, 4, 249)."""
    X = np.empty((n_rows, 4, LENGTH), dtype=np.uint8)
    for rows, bases in codes(n_rows):
        X[rows] = bases[:, np.newaxis] == np.arange(4, dtype=np.uint8)[:, np.newaxis]
    return X


def strings(n_rows: int) -> list[str]:
    """Return random sequences as a list of strings."""
    letters = np.frombuffer(b"ACGT", dtype="S1")
    texts: list[str] = []
    for _, bases in codes(n_rows):
        texts += [row.tobytes().decode() for row in letters[bases]]
    return texts


def student(width: float) -> DistilledRegressor:
    """Return a fitted student; what it has learned does not matter here."""
    X, y = one_hot(N_TRAINED), np.random.default_rng(0).normal(size=(N_TRAINED, 2))
    net = deepstarr_net(module__width=width, max_epochs=1, callbacks=None, batch_size=32)
    teacher = EnsembleRegressor(net, n_estimators=2, random_state=0).fit(X, y)
    return DistilledRegressor(FrozenEstimator(teacher), random_state=0).fit(X, y)


def resident() -> float:
    """Return the memory of this process in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def highest_resident() -> float:
    """Return the most memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(form: str, n_rows: int, width: float) -> Measured:
    """Predict rows of one form, in this process."""
    torch.set_num_threads(1)
    degu: Any = student(width)
    make: Callable[[int], Any] = one_hot
    if form == "strings":
        degu, make = make_pipeline(SequenceEncoder().fit([LENGTH * "A"]), degu), strings
    X = make(n_rows)
    before, start = resident(), time.perf_counter()
    outputs = degu.predict(X, return_std=True)
    seconds = time.perf_counter() - start
    input_bytes = n_rows * LENGTH * (4 if form == "one-hot" else 1)
    encoded_bytes = 0 if form == "one-hot" else n_rows * LENGTH * 4
    made = encoded_bytes + sum(output.nbytes for output in outputs)
    return Measured(input_bytes + made, highest_resident() - before - made, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description="Memory of a prediction above its arrays")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--width", type=float, default=0.25)
    arguments = parser.parse_args()
    processes = multiprocessing.get_context("spawn")
    for form in ("one-hot", "strings"):
        with processes.Pool(1) as pool:
            measured = pool.apply(measure, (form, arguments.rows, arguments.width))
        print(
            f"{form}, {arguments.rows:,} x {LENGTH} bp: {measured.above / MEGABYTE:,.0f} MB above "
            f"input and output ({measured.arrays / MEGABYTE:,.0f} MB) in {measured.seconds:.0f} s "
            f"(wanted: below {LIMIT_MB:,} MB)",
            flush=True,
        )


if __name__ == "__main__":
    main()
