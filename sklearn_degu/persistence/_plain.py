"""Values that are safe to hash and to show.

Objects of a file may share parts, so that a small file can describe something whose full text, or
whose hash, would take for ever: neither is asked of objects.
"""

from __future__ import annotations

from fractions import Fraction
from types import NoneType
from typing import Any

import numpy as np

_SCALARS = (bool, int, float, str, bytes, Fraction, NoneType)


def is_key(value: Any) -> bool:
    """Whether a value may be a key of a dict or an element of a set in a file."""
    if type(value) is tuple:
        return all(map(is_key, value))
    return type(value) in _SCALARS or isinstance(value, np.generic)


def shown(value: Any) -> str:
    """Return a short text of a value for a message."""
    if type(value) in _SCALARS:
        return f"{value!r:.100}"
    if isinstance(value, type):
        return value.__qualname__
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and type {value.dtype}"
    return f"an object of {type(value).__qualname__}"
