"""Libraries that the extra ``[attribution]`` brings."""

from __future__ import annotations

import importlib
from types import ModuleType


def import_extra(name: str, caller: str) -> ModuleType:
    """Return a library of the extra.

    Parameters
    ----------
    name : str
        Name of the library, or of a module of it.
    caller : str
        What needs it, for the message.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"{caller} needs {name.split('.')[0]}, which comes with the extra [attribution]: "
            "pip install 'sklearn-degu[attribution]'"
        ) from error
