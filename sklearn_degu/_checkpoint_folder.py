"""The folder in which a fit keeps what it has reached, and goes on from there."""

from __future__ import annotations

import errno
import json
import pickle
import secrets
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from os import PathLike, fspath
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from filelock import FileLock, Timeout

from sklearn_degu._files import (
    UNFINISHED,
    DamagedFileError,
    read_checked,
    write_checked,
    write_whole,
)
from sklearn_degu._fingerprint import fingerprint
from sklearn_degu.nets.checkpoints import SUFFIXES, Checkpoint

Value = TypeVar("Value")

_DESCRIPTION = "fit.json"
_LOCK = "lock"
_KEPT = ".kept"

# Errors that a full disk gives.
_FULL = (errno.ENOSPC, errno.EDQUOT)


class _Fit(NamedTuple):
    """What the folder says of its fit.

    Attributes
    ----------
    fingerprint : dict of str to str
        What decides what comes out of it.
    seeds : list of int
        The seeds that were drawn for it.
    token : str
        What the files of this fit bear, and those of no other that ran in a folder of this name.
    """

    fingerprint: dict[str, str]
    seeds: list[int]
    token: str


class CheckpointFolder:
    """What a fit keeps.

    Parameters
    ----------
    path : Path or None
        The folder. With None nothing is kept.
    seeds : list of int
        The seeds of the fit.
    token : str
        What its files bear.

    Attributes
    ----------
    seeds : list of int
        The seeds of the fit: those of its first run.
    """

    def __init__(self, path: Path | None, seeds: list[int], token: str = "") -> None:
        self.path = path
        self.seeds = seeds
        self._token = token

    def checkpoint(self, name: str) -> Checkpoint:
        """Return where the training of a name is kept."""
        return Checkpoint(None if self.path is None else self.path / name, self._token)

    def below(self, name: str) -> str | None:
        """Return the folder of an inner fit, as the parameter ``checkpoint_dir``."""
        return None if self.path is None else fspath(self.path / name)

    def kept(self, name: str, compute: Callable[[], Value], replaces: str | None = None) -> Value:
        """Return what an earlier run computed, or compute and keep it.

        What cannot be read is computed anew: it must come out the same. What is of no use any
        more, under the name that is replaced, is removed.
        """
        found: list[Value] = self._read(name)
        if found:
            return found[0]
        value = compute()
        self._write(name, value)
        if self.path is not None and replaces is not None:
            (self.path / f"{replaces}{_KEPT}").unlink(missing_ok=True)
        return value

    def decided(self, name: str, decide: Callable[[], Value]) -> Value:
        """Return what an earlier run decided, perhaps at random, or decide and keep it.

        Raises
        ------
        ValueError
            If it was decided and cannot be read any more.
        """
        found: list[Value] = self._read(name)
        if found:
            return found[0]
        if self.path is not None and any(self._trainings()):
            raise ValueError(
                f"{self.path / name}{_KEPT} is missing or damaged, but nets in the folder were "
                "trained with it. Remove the folder to begin anew."
            )
        value = decide()
        if not self._write(name, value):
            # What is trained now cannot be gone on with.
            self.path = None
        return value

    def progress(self) -> str:
        """Say how far the trainings in the folder have come."""
        states = [state for stem in self._trainings() for state in Checkpoint(stem).latest()]
        underway = [str(state.epochs) for state in states if not state.finished]
        begun = f", and {len(underway)} begun (epochs: {', '.join(underway)})" if underway else ""
        return f"{len(states) - len(underway)} trained nets{begun}"

    def _trainings(self) -> list[Path]:
        """Return the paths of all checkpoints, without their suffixes."""
        if self.path is None:
            return []
        return sorted({p.with_suffix("") for s in SUFFIXES for p in self.path.rglob(f"*{s}")})

    def _read(self, name: str) -> list[Any]:
        if self.path is None:
            return []
        path = self.path / f"{name}{_KEPT}"
        try:
            token, value = pickle.loads(read_checked(path))
        except FileNotFoundError:
            return []
        except DamagedFileError:
            warnings.warn(f"{path} is damaged and not used.", UserWarning, stacklevel=3)
            return []
        return [value] if token == self._token else []

    def _write(self, name: str, value: Any) -> bool:
        """Keep a value, and return whether that went well."""
        if self.path is None:
            return True
        path = self.path / f"{name}{_KEPT}"
        try:
            write_checked(path, pickle.dumps((self._token, value)))
        except OSError as error:
            warnings.warn(
                f"{path} could not be written: {error}. The fit goes on without it.",
                UserWarning,
                stacklevel=3,
            )
            return False
        return True


