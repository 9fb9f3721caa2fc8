"""Pickle, joblib and deepcopy work beside save and load, from a GPU to a CPU too."""

import copy
import io
import pickle

import joblib
import numpy as np
import pytest
import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_degu import ConformalRegressor, DistilledRegressor, load, save
from sklearn_degu.baselines import EvidentialRegressor, MCDropoutRegressor
from sklearn_degu.recalibration import RecalibratedRegressor
from tests.toys import tiny_ensemble, tiny_net

pytestmark = pytest.mark.filterwarnings("ignore")

MODELS = {
    "ensemble": tiny_ensemble,
    "student": lambda: DistilledRegressor(tiny_ensemble()),
    "dropout": lambda: MCDropoutRegressor(tiny_net(module__dropout=0.2), n_samples=3),
    "evidential": lambda: EvidentialRegressor(tiny_net()),
    "recalibrated": lambda: RecalibratedRegressor(tiny_ensemble()),
    "conformal pipeline": lambda: ConformalRegressor(
        make_pipeline(StandardScaler(), tiny_ensemble()), confidence_level=0.5
    ),
}


def by_joblib(model, folder):
    joblib.dump(model, folder / "model.joblib")
    return joblib.load(folder / "model.joblib")


def by_file(model, folder):
    save(model, folder / "model")
    return load(folder / "model")


WAYS = {
    "pickle": lambda model, _: pickle.loads(pickle.dumps(model)),
    "joblib": by_joblib,
    "deepcopy": lambda model, _: copy.deepcopy(model),
    "pickle of what was loaded": lambda model, folder: pickle.loads(
        pickle.dumps(by_file(model, folder))
    ),
    "deepcopy of what was loaded": lambda model, folder: copy.deepcopy(by_file(model, folder)),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("build", MODELS.values(), ids=MODELS.keys())
def test_copies_predict_alike(build, way, table, tmp_path):
    X, y = table
    model = build().fit(X, y)
    copied = way(model, tmp_path)
    for expected, got in zip(
        model.predict(X, return_std=True), copied.predict(X, return_std=True), strict=True
    ):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
@pytest.mark.parametrize("build", MODELS.values(), ids=MODELS.keys())
def test_a_pickle_from_a_gpu_loads_on_a_machine_without_one(build, table, monkeypatch):
    """Storages are pickled as torch would pickle those of a GPU: said to lie on cuda:0."""
    X, y = table
    model = build().fit(X, y)
    expected = model.predict(X)
    with monkeypatch.context() as on_gpu:
        on_gpu.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        for net in nets_of(model):
            net.device = "cuda"
        pickled = pickle.dumps(model)
    with pytest.raises(RuntimeError, match="CUDA"):
        torch.load(as_from_a_gpu(monkeypatch), weights_only=True)
    loaded = pickle.loads(pickled)
    assert {torch.device(net.device).type for net in nets_of(loaded)} == {"cpu"}
    np.testing.assert_array_equal(loaded.predict(X), expected)


def as_from_a_gpu(monkeypatch):
    """Return a file that shows that what looks like from a GPU does not load by itself."""
    file = io.BytesIO()
    with monkeypatch.context() as on_gpu:
        on_gpu.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        torch.save(torch.zeros(2), file)
    file.seek(0)
    return file


def nets_of(model):
    """Return all fitted nets inside a model."""
    nets, seen, waiting = [], set(), [model]
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if hasattr(part, "module_"):
            nets.append(part)
        elif isinstance(part, (list, tuple)):
            waiting.extend(part)
        elif hasattr(part, "get_params"):
            waiting.extend(vars(part).values())
    return nets
