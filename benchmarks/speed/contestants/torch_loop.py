"""A plain PyTorch loop: one member after another, on torch's default number of threads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from copy import deepcopy

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.speed.contestants import Moments
from benchmarks.speed.contestants.torch_nets import PlainDeepSTARR, plain_mlp
from benchmarks.speed.work import N_FEATURES, N_TARGETS, Data, Work

PREDICTION_BATCH = 512
SMALLEST_VARIANCE = 1e-10


class TorchLoop:
    """Loads batches with a DataLoader and keeps a copy of the best weights."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.epoch_seconds: list[float] = []

    def prepare(self, data: Data) -> Data:
        return data.converted(lambda X: X.astype(np.float32))

    def train(self, data: Data) -> None:
        self.members = []
        for member in range(self.work.members):
            torch.manual_seed(self.work.seed * 1000 + member)
            self.members.append(self._fit(PlainDeepSTARR(N_TARGETS, self.work.length), data))

    def distil(self, data: Data) -> None:
        labels = [_labels(*self.predict_ensemble(X)) for X in (data.X_train, data.X_val)]
        taught = data._replace(y_train=labels[0], y_val=labels[1])
        self.student = self._fit(PlainDeepSTARR(2 * N_TARGETS, self.work.length), taught)

    def predict_ensemble(self, X: np.ndarray) -> Moments:
        predicted = np.stack([_predict(net, X, self.work.device) for net in self.members])
        return predicted.mean(axis=0), predicted.std(axis=0)

    def predict_student(self, X: np.ndarray) -> Moments:
        mean, log_var = np.split(_predict(self.student, X, self.work.device), 2, axis=1)
        return mean, np.exp(log_var / 2)

    def _fit(self, net: nn.Module, data: Data) -> nn.Module:
        net.to(self.work.device)
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
        train = loader(data.X_train, data.y_train, self.work.batch, shuffle=True)
        valid = loader(data.X_val, data.y_val, self.work.batch)
        best, best_loss = net.state_dict(), np.inf
        for epoch in range(self.work.epochs):
            start = time.perf_counter()
            _train_epoch(net, optimizer, train, self.work.device)
            loss = _validation_loss(net, valid, self.work.device)
            if loss < best_loss:
                best, best_loss = deepcopy(net.state_dict()), loss
            if epoch > 0:
                self.epoch_seconds.append(time.perf_counter() - start)
        net.load_state_dict(best)
        return net


class TorchLoopMLP:
    """Indexes tensors in place of a DataLoader, the fastest plain form for small nets."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.epoch_seconds: list[float] = []

    def prepare(self, data: Data) -> Data:
        return data

    def train(self, data: Data) -> None:
        self.center, self.scale = data.X_train.mean(axis=0), data.X_train.std(axis=0)
        inputs = torch.from_numpy(self._standardized(data.X_train))
        targets = torch.from_numpy(data.y_train)
        self.members = []
        for member in range(self.work.members):
            torch.manual_seed(self.work.seed * 1000 + member)
            self.members.append(self._fit(plain_mlp(N_FEATURES, 1), inputs, targets))

    def distil(self, data: Data) -> None:
        raise NotImplementedError("The tabular study trains no student.")

    def predict_ensemble(self, X: np.ndarray) -> Moments:
        standardized = self._standardized(X)
        predicted = np.stack([_predict(net, standardized, "cpu") for net in self.members])
        return predicted.mean(axis=0), predicted.std(axis=0)

    def predict_student(self, X: np.ndarray) -> Moments:
        raise NotImplementedError("The tabular study trains no student.")

    def _standardized(self, X: np.ndarray) -> np.ndarray:
        standardized: np.ndarray = (X - self.center) / self.scale
        return standardized

    def _fit(self, net: nn.Module, inputs: Tensor, targets: Tensor) -> nn.Module:
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
        loss_of = nn.MSELoss()
        for _ in range(self.work.epochs):
            order = torch.randperm(len(inputs))
            total = torch.zeros(())
            for index in torch.split(order, self.work.batch):
                optimizer.zero_grad()
                loss = loss_of(net(inputs[index]), targets[index])
                loss.backward()
                optimizer.step()
                total += loss.detach() * len(index)
        return net


class TorchLoopMLPOneThread(TorchLoopMLP):
    """Computes on one thread, which nets as small as this like better."""

    def __init__(self, work: Work) -> None:
        super().__init__(work)
        torch.set_num_threads(1)


def loader(
    X: np.ndarray, y: np.ndarray, batch: int, *, shuffle: bool = False
) -> DataLoader[tuple[Tensor, ...]]:
    """Return a DataLoader of float32 arrays."""
    rows = TensorDataset(torch.from_numpy(X), torch.from_numpy(y))
    return DataLoader(rows, batch_size=batch, shuffle=shuffle)


def _labels(mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """Return the student's targets: the mean and the logarithm of the variance."""
    return np.hstack([mean, np.log(np.maximum(std**2, SMALLEST_VARIANCE))])


def _train_epoch(
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[tuple[Tensor, ...]],
    device: str,
) -> None:
    loss_of = nn.MSELoss()
    net.train()
    for inputs, targets in batches:
        optimizer.zero_grad()
        loss = loss_of(net(inputs.to(device)), targets.to(device))
        loss.backward()
        optimizer.step()


@torch.inference_mode()
def _validation_loss(net: nn.Module, batches: Iterable[tuple[Tensor, ...]], device: str) -> float:
    net.eval()
    squared: Callable[[Tensor, Tensor], Tensor] = nn.MSELoss(reduction="sum")
    return float(sum(squared(net(x.to(device)), y.to(device)).item() for x, y in batches))


@torch.inference_mode()
def _predict(net: nn.Module, X: np.ndarray, device: str) -> np.ndarray:
    net.eval()
    parts = torch.split(torch.from_numpy(X), PREDICTION_BATCH)
    return torch.cat([net(part.to(device)).cpu() for part in parts]).numpy()
