"""Who is timed. Each is imported when it is made, so that a process holds one of them alone."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol

import numpy as np

from benchmarks.speed.work import Data, Work

Moments = tuple[np.ndarray, np.ndarray]


class Contestant(Protocol):
    """What the worker asks of a contestant.

    ``epoch_seconds`` holds the seconds of every epoch but the first of a member, which may
    compile; it stays empty where the epochs of several members run side by side.
    """

    epoch_seconds: list[float]

    def prepare(self, data: Data) -> Data:
        """Return the data in the layout that the contestant trains on."""

    def train(self, data: Data) -> None:
        """Train all members, validating every epoch and keeping the best weights."""

    def distil(self, data: Data) -> None:
        """Label the rows by the members' mean and deviation and train a student on that."""

    def predict_ensemble(self, X: Any) -> Moments:
        """Return mean and deviation over the members."""

    def predict_student(self, X: Any) -> Moments:
        """Return the mean and the deviation that the student predicts."""


def _made(module: str, name: str) -> Callable[[Work], Contestant]:
    def make(work: Work) -> Contestant:
        contestant: Contestant = getattr(import_module(f"{__name__}.{module}"), name)(work)
        return contestant

    return make


CONTESTANTS = {
    "ours": _made("ours", "Ours"),
    "keras": _made("keras_degu", "KerasDegu"),
    "torch_loop": _made("torch_loop", "TorchLoop"),
    "skorch": _made("skorch_nets", "SkorchLoop"),
    "torch_ensemble": _made("torch_ensemble", "TorchEnsemble"),
    "bagging": _made("skorch_nets", "Bagging"),
    "ours_mlp": _made("ours", "OursMLP"),
    "torch_mlp": _made("torch_loop", "TorchLoopMLP"),
    "torch_mlp_one_thread": _made("torch_loop", "TorchLoopMLPOneThread"),
}

TABULAR = ("ours_mlp", "torch_mlp", "torch_mlp_one_thread")

NAMES = {
    "ours": "sklearn-degu",
    "keras": "official procedure (Keras)",
    "torch_loop": "plain PyTorch loop",
    "skorch": "skorch, one after another",
    "torch_ensemble": "TorchEnsemble VotingRegressor",
    "bagging": "BaggingRegressor of skorch nets",
    "ours_mlp": "sklearn-degu",
    "torch_mlp": "plain PyTorch loop",
    "torch_mlp_one_thread": "the same on one thread",
}
