"""What cannot be saved is said at once; files are whole; classes and devices of the user's."""

import os
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.model_selection import ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.tree import DecisionTreeRegressor
from torch import nn

import sklearn_degu
from sklearn_degu import ConformalRegressor, DistilledRegressor, load, save
from sklearn_degu.exceptions import ModelFileError
from sklearn_degu.modules import MLP
from sklearn_degu.persistence import _container, _files
from tests.persistence.forge import (
    ENSEMBLE,
    Doubled,
    WithPositions,
    described,
    forged,
    sign_of_first,
)
from tests.toys import plain_skorch_net, tiny_ensemble, tiny_net

# What the file of version 1 predicts.
MEAN = [0.3640392969, 0.755591744]
LOWER = [-0.2951866673, 0.1175461906]
UPPER = [1.0232652612, 1.3936372975]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.fixture(scope="module")
def user_model(table):
    return tiny_ensemble(tiny_net(Doubled)).fit(*table)


DOUBLED = f"{Doubled.__module__}.Doubled"


def test_save_tells_what_load_must_be_told_to_trust(user_model, path):
    model = ConformalRegressor(user_model, mondrian=sign_of_first)
    assert save(model, path) == [DOUBLED, f"{Doubled.__module__}.sign_of_first"]
    assert save(tiny_ensemble(), path) == []


def test_all_that_is_not_trusted_is_named_at_once(user_model, path):
    save(ConformalRegressor(user_model, mondrian=sign_of_first), path)
    with pytest.raises(ModelFileError, match=r"Doubled.*trusted=\[Doubled, sign_of_first\]"):
        load(path)
    with pytest.raises(ModelFileError, match=r"trusted=\[sign_of_first\]"):
        load(path, trusted=[Doubled])


def test_trusted_classes_are_used(user_model, table, path):
    save(user_model, path)
    loaded = load(path, trusted=[Doubled])
    assert loaded.net.module is Doubled
    np.testing.assert_array_equal(loaded.predict(table[0]), user_model.predict(table[0]))


def test_estimators_of_the_user_keep_all_that_they_hold(path):
    assert save(Own(a=3), path) == [f"{Own.__module__}.Own"]
    assert vars(load(path, trusted=[Own])) == {"a": 3, "b": [3]}


def test_a_class_that_has_moved_is_found_by_its_old_name(user_model, path):
    class Moved(Doubled):
        pass

    save(user_model, path)
    assert load(path, trusted={DOUBLED: Moved}).net.module is Moved


def test_a_trusted_class_cannot_take_the_place_of_a_listed_one(path):
    save(tiny_ensemble(), path)
    assert load(path, trusted={"sklearn_degu.modules.MLP": Doubled}).net.module is MLP


def test_a_class_that_has_changed_is_refused(user_model, path):
    save(user_model, path)
    with pytest.raises(ModelFileError, match="weights are not those of the module WithPositions"):
        load(path, trusted={DOUBLED: WithPositions})


def test_trusted_holds_classes_and_functions():
    with pytest.raises(TypeError, match="must hold classes and functions"):
        load("x", trusted={"a": 1})
    with pytest.raises(ModelFileError, match="has no name"):
        load("x", trusted=[lambda X: X])


class Slotted:
    __slots__ = ("a",)


class Own(BaseEstimator):
    def __init__(self, a=1):
        self.a = a
        self.b = [a]


class WithExtraState(MLP):
    def get_extra_state(self):
        return {"code": "x"}

    def set_extra_state(self, state):
        pass


def fitted(net):
    X = np.random.default_rng(0).normal(size=(20, 3))
    return tiny_ensemble(net).fit(X, X[:, 0])


def with_nan():
    model = fitted(tiny_net())
    model.estimators_[1].module_.layers[1].weight.data[0, 0] = np.nan
    return model


def half_precision():
    net = plain_skorch_net(module__n_features=3, module__n_outputs=1).initialize()
    net.module_.bfloat16()
    return net


def several_modules():
    net = plain_skorch_net(module__n_features=3, module__n_outputs=1).initialize()
    net._modules = [*net._modules, "other"]
    return net


def in_itself():
    model = tiny_ensemble()
    model.validation = model
    return model


