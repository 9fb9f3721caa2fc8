"""numpy arrays as tensors of a file, those included that safetensors has no type for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_degu.exceptions import ModelFileError

# The kinds that safetensors stores as they are: booleans, integers and real numbers.
_NATIVE_KINDS = "buif"


def is_native(array: NDArray[Any]) -> bool:
    """Whether safetensors has the array's type."""
    return array.dtype.kind in _NATIVE_KINDS and array.dtype.itemsize <= 8


def as_stored(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array in the order of bytes of a file."""
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return np.array(little, order="C")


def as_bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the memory of an array of strings, dates, complex numbers or records."""
    return as_stored(array).reshape(-1).view(np.uint8)


def description_of(dtype: np.dtype[Any]) -> Any:
    """Return a type as JSON: a string, or the names and types of a record's fields."""
    little = dtype.newbyteorder("<")
    if little.names is None:
        return little.str
    return [[name, description_of(little[name])] for name in little.names]


def is_describable(dtype: np.dtype[Any]) -> bool:
    """Whether :func:`dtype_from` makes the type again from its description."""
    return not dtype.hasobject and dtype_from(description_of(dtype)) == dtype.newbyteorder("<")


def dtype_from(description: Any) -> np.dtype[Any]:
    """Return the type of a description.

    Raises
    ------
    ModelFileError
        If it is no type, or one that points to Python's objects.
    """
    try:
        if isinstance(description, list):
            fields = [(name, dtype_from(field)) for name, field in description]
            dtype: np.dtype[Any] = np.dtype(fields)
        else:
            dtype = np.dtype(str(description))
    except (TypeError, ValueError, SyntaxError):
        raise ModelFileError(f"{description!r} is no type of an array.") from None
    if dtype.hasobject or not dtype.itemsize:
        raise ModelFileError(f"Arrays of type {description!r} are not allowed.")
    return dtype


def from_bytes(data: NDArray[Any], description: Any, shape: Any) -> NDArray[Any]:
    """Return an array from its memory.

    Raises
    ------
    ModelFileError
        If type, shape and number of bytes do not fit together.
    """
    dtype = dtype_from(description)
    whole = isinstance(shape, list) and all(type(n) is int and n >= 0 for n in shape)
    fits = data.dtype == np.uint8 and data.ndim == 1
    if not (whole and fits and math.prod(shape) * dtype.itemsize == len(data)):
        raise ModelFileError(
            f"An array of shape {shape} and type {dtype} does not fit into {len(data)} bytes."
        )
    return data.view(dtype).reshape(shape)
