"""Small nets and data of the tests."""

import numpy as np
import torch
from skorch import NeuralNetRegressor
from torch import nn

from sklearn_degu import EnsembleRegressor
from sklearn_degu.modules import MLP, Dropout
from sklearn_degu.nets.net import InMemoryNet

LENGTH = 12


class TinyConv(nn.Module):
    """A net for sequences, as a user would write one."""

    draws_globally = False

    def __init__(self, n_outputs, n_channels=4, seq_len=LENGTH, width=4, dropout=0.0):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(n_channels, width, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            Dropout(dropout),
            nn.Linear(width * seq_len, n_outputs),
        )

    def forward(self, x):
        return self.layers(x)


class TinyProfile(nn.Module):
    """A net for profiles, as a user would write one."""

    draws_globally = False

    def __init__(self, n_outputs, n_channels=4, seq_len=LENGTH, n_positions=None, width=4):
        super().__init__()
        self.n_positions = seq_len if n_positions is None else n_positions
        self.layers = nn.Sequential(
            nn.Conv1d(n_channels, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv1d(width, n_outputs, 3, padding=1),
        )

    def forward(self, x):
        return self.layers(x)[..., : self.n_positions]


class GlobalDropout(nn.Module):
    """A user's net whose dropout draws from torch's global generator."""

    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_features, 16), nn.Dropout(0.5), nn.ReLU(), nn.Linear(16, n_outputs)
        )

    def forward(self, x):
        return self.layers(x)


class Constant(nn.Module):
    """A net that cannot look at its input."""

    def __init__(self, n_outputs):
        super().__init__()
        self.output = nn.Parameter(torch.zeros(n_outputs))

    def forward(self, x):
        return self.output.expand(len(x), -1)


def tiny_net(module=MLP, net=InMemoryNet, **params):
    """Return a net for tables that trains in milliseconds."""
    sizes = {"module__hidden": (8,)} if module is MLP else {}
    training = {"optimizer": torch.optim.Adam, "lr": 0.05, "batch_size": 16, "max_epochs": 3}
    return net(module, **{"criterion": nn.MSELoss} | training | sizes | params)


def tiny_conv_net(**params):
    """Return a net for sequences that trains in milliseconds."""
    return tiny_net(TinyConv, **{"lr": 0.01, "max_epochs": 2} | params)


def tiny_profile_net(**params):
    """Return a net for profiles that trains in milliseconds."""
    return tiny_net(TinyProfile, **{"lr": 0.01, "max_epochs": 2} | params)


def plain_skorch_net(module=MLP, **params):
    """Return skorch's own net, which knows nothing of this package."""
    return tiny_net(module, NeuralNetRegressor, **{"train_split": None, "verbose": 0} | params)


def tiny_ensemble(net=None, n_estimators=2, **params):
    """Return an ensemble that trains in milliseconds."""
    net = tiny_net() if net is None else net
    return EnsembleRegressor(net, n_estimators, **{"random_state": 0, **params})


def weights(net):
    """Return all weights of a fitted net in one vector."""
    return np.concatenate([p.detach().numpy().ravel() for p in net.module_.parameters()])
