"""Small fitted models of sequences."""

import numpy as np
import torch
from torch import nn

from tests.toys import LENGTH


class Motif(nn.Module):
    """A known function of sequences: a weight for every base and position, squared or not."""

    def __init__(self, weights, power=1):
        super().__init__()
        self.weights = nn.Parameter(torch.as_tensor(weights, dtype=torch.float64))
        self.power = power

    def forward(self, X):
        return (X * self.weights).sum(dim=(1, 2), keepdim=True)[:, :, 0] ** self.power


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 3, batch_first=True)
        self.output = nn.Linear(3, 1)

    def forward(self, X):
        return self.output(self.lstm(X.transpose(1, 2))[0][:, -1])


class Functional(nn.Module):
    """A net with a nonlinearity that is no layer."""

    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(4 * LENGTH, 8)
        self.output = nn.Linear(8, 1)

    def forward(self, X):
        return self.output(torch.relu(self.hidden(X.flatten(1))))


def convolutional(inplace=False):
    """Return a small net of ordinary layers, in training mode."""
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv1d(4, 6, 3, padding=1), nn.BatchNorm1d(6), nn.ReLU(inplace=inplace)),
        *(nn.MaxPool1d(2), nn.Flatten(), nn.Dropout(0.3), nn.Linear(3 * LENGTH, 2)),
    )


def weights_of(shape=(4, LENGTH)):
    return np.random.default_rng(3).normal(size=shape)


class Total(nn.Module):
    """The sums over positions of the profiles that a module predicts."""

    def __init__(self, module, n_targets):
        super().__init__()
        self.module = module
        self.n_targets = n_targets

    def forward(self, x):
        return self.module(x)["mean"].reshape(len(x), self.n_targets, -1).sum(2)