def nested():
    value = []
    for _ in range(10**4):
        value = [value]
    return value


UNSAVABLE = {
    "a lambda": (
        lambda: ConformalRegressor(tiny_ensemble(), mondrian=lambda X: X),
        "mondrian.*top",
    ),
    "a module instance": (lambda: FunctionTransformer(nn.Linear(1, 1)), "func is a module"),
    "a net of a module instance": (lambda: plain_skorch_net(nn.Linear(1, 1)), "is an instance"),
    "NaN weights": (with_nan, r"layers.1.weight.*estimators_/1.*NaN or infinity in 1 of"),
    "weights of bfloat16": (half_precision, "bfloat16.*float32"),
    "nets of several modules": (several_modules, r"weights in \['other'\]"),
    "extra state": (lambda: fitted(tiny_net(WithExtraState)), "_extra_state"),
    "a lock": (lambda: FunctionTransformer(threading.Lock()), "without pickle"),
    "a class with slots": (lambda: FunctionTransformer(Slotted()), "without pickle"),
    "a tree": (
        lambda: DecisionTreeRegressor().fit([[0], [1]], [0, 1]),
        "tree_.*without pickle",
    ),
    "an attribute of no fit": (
        lambda: _changed(tiny_ensemble(), "code", 1),
        r"\['code'\].*underscore",
    ),
    "itself": (in_itself, "validation refers to an object that it is a part of"),
    "endless lists": (nested, "nested too deeply"),
    "a random state of another algorithm": (
        lambda: ShuffleSplit(random_state=np.random.Generator(np.random.Philox(0))),
        "Philox.*PCG64",
    ),
    "a legacy state of another algorithm": (
        lambda: ShuffleSplit(random_state=np.random.RandomState(np.random.PCG64(0))),
        "PCG64.*MT19937",
    ),
    "records of objects": (lambda: np.zeros(1, dtype=[("a", object)]), "plain fields"),
    "records of arrays": (lambda: np.zeros(1, dtype=[("a", "i4", (2,))]), "plain fields"),
    "a scalar of time": (lambda: np.datetime64("2020"), "Make it an array"),
    "a wrong fitted attribute": (
        lambda: _changed(tiny_ensemble(), "input_shape_", [6]),
        r"'input_shape_' of The object must be tuple\[int, ...\]",
    ),
    "a hidden method": (lambda: _changed(tiny_ensemble(), "predict", 1), "'predict'"),
}


def _changed(model, name, value):
    setattr(model, name, value)
    return model


@pytest.mark.parametrize(("build", "message"), UNSAVABLE.values(), ids=UNSAVABLE.keys())
def test_what_cannot_be_saved_is_named(build, message, path):
    with pytest.raises(ModelFileError, match=message):
        save(build(), path)
    assert not path.exists()


def test_a_description_that_no_reader_would_accept_is_not_written(path, monkeypatch):
    monkeypatch.setattr(_container, "MAX_ITEMS", 10)
    with pytest.raises(ModelFileError, match="too large"):
        save(tiny_ensemble(), path)
    assert not path.exists()


def test_a_partial_of_a_function_comes_back(path):
    save(FunctionTransformer(partial(np.clip, a_min=0)), path)
    loaded = load(path, trusted=[np.clip]).func
    assert (loaded.func, loaded.keywords) == (np.clip, {"a_min": 0})


def test_a_file_is_replaced_only_by_a_whole_one(path, monkeypatch):
    save(tiny_ensemble(), path)
    before = path.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save(make_pipeline(tiny_ensemble()), path)
    assert path.read_bytes() == before
    assert [*path.parent.iterdir()] == [path]


def test_a_folder_that_is_not_there_is_said_to_be_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        save(tiny_ensemble(), tmp_path / "nowhere" / "model")


def test_files_are_plain_safetensors(table, path):
    from safetensors import safe_open

    model = tiny_ensemble().fit(*table)
    save(model, path)
    with safe_open(path, "np") as file:
        assert [*file.metadata()] == ["sklearn_degu"]
        name = "estimators_/0/fitted/module/layers.1.weight"
        expected = model.estimators_[0].module_.state_dict()["layers.1.weight"].numpy()
        np.testing.assert_array_equal(file.get_tensor(name), expected)


