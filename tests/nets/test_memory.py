"""Trainings that would not fit, and predictions that make do with less."""

import os
import warnings
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from sklearn_degu import DistilledRegressor
from sklearn_degu.baselines import EvidentialRegressor
from sklearn_degu.nets.configure import configure
from sklearn_degu.nets.data import Rows
from sklearn_degu.nets.memory import _free_main_memory, forecast
from tests.toys import tiny_ensemble, tiny_net

KIB = 2**10


class Linear(nn.Module):
    """A net whose memory can be counted by hand."""

    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.layer = nn.Linear(n_features, n_outputs)

    def forward(self, x):
        return self.layer(x)


class Greedy(Linear):
    """A net that needs more than there is for more than so many rows."""

    most = 5
    sizes: ClassVar[list[int]] = []

    def forward(self, x):
        self.sizes.append(len(x))
        if not self.training and len(x) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return super().forward(x)


@pytest.fixture
def table():
    X = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    return X, X[:, 0]


def forecast_of(n_rows=100, batch_size=64, n_at_once=1, device="cpu"):
    net = tiny_net(Linear, batch_size=batch_size)
    net = configure(net, n_outputs=1, input_shape=(8,), validated=False)
    net.set_params(device=device)
    rows = Rows(np.zeros((n_rows, 8), np.float32), np.zeros((n_rows, 1)))
    return forecast(net, rows, torch.float32, n_at_once)


class TestForecast:
    def test_counts_weights_with_their_optimiser_and_what_gradients_need(self):
        weights, inputs, outputs = 9 * 4, 64 * 8 * 4, 64 * 4
        assert forecast_of() == 4 * weights + inputs + outputs

    def test_grows_with_batch_and_members(self):
        assert forecast_of(batch_size=32) < forecast_of() == forecast_of(n_at_once=3) / 3

    def test_takes_no_batch_for_larger_than_the_data(self):
        assert forecast_of(n_rows=10) == forecast_of(n_rows=10, batch_size=-1)
        assert forecast_of(n_rows=10) < forecast_of()

    def test_counts_rows_that_go_to_the_device(self):
        assert forecast_of(device="cuda") == forecast_of() + 100 * (8 + 2) * 4

    def test_leaves_the_global_generator_alone(self):
        torch.manual_seed(0)
        expected = torch.rand(1)
        torch.manual_seed(0)
        forecast_of()
        assert torch.rand(1) == expected


class TestTraining:
    @pytest.mark.parametrize("strategy", ["joint", "loop", "threads"])
    @pytest.mark.parametrize(
        "make", [lambda ensemble: ensemble, DistilledRegressor, lambda _: EvidentialRegressor()]
    )
    def test_that_will_not_fit_is_not_begun(self, make, strategy, table, monkeypatch):
        monkeypatch.setattr("sklearn_degu.nets.memory.free_memory", lambda device: 10)
        monkeypatch.setattr("skorch.NeuralNet.fit_loop", lambda *_, **__: pytest.fail("trained"))
        with pytest.raises(MemoryError, match=r"would take about .* of which 0\.0 are free.*Lower"):
            make(tiny_ensemble(strategy=strategy)).fit(*table)

    def test_of_a_student_that_will_not_fit_is_not_begun(self, table, monkeypatch):
        model = DistilledRegressor(
            tiny_ensemble(), student=tiny_net(module__hidden=(512, 512)), random_state=0
        )
        monkeypatch.setattr("sklearn_degu.nets.memory.free_memory", lambda device: 512 * KIB)
        with pytest.raises(MemoryError, match="Lower the net's batch_size"):
            model.fit(*table)

    def test_on_a_device_that_does_not_say_what_is_free_is_begun(self, table, monkeypatch):
        monkeypatch.setattr("sklearn_degu.nets.memory.free_memory", lambda device: None)
        tiny_ensemble().fit(*table)


@pytest.mark.skipif(_free_main_memory() is None, reason="needs Linux")
def test_free_memory_is_less_than_all_there_is():

    assert 0 < _free_main_memory() < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


class TestPrediction:
    @pytest.fixture(autouse=True)
    def _sizes(self):
        Greedy.sizes.clear()

    def test_goes_on_in_smaller_batches(self, table):
        ensemble = tiny_ensemble(tiny_net(Greedy, iterator_valid__batch_size=16))
        Greedy.most = 40
        expected = ensemble.fit(*table).predict(table[0])
        Greedy.most, Greedy.sizes[:] = 5, []
        with pytest.warns(UserWarning, match=r"too small for a batch.*batches of 4"):
            found = ensemble.predict(table[0])
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        assert Greedy.sizes[:4] == [16, 8, 4, 4]

    def test_that_fits_is_not_warned_of(self, table):
        Greedy.most = 40
        ensemble = tiny_ensemble(tiny_net(Greedy)).fit(*table)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            ensemble.predict(table[0])

    def test_that_cannot_fit_fails(self, table):
        Greedy.most = 40
        ensemble = tiny_ensemble(tiny_net(Greedy)).fit(*table)
        Greedy.most = 0
        with (
            pytest.warns(UserWarning, match=r"batches of 1\."),
            pytest.raises(torch.OutOfMemoryError),
        ):
            ensemble.predict(table[0])
