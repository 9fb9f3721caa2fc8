"""The file around a model: tensors and one JSON text, in the safetensors format.

A safetensors file is a header, in JSON, and the tensors behind it. The text that describes the
model is the one entry of the header's metadata, so that equal models give equal bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from sklearn_degu.exceptions import ModelFileError

Tensors = Mapping[str, NDArray[Any]]

METADATA_KEY = "sklearn_degu"

# What a reader is willing to parse: Python's objects need many times the memory of their text.
MAX_HEADER_BYTES = 2**24
MAX_ITEMS = 10**6

_LENGTH_BYTES = 8


class Content(NamedTuple):
    """What a file holds.

    Attributes
    ----------
    document : dict
        The description of the model, with the version of the format as ``"version"``.
    tensors : dict of str to ndarray
        The numbers that it refers to by name.
    """

    document: dict[str, Any]
    tensors: Tensors


def to_bytes(content: Content) -> bytes:
    """Return the bytes of a file, the same for equal content.

    Raises
    ------
    ModelFileError
        If the description is larger than a reader accepts.
    """
    document = {**content.document, "checksum": _checksum(content)}
    text = _canonical(document)
    header_bytes = len(text) + sum(len(name) + 100 for name in content.tensors)
    if header_bytes > MAX_HEADER_BYTES or _n_items(text) > MAX_ITEMS:
        raise ModelFileError(
            f"The model's description is too large: {header_bytes} bytes and {_n_items(text)} "
            f"items, but a file may have {MAX_HEADER_BYTES} and {MAX_ITEMS}. Keep long lists as "
            "numpy arrays."
        )
    arrays = {name: np.asarray(array, order="C") for name, array in content.tensors.items()}
    return safetensors.numpy.save(arrays, metadata={METADATA_KEY: text})


def from_bytes(data: bytes) -> Content:
    """Return what a file holds, after checking that it is whole.

    Raises
    ------
    ModelFileError
        If the bytes are no file of this package, or a damaged one.
    """
    header = _header(data)
    metadata = header.get("__metadata__")
    if not isinstance(metadata, dict) or not isinstance(metadata.get(METADATA_KEY), str):
        raise ModelFileError(
            "This is a safetensors file, but not a model of sklearn-degu: its metadata has no "
            f"{METADATA_KEY!r}."
        )
    text = metadata[METADATA_KEY]
    document = _parsed(text, "description")
    # A damaged digit may be read as the same number: text is compared with text.
    is_as_written = text == _canonical(document)
    try:
        tensors = safetensors.numpy.load(data)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ModelFileError(f"The tensors are damaged: {error}.") from None
    checksum = document.pop("checksum", None)
    content = Content(document, tensors)
    if not is_as_written or checksum != _checksum(content):
        raise ModelFileError(
            "The checksum does not match: the file has changed since it was saved. Copy or save "
            "it again."
        )
    return content


def read(path: str | os.PathLike[str]) -> bytes:
    """Return the bytes of a regular file.

    Raises
    ------
    ModelFileError
        If the path leads to something else, such as a folder or a device.
    OSError
        If it cannot be read.
    """
    # A pipe without a writer would keep open() waiting for ever.
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise ModelFileError(f"{os.fspath(path)!r} is no file, so that there is nothing to load.")
    return Path(path).read_bytes()


def _header(data: bytes) -> dict[str, Any]:
    """Return the header of a safetensors file, refusing what safetensors would let pass."""
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    if len(data) < _LENGTH_BYTES or length > len(data) - _LENGTH_BYTES:
        raise ModelFileError(
            "This is no model file, or a part of one is missing: its header should have "
            f"{length} bytes, but the whole file has {len(data)}."
        )
    if length > MAX_HEADER_BYTES:
        raise ModelFileError(
            f"The header has {length} bytes, but a model file may have {MAX_HEADER_BYTES}."
        )
    text = data[_LENGTH_BYTES : _LENGTH_BYTES + length]
    try:
        return _parsed(text.decode("utf-8"), "header")
    except UnicodeDecodeError:
        raise ModelFileError("The header is no text: this is no model file.") from None


def _parsed(text: str, what: str) -> dict[str, Any]:
    if _n_items(text) > MAX_ITEMS:
        raise ModelFileError(
            f"The {what} has {_n_items(text)} items, but a model file may have {MAX_ITEMS}."
        )
    try:
        parsed = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except RecursionError:
        raise ModelFileError(f"The {what} is nested too deeply.") from None
    except ValueError as error:
        raise ModelFileError(f"The {what} is not valid JSON: {error}.") from None
    if not isinstance(parsed, dict):
        raise ModelFileError(f"The {what} must be a JSON object, not {type(parsed).__name__}.")
    return parsed


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse duplicated keys: two readers could disagree about which one counts."""
    unique = dict(pairs)
    if len(unique) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(k for k in keys if keys.count(k) > 1)!r} is there twice")
    return unique


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _n_items(text: str) -> int:
    """Bound the number of Python objects that a JSON text makes, without parsing it."""
    return sum(map(text.count, ",[{"))


def _canonical(document: Mapping[str, Any]) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _checksum(content: Content) -> str:
    digest = hashlib.sha256(_canonical(content.document).encode())
    for name, array in sorted(content.tensors.items()):
        digest.update(_canonical({name: [array.dtype.str, *array.shape]}).encode())
        digest.update(_raw(array))
    return digest.hexdigest()


def _raw(array: NDArray[Any]) -> memoryview:
    return np.asarray(array, order="C").reshape(-1).view(np.uint8).data
