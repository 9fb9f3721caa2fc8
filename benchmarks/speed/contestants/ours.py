"""sklearn-degu: the ensemble, its student, and the small net for tables.

The student learns on the training rows, as the official procedure has it (``augment=None``), with
the teacher's own net and without weight averaging.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch  # noqa: F401  loaded before the clock starts
from sklearn.frozen import FrozenEstimator
from skorch import NeuralNet

from benchmarks.speed.contestants import Moments
from benchmarks.speed.work import Data, Work
from sklearn_degu import DistilledRegressor, EnsembleRegressor
from sklearn_degu.recipes import deepstarr_net, mlp_net


class Ours:
    """Trains members as ``strategy`` and ``jobs`` of the work say."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.epoch_seconds: list[float] = []

    def prepare(self, data: Data) -> Data:
        return data

    def train(self, data: Data) -> None:
        self.ensemble = self._unfitted(self._net()).fit(*data[:2], X_val=data[2], y_val=data[3])

    def distil(self, data: Data) -> None:
        teacher = FrozenEstimator(self.ensemble)
        student = DistilledRegressor(
            teacher, self._net(), augment=None, random_state=self.work.seed
        )
        self.student = student.fit(*data[:2], X_val=data[2], y_val=data[3])

    def predict_ensemble(self, X: np.ndarray) -> Moments:
        mean, std = self.ensemble.predict(X, return_std=True)
        return mean, std

    def predict_student(self, X: np.ndarray) -> Moments:
        mean, std = self.student.predict(X, return_std=True)
        return mean, std

    def _unfitted(self, net: NeuralNet) -> EnsembleRegressor:
        work = self.work
        chosen: dict[str, Any] = {"strategy": work.strategy} if work.strategy else {}
        return EnsembleRegressor(
            net, work.members, n_jobs=work.jobs, random_state=work.seed, **chosen
        )

    def _net(self) -> NeuralNet:
        work = self.work
        return deepstarr_net(
            module__width=work.width,
            max_epochs=work.epochs,
            batch_size=work.batch,
            device=work.device,
        )


class OursMLP(Ours):
    """Trains the default net for tables, which needs no validation rows."""

    def train(self, data: Data) -> None:
        work = self.work
        net = mlp_net(max_epochs=work.epochs, batch_size=work.batch, device=work.device)
        self.ensemble = self._unfitted(net).fit(data.X_train, data.y_train[:, 0])

    def distil(self, data: Data) -> None:
        raise NotImplementedError("The tabular study trains no student.")