@contextmanager
def checkpoint_folder(
    estimator: Any, data: Mapping[str, Any], draw_seeds: Callable[[], list[int]]
) -> Iterator[CheckpointFolder]:
    """Open the estimator's ``checkpoint_dir`` for a fit, alone, and check that it is of this fit.

    Parameters
    ----------
    estimator : estimator
        Its parameters, ``checkpoint_dir`` among them.
    data : dict of str to array-like or None
        What is fitted on.
    draw_seeds : callable
        Draws the seeds of the fit; it is called if there are none from an earlier run.

    Raises
    ------
    ValueError
        If the folder belongs to another fit, holds other files, or cannot be written to.
    RuntimeError
        If another process is at work in it.
    """
    if estimator.checkpoint_dir is None:
        yield CheckpointFolder(None, draw_seeds())
        return
    path = _existing(estimator.checkpoint_dir)
    if path is None:
        yield CheckpointFolder(None, draw_seeds())
        return
    with _alone(path):
        fit = _described(path, fingerprint(estimator, data), draw_seeds)
        for leftover in path.glob(f"*{UNFINISHED}"):
            leftover.unlink()
        folder = CheckpointFolder(path, fit.seeds, fit.token)
        try:
            yield folder
        except KeyboardInterrupt as interruption:
            interruption.add_note(
                f"The fit was interrupted. {path} keeps {folder.progress()}. The same fit goes on "
                "from there."
            )
            raise


def _existing(checkpoint_dir: str | PathLike[str]) -> Path | None:
    """Return a folder that can be written to; None, with a warning, if the disk is full."""
    if not isinstance(checkpoint_dir, (str, PathLike)):
        raise ValueError(
            f"checkpoint_dir must be the path of a folder or None, got {checkpoint_dir!r}."
        )
    path = Path(checkpoint_dir).expanduser()
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as probe:
            probe.write(bytes(4096))
    except OSError as error:
        if error.errno in _FULL:
            warnings.warn(
                f"checkpoint_dir={fspath(path)!r} cannot be written to: {error}. The fit goes on, "
                "and keeps nothing: if it is cut off, it is lost.",
                UserWarning,
                stacklevel=5,
            )
            return None
        raise ValueError(
            f"checkpoint_dir={fspath(path)!r} cannot be a folder to write to: {error}"
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


def _described(path: Path, found: dict[str, str], draw_seeds: Callable[[], list[int]]) -> _Fit:
    """Return what the folder says of its fit, after checking that it is this one."""
    file = path / _DESCRIPTION
    if not file.exists():
        names = sorted(entry.name for entry in path.iterdir())
        if foreign := [n for n in names if n != _LOCK and not n.startswith(f".{_DESCRIPTION}")]:
            raise ValueError(
                f"checkpoint_dir={str(path)!r} holds files that are not of a fit, such as "
                f"{foreign[0]!r}. Choose a folder that is empty or not there yet."
            )
        fit = _Fit(found, draw_seeds(), secrets.token_hex(8))
        write_whole(file, json.dumps(fit._asdict(), indent=1, sort_keys=True).encode())
        return fit
    try:
        fit = _Fit(**json.loads(file.read_bytes()))
        earlier = dict(fit.fingerprint)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{file} is damaged, so that nothing says which fit the folder belongs to. Remove the "
            "folder to begin anew."
        ) from error
    differences = [
        f"{name} was {earlier.get(name, 'not there')}, and is {found.get(name, 'not there')}"
        for name in sorted({*earlier, *found})
        if earlier.get(name) != found.get(name)
    ]
    if differences:
        raise ValueError(
            f"checkpoint_dir={str(path)!r} belongs to another fit: {'; '.join(differences[:5])}"
            f"{'; and more' if len(differences) > 5 else ''}. Choose another folder, or remove "
            "this one."
        )
    return fit
