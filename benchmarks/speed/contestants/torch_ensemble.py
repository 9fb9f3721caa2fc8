"""TorchEnsemble's VotingRegressor, with its default of one member after another."""

from __future__ import annotations

import logging
import tempfile

import numpy as np
import torch
from torch import nn
from torchensemble import VotingRegressor

from benchmarks.speed.contestants import Moments
from benchmarks.speed.contestants.torch_loop import PREDICTION_BATCH, loader
from benchmarks.speed.contestants.torch_nets import PlainDeepSTARR
from benchmarks.speed.work import N_TARGETS, Data, Work


class TorchEnsemble:
    """Validates the whole ensemble every epoch and keeps the best one on disk."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.epoch_seconds: list[float] = []
        logging.disable(logging.INFO)

    def prepare(self, data: Data) -> Data:
        return data.converted(lambda X: X.astype(np.float32))

    def train(self, data: Data) -> None:
        torch.manual_seed(self.work.seed)
        self.ensemble = VotingRegressor(
            PlainDeepSTARR,
            self.work.members,
            estimator_args={"n_outputs": N_TARGETS, "length": self.work.length},
            cuda=self.work.device != "cpu",
        )
        self.ensemble.set_criterion(nn.MSELoss())
        self.ensemble.set_optimizer("Adam", lr=1e-3)
        with tempfile.TemporaryDirectory() as folder:
            self.ensemble.fit(
                loader(data.X_train, data.y_train, self.work.batch, shuffle=True),
                epochs=self.work.epochs,
                log_interval=len(data.X_train),
                test_loader=loader(data.X_val, data.y_val, self.work.batch),
                save_dir=folder,
            )

    def distil(self, data: Data) -> None:
        raise NotImplementedError("TorchEnsemble has no distillation.")

    @torch.inference_mode()
    def predict_ensemble(self, X: np.ndarray) -> Moments:
        self.ensemble.eval()
        parts = torch.split(torch.from_numpy(X), PREDICTION_BATCH)
        each = [
            torch.cat([net(part.to(self.ensemble.device)).cpu() for part in parts]).numpy()
            for net in self.ensemble.estimators_
        ]
        return np.mean(each, axis=0), np.std(each, axis=0)

    def predict_student(self, X: np.ndarray) -> Moments:
        raise NotImplementedError("TorchEnsemble has no distillation.")
