"""Describe all that decides what comes out of a fit, so that another fit is told from it."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Mapping
from importlib.metadata import version
from types import CodeType, FunctionType
from typing import Any

import joblib
import numpy as np
from torch import nn

from sklearn_degu._stored_rows import StoredRows

# Parameters that say how a fit is run, not what comes out of it.
_WITHOUT_EFFECT = ("checkpoint_dir", "memory", "n_jobs", "verbose")

_EVERY_MODULE_HAS = frozenset(vars(nn.Module()))

_PACKAGES = ("numpy", "scikit-learn", "sklearn-degu", "skorch", "torch")


def fingerprint(estimator: Any, data: Mapping[str, Any]) -> dict[str, str]:
    """Return a description of a fit, part by part.

    A generator is described by its class alone: it moves on from fit to fit, and what counts are
    the seeds that were drawn from it.

    Parameters
    ----------
    estimator : estimator
        Its parameters are described.
    data : dict of str to array-like or None
        What is fitted on.
    """
    described = {f"the version of {package}": version(package) for package in _PACKAGES}
    for name, value in data.items():
        described[f"the data {name}"] = "None" if value is None else _hashed(value)
    _describe("estimator", estimator, described)
    return described


def _describe(name: str, value: Any, described: dict[str, str]) -> None:
    """Describe a parameter, and the parameters that it has itself."""
    if isinstance(value, type):
        described[name] = _named(value)
    elif hasattr(value, "get_params"):
        described[name] = _named(type(value))
        inner = value.get_params(deep=False)
        for key in sorted(set(inner) - set(_WITHOUT_EFFECT)):
            if not key.startswith("_"):
                _describe(f"{name}.{key}", inner[key], described)
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            _describe(f"{name}[{i}]", item, described)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            _describe(f"{name}[{key!r}]", item, described)
    elif value is None or isinstance(value, (str, bool, int, float)):
        described[name] = repr(value)
    elif isinstance(value, (np.random.RandomState, np.random.Generator)):
        described[name] = _named(type(value))
    elif isinstance(value, nn.Module):
        _describe_module(name, value, described)
    elif inspect.ismethod(value):
        described[name] = _named(value.__func__)
        _describe(f"{name}.__self__", value.__self__, described)
    elif isinstance(value, FunctionType):
        _describe_function(name, value, described)
    elif hasattr(value, "__qualname__"):
        described[name] = _named(value)
    else:
        described[name] = f"{_named(type(value))} {_hashed(value)}"


def _describe_module(name: str, module: nn.Module, described: dict[str, str]) -> None:
    """Describe a torch module by its tensors, and what its class has given it beside them.

    The bytes of its pickle will not do: they tell where a tensor came from.
    """
    for key, tensor in itertools.chain(module.named_parameters(), module.named_buffers()):
        described[f"{name}.{key}"] = _hashed(tensor.detach().cpu())
    for path, part in module.named_modules(prefix=name):
        described[path] = _named(type(part))
        own = {key: value for key, value in vars(part).items() if key not in _EVERY_MODULE_HAS}
        _describe(path, own, described)


def _describe_function(name: str, function: FunctionType, described: dict[str, str]) -> None:
    """Describe what a function does, and the values that it was made with."""
    described[name] = f"{_named(function)} {_hashed(_content(function.__code__))}"
    _describe(f"{name}.__defaults__", function.__defaults__, described)
    _describe(f"{name}.__kwdefaults__", function.__kwdefaults__, described)
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    _describe(f"{name}.__closure__", cells, described)


def _content(code: CodeType) -> tuple[Any, ...]:
    """Return what code does, wherever it stands."""
    constants = [_content(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return code.co_code, code.co_names, constants


def _hashed(value: Any) -> str:
    if isinstance(value, StoredRows):
        return str(joblib.hash([joblib.hash(part) for part in value.parts()]))
    if hasattr(value, "__array__"):
        value = np.asarray(value)
        return f"{value.dtype} {value.shape} {joblib.hash(value)}"
    return str(joblib.hash(value))


def _named(thing: Any) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"
