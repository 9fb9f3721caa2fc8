"""The folder in which a fit keeps what it has reached, and goes on from there."""

from __future__ import annotations

import json
import pickle
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from os import PathLike, fspath
from pathlib import Path
from typing import Any, TypeVar

import joblib
import numpy as np
from filelock import FileLock, Timeout

from sklearn_degu._files import (
    UNFINISHED,
    DamagedFileError,
    read_checked,
    write_checked,
    write_whole,
)
from sklearn_degu.nets.checkpoints import SUFFIXES, Checkpoint

Value = TypeVar("Value")

_FINGERPRINT = "fit.json"
_LOCK = "lock"
_KEPT = ".kept"

# Parameters that say how a fit is run, not what comes out of it.
_WITHOUT_EFFECT = ("checkpoint_dir", "memory", "n_jobs", "verbose")

_PACKAGES = ("numpy", "scikit-learn", "sklearn-degu", "skorch", "torch")


class CheckpointFolder:
    """What a fit keeps.

    Parameters
    ----------
    path : Path or None
        The folder. With None nothing is kept.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path

    def checkpoint(self, name: str) -> Checkpoint:
        """Return where the training of a name is kept."""
        return Checkpoint(None if self.path is None else self.path / name)

    def below(self, name: str) -> str | None:
        """Return the folder of an inner fit, as the parameter ``checkpoint_dir``."""
        return None if self.path is None else fspath(self.path / name)

    def kept(self, name: str, compute: Callable[[], Value]) -> Value:
        """Return what an earlier run computed, or compute and keep it."""
        if self.path is None:
            return compute()
        path = self.path / f"{name}{_KEPT}"
        try:
            earlier: Value = pickle.loads(read_checked(path))
            return earlier
        except FileNotFoundError:
            pass
        except DamagedFileError:
            warnings.warn(f"{path} is damaged; it is computed anew.", UserWarning, stacklevel=2)
        value = compute()
        try:
            write_checked(path, pickle.dumps(value))
        except OSError as error:
            warnings.warn(
                f"{path} could not be written: {error}. The fit goes on; if it is cut off, this is "
                "computed anew.",
                UserWarning,
                stacklevel=2,
            )
        return value

    def progress(self) -> str:
        """Say how far the trainings in the folder have come."""
        stems = {path.with_suffix("") for path in (self.path or Path()).rglob(f"*{SUFFIXES[0]}")}
        states = [state for stem in sorted(stems) for state in Checkpoint(stem).load(0) if state]
        underway = [str(state.epochs) for state in states if not state.finished]
        begun = f", and {len(underway)} begun (epochs: {', '.join(underway)})" if underway else ""
        return f"{len(states) - len(underway)} trained nets{begun}"


@contextmanager
def checkpoint_folder(estimator: Any, data: Mapping[str, Any]) -> Iterator[CheckpointFolder]:
    """Open the estimator's ``checkpoint_dir`` for a fit, alone, and check that it is of this fit.

    Parameters
    ----------
    estimator : estimator
        Its parameters, ``checkpoint_dir`` among them.
    data : dict of str to array-like or None
        What is fitted on.

    Raises
    ------
    ValueError
        If the folder belongs to another fit, or holds other files.
    RuntimeError
        If another process is at work in it.
    """
    if estimator.checkpoint_dir is None:
        yield CheckpointFolder(None)
        return
    path = _existing(estimator.checkpoint_dir)
    with _alone(path):
        _check_fingerprint(path, _fingerprint(estimator, data))
        for leftover in path.glob(f"*{UNFINISHED}"):
            leftover.unlink()
        folder = CheckpointFolder(path)
        try:
            yield folder
        except KeyboardInterrupt as interruption:
            interruption.add_note(
                f"The fit was interrupted. {path} keeps {folder.progress()}. The same fit goes on "
                "from there."
            )
            raise


def _existing(checkpoint_dir: str | PathLike[str]) -> Path:
    if not isinstance(checkpoint_dir, (str, PathLike)):
        raise ValueError(
            f"checkpoint_dir must be the path of a folder or None, got {checkpoint_dir!r}."
        )
    path = Path(checkpoint_dir).expanduser()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"checkpoint_dir={fspath(checkpoint_dir)!r} cannot be a folder to write to: {error}"
        ) from error
    return path


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    lock = FileLock(path / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RuntimeError(
            f"Another fit is at work in checkpoint_dir={str(path)!r}. Wait until it has ended, or "
            "give this one a folder of its own: in cross-validation and searches leave "
            "checkpoint_dir out."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _check_fingerprint(path: Path, fingerprint: dict[str, str]) -> None:
    file = path / _FINGERPRINT
    if not file.exists():
        names = sorted(entry.name for entry in path.iterdir())
        if foreign := [n for n in names if n != _LOCK and not n.startswith(f".{_FINGERPRINT}")]:
            raise ValueError(
                f"checkpoint_dir={str(path)!r} holds files that are not of a fit, such as "
                f"{foreign[0]!r}. Choose a folder that is empty or not there yet."
            )
        write_whole(file, json.dumps(fingerprint, indent=1, sort_keys=True).encode())
        return
    try:
        earlier = json.loads(file.read_bytes())
    except ValueError as error:
        raise ValueError(
            f"{file} is damaged, so that nothing says which fit the folder belongs to. Remove the "
            "folder to begin anew."
        ) from error
    differences = [
        f"{name} was {earlier.get(name, 'not there')}, and is {fingerprint.get(name, 'not there')}"
        for name in sorted({*earlier, *fingerprint})
        if earlier.get(name) != fingerprint.get(name)
    ]
    if differences:
        raise ValueError(
            f"checkpoint_dir={str(path)!r} belongs to another fit: {'; '.join(differences[:5])}"
            f"{'; and more' if len(differences) > 5 else ''}. Choose another folder, or remove "
            "this one."
        )


def _fingerprint(estimator: Any, data: Mapping[str, Any]) -> dict[str, str]:
    """Describe all that decides what comes out of a fit."""
    described = {f"the version of {package}": version(package) for package in _PACKAGES}
    for name, value in data.items():
        described[f"the data {name}"] = "None" if value is None else _hashed(value)
    _describe("estimator", estimator, described)
    return described


def _describe(name: str, value: Any, described: dict[str, str]) -> None:
    """Describe a parameter, and the parameters that it has itself."""
    is_class = isinstance(value, type)
    if hasattr(value, "get_params") and not is_class:
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
    elif is_class or hasattr(value, "__qualname__"):
        described[name] = _named(value)
    else:
        described[name] = f"{_named(type(value))} {_hashed(value)}"


def _hashed(value: Any) -> str:
    if hasattr(value, "__array__"):
        value = np.asarray(value)
        return f"{value.dtype} {value.shape} {joblib.hash(value)}"
    return str(joblib.hash(value))


def _named(thing: Any) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"
