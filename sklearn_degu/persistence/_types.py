"""Whether attributes have the types that our classes annotate them with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray
from skorch import NeuralNet

from sklearn_degu._noise_map import NoiseMap
from sklearn_degu.baselines import EvidentialRegressor, MCDropoutRegressor
from sklearn_degu.conformal import ConformalRegressor
from sklearn_degu.conformal.conformity import Conformity
from sklearn_degu.distillation import DistilledRegressor
from sklearn_degu.ensemble import EnsembleRegressor
from sklearn_degu.exceptions import ModelFileError
from sklearn_degu.persistence._plain import shown
from sklearn_degu.recalibration import RecalibratedRegressor
from sklearn_degu.sequences import SequenceEncoder
from sklearn_degu.uncertainty import Heads

# Of what the classes themselves do not annotate.
_MORE: dict[type, dict[str, Any]] = {
    EnsembleRegressor: {
        "estimators_": list[NeuralNet],
        "fingerprint_": str | None,
        "history_": NDArray[Any],
        "n_features_in_": int,
        "n_replicates_": NDArray[np.float64],
        "validation_indices_": NDArray[np.integer[Any]] | None,
        "_heads": list[Heads],
        "_noise_map": NoiseMap,
    },
    DistilledRegressor: {
        "history_": NDArray[Any],
        "n_features_in_": int,
        "student_": NeuralNet,
        "teacher_": EnsembleRegressor,
        "_heads": Heads,
    },
    MCDropoutRegressor: {"n_features_in_": int},
    EvidentialRegressor: {"n_features_in_": int},
    ConformalRegressor: {"_conformity": Conformity},
    RecalibratedRegressor: {"recalibrations_": list[tuple], "_kind": str | None},  # type: ignore[type-arg]
    SequenceEncoder: {"length_": int},
}


def check_types(cls: type, state: Mapping[str, Any], place: str) -> None:
    """Raise if an attribute of one of our classes is of another type than it is said to be.

    Raises
    ------
    ModelFileError
        With the attribute, what it is and what it should be.
    """
    hints = _hints(cls)
    for name, value in state.items():
        hint = hints.get(name, Any)
        if not matches(value, hint):
            raise ModelFileError(
                f"The attribute {name!r} of {place} must be {_hint_as_text(hint)}, not "
                f"{shown(value)}."
            )


@cache
def _hints(cls: type) -> Mapping[str, Any]:
    if not cls.__module__.startswith("sklearn_degu."):
        return {}
    return {**get_type_hints(cls), **_MORE.get(cls, {})}


def matches(value: Any, hint: Any) -> bool:
    """Whether a value is of an annotated type; True for what cannot be told."""
    if hint is Any:
        return True
    if hint in (None, NoneType):
        return value is None
    if hint in _NUMBERS:
        return isinstance(value, _NUMBERS[hint])
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in _BY_ORIGIN:
        return _BY_ORIGIN[origin](value, arguments)
    if getattr(hint, "_is_protocol", False):
        return all(hasattr(value, name) for name in vars(hint) if not name.startswith("_"))
    return not isinstance(hint, type) or isinstance(value, hint)


def _matches_any_of(value: Any, hints: tuple[Any, ...]) -> bool:
    return any(matches(value, hint) for hint in hints)


def _is_tuple_of(value: Any, hints: tuple[Any, ...]) -> bool:
    if not isinstance(value, tuple):
        return False
    if len(hints) == 2 and hints[1] is Ellipsis:
        return all(matches(item, hints[0]) for item in value)
    return len(value) == len(hints) and all(map(matches, value, hints))


def _is_list_of(value: Any, hints: tuple[Any, ...]) -> bool:
    return isinstance(value, list) and all(matches(item, hints[0]) for item in value)


def _is_sequence_of(value: Any, hints: tuple[Any, ...]) -> bool:
    return isinstance(value, (list, tuple)) and all(matches(item, hints[0]) for item in value)


def _is_mapping_of(value: Any, hints: tuple[Any, ...]) -> bool:
    return isinstance(value, dict) and all(
        matches(key, hints[0]) and matches(item, hints[1]) for key, item in value.items()
    )


def _is_array_of(value: Any, hints: tuple[Any, ...]) -> bool:
    """Tell by the second argument of numpy's arrays, ``dtype[float64]``."""
    [scalar] = get_args(hints[1])
    scalar = get_origin(scalar) or scalar
    if not isinstance(value, np.ndarray):
        return False
    return scalar is Any or not isinstance(scalar, type) or issubclass(value.dtype.type, scalar)


_NUMBERS: dict[Any, tuple[type, ...]] = {
    bool: (bool, np.bool_),
    int: (Integral,),
    float: (Real,),
}

_BY_ORIGIN: dict[Any, Callable[[Any, tuple[Any, ...]], bool]] = {
    Union: _matches_any_of,
    UnionType: _matches_any_of,
    Literal: lambda value, allowed: any(value is a or value == a for a in allowed),
    tuple: _is_tuple_of,
    list: _is_list_of,
    Sequence: _is_sequence_of,
    Mapping: _is_mapping_of,
    dict: _is_mapping_of,
    np.ndarray: _is_array_of,
    type: lambda value, _: isinstance(value, type),
    Callable: lambda value, _: callable(value),
    # A file that sets what belongs to the class.
    ClassVar: lambda value, _: False,
}


def _hint_as_text(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)
