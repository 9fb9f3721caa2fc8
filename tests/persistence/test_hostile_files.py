"""Files of strangers: none runs code, takes memory that it does not have, or ends the process."""

import contextlib
import io
import json
import os
import pickle
import struct
import subprocess
import tracemalloc
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import sklearn_degu
from sklearn_degu.exceptions import ModelFileError
from sklearn_degu.persistence import _container
from tests.persistence.forge import (
    ENSEMBLE,
    NET,
    Doubled,
    WithPositions,
    described,
    forged,
    net_params,
    weights,
    with_header,
)
from tests.toys import tiny_ensemble, tiny_net


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 6))
    return tiny_ensemble(validation=0.2).fit(X, X[:, 0])


@pytest.fixture(scope="module")
def data(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    assert sklearn_degu.save(model, path) == []
    return path.read_bytes()


@pytest.fixture
def forbidden(data, monkeypatch):
    """Fail a test whose file runs something."""

    def run(*_, **__):
        raise AssertionError("code of the file ran")

    monkeypatch.setattr(os, "system", run)
    monkeypatch.setattr(subprocess, "Popen", run)
    monkeypatch.setattr(pickle, "loads", run)
    monkeypatch.setattr(torch, "load", run)


def load(data, path, **params):
    path.write_bytes(data)
    return sklearn_degu.load(path, **params)


class Evil:
    def __reduce__(self):
        return (os.system, ("echo pwned",))


def archive_of_torch():
    file = io.BytesIO()
    torch.save({"weight": torch.zeros(2)}, file)
    return file.getvalue()


def safetensors_of(metadata, tensors="{}"):
    header = f'{{"__metadata__":{json.dumps(metadata)}{tensors[1:-1]}}}'.encode()
    return struct.pack("<Q", len(header)) + header


NO_MODELS = {
    "empty file": b"",
    "shorter than a header's length": b"\x05\x00\x00",
    "header length beyond the file": struct.pack("<Q", 2**40) + b"{}",
    "header length of 2**64 - 1": b"\xff" * 8 + b"{}",
    "header length of zero": struct.pack("<Q", 0),
    "header is no JSON": struct.pack("<Q", 4) + b"spam",
    "header is a list": struct.pack("<Q", 2) + b"[]",
    "header is no text": struct.pack("<Q", 4) + b"\xff\xfe\xff\xfe",
    "header is nested a million deep": struct.pack("<Q", 10**6) + b"[" * 10**6,
    "header has a number of 10000 digits": struct.pack("<Q", 10_005) + b'{"a":' + b"9" * 10**4,
    "header says NaN": struct.pack("<Q", 9) + b'{"a":NaN}',
    "header without metadata": struct.pack("<Q", 2) + b"{}",
    "metadata of another program": safetensors_of({"format": "pt"}),
    "metadata with duplicated keys": safetensors_of({"a": "b"}, '{,"x":1,"x":2}'),
    "description is no JSON": safetensors_of({"sklearn_degu": "spam"}),
    "description is a list": safetensors_of({"sklearn_degu": "[]"}),
    "description is nested deeply": safetensors_of({"sklearn_degu": "[" * 10**5}),
    "description has too many items": safetensors_of({"sklearn_degu": "[" + "0," * 2 * 10**6}),
    "description without a version": safetensors_of({"sklearn_degu": "{}"}),
    "pickle that runs a command": pickle.dumps(Evil()),
    "archive of torch.save": archive_of_torch(),
    "text": b"path = ../../etc/passwd\n" * 100,
}


@pytest.mark.usefixtures("forbidden")
@pytest.mark.parametrize("content", NO_MODELS.values(), ids=NO_MODELS.keys())
def test_what_is_no_model_is_refused(content, tmp_path):
    with pytest.raises(ModelFileError, match=r"^.*what\.safetensors: \S"):
        load(content, tmp_path / "what.safetensors")


@pytest.mark.parametrize("share", [0.0001, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(data, share, tmp_path):
    with pytest.raises(ModelFileError):
        load(data[: int(len(data) * share)], tmp_path / "model")


def test_a_file_with_more_at_its_end_is_refused(data, tmp_path):
    with pytest.raises(ModelFileError, match="tensors are damaged"):
        load(data + b"\0", tmp_path / "model")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_flipped_bit_is_noticed(data, tmp_path_factory, draw):
    position = draw.draw(st.integers(0, 8 * len(data) - 1))
    flipped = bytearray(data)
    flipped[position // 8] ^= 1 << position % 8
    with pytest.raises(ModelFileError):
        load(bytes(flipped), tmp_path_factory.mktemp("flipped") / "model")


def test_duplicated_tensors_are_refused(data, tmp_path):
    def repeat(header):
        parsed = json.loads(header)
        name = next(name for name in parsed if name != "__metadata__")
        return header.rstrip()[:-1] + f",{json.dumps(name)}:{json.dumps(parsed[name])}}}".encode()

    with pytest.raises(ModelFileError, match="is there twice"):
        load(with_header(data, repeat), tmp_path / "model")


def reference(name):
    return {"name": name}


def set_net(**params):
    def change(document, _):
        for name, value in params.items():
            net_params(document)[name] = value

    return change


def set_ensemble(**attributes):
    return lambda document, _: described(document, ENSEMBLE).update(attributes)


def set_document(**values):
    return lambda document, _: document.update(values)


def set_class(name):
    def change(document, _):
        document["objects"][-1]["class"] = name

    return change


def first_weight(tensors):
    return min(name for name in tensors if name.endswith("weight"))


def set_weight(change):
    def apply(_, tensors):
        name = first_weight(tensors)
        tensors[name] = change(tensors[name])

    return apply


def remove_weight(document, tensors):
    module = weights(document)
    name = module.first_key()
    del tensors[module[name]["tensor"]]
    del module[name]


def remove_tensor(document, tensors):
    del tensors[first_weight(tensors)]


def add_weight(document, tensors):
    tensors["../../../etc/passwd"] = np.zeros(2, dtype=np.float32)
    weights(document)["../../../etc/passwd"] = {"tensor": "../../../etc/passwd"}


def add_tensor(document, tensors):
    tensors["spare"] = np.zeros(2, dtype=np.float32)


def exchange_weights(document, tensors):
    module = weights(document)
    first, last = module.pairs[0], module.pairs[-1]
    first[1], last[1] = last[1], first[1]


def filled_with(value):
    return set_weight(lambda array: np.full_like(array, value))


def nested(depth):
    value = 0
    for _ in range(depth):
        value = [value]
    return value


def other_module(document, _):
    net_params(document)["module"] = reference("sklearn_degu.modules.DeepSTARR")
    del net_params(document)["module__hidden"]


def first_object(name, state):
    """Put an object before all others, and let the ensemble refer to it."""

    def change(document, _):
        shift(document)
        document["objects"].insert(0, {"class": name, "state": state})
        described(document, ENSEMBLE)["random_state"] = {"object": 0}

    return change


def shift(part):
    """Count every object one higher."""
    if isinstance(part, list):
        for item in part:
            shift(item)
    elif isinstance(part, dict):
        if part.keys() == {"object"}:
            part["object"] += 1
        for item in part.values():
            shift(item)


ARRAY_OF_TWO = {"object_array": [[2], [0, 0]]}
WORDS = {"object_array": [[624], [0] * 624]}

HOSTILE = {
    "future version": (set_document(version=2), "reads versions up to 1"),
    "version as a string": (set_document(version="1"), "version of the format must be"),
    "version zero": (set_document(version=0), "version of the format must be"),
    "version true": (set_document(version=True), "version of the format must be"),
    "unknown entry of the description": (set_document(code="import os"), "has the keys"),
    "names that are no list": (set_document(names="os"), "must be a list"),
    "objects that are no list": (set_document(objects={}), "must be a list"),
    "object without a class": (set_document(objects=[{}]), "must have a class"),
    "class that is no name": (set_class(7), "must be a name"),
    "unknown class": (set_class("nowhere.Nothing"), "nowhere.Nothing"),
    "os.system as a class": (set_class("os.system"), "os.system"),
    "posix.system among the names": (set_document(names=["posix.system"]), "posix.system"),
    "subprocess.Popen as a class": (set_class("subprocess.Popen"), "subprocess.Popen"),
    "a function as a class": (set_class("builtins.print"), "not allowed"),
    "a module as a class": (set_class("sklearn_degu.modules.MLP"), "not allowed"),
    "an optimiser as a class": (set_class("torch.optim.Adam"), "not allowed"),
    "builtins.eval as a parameter": (set_net(module=reference("builtins.eval")), "builtins.eval"),
    "os.system as the criterion": (set_net(criterion=reference("os.system")), "os.system"),
    "a reference that is no name": (set_net(module={"name": ["os"]}), "malformed"),
    "print as the module": (set_net(module=reference("builtins.print")), "."),
    "an estimator as the module": (set_net(module=reference(ENSEMBLE)), "class of Module"),
    "a module as the optimiser": (
        set_net(optimizer=reference("sklearn_degu.modules.DeepSTARR")),
        "class of Optimizer",
    ),
    "a string as the module": (set_net(module="MLP"), "class of Module"),
    "another module": (other_module, "cannot be built|weights are not those"),
    "a width of 10**12": (set_net(module__hidden=[10**12]), "must have the shape"),
    "a width of 10**30": (set_net(module__hidden=[10**30]), "cannot be built"),
    "a width of -1": (set_net(module__hidden=[-1]), "cannot be built"),
    "a width of another type": (set_net(module__hidden="wide"), "cannot be built"),
    "10**5 layers": (set_net(module__hidden=[1] * 10**5), "more layers"),
    "an unknown parameter of the module": (set_net(module__code="x"), "cannot be built"),
    "an unknown parameter of the net": (set_net(code="x"), "no parameter 'code'"),
    "a hidden attribute of the net": (set_net(_modules=["x"]), "no parameter '_modules'"),
    "a fitted attribute of the net": (set_net(module_=7), "no parameter 'module_'"),
    "a method of the net": (set_net(predict__=7), "no parameter"),
    "a wrong rate": (set_net(lr=-1.0), "cannot be built"),
    "a kind of value that is unknown": (set_ensemble(net={"eval": "1"}), "kind 'eval'"),
    "a value of two kinds": (set_ensemble(net={"tuple": [], "name": "x"}), "one kind"),
    "a malformed slice": (set_ensemble(net={"slice": [1, 2, 3, 4]}), "malformed"),
    "a malformed float": (set_ensemble(net={"float": "1e9"}), "malformed"),
    "a fraction by zero": (set_ensemble(net={"fraction": [1, 0]}), "malformed"),
    "a dict with a key twice": (set_ensemble(net={"dict": [[1, 2], [1, 3]]}), "there twice"),
    "a dict with a list as key": (set_ensemble(net={"dict": [[[1], 2]]}), "must not be a key"),
    "a dict without pairs": (set_ensemble(net={"dict": [[1]]}), "malformed"),
    "a type that torch has not": (set_ensemble(net={"torch_dtype": "nn"}), "malformed"),
    "a device that torch has not": (set_ensemble(net={"device": "/etc"}), "no device"),
    "a partial of a class": (
        set_ensemble(net={"partial": [reference("torch.optim.Adam"), {"tuple": []}, {"dict": []}]}),
        "must be of a function",
    ),
    "an array of objects of a wrong shape": (
        set_ensemble(net={"object_array": [[10**12], [1]]}),
        "malformed",
    ),
    "an array of 10**12 strings": (
        set_ensemble(history_={"bytes_array": ["history_", "<U9", [10**12]]}),
        "does not fit",
    ),
    "an array of pointers": (
        set_ensemble(history_={"bytes_array": ["history_", "|O", [1]]}),
        "not allowed",
    ),
    "an array of records of pointers": (
        set_ensemble(history_={"bytes_array": ["history_", [["a", "|O"]], [1]]}),
        "no type",
    ),
    "an array of an unknown type": (
        set_ensemble(history_={"bytes_array": ["history_", "evil", [1]]}),
        "no type",
    ),
    "a scalar of a wrong type": (set_ensemble(net={"scalar": ["<f8", [1]]}), "no scalar"),
    "a scalar too large for its type": (
        set_ensemble(net={"scalar": ["|i1", 300]}),
        "malformed|not fit",
    ),
    "a masked array of numbers": (set_ensemble(net={"masked_array": [1, 2]}), "two arrays"),
    "values nested deeply": (set_ensemble(net=nested(150)), "levels deep"),
    "an object that refers to itself": (set_ensemble(net={"object": 10**9}), "not come before"),
    "an object that refers to its list": (set_ensemble(net={"object": -1}), "not come before"),
    "a cycle": (
        lambda document, _: described(document, NET)["params"]["dict"].append(
            ["callbacks", [{"object": len(document["objects"]) - 1}]]
        ),
        "not come before",
    ),
    "a missing parameter": (
        first_object("sklearn_degu.ConformalRegressor", {}),
        "lacks the parameters",
    ),
    "an unknown parameter": (set_ensemble(code="x"), "neither parameters"),
    "an attribute that hides a method": (set_ensemble(predict=1), "cannot be saved"),
    "an attribute of Python's": (set_ensemble(__class__=1), "cannot be saved"),
    "an attribute that is a path": (set_ensemble(**{"../../x": 1}), "cannot be saved"),
    "a folder to write to": (set_ensemble(checkpoint_dir="/etc"), "must not set checkpoint_dir"),
    "members that are numbers": (set_ensemble(estimators_=[1, 2]), "'estimators_'"),
    "members that are no list": (set_ensemble(estimators_=3), "'estimators_'"),
    "a shape that is no tuple": (set_ensemble(input_shape_="6"), "'input_shape_'"),
    "a shape of strings": (set_ensemble(input_shape_={"tuple": ["6"]}), "'input_shape_'"),
    "a history that is text": (set_ensemble(history_="x"), "'history_'"),
    "rows that are text": (set_ensemble(_seen_rows="x"), "'_seen_rows'"),
    "heads that are None": (set_ensemble(_heads=None), "'_heads'"),
    "requests of metadata that are none": (
        set_ensemble(_metadata_request={"dict": [["__class__", {"dict": []}]]}),
        "metadata requests",
    ),
    "a net without parameters": (
        lambda document, _: described(document, NET).pop("params"),
        "has params",
    ),
    "a net with half a fit": (
        lambda document, _: described(document, NET).update(fitted={"dict": []}),
        "must have a history",
    ),
    "a head without its fields": (
        lambda document, _: described(document, "sklearn_degu.uncertainty.Head").pop("loc"),
        "has the fields",
    ),
    "a head with a wrong link": (
        lambda document, _: described(document, "sklearn_degu.uncertainty.Head").update(link=1),
        "'link'",
    ),
    "weights of a wrong shape": (set_weight(lambda a: a[:, :-1].copy()), "must have the shape"),
    "weights of a wrong type": (set_weight(lambda a: a.astype(np.int64)), "and the type"),
    "weights of two floating types": (set_weight(lambda a: a.astype(np.float16)), "and the type"),
    "weights exchanged": (exchange_weights, "must have the shape"),
    "weights that are NaN": (filled_with(np.nan), "NaN or infinity"),
    "weights that are infinite": (filled_with(np.inf), "NaN or infinity"),
    "a missing weight": (remove_weight, "missing are"),
    "a missing tensor": (remove_tensor, "is missing in the file"),
    "one weight too many, named like a path": (add_weight, "unknown are"),
    "one tensor too many": (add_tensor, "Nothing refers to"),
    "a tensor that is a number": (set_ensemble(net={"array": 3}), "is missing in the file"),
    "a tensor that is used twice": (
        lambda document, _: described(document, ENSEMBLE).update(net={"array": "n_replicates_"}),
        "is referred to twice",
    ),
    "an object in a set": (
        set_ensemble(net={"set": [{"object": 0}]}),
        "object of Identity must not be a key",
    ),
    "a mask of another shape": (
        set_ensemble(n_replicates_={"masked_array": [{"array": "n_replicates_"}, ARRAY_OF_TWO]}),
        "is none of shape",
    ),
    "libraries that are no strings": (set_document(libraries={"sklearn": 1}), "dict of strings"),
    "a malformed RandomState": (
        first_object("numpy.random.RandomState", {"key": WORDS, "pos": 1}),
        "malformed state",
    ),
    "a RandomState that reads beyond its words": (
        first_object(
            "numpy.random.RandomState",
            {"key": WORDS, "pos": 10**9, "has_gauss": 0, "gauss": 0.0},
        ),
        "malformed state",
    ),
    "a malformed Generator": (
        first_object("numpy.random.Generator", {"state": -1}),
        "malformed state",
    ),
    "edits without their parameters": (
        first_object("sklearn_degu.augmentation.Mutation", {"p": 1.0}),
        r"Mutation has the parameters \['rate', 'p'\], not \['p'\]",
    ),
    "edits with other parameters": (
        first_object("sklearn_degu.augmentation.Mutation", {"rate": 2.0, "p": 1.0}),
        "Mutation cannot be made as the file says: rate must be a probability",
    ),
    "edits of what is none": (
        first_object(
            "sklearn_degu.augmentation.Augment",
            {"transforms": ["Mutation"], "max_per_sequence": 1, "hard": False},
        ),
        "Augment cannot be made as the file says",
    ),
    "a named tuple without its fields": (
        first_object("sklearn_degu._deviation_maps.ScaledDeviation", {}),
        "has the fields",
    ),
}


@pytest.mark.usefixtures("forbidden")
@pytest.mark.parametrize(("change", "message"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_forged_file_is_refused(data, change, message, tmp_path):
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError, match=message):
            load(forged(data, change), tmp_path / "model")
        assert tracemalloc.get_traced_memory()[1] < 2e8
    finally:
        tracemalloc.stop()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_the_forgery_itself_leaves_a_file_loadable(data, model, tmp_path):
    X = np.random.default_rng(1).normal(size=(5, 6))
    loaded = load(forged(data, lambda *_: None), tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


def places(part, path=()):
    """Return the paths of all values in a description."""
    items = part.items() if isinstance(part, dict) else enumerate(part)
    inner = [
        place
        for key, value in items
        if isinstance(value, (dict, list))
        for place in places(value, (*path, key))
    ]
    return [
        *[(*path, key) for key in (part if isinstance(part, dict) else range(len(part)))],
        *inner,
    ]


ANYTHING = st.one_of(
    st.sampled_from([None, True, -1, 0, 10**30, 1.5, "", "cpu", "../x", [], [[]], {}]),
    st.sampled_from(
        [
            {"name": "torch.optim.Adam"},
            {"name": "sklearn_degu.modules.MLP"},
            {"object": 0},
            {"array": "history_"},
            {"dict": []},
            {"tuple": []},
            {"set": []},
            {"float": "nan"},
            {"scalar": ["<U1", "a"]},
            {"device": "meta"},
            {"torch_dtype": "int8"},
            {"bytes": "ff"},
            {"slice": [None, 1, 2]},
        ]
    ),
)


@pytest.mark.usefixtures("forbidden")
@settings(max_examples=100, deadline=None)
@given(draw=st.data())
def test_any_value_in_place_of_another_is_loaded_or_refused(data, tmp_path_factory, draw):
    def change(document, _):
        *path, last = draw.draw(st.sampled_from(places(document)))
        part = document
        for key in path:
            part = part[key]
        part[last] = draw.draw(ANYTHING)

    with contextlib.suppress(ModelFileError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        load(forged(data, change), tmp_path_factory.mktemp("forged") / "model")


def test_a_module_of_the_user_cannot_be_made_to_grow(tmp_path):
    X = np.random.default_rng(0).normal(size=(20, 6))
    sklearn_degu.save(tiny_ensemble(tiny_net(Doubled)).fit(X, X[:, 0]), tmp_path / "model")
    data = (tmp_path / "model").read_bytes()
    with pytest.raises(ModelFileError, match="more layers"):
        load(forged(data, set_net(module__depth=10**12)), tmp_path / "model", trusted=[Doubled])


def chain_of_ratios(depth):
    """Put objects before all others, each of which refers to the one before it twice."""
    name = "sklearn_degu.shift.LikelihoodRatio"

    def change(document, _):
        for _ in range(depth):
            shift(document)
        first = {"name": "numpy.exp"}
        for i in range(depth):
            before = first if i == 0 else {"object": i - 1}
            state = {"features": before, "classifier": before, "size_ratio": 1.0, "clip": None}
            document["objects"].insert(i, {"class": name, "state": state})
        described(document, ENSEMBLE)["input_shape_"] = {"object": depth - 1}
        described(document, ENSEMBLE)["random_state"] = {"set": [{"object": depth - 1}]}

    return change


@pytest.mark.parametrize("depth", [60])
def test_parts_that_are_shared_many_times_over_are_neither_shown_nor_hashed(data, depth, tmp_path):
    with pytest.raises(ModelFileError, match="must not be a key"):
        load(forged(data, chain_of_ratios(depth)), tmp_path / "model")

    def only_shown(document, tensors):
        chain_of_ratios(depth)(document, tensors)
        described(document, ENSEMBLE)["random_state"] = None

    with pytest.raises(ModelFileError, match="not an object of LikelihoodRatio"):
        load(forged(data, only_shown), tmp_path / "model")


def test_a_module_cannot_take_memory_for_what_the_file_does_not_hold(tmp_path):
    X = np.random.default_rng(0).normal(size=(20, 6))
    sklearn_degu.save(tiny_ensemble(tiny_net(WithPositions)).fit(X, X[:, 0]), tmp_path / "model")
    data = (tmp_path / "model").read_bytes()
    change = set_net(module__n_positions=10**12)
    with pytest.raises(ModelFileError, match="not in the file would take 4000000000000 bytes"):
        load(forged(data, change), tmp_path / "model", trusted=[WithPositions])


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(ModelFileError, match="is no file"):
        sklearn_degu.load(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelFileError, match="is no file"):
        sklearn_degu.load(tmp_path / "pipe")


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        sklearn_degu.load(tmp_path / "model")


def test_a_header_larger_than_the_limit_is_refused_before_it_is_parsed(data, tmp_path, monkeypatch):
    monkeypatch.setattr(_container, "MAX_HEADER_BYTES", 100)
    with pytest.raises(ModelFileError, match="may have 100"):
        load(data, tmp_path / "model")
