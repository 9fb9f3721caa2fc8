"""The work that every contestant does: how much of it, and on which data."""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

N_TARGETS = 2
N_TEST = 1024
N_MOTIFS = 6
MOTIF_WIDTH = 8
N_FEATURES = 10


@dataclass(frozen=True)
class Work:
    """How much a contestant has to do.

    ``n`` training rows (a tenth as many for validation) of ``length`` base pairs, ``members``
    nets of ``epochs`` epochs in batches of ``batch``; ``width`` scales the hidden layers of
    ours, for memory studies. ``strategy`` and ``jobs`` are parameters of ours alone;
    an empty strategy is the estimator's default.
    """

    n: int = 4096
    length: int = 249
    members: int = 10
    epochs: int = 2
    batch: int = 128
    width: float = 1.0
    seed: int = 0
    device: str = "cpu"
    strategy: str = ""
    jobs: int = -1

    def arguments(self) -> list[str]:
        """Return the command-line arguments that :meth:`parse` reads back."""
        return [f"--{field.name}={getattr(self, field.name)}" for field in fields(self)]

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser, default: Work) -> None:
        for field in fields(Work):
            value = getattr(default, field.name)
            parser.add_argument(f"--{field.name}", type=type(value), default=value)

    @classmethod
    def parse(cls, arguments: argparse.Namespace) -> Work:
        return cls(**{field.name: getattr(arguments, field.name) for field in fields(cls)})

    def training_flop(self) -> float:
        """Return the floating-point operations of the training and validation of all members."""
        forward, training = deepstarr_flop(self.length, self.width)
        each_epoch = self.n * training + (self.n // 10) * forward
        return each_epoch * self.members * self.epochs


class Data(NamedTuple):
    """Rows to train, validate and test on."""

    X_train: np.ndarray
    y_train: np.ndarray
    X_val: np.ndarray
    y_val: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray

    def head(self, n: int) -> Data:
        """Return the first ``n`` rows of each part."""
        return Data(*(part[:n] for part in self))

    def converted(self, convert: Any) -> Data:
        """Return the data with every X converted."""
        X = [convert(part) for part in self[::2]]
        return Data(X[0], self[1], X[1], self[3], X[2], self[5])


def deepstarr_flop(length: int, width: float = 1.0) -> tuple[float, float]:
    """Return the operations a sequence in prediction and in training.

    A training step computes each product three times, but for the first convolution, which
    needs no gradient of its input. At 249 bp these are 19.6 and 55.3 million.
    """
    filters = [4, *(max(1, round(width * n)) for n in (256, 60, 60, 120))]
    dense = max(1, round(width * 256))
    layers = []
    for i, kernel in enumerate((7, 3, 5, 3)):
        layers.append(2.0 * filters[i] * filters[i + 1] * kernel * (length // 2**i))
    flat = filters[-1] * (length // 16)
    layers += [2.0 * flat * dense, 2.0 * dense * dense, 2.0 * dense * N_TARGETS]
    return sum(layers), 3 * sum(layers) - layers[0]


def one_hot(codes: np.ndarray) -> np.ndarray:
    """Return sequences of base numbers (n, length) as uint8 one-hot (n, 4, length)."""
    X = np.empty((len(codes), 4, codes.shape[1]), dtype=np.uint8)
    for base in range(4):
        np.equal(codes, base, out=X[:, base], casting="unsafe")
    return X


def load_sequences(work: Work) -> Data:
    """Return one-hot sequences and their activities, made once and kept."""
    with np.load(make_sequences(work)) as kept:
        y = kept["y"]
        X = [one_hot(kept[name]) for name in ("train", "val", "test")]
    first, second = work.n, work.n + len(X[1])
    return Data(X[0], y[:first], X[1], y[first:second], X[2], y[second:])


def make_sequences(work: Work) -> Path:
    """Make the sequences unless they are kept, and return their file."""
    path = _sequence_file(work)
    if not path.exists():
        _make_sequences(work, path)
    return path


def _sequence_file(work: Work) -> Path:
    folder = Path(tempfile.gettempdir()) / "sklearn_degu_speed"
    return folder / f"sequences_{work.n}_{work.length}.npz"


def _make_sequences(work: Work, path: Path) -> None:
    """Write sequences whose activity follows from planted motifs and the GC content."""
    sizes = np.cumsum([work.n, work.n // 10])
    codes, y = _simulate(sizes[-1] + N_TEST, work.length)
    train, val, test = np.split(codes, sizes)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.npz")
    np.savez(part, train=train, val=val, test=test, y=y)
    part.rename(path)


def _simulate(n: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    truth = np.random.default_rng(0)
    motifs = truth.integers(0, 4, size=(N_MOTIFS, MOTIF_WIDTH), dtype=np.uint8)
    weights = truth.normal(size=(N_MOTIFS, N_TARGETS))
    rng = np.random.default_rng([n, length])
    gc = rng.uniform(0.3, 0.7, size=n)
    strong = rng.random((n, length), dtype=np.float32) < gc[:, np.newaxis]
    second = rng.random((n, length), dtype=np.float32) < 0.5
    codes = np.where(strong, 1 + second, 3 * second).astype(np.uint8)  # A, C, G, T
    planted = rng.random((n, N_MOTIFS)) < 0.4
    for i, motif in enumerate(motifs):
        rows = np.flatnonzero(planted[:, i])
        starts = rng.integers(0, length - MOTIF_WIDTH, size=len(rows))
        codes[rows[:, np.newaxis], starts[:, np.newaxis] + np.arange(MOTIF_WIDTH)] = motif
    y = planted @ weights + 8 * (gc[:, np.newaxis] - 0.5) + 0.3 * rng.normal(size=(n, N_TARGETS))
    return codes, ((y - y.mean(axis=0)) / y.std(axis=0)).astype(np.float32)


def load_table(work: Work) -> Data:
    """Return a table of ten features and a target that is a smooth function of them."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(work.n + N_TEST, N_FEATURES)).astype(np.float32)
    signal = X[:, :1] + X[:, 1:2] ** 2 + np.sin(2 * X[:, 2:3])
    y = (signal + 0.3 * rng.normal(size=signal.shape)).astype(np.float32)
    none = slice(0, 0)
    return Data(X[: work.n], y[: work.n], X[none], y[none], X[work.n :], y[work.n :])


def correlations(y: np.ndarray, predicted: np.ndarray) -> list[float]:
    """Return the Pearson correlation of every target."""
    pairs = zip(y.T, predicted.reshape(y.shape).T, strict=True)
    return [round(float(np.corrcoef(a, b)[0, 1]), 4) for a, b in pairs]
