"""The reader of version 1 of the format: from the description in a file back to objects.

Nothing here calls what a file names: objects are made without their ``__init__`` and given their
attributes (:mod:`sklearn_degu.persistence._states`), except nets, which are built by their own
classes after the sizes were compared with the file's (:mod:`sklearn_degu.persistence._nets`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import torch

from sklearn_degu.exceptions import ModelFileError
from sklearn_degu.persistence import _arrays
from sklearn_degu.persistence._container import Content, Tensors
from sklearn_degu.persistence._devices import Devices
from sklearn_degu.persistence._libraries import warn_of_other_libraries
from sklearn_degu.persistence._names import Names
from sklearn_degu.persistence._plain import is_key, shown
from sklearn_degu.persistence._states import rebuild

_KEYS = {"libraries", "names", "objects", "root", "version"}
_MAX_DEPTH = 100


def read_version_1(content: Content, names: Names, devices: Devices) -> Any:
    """Return the object that a file of version 1 describes.

    Raises
    ------
    ModelFileError
        If the description is none of version 1, or names what may not be named.
    """
    document = content.document
    if document.keys() != _KEYS:
        raise ModelFileError(
            f"A description of version 1 has the keys {sorted(_KEYS)}, not {sorted(document)}."
        )
    names.check(_list_of(document["names"], str, "names"))
    warn_of_other_libraries(document["libraries"], document["names"])
    decoder = _Decoder(content.tensors, names)
    for index, described in enumerate(_list_of(document["objects"], dict, "objects")):
        decoder.add(index, described, devices)
    loaded = decoder.value(document["root"])
    unused = content.tensors.keys() - decoder.used
    if unused:
        raise ModelFileError(f"Nothing refers to the tensor {min(unused)!r}.")
    return loaded


class _Decoder:
    def __init__(self, tensors: Tensors, names: Names) -> None:
        self._tensors = tensors
        self._names = names
        self._objects: list[Any] = []
        self.used: set[str] = set()

    def add(self, index: int, described: dict[str, Any], devices: Devices) -> None:
        """Make the next object of the list from those before it."""
        if described.keys() != {"class", "state"} or not isinstance(described["state"], dict):
            raise ModelFileError(f"Object {index} must have a class and a state.")
        name = described["class"]
        if not isinstance(name, str):
            raise ModelFileError(f"The class of object {index} must be a name, not {name!r}.")
        cls = self._names.instantiable(name)
        state = {attribute: self.value(value) for attribute, value in described["state"].items()}
        self._objects.append(rebuild(cls, state, devices))

    def value(self, described: Any, depth: int = 0) -> Any:
        """Return a value from its description."""
        if depth > _MAX_DEPTH:
            raise ModelFileError(f"A value is nested more than {_MAX_DEPTH} levels deep.")
        if isinstance(described, list):
            return [self.value(item, depth + 1) for item in described]
        if not isinstance(described, dict):
            return described
        if len(described) != 1:
            raise ModelFileError(f"A value must have one kind, not {sorted(described)}.")
        [(kind, payload)] = described.items()
        decode = _KINDS.get(kind)
        if decode is None:
            raise ModelFileError(
                f"The file holds a value of kind {kind!r}, which is not known here. A newer "
                "sklearn-degu may have written it: upgrade it."
            )
        try:
            return decode(self, payload, depth)
        except ModelFileError:
            raise
        except (TypeError, ValueError, KeyError, AttributeError, ArithmeticError) as error:
            raise ModelFileError(
                f"A value of kind {kind!r} is malformed ({type(error).__name__}: {error})."
            ) from None

    def _items(self, payload: Any, depth: int) -> list[Any]:
        return [self.value(item, depth + 1) for item in _list_of(payload, object, "items")]

    def _dict(self, payload: Any, depth: int) -> dict[Any, Any]:
        pairs = [self._items(pair, depth + 1) for pair in payload]
        made = {_key(key): value for key, value in pairs}
        if len(made) < len(pairs):
            raise ModelFileError("A key of a dict is there twice.")
        return made

    def _set(self, payload: Any, depth: int) -> set[Any]:
        return {_key(item) for item in self._items(payload, depth)}

    def _object(self, payload: Any, depth: int) -> Any:
        if type(payload) is not int or not 0 <= payload < len(self._objects):
            raise ModelFileError(
                f"Object {len(self._objects)} refers to object {payload!r}, which does not come "
                "before it."
            )
        return self._objects[payload]

    def _array(self, payload: Any, depth: int = 0) -> Any:
        if not isinstance(payload, str) or payload not in self._tensors:
            raise ModelFileError(f"The tensor {payload!r} is missing in the file.")
        if payload in self.used:
            # Each reference is a copy: a small file could ask for any number of large ones.
            raise ModelFileError(f"The tensor {payload!r} is referred to twice.")
        self.used.add(payload)
        # A copy: it is writable, and does not keep the whole file in memory.
        return self._tensors[payload].copy()

    def _bytes_array(self, payload: Any, depth: int) -> Any:
        name, description, shape = payload
        return _arrays.from_bytes(self._array(name), description, shape)

    def _object_array(self, payload: Any, depth: int) -> Any:
        shape, items = payload
        array = np.empty(len(items), dtype=object)
        array[:] = self._items(items, depth)
        return array.reshape(shape)

    def _masked(self, payload: Any, depth: int) -> Any:
        data, mask = self._items(payload, depth)
        if not (isinstance(data, np.ndarray) and isinstance(mask, np.ndarray)):
            raise ModelFileError("A masked array must consist of two arrays.")
        if data.shape != mask.shape or mask.dtype != bool:
            raise ModelFileError(f"A mask of shape {mask.shape} is none of shape {data.shape}.")
        return np.ma.MaskedArray(data, mask)

    def _scalar(self, payload: Any, depth: int) -> Any:
        description, item = payload
        dtype = _arrays.dtype_from(description)
        value = self.value(item, depth + 1)
        if dtype.kind not in "buifUS" or not isinstance(value, (bool, int, float, str, bytes)):
            raise ModelFileError(f"{shown(value)} is no scalar of type {description!r}.")
        scalar = dtype.type(value)
        if scalar.item() != value and value == value:
            raise ModelFileError(f"{shown(value)} does not fit into the type {description!r}.")
        return scalar

    def _partial(self, payload: Any, depth: int) -> Any:
        function, arguments, keywords = self._items(payload, depth)
        if not inspect.isroutine(function):
            raise ModelFileError(f"A partial must be of a function, not of {shown(function)}.")
        return partial(function, *arguments, **keywords)

    def _torch_dtype(self, payload: Any, depth: int) -> torch.dtype:
        return _TORCH_DTYPES[payload]

    def _device(self, payload: Any, depth: int) -> torch.device:
        try:
            return torch.device(payload)
        except RuntimeError:
            raise ModelFileError(f"torch has no device {payload!r}.") from None


def _key(value: Any) -> Any:
    if not is_key(value):
        raise ModelFileError(f"{shown(value)} must not be a key of a dict or in a set.")
    return value


def _list_of(values: Any, kind: type, what: str) -> list[Any]:
    if not isinstance(values, list) or not all(isinstance(value, kind) for value in values):
        raise ModelFileError(f"{what!r} must be a list of {kind.__name__}.")
    return values


_TORCH_DTYPES = {
    str(value).removeprefix("torch."): value
    for value in vars(torch).values()
    if isinstance(value, torch.dtype)
}

_FLOATS = {"inf": float("inf"), "-inf": float("-inf"), "nan": float("nan")}

_KINDS: dict[str, Callable[[_Decoder, Any, int], Any]] = {
    "float": lambda _, payload, depth: _FLOATS[payload],
    "tuple": lambda self, payload, depth: tuple(self._items(payload, depth)),
    "dict": _Decoder._dict,
    "set": _Decoder._set,
    "frozenset": lambda self, payload, depth: frozenset(self._set(payload, depth)),
    "slice": lambda self, payload, depth: slice(*self._items(payload, depth)),
    "partial": _Decoder._partial,
    "bytes": lambda _, payload, depth: bytes.fromhex(payload),
    "fraction": lambda _, payload, depth: Fraction(*_list_of(payload, int, "fraction")),
    "scalar": _Decoder._scalar,
    "array": _Decoder._array,
    "fortran_array": lambda self, payload, depth: np.asfortranarray(self._array(payload)),
    "bytes_array": _Decoder._bytes_array,
    "masked_array": _Decoder._masked,
    "object_array": _Decoder._object_array,
    "tensor": lambda self, payload, depth: torch.from_numpy(self._array(payload)),
    "dtype": lambda _, payload, depth: _arrays.dtype_from(payload),
    "torch_dtype": _Decoder._torch_dtype,
    "device": _Decoder._device,
    "name": lambda self, payload, depth: self._names.reference(payload),
    "object": _Decoder._object,
}
