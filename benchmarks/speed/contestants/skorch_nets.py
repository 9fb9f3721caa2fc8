"""skorch nets one after another, and in scikit-learn's BaggingRegressor."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.ensemble import BaggingRegressor
from skorch import NeuralNetRegressor
from skorch.callbacks import EarlyStopping
from skorch.dataset import Dataset
from skorch.helper import predefined_split

from benchmarks.speed.contestants import Moments
from benchmarks.speed.contestants.torch_nets import PlainDeepSTARR
from benchmarks.speed.work import N_TARGETS, Data, Work


class SkorchLoop:
    """Fits one NeuralNetRegressor after another, with skorch's own loader."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.epoch_seconds: list[float] = []

    def prepare(self, data: Data) -> Data:
        return data.converted(lambda X: X.astype(np.float32))

    def train(self, data: Data) -> None:
        self.members = []
        for member in range(self.work.members):
            torch.manual_seed(self.work.seed * 1000 + member)
            net = _net(self.work, data).fit(data.X_train, data.y_train)
            self.epoch_seconds += net.history[:, "dur"][1:]
            self.members.append(net)

    def distil(self, data: Data) -> None:
        raise NotImplementedError("skorch has no distillation.")

    def predict_ensemble(self, X: np.ndarray) -> Moments:
        predicted = np.stack([net.predict(X) for net in self.members])
        return predicted.mean(axis=0), predicted.std(axis=0)

    def predict_student(self, X: np.ndarray) -> Moments:
        raise NotImplementedError("skorch has no distillation.")


class Bagging:
    """Fits a BaggingRegressor of skorch nets in as many processes as there are cores."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.epoch_seconds: list[float] = []

    def prepare(self, data: Data) -> Data:
        return data.converted(lambda X: X.astype(np.float32).reshape(len(X), -1))

    def train(self, data: Data) -> None:
        bagging = BaggingRegressor(
            _net(self.work, data),
            self.work.members,
            n_jobs=self.work.jobs,
            random_state=self.work.seed,
        )
        self.ensemble = bagging.fit(data.X_train, data.y_train)

    def distil(self, data: Data) -> None:
        raise NotImplementedError("scikit-learn has no distillation.")

    def predict_ensemble(self, X: np.ndarray) -> Moments:
        predicted = np.stack([net.predict(X) for net in self.ensemble.estimators_])
        return predicted.mean(axis=0), predicted.std(axis=0)

    def predict_student(self, X: np.ndarray) -> Moments:
        raise NotImplementedError("scikit-learn has no distillation.")


def _net(work: Work, data: Data) -> NeuralNetRegressor:
    best: Any = EarlyStopping(patience=work.epochs, load_best=True)
    return NeuralNetRegressor(
        PlainDeepSTARR,
        module__n_outputs=N_TARGETS,
        module__length=work.length,
        optimizer=torch.optim.Adam,
        lr=1e-3,
        batch_size=work.batch,
        max_epochs=work.epochs,
        iterator_train__shuffle=True,
        train_split=predefined_split(Dataset(data.X_val, data.y_val)),
        callbacks=[best],
        device=work.device,
        verbose=0,
    )
