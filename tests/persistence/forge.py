"""Models to save, and files that are not what save writes."""

import json
import struct

import numpy as np
from torch import nn

from sklearn_degu.persistence._container import Content, from_bytes, to_bytes
from tests.toys import LENGTH


class Doubled(nn.Module):
    """A user's module: load must be told of it."""

    def __init__(self, n_features, n_outputs, depth=1):
        super().__init__()
        layers = [nn.Linear(n_features, n_features) for _ in range(depth)]
        self.layers = nn.Sequential(*layers, nn.Linear(n_features, n_outputs))

    def forward(self, x):
        return self.layers(2 * x)


class WithPositions(nn.Module):
    """A module with a buffer that it computes for itself, and one that holds infinity."""

    def __init__(self, n_features, n_outputs, n_positions=8):
        super().__init__()
        self.layer = nn.Linear(n_features, n_outputs)
        self.register_buffer("positions", nn.init.ones_(self.layer.weight.new_empty(n_positions)))
        self._non_persistent_buffers_set.add("positions")
        self.register_buffer("mask", self.layer.weight.new_full((2,), float("-inf")))

    def forward(self, x):
        return self.layer(x) * self.positions.mean()


def sign_of_first(X):
    """Return a group for every row, as a user's mondrian does."""
    return (np.asarray(X)[:, 0] > 0).astype(int)


def first_base(strings):
    """Return a group for every string."""
    return np.array([string[0] for string in strings])


def forged(data, change):
    """Return a file with a right checksum whose description and tensors were changed."""
    content = from_bytes(data)
    document = json.loads(json.dumps(content.document))
    tensors = {name: array.copy() for name, array in content.tensors.items()}
    change(document, tensors)
    return to_bytes(Content(document, tensors))


def with_header(data, change):
    """Return a file whose header, as bytes, was changed."""
    length = struct.unpack("<Q", data[:8])[0]
    header = change(data[8 : 8 + length])
    return struct.pack("<Q", len(header)) + header + data[8 + length :]


def described(document, class_name):
    """Return the state of the first object of a class in a description."""
    return next(o for o in document["objects"] if o["class"] == class_name)["state"]


def net_params(document):
    """Return the parameters of the first net, a member, as a dict that can be changed."""
    return Pairs(described(document, NET)["params"]["dict"])


def weights(document):
    """Return the weights of the first net's module as a dict that can be changed."""
    fitted = Pairs(described(document, NET)["fitted"]["dict"])
    return Pairs(fitted["module"]["dict"])


class Pairs:
    """A dict of the description: a list of pairs."""

    def __init__(self, pairs):
        self.pairs = pairs

    def __getitem__(self, key):
        return next(value for name, value in self.pairs if name == key)

    def __setitem__(self, key, value):
        self.pairs[:] = [pair for pair in self.pairs if pair[0] != key] + [[key, value]]

    def __delitem__(self, key):
        self.pairs[:] = [pair for pair in self.pairs if pair[0] != key]

    def first_key(self):
        return self.pairs[0][0]


NET = "sklearn_degu.nets.InMemoryNet"
ENSEMBLE = "sklearn_degu.EnsembleRegressor"
STRING = "A" * LENGTH
