"""Keep trainings on disk while they run, and go on from there.

Two files take turns, so that whatever happens while one is written, the other is whole.
"""

from __future__ import annotations

import io
import pickle
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from skorch import NeuralNet
from skorch.history import History
from torch import nn

from sklearn_degu._files import DamagedFileError, read_checked, write_checked

# The time between two writings is at least this multiple of what the first took, so that keeping
# a training costs at most a fortieth of it, however short its epochs are.
PAUSE = 40

SUFFIXES = (".a", ".b")


class NetState(NamedTuple):
    """The state of a net behind an epoch.

    Attributes
    ----------
    epochs : int
        How many epochs it has been trained for.
    finished : bool
        Whether its training has ended.
    content : bytes
        All that it takes to go on.
    """

    epochs: int
    finished: bool
    content: bytes


class Training:
    """A net in training, with the generators that its training draws from.

    Parameters
    ----------
    net : skorch.NeuralNet
        The net, initialised.
    generators : sequence of torch.Generator
        Those of the order of the rows and of the dropout masks.
    """

    def __init__(self, net: NeuralNet, generators: Sequence[torch.Generator]) -> None:
        self.net = net
        self.generators = generators

    def state(self) -> NetState:
        """Return the state behind an epoch, callbacks included."""
        net = self.net
        parts = _parts(net)
        state = {
            "parts": {name: part.state_dict() for name, part in parts.items()},
            "learns": [parameter.requires_grad for parameter in _parameters(parts).values()],
            "callbacks": _callbacks(net),
            "history": list(net.history),
            "generators": [generator.get_state() for generator in self.generators],
        }
        return NetState(len(net.history), False, _pickled(state, _by_name(net)))

    def restore(self, state: NetState) -> None:
        """Bring a net whose training has just begun, or that has ended, to a state."""
        net = self.net
        content = _unpickled(state.content, _by_name(net))
        parts = _parts(net)
        for name, values in content["parts"].items():
            parts[name].load_state_dict(values)
        net.history_ = History(content["history"])
        if state.finished:
            return
        for parameter, learns in zip(_parameters(parts).values(), content["learns"], strict=True):
            parameter.requires_grad_(learns)
        kept = content["callbacks"]
        net.callbacks_ = [(name, kept.get(name, callback)) for name, callback in net.callbacks_]
        for generator, drawn in zip(self.generators, content["generators"], strict=True):
            generator.set_state(drawn)

    def finished(self) -> NetState:
        """Return the state of a net whose training has ended: weights and history."""
        modules = {n: part for n, part in _parts(self.net).items() if isinstance(part, nn.Module)}
        state = {
            "parts": {name: module.state_dict() for name, module in modules.items()},
            "history": list(self.net.history),
        }
        return NetState(len(self.net.history), True, _pickled(state, {}))


