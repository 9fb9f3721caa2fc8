"""The releases of the libraries whose objects are in a file."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import mapie
import numpy
import sklearn
import skorch
import torch
from sklearn.exceptions import InconsistentVersionWarning

from sklearn_degu.exceptions import ModelFileError


def libraries() -> dict[str, str]:
    """Return the releases that are installed, by the names of the modules."""
    return {module.__name__: str(module.__version__) for module in _LIBRARIES}


_LIBRARIES: tuple[Any, ...] = (mapie, numpy, sklearn, skorch, torch)


def warn_of_other_libraries(written: Any, names: Iterable[str]) -> None:
    """Warn if objects of scikit-learn come from another release of it, as its pickles do.

    Raises
    ------
    ModelFileError
        If the releases are not said as strings.
    """
    if not isinstance(written, dict) or not all(isinstance(v, str) for v in written.values()):
        raise ModelFileError("'libraries' must be a dict of strings.")
    before = written.get("sklearn")
    theirs = [name for name in names if name.startswith("sklearn.")]
    if theirs and before != sklearn.__version__:
        warnings.warn(
            InconsistentVersionWarning(
                estimator_name=theirs[0].rpartition(".")[2],
                current_sklearn_version=sklearn.__version__,
                original_sklearn_version=before,
            ),
            stacklevel=2,
        )