def test_whatever_another_library_says_of_a_file_is_said_of_the_file(path, monkeypatch):
    def fail(*_):
        raise RuntimeError("spam")

    save(tiny_ensemble(), path)
    monkeypatch.setitem(_files._READERS, 1, fail)
    with pytest.raises(ModelFileError, match=r"malformed \(RuntimeError: spam\)") as caught:
        load(path)
    assert caught.value.__suppress_context__


def test_every_version_has_a_reader():
    assert [*_files._READERS] == [*range(1, _files.VERSION + 1)]


def saved_on_a_gpu(path, table=None):
    net = tiny_net()
    model = tiny_ensemble(net) if table is None else tiny_ensemble(net).fit(*table)
    for part in (model.net, *getattr(model, "estimators_", [])):
        part.device = "cuda"
    save(model, path)
    return model


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_model_from_a_gpu_loads_on_a_machine_without_one(table, path):
    model = saved_on_a_gpu(path, table)
    with pytest.warns(UserWarning, match="device='cuda', which is not on this machine") as warned:
        loaded = load(path)
    assert len(warned) == 1
    assert {net.device for net in (loaded.net, *loaded.estimators_)} == {"cpu"}
    for net in model.estimators_:
        net.device = "cpu"
    np.testing.assert_array_equal(loaded.predict(table[0]), model.predict(table[0]))


@pytest.mark.filterwarnings("error")
def test_the_device_can_be_chosen(table, path):
    saved_on_a_gpu(path, table)
    assert load(path, device="cpu").estimators_[0].device == "cpu"
    assert load(path, device=torch.device("cpu")).net.device == torch.device("cpu")


def test_a_device_that_is_not_there_is_refused(path):
    save(tiny_ensemble(), path)
    with pytest.raises(ValueError, match="device='cuda:99' is not on this machine"):
        load(path, device="cuda:99")
    with pytest.raises(ValueError, match="device='spam' is not on this machine"):
        load(path, device="spam")


def test_the_global_generator_is_left_alone(table, path):
    save(tiny_ensemble().fit(*table), path)
    before = torch.get_rng_state()
    load(path)
    assert torch.equal(torch.get_rng_state(), before)


def test_saving_changes_nothing(table, path):
    model = DistilledRegressor(tiny_ensemble(), random_state=0).fit(*table)
    before = {name: id(value) for name, value in vars(model).items()}
    save(model, path, teacher=False)
    assert {name: id(value) for name, value in vars(model).items()} == before


def test_a_parameter_that_a_file_does_not_know_gets_its_default(path):
    """As of a file from before the parameter came."""
    save(tiny_ensemble(noise_of="replicate"), path)
    older = forged(
        path.read_bytes(), lambda document, _: described(document, ENSEMBLE).pop("noise_of")
    )
    path.write_bytes(older)
    assert load(path).noise_of == "mean"


def test_another_release_of_scikit_learn_is_warned_of(path):
    def older(document, _):
        document["libraries"]["sklearn"] = "1.5.0"

    save(StandardScaler(), path)
    path.write_bytes(forged(path.read_bytes(), older))
    with pytest.warns(InconsistentVersionWarning, match=r"StandardScaler from version 1\.5\.0"):
        load(path)


@pytest.mark.filterwarnings("error")
def test_models_without_objects_of_scikit_learn_depend_on_no_release_of_it(path):
    save(tiny_ensemble(), path)
    change = forged(path.read_bytes(), lambda document, _: document["libraries"].clear())
    path.write_bytes(change)
    load(path)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.InconsistentVersionWarning")
def test_a_file_of_version_1_still_loads():
    """It was written when version 1 was the newest, and is never written again."""
    model = load(Path(__file__).parent / "version_1.safetensors")
    mean, lower, upper = model.predict_interval(np.arange(12.0).reshape(2, 6) / 6)
    assert mean.tolist() == pytest.approx(MEAN)
    assert lower.tolist() == pytest.approx(LOWER)
    assert upper.tolist() == pytest.approx(UPPER)


def test_the_public_names_are_in_the_package():
    assert {"load", "save"} <= {*sklearn_degu.__all__}
