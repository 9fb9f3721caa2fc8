"""A fitted net over many rows: side by side where that is safe, always with the same numbers."""

import threading

import numpy as np
import pytest
import torch
from torch import nn

from sklearn_degu import EnsembleRegressor
from sklearn_degu.nets.prediction import forward
from sklearn_degu.nets.randomness import one_intra_op_thread
from sklearn_degu.recipes import deepstarr_net
from tests.toys import tiny_ensemble, tiny_net


@pytest.fixture
def two_threads():
    """Let torch have two threads, whatever the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


class Gated(nn.Module):
    """A user's net that keeps what it saw on itself, between two layers."""

    draws_globally = False

    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.first = nn.Linear(n_features, 32)
        self.second = nn.Linear(32, n_outputs)

    def forward(self, x):
        self.gate = x[:, :1]
        return self.second(self.first(x).relu()) * self.gate


def fitted(net, X):
    return tiny_ensemble(net, 1).fit(X, X[:, 0].reshape(len(X), -1)[:, 0] * 1.0).estimators_[0]


def threads_of(net, X, monkeypatch):
    """Return in how many threads the batches of a prediction were computed."""
    used, step = set(), type(net).evaluation_step

    def spy(self, *args, **kwargs):
        used.add(threading.get_ident())
        return step(self, *args, **kwargs)

    monkeypatch.setattr(type(net), "evaluation_step", spy)
    forward(net, X)
    return len(used)


class Shifting(nn.Module):
    """A net that writes to what it is given."""

    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.layer = nn.Linear(n_features, n_outputs)

    def forward(self, x):
        x -= 0.5
        return self.layer(x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_module_that_writes_to_its_input_changes_no_data(table, dtype):
    X, y = table[0].astype(dtype), table[1]
    before, net = X.copy(), tiny_net(Shifting, batch_size=-1)
    ensemble = tiny_ensemble(net, 3).fit(X, y, X_val=X, y_val=y)
    members = ensemble.predict_members(X)
    np.testing.assert_array_equal(X, before)
    for member, alone in zip(members, ensemble.estimators_, strict=True):
        part = EnsembleRegressor.from_fitted([alone], input_shape=X.shape[1:])
        scale = ensemble._heads[0].heads["mean"]
        np.testing.assert_allclose(member, part.predict(X) * scale.scale + scale.loc, rtol=1e-5)


@pytest.mark.usefixtures("two_threads")
class TestThreads:
    @pytest.fixture
    def rows(self):
        codes = np.random.default_rng(0).integers(0, 4, size=(700, 20))
        return np.eye(4, dtype=np.uint8)[codes].transpose(0, 2, 1).copy()

    @pytest.fixture
    def net(self, rows):
        net = deepstarr_net(module__width=0.05, max_epochs=1, callbacks="disable")
        return fitted(net.set_params(iterator_valid__batch_size=50), rows)

    def test_share_the_batches(self, net, rows, monkeypatch):
        assert threads_of(net, rows, monkeypatch) == 2

    def test_change_nothing(self, net, rows):
        two = forward(net, rows)
        torch.set_num_threads(1)
        np.testing.assert_array_equal(forward(net, rows), two)

    def test_share_no_batches_of_layers_that_are_watched(self, net, rows, monkeypatch):
        handle = net.module_.output.register_forward_hook(lambda *args: None)
        assert threads_of(net, rows, monkeypatch) == 1
        handle.remove()

    def test_share_no_batches_of_users_modules(self, monkeypatch):
        rows = np.random.default_rng(0).normal(size=(500, 5))
        net = fitted(tiny_net(Gated, iterator_valid__batch_size=20), rows)
        assert threads_of(net, rows, monkeypatch) == 1

    def test_raise_what_a_batch_raises(self, net, rows, monkeypatch):
        def fail(*args, **kwargs):
            raise ZeroDivisionError

        monkeypatch.setattr(type(net), "evaluation_step", fail)
        with pytest.raises(ZeroDivisionError):
            forward(net, rows)
        assert torch.get_num_threads() == 2

    def test_are_as_many_as_before_in_every_thread_that_predicted(self, net, rows):
        counts = []

        def predict():
            torch.set_num_threads(2)
            for _ in range(5):
                forward(net, rows)
            counts.append(torch.get_num_threads())

        threads = [threading.Thread(target=predict) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert counts == [2, 2, 2]
        assert torch.get_num_threads() == 2

    def test_outside_of_a_block_of_one_are_known_inside(self):
        with one_intra_op_thread:
            assert torch.get_num_threads() == 1
            with one_intra_op_thread:
                assert one_intra_op_thread.threads_outside == 2
            assert torch.get_num_threads() == 1
        assert one_intra_op_thread.threads_outside == torch.get_num_threads() == 2


@pytest.mark.parametrize("batch_size", [1, 7, 1000, -1])
def test_batch_size_changes_nothing(batch_size):
    X = np.random.default_rng(0).normal(size=(60, 5))
    expected = forward(fitted(tiny_net(), X), X)
    net = fitted(tiny_net(iterator_valid__batch_size=batch_size), X)
    np.testing.assert_allclose(forward(net, X), expected, rtol=1e-12)
