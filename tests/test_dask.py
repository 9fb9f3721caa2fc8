"""Members on the workers of a dask cluster."""

import os
import signal
import threading
import time

import joblib
import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV

from sklearn_degu import EnsembleRegressor
from sklearn_degu.nets.strategies import _take_turns_on_gpus
from sklearn_degu.recipes import deepstarr_net
from tests.toys import tiny_ensemble, tiny_net

distributed = pytest.importorskip("dask.distributed")

LENGTH = 40


@pytest.fixture(scope="module")
def client():
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        yield client


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = np.eye(4, dtype=np.uint8)[rng.integers(4, size=(300, LENGTH))].transpose(0, 2, 1)
    return X, X[:, 0].mean(axis=1) + 0.01 * rng.normal(size=len(X))


def ensemble(**params):
    """Return an ensemble of nets that workers can import."""
    epochs = params.pop("max_epochs", 3)
    net = deepstarr_net(module__width=0.06, max_epochs=epochs, callbacks=None)
    return EnsembleRegressor(net, 4, random_state=0, **params)


@pytest.mark.slow
class TestCluster:
    def test_trains_the_same_members(self, client, data):
        alone = ensemble().fit(*data).predict_members(data[0])
        with joblib.parallel_config("dask"):
            spread = ensemble().fit(*data).predict_members(data[0])
        np.testing.assert_array_equal(spread, alone)

    def test_is_sent_the_data_once(self, client, data, monkeypatch):
        sent = []
        scatter = client.scatter

        def counting(rows, **options):
            sent.append((rows, options))
            return scatter(rows, **options)

        monkeypatch.setattr(client, "scatter", counting)
        with joblib.parallel_config("dask", client=client):
            ensemble().fit(*data, X_val=data[0][:50], y_val=data[1][:50])
        ours = [(rows, options) for rows, options in sent if options.get("broadcast")]
        assert [len(rows) for rows, _ in ours] == [2]
        others = [rows for rows, options in sent if not options.get("broadcast")]
        assert not any(isinstance(rows, (tuple, np.ndarray)) for rows in others)

    def test_trains_a_member_again_whose_worker_dies(self, client, data, tmp_path):
        model = ensemble(max_epochs=12)
        alone = model.fit(*data).predict_members(data[0])
        first = next(iter(client.run(os.getpid).values()))

        def kill_when_begun():
            while not list(tmp_path.rglob("member-*.[ab]")):
                time.sleep(0.01)
            os.kill(first, signal.SIGKILL)

        killer = threading.Thread(target=kill_when_begun)
        killer.start()
        model.set_params(checkpoint_dir=tmp_path / "fit")
        with joblib.parallel_config("dask"):
            spread = model.fit(*data).predict_members(data[0])
        killer.join()
        np.testing.assert_array_equal(spread, alone)

    def test_runs_the_points_of_a_grid(self, client, data):
        def search():
            grid = {"net__lr": [1e-3, 1e-2]}
            return GridSearchCV(ensemble(), grid, cv=2, error_score="raise").fit(*data)

        alone = search().cv_results_["mean_test_score"]
        with joblib.parallel_config("dask"):
            spread = search().cv_results_["mean_test_score"]
        np.testing.assert_array_equal(spread, alone)


@pytest.mark.parametrize(
    ("n_gpus", "asked", "given"),
    [
        (2, "cuda", ["cuda:0", "cuda:1", "cuda:0"]),
        (2, "cuda:1", ["cuda:1"] * 3),
        (1, "cuda", ["cuda"] * 3),
        (0, "cpu", ["cpu"] * 3),
    ],
)
def test_processes_take_turns_on_the_gpus_that_there_are(n_gpus, asked, given, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: n_gpus)
    nets = [tiny_net(device=asked) for _ in given]
    _take_turns_on_gpus(nets)
    assert [net.device for net in nets] == given


def test_only_processes_are_given_gpus(monkeypatch):
    monkeypatch.setattr("sklearn_degu.nets.strategies._take_turns_on_gpus", pytest.fail)
    X = np.random.default_rng(0).normal(size=(20, 3))
    tiny_ensemble(strategy="threads").fit(X, X[:, 0])
