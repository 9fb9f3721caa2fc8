"""From objects to the description in a file: JSON, with the numbers beside it as tensors.

Numbers, strings, None and lists are what they are in JSON; everything else is an object of one key,
which says what it is. Objects of classes lie in one list, each behind those that it refers to, so
that what is shared is stored once and nothing can refer to itself.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sklearn_degu.exceptions import ModelFileError
from sklearn_degu.persistence import _arrays
from sklearn_degu.persistence._container import Content
from sklearn_degu.persistence._libraries import libraries
from sklearn_degu.persistence._names import allow_list, name_of
from sklearn_degu.persistence._plain import is_key, shown
from sklearn_degu.persistence._states import state_of

Path = tuple[str, ...]


def place_of(path: Path) -> str:
    """Return where a value lies in the saved object, as a message names it."""
    return "/".join(path) or "The object"


class Encoder:
    """What is collected while one object is described.

    Parameters
    ----------
    with_teacher : bool
        Whether the teachers of distilled regressors belong to it.
    """

    def __init__(self, with_teacher: bool) -> None:
        self._with_teacher = with_teacher
        self._objects: list[dict[str, Any]] = []
        self._tensors: dict[str, NDArray[Any]] = {}
        self._names: set[str] = set()
        # By identity. The objects are kept, because an identity is free again without its object.
        self._known: dict[int, tuple[int | None, Any]] = {}

    def content(self, thing: Any, version: int) -> Content:
        """Return the content of the file of an object.

        Raises
        ------
        ModelFileError
            If a part of it cannot be saved; the message says which.
        """
        try:
            root = self.value(thing, ())
        except RecursionError:
            raise ModelFileError("The object is nested too deeply to be saved.") from None
        document = {
            "libraries": libraries(),
            "names": sorted(self._names),
            "objects": self._objects,
            "root": root,
            "version": version,
        }
        return Content(document, self._tensors)

    @property
    def unlisted(self) -> list[str]:
        """The names of the classes and functions that load must be told to trust."""
        return sorted(self._names - set(allow_list()))

    def value(self, value: Any, path: Path) -> Any:
        """Return a value in JSON."""
        if value is None or type(value) in (bool, int, str):
            return value
        kind = _KINDS.get(type(value))
        if kind is not None:
            return kind(self, value, path)
        if isinstance(value, np.generic):
            return {"scalar": [_arrays.description_of(value.dtype), self._item(value, path)]}
        if isinstance(value, np.dtype):
            return {"dtype": _arrays.description_of(value)}
        if isinstance(value, (type, np.ufunc)) or inspect.isroutine(value):
            return {"name": self._name(value, path)}
        return {"object": self._index(value, path)}

    def _index(self, thing: Any, path: Path) -> int:
        """Return the place of an object in the list, which it is put into."""
        index, _ = self._known.get(id(thing), (-1, None))
        if index is None:
            raise ModelFileError(f"{place_of(path)} refers to an object that it is a part of.")
        if index >= 0:
            return index
        self._known[id(thing)] = (None, thing)
        state = state_of(thing, place_of(path), self._with_teacher)
        encoded = {name: self.value(part, (*path, name)) for name, part in sorted(state.items())}
        self._objects.append({"class": self._name(type(thing), path), "state": encoded})
        self._known[id(thing)] = (len(self._objects) - 1, thing)
        return len(self._objects) - 1

    def _name(self, thing: Any, path: Path) -> str:
        name = name_of(thing, place_of(path))
        self._names.add(name)
        return name

    def _float(self, value: float, path: Path) -> Any:
        return value if math.isfinite(value) else {"float": repr(value)}

    def _list(self, values: list[Any], path: Path) -> Any:
        return [self.value(value, (*path, str(i))) for i, value in enumerate(values)]

    def _tuple(self, values: tuple[Any, ...], path: Path) -> Any:
        return {"tuple": self._list(list(values), path)}

    def _dict(self, values: Mapping[Any, Any], path: Path) -> Any:
        items = [
            [self._key(key, path), self.value(value, (*path, str(key)))]
            for key, value in values.items()
        ]
        return {"dict": items}

    def _set(self, values: set[Any] | frozenset[Any], path: Path) -> Any:
        items = [self._key(value, path) for value in values]
        # Sets have no order, but files of equal objects are equal.
        return {type(values).__name__: sorted(items, key=repr)}

    def _key(self, key: Any, path: Path) -> Any:
        if not is_key(key):
            raise ModelFileError(
                f"{place_of(path)} has {shown(key)} as a key or in a set, which cannot be saved: "
                "use strings, numbers, or tuples of them."
            )
        return self.value(key, path)

    def _slice(self, value: slice, path: Path) -> Any:
        return {"slice": self._list([value.start, value.stop, value.step], path)}

    def _partial(self, value: partial[Any], path: Path) -> Any:
        parts = (value.func, value.args, value.keywords)
        return {"partial": self._list(list(parts), path)}

    def _item(self, value: np.generic, path: Path) -> Any:
        if value.dtype.kind not in "buifUS":
            raise ModelFileError(
                f"{place_of(path)} is a numpy scalar of type {value.dtype}, which cannot be saved. "
                "Make it an array."
            )
        return self.value(value.item(), path)

    def _array(self, array: NDArray[Any], path: Path) -> Any:
        if array.dtype == object:
            return {"object_array": [[*array.shape], self._list(array.ravel().tolist(), path)]}
        if not _arrays.is_describable(array.dtype):
            raise ModelFileError(
                f"{place_of(path)} is an array of {array.dtype}, which cannot be saved: records "
                "may hold plain fields only, without objects, sub-arrays and titles."
            )
        if not _arrays.is_native(array):
            name = self._stored(_arrays.as_bytes(array), path)
            return {"bytes_array": [name, _arrays.description_of(array.dtype), [*array.shape]]}
        # Which way a matrix lies in memory decides the rounding of products with it.
        fortran = array.flags.f_contiguous and not array.flags.c_contiguous
        return {
            "fortran_array" if fortran else "array": self._stored(_arrays.as_stored(array), path)
        }

    def _masked(self, array: Any, path: Path) -> Any:
        parts = (array.data, np.ma.getmaskarray(array))
        return {"masked_array": [self._array(part, path) for part in parts]}

    def _tensor(self, tensor: torch.Tensor, path: Path) -> Any:
        try:
            array = tensor.detach().cpu().numpy()
        except (TypeError, RuntimeError):
            raise ModelFileError(
                f"{place_of(path)} is a tensor of type {tensor.dtype}, which cannot be saved. Cast "
                "it to float32, such as by module.float()."
            ) from None
        return {"tensor": self._stored(_arrays.as_stored(array), path)}

    def _stored(self, array: NDArray[Any], path: Path) -> str:
        """Keep an array under the name of its place, which nothing else has."""
        name = "/".join(path) or "root"
        while name in self._tensors:
            name += "~"
        self._tensors[name] = array
        return name


_KINDS: dict[type, Callable[[Encoder, Any, Path], Any]] = {
    float: Encoder._float,
    list: Encoder._list,
    tuple: Encoder._tuple,
    dict: Encoder._dict,
    set: Encoder._set,
    frozenset: Encoder._set,
    slice: Encoder._slice,
    partial: Encoder._partial,
    bytes: lambda _, value, path: {"bytes": value.hex()},
    Fraction: lambda _, value, path: {"fraction": [value.numerator, value.denominator]},
    np.ndarray: Encoder._array,
    np.ma.MaskedArray: Encoder._masked,
    torch.Tensor: Encoder._tensor,
    torch.nn.Parameter: Encoder._tensor,
    torch.dtype: lambda _, value, path: {"torch_dtype": str(value).removeprefix("torch.")},
    torch.device: lambda _, value, path: {"device": str(value)},
}
