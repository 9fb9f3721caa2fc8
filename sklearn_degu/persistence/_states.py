"""The state of an object: its attributes by name, and the object again from them.

Restoring calls neither ``__init__`` nor ``__setstate__`` nor anything that the file names: an empty
object is given attributes, whose names and types were checked.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.frozen import FrozenEstimator
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import nn

from sklearn_degu.augmentation import Augment, Transform
from sklearn_degu.distillation import DistilledRegressor
from sklearn_degu.exceptions import ModelFileError
from sklearn_degu.persistence._devices import Devices
from sklearn_degu.persistence._generators import (
    generator_from,
    random_state_from,
    state_of_generator,
    state_of_random_state,
)
from sklearn_degu.persistence._nets import net_from, state_of_net
from sklearn_degu.persistence._requests import ATTRIBUTE as REQUESTS
from sklearn_degu.persistence._requests import requests_of, set_requests
from sklearn_degu.persistence._types import check_types

State = dict[str, Any]

# Folders of the machine that a model was fitted on: what a file says must not decide where
# another machine reads pickles from and writes.
_FOLDERS = ("checkpoint_dir", "memory")


def state_of(thing: Any, place: str, with_teacher: bool) -> State:
    """Return the attributes of an object that a file keeps.

    Raises
    ------
    ModelFileError
        If the object cannot be restored from attributes.
    """
    cls = type(thing)
    special = _special(cls)
    if special is not None:
        return special.state_of(thing, place)
    _check_plain(thing, place)
    state = dict(vars(thing))
    if isinstance(thing, Callback):
        # As skorch copies callbacks: what they have seen of a training stays behind.
        state = {name: v for name, v in state.items() if name[0] != "_" and name[-1] != "_"}
    if isinstance(thing, BaseEstimator):
        state |= dict.fromkeys(state.keys() & _FOLDERS, None)
        if REQUESTS in state:
            state[REQUESTS] = requests_of(state[REQUESTS])
    else:
        # scikit-learn's scorers have requests too, which they make from those of the estimator.
        state.pop(REQUESTS, None)
    if isinstance(thing, DistilledRegressor) and not with_teacher:
        state = _without_teacher(state)
    _check(cls, state, place)
    return state


def rebuild(cls: type, state: State, devices: Devices) -> Any:
    """Return an object of a class with attributes from a file.

    Raises
    ------
    ModelFileError
        If the class has no such attributes, or they are of other types.
    """
    special = _special(cls)
    if special is not None:
        return special.rebuild(cls, state, devices)
    state = _completed(cls, state)
    _check(cls, state, cls.__name__)
    folders = [name for name in _FOLDERS if state.get(name) is not None]
    if issubclass(cls, BaseEstimator) and folders:
        raise ModelFileError(f"A file must not set {folders[0]} of {cls.__name__}.")
    thing: Any = object.__new__(cls)
    requests = state.pop(REQUESTS, None)
    vars(thing).update(state)
    if requests is not None:
        set_requests(thing, requests)
    return thing


class _Special(NamedTuple):
    """How objects are kept that are more than their attributes."""

    state_of: Callable[[Any, str], State]
    rebuild: Callable[[Any, State, Devices], Any]


def _special(cls: type) -> _Special | None:
    if issubclass(cls, NeuralNet):
        return _Special(state_of_net, net_from)
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return _Special(lambda thing, _: thing._asdict(), _named_tuple)
    if issubclass(cls, (Augment, Transform)) and cls.__module__.startswith("sklearn_degu."):
        return _Special(_state_of_edits, _edits_from)
    return _GENERATORS.get(cls)


_GENERATORS: dict[type, _Special] = {
    np.random.RandomState: _Special(state_of_random_state, random_state_from),
    np.random.Generator: _Special(state_of_generator, generator_from),
}


def _named_tuple(cls: Any, state: State, devices: Devices) -> Any:
    if state.keys() != set(cls._fields):
        raise ModelFileError(f"{cls.__name__} has the fields {cls._fields}, not {sorted(state)}.")
    check_types(cls, state, cls.__name__)
    return cls._make(state[name] for name in cls._fields)


def _state_of_edits(edits: Any, place: str) -> State:
    """Return the parameters that random edits were made with: they have no weights."""
    cls: type = type(edits)
    values = {name: getattr(edits, name) for name in _parameters(cls)}
    return {n: [*v] if isinstance(v, nn.ModuleList) else v for n, v in values.items()}


def _edits_from(cls: type, state: State, devices: Devices) -> Any:
    if state.keys() != _parameters(cls).keys():
        raise ModelFileError(
            f"{cls.__name__} has the parameters {[*_parameters(cls)]}, not {sorted(state)}."
        )
    try:
        return cls(**state)
    except (TypeError, ValueError) as error:
        raise ModelFileError(f"{cls.__name__} cannot be made as the file says: {error}") from error


def _check_plain(thing: Any, place: str) -> None:
    """Raise if an object is more than its attributes."""
    cls = type(thing)
    if isinstance(thing, nn.Module):
        raise ModelFileError(
            f"{place} is a module, {cls.__name__}. Only nets are saved with their weights: give a "
            "skorch net the class, and fit it. An augment of your own, which predictions do not "
            "need, can be set to None before."
        )
    try:
        vars(object.__new__(cls))
    except TypeError:
        raise ModelFileError(
            f"{place} is a {cls.__module__}.{cls.__qualname__}, which cannot be saved without "
            "pickle. Leave it out, or use pickle among people who trust each other."
        ) from None


def _without_teacher(state: State) -> State:
    """Leave the weights of a teacher out, not its parameters: the regressor can be fitted anew."""
    state = {name: value for name, value in state.items() if name != "teacher_"}
    if isinstance(state["teacher"], FrozenEstimator):
        state["teacher"] = clone(state["teacher"].estimator)
    return state


def _completed(cls: type, state: State) -> State:
    """Give parameters that a file does not know yet their defaults."""
    return {**_defaults(cls), **state} if issubclass(cls, BaseEstimator) else state


def _defaults(cls: type) -> State:
    return {
        name: parameter.default
        for name, parameter in _parameters(cls).items()
        if parameter.default is not parameter.empty
    }


@cache
def _parameters(cls: type) -> Mapping[str, inspect.Parameter]:
    parameters = inspect.signature(cls).parameters
    return {n: p for n, p in parameters.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}


def _check(cls: type, state: State, place: str) -> None:
    """Raise if a class does not have attributes of these names and types."""
    for name in state:
        if not name.isidentifier() or name.startswith("__") or _is_code(cls, name):
            raise ModelFileError(f"{place} has the attribute {name!r}, which cannot be saved.")
    if issubclass(cls, BaseEstimator):
        _check_parameters(cls, state, place)
    fields = getattr(cls, "__dataclass_fields__", None)
    if fields is not None and state.keys() != fields.keys():
        raise ModelFileError(f"{place} has the fields {[*fields]}, not {sorted(state)}.")
    check_types(cls, state, place)


def _is_code(cls: type, name: str) -> bool:
    """Whether an attribute would hide a method or a property."""
    found = inspect.getattr_static(cls, name, None)
    return callable(found) or hasattr(type(found), "__get__")


def _check_parameters(cls: type, state: State, place: str) -> None:
    known = _parameters(cls).keys()
    missing = sorted(known - state.keys())
    if missing:
        raise ModelFileError(f"{place} lacks the parameters {missing} of {cls.__name__}.")
    if not cls.__module__.startswith("sklearn_degu."):
        return  # Others name what they keep as they like.
    fitted = {name for name in state if name.startswith("_") or name.endswith("_")}
    unknown = sorted(state.keys() - known - fitted)
    if unknown:
        raise ModelFileError(
            f"{place} has {unknown}, which are neither parameters of {cls.__name__} nor results of "
            "a fit, whose names end in an underscore."
        )
