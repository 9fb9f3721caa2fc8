"""What ``checkpoint_dir`` costs a training, by the same fits with and without it in turn.

    python benchmarks/checkpoint.py

The processor time of the process is compared beside the time on the clock, which other work on the
machine moves.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sklearn_degu import EnsembleRegressor, recipes


class Spent(NamedTuple):
    """Seconds of a fit, and the bytes that it left behind."""

    clock: float
    processor: float
    kept: int


def sequences(n: int, length: int = 249) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = np.eye(4, dtype=np.uint8)[rng.integers(4, size=(n, length))].transpose(0, 2, 1)
    return X, X[:, 0].mean(axis=1) + rng.normal(size=n)


def table(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 20)).astype(np.float32)
    return X, X[:, 0] + rng.normal(size=n)


def spent(estimator: Any, data: tuple[np.ndarray, np.ndarray], folder: Path | None) -> Spent:
    estimator.set_params(checkpoint_dir=folder)
    start = time.perf_counter(), time.process_time()
    estimator.fit(*data)
    clock, processor = time.perf_counter() - start[0], time.process_time() - start[1]
    kept = 0 if folder is None else sum(path.stat().st_size for path in folder.iterdir())
    return Spent(clock, processor, kept)


def study(name: str, estimator: Any, data: tuple[np.ndarray, np.ndarray], rounds: int) -> str:
    runs: dict[bool, list[Spent]] = {False: [], True: []}
    spent(estimator, data, None)
    for i in range(rounds):
        for keeps in (False, True) if i % 2 else (True, False):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "fit" if keeps else None
                runs[keeps].append(spent(estimator, data, path))
    without, with_it = (np.median(np.array(runs[keeps]), axis=0) for keeps in (False, True))
    clock, processor = (with_it / np.where(without == 0, 1, without))[:2]
    return (
        f"| {name} | {without[0]:.2f} | {with_it[0]:.2f} | {clock:.3f} | {processor:.3f} | "
        f"{with_it[2] / 2**20:.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print("| training | without, s | with, s | ratio | ratio of processor time | MiB kept |")
    print("|---|---|---|---|---|---|")
    deepstarr = recipes.deepstarr_net(max_epochs=options.epochs, callbacks=None)
    studies = {
        "two DeepSTARR members": (EnsembleRegressor(deepstarr, 2), sequences(options.rows)),
        "ten small members": (EnsembleRegressor(recipes.mlp_net(max_epochs=300)), table(2000)),
    }
    for name, (estimator, data) in studies.items():
        estimator.set_params(random_state=0)
        print(study(name, estimator, data, options.rounds), flush=True)


if __name__ == "__main__":
    main()
