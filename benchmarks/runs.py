"""What the benchmarks share: finished fits that are kept, small nets, tables of seeds."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from skorch.callbacks import EarlyStopping, LRScheduler

from sklearn_degu.recipes import deepstarr_net


class Timed(NamedTuple):
    """A fitted estimator and the seconds that its training took."""

    estimator: Any
    seconds: float


def kept(path: Path, fit: Callable[[], Any]) -> Timed:
    """Return what an earlier run kept at ``path``, or fit and keep it."""
    if path.exists():
        loaded: Timed = joblib.load(path)
        return loaded
    path.parent.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    result = Timed(fit(), time.perf_counter() - start)
    joblib.dump(result, path.with_suffix(".part"))
    path.with_suffix(".part").rename(path)
    return result


def add_table(parser: argparse.ArgumentParser, targets: Sequence[str] | None = None) -> None:
    """Add the options that name a table of sequences, its columns and its folds."""
    parser.add_argument("table", help="delimited table of sequences, may be gzipped")
    parser.add_argument("--sequence", default="seq", help="column of the sequences")
    parser.add_argument(
        "--targets",
        nargs="+",
        default=targets,
        required=targets is None,
        help="columns of the targets",
    )
    parser.add_argument("--split", default="fold", help="column of the folds")
    parser.add_argument("--validate", default="6", help="fold to stop on")
    parser.add_argument("--test", default="7", help="fold to test on")


class StoredPredictions(RegressorMixin, BaseEstimator):
    """A fitted regressor that looks predictions up: X is one column of row numbers."""

    def __init__(self, mean: np.ndarray, std: np.ndarray) -> None:
        self.mean = mean
        self.std = std

    def fit(self, X: np.ndarray, y: np.ndarray) -> StoredPredictions:
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict(self, X: np.ndarray, return_std: bool = False) -> Any:
        rows = X[:, 0]
        return (self.mean[rows], self.std[rows]) if return_std else self.mean[rows]


def small_net(epochs: int, width: float, **params: Any) -> Any:
    """Return a narrow DeepSTARR whose learning rate falls to zero in few epochs."""
    schedule = LRScheduler(policy="CosineAnnealingLR", T_max=epochs)
    best = EarlyStopping(monitor="valid_loss", patience=epochs, load_best=True)
    return deepstarr_net(
        module__width=width,
        max_epochs=epochs,
        lr=3e-3,
        callbacks=[("lr_schedule", schedule), ("early_stopping", best)],
        **params,
    )


def seed_table(title: str, rows: Sequence[Mapping[str, float]]) -> str:
    """Return a Markdown table of the mean and the deviation over seeds of every figure."""
    lines = [f"| {title} | mean | deviation | seeds |", "|---|---|---|---|"]
    for name in rows[0]:
        values = np.array([row[name] for row in rows])
        each = ", ".join(f"{value:.3f}" for value in values)
        spread = values.std(ddof=1) if len(values) > 1 else float("nan")
        lines.append(f"| {name} | {values.mean():.3f} | {spread:.3f} | {each} |")
    return "\n".join(lines)


def tertiles(by: np.ndarray) -> list[np.ndarray]:
    """Return the rows of each third, from the smallest of ``by`` to the largest."""
    return np.array_split(np.argsort(by, kind="stable"), 3)