class Checkpoint:
    """Where the training of one net, or of nets in one pass, is kept.

    Parameters
    ----------
    path : Path or None
        The files' path, without their suffixes. None keeps nothing.
    token : str, optional
        What the files bear. Those with another are of another fit, and left aside.
    """

    def __init__(self, path: Path | None, token: str = "") -> None:
        self.path = path
        self.token = token
        self._n_saved = 0
        self._next_time = 0.0
        self._has_failed = False

    @property
    def is_due(self) -> bool:
        """Whether the last writing lies far enough back for the next."""
        return self.path is not None and time.monotonic() >= self._next_time

    def save(self, states: Iterable[NetState]) -> None:
        """Keep the states of the nets; a disk that takes no more is warned of, once.

        What it takes to make the states counts too, so let them be made here, by a generator.
        """
        if self.path is None:
            return
        start = time.monotonic()
        self._n_saved += 1
        content = pickle.dumps((self._n_saved, self.token, list(states)))
        try:
            write_checked(self.path.with_suffix(SUFFIXES[self._n_saved % 2]), content)
        except OSError as error:
            self._warn_once(error)
        now = time.monotonic()
        self._next_time = now + PAUSE * (now - start)

    def load(self, n_nets: int) -> Sequence[NetState | None]:
        """Return the latest states that were kept whole, None for every net without.

        A damaged file is warned of.
        """
        found = [item for item in self._whole() if item[1] == self.token]
        if not found:
            return [None] * n_nets
        self._n_saved, _, states = max(found, key=lambda item: item[0])
        return states

    def latest(self) -> list[NetState]:
        """Return the latest states, of whatever fit."""
        return max(self._whole(), key=lambda item: item[0], default=(0, "", []))[2]

    def _whole(self) -> list[tuple[int, str, list[NetState]]]:
        """Return the contents of the files that are whole."""
        found = []
        for path in [] if self.path is None else map(self.path.with_suffix, SUFFIXES):
            try:
                found.append(pickle.loads(read_checked(path)))
            except FileNotFoundError:
                continue
            except DamagedFileError:
                warnings.warn(
                    f"The checkpoint {path} is damaged; the training goes on from the one before "
                    "it, if that is whole, or begins anew.",
                    UserWarning,
                    stacklevel=3,
                )
        return found

    def _warn_once(self, error: OSError) -> None:
        if not self._has_failed:
            self._has_failed = True
            warnings.warn(
                f"A checkpoint could not be written to {self.path}: {error}. The training goes "
                "on; what it reaches from here on is lost if it is cut off.",
                UserWarning,
                stacklevel=2,
            )


def _parts(net: NeuralNet) -> dict[str, Any]:
    """Return the modules, criteria and optimisers of a net by their names."""
    names = (*net._modules, *net._criteria, *net._optimizers)
    return {name: getattr(net, f"{name}_") for name in names}


def _parameters(parts: Mapping[str, Any]) -> dict[str, nn.Parameter]:
    modules = {name: part for name, part in parts.items() if isinstance(part, nn.Module)}
    return {
        f"{part}.{name}": parameter
        for part, module in modules.items()
        for name, parameter in module.named_parameters()
    }


def _by_name(net: NeuralNet) -> dict[str, Any]:
    """Return what a state refers to by name: what the net has already when it is restored."""
    parts = _parts(net)
    return {"net": net, **parts, **_parameters(parts)}


def _callbacks(net: NeuralNet) -> dict[str, Any]:
    """Return the callbacks that have a state of the training, by name."""
    return {
        name: callback
        for name, callback in net.callbacks_
        if not getattr(callback, "outlives_checkpoints", False)
    }


def _pickled(state: dict[str, Any], by_name: Mapping[str, Any]) -> bytes:
    file = io.BytesIO()
    try:
        _Pickler(file, by_name).dump(state)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(
            f"The state of the training cannot be kept in checkpoint_dir: {error}. Callbacks must "
            "be picklable, without lambdas and open files, and so must the states of module and "
            f"optimiser. The callbacks: {', '.join(state.get('callbacks', ()))}. Mend them, or "
            "leave checkpoint_dir out."
        ) from error
    return file.getvalue()


def _unpickled(content: bytes, by_name: Mapping[str, Any]) -> dict[str, Any]:
    try:
        state: dict[str, Any] = _Unpickler(io.BytesIO(content), by_name).load()
    except (AttributeError, ImportError) as error:
        raise ValueError(
            f"A checkpoint refers to code that is not there any more: {error}. Bring it back, or "
            "remove checkpoint_dir to begin anew."
        ) from error
    return state


class _Pickler(pickle.Pickler):
    """Pickle objects, but some by name."""

    def __init__(self, file: io.BytesIO, by_name: Mapping[str, Any]) -> None:
        super().__init__(file)
        self._names = {id(part): name for name, part in by_name.items()}

    def persistent_id(self, part: Any) -> str | None:
        """Return the name of an object that has one."""
        return self._names.get(id(part))


class _Unpickler(pickle.Unpickler):
    """Unpickle objects, and find those that were pickled by name."""

    def __init__(self, file: io.BytesIO, by_name: Mapping[str, Any]) -> None:
        super().__init__(file)
        self._by_name = by_name

    def persistent_load(self, name: str) -> Any:
        """Return the object of a name."""
        return self._by_name[name]
