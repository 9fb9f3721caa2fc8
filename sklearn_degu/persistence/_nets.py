"""skorch nets: their parameters, history and weights, and the nets again.

A net's module is built by its class, from parameters that a stranger may have chosen. So it is
built on torch's meta device first, where tensors have shapes but no memory, and compared with the
tensors of the file; only a module whose sizes are the file's is built in earnest.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from skorch import NeuralNet
from skorch.history import History
from torch import Tensor, nn
from torch.nn.modules import module as registration

from sklearn_degu.exceptions import ModelFileError
from sklearn_degu.nets.randomness import global_generator
from sklearn_degu.nets.training import forget_training
from sklearn_degu.persistence._devices import Devices
from sklearn_degu.persistence._plain import shown
from sklearn_degu.persistence._weights import check_weights, load_weights

State = dict[str, Any]

# What nets consist of that holds weights.
_PARTS = ("module", "criterion")

# Modules register more than they keep, such as a layer that replaces another.
_REGISTRATIONS_A_TENSOR = 10
_FREE_REGISTRATIONS = 1000


def state_of_net(net: NeuralNet, place: str) -> State:
    """Return parameters, history and weights of a net.

    Raises
    ------
    ModelFileError
        If it holds weights of other parts than a module and a criterion.
    """
    # In one order, whichever way they were set.
    given = sorted(net.get_params(deep=False).items())
    params = {name: value for name, value in given if not name.startswith("_")}
    # A module that was fitted outside of the net is no class that load could build.
    for part in _PARTS:
        if isinstance(params[part], nn.Module):
            raise ModelFileError(
                f"The {part} of {place} is an instance. Only nets that were given the class, "
                f"{part}={type(params[part]).__name__}, can be built again by load."
            )
    if not net.initialized_:
        return {"params": params, "fitted": None}
    others = {*net._modules, *net._criteria} - {*_PARTS}
    if others:
        raise ModelFileError(
            f"{place} has weights in {sorted(others)}; only those of a module and a criterion can "
            "be saved."
        )
    history = [_without_batches(row) for row in net.history or []]
    weights = {part: _weights_of(net, part, place) for part in _PARTS}
    return {"params": params, "fitted": {"history": history, **weights}}


def _without_batches(row: Mapping[str, Any]) -> State:
    """Leave out the losses of single batches: text that would outgrow the weights."""
    return {name: value for name, value in row.items() if name != "batches"}


def _weights_of(net: NeuralNet, part: str, place: str) -> dict[str, Tensor]:
    module = _uncompiled(getattr(net, f"{part}_"))
    state = module.state_dict() if isinstance(module, nn.Module) else {}
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise ModelFileError(
                f"The {part} of {place} has the extra state {name!r}, which is no tensor and "
                "cannot be saved. Register it as a buffer."
            )
    if isinstance(module, nn.Module):
        check_weights(module, state, f"The {part} of {place}")
    return dict(state)


def net_from(cls: Any, state: State, devices: Devices) -> NeuralNet:
    """Return a net from its parameters, history and weights.

    Raises
    ------
    ModelFileError
        If they do not fit together.
    """
    if state.keys() != {"params", "fitted"} or not isinstance(state["params"], dict):
        raise ModelFileError(f"A net has params and what was fitted, not {sorted(state)}.")
    params = _checked_params(cls, state["params"])
    params["device"] = devices.of(params.get("device"))
    net: NeuralNet = _tried("net", cls.__name__, lambda: cls(**params))
    if state["fitted"] is not None:
        _restore(net, state["fitted"])
    return net


def _checked_params(cls: type, params: Mapping[Any, Any]) -> State:
    known = inspect.signature(NeuralNet).parameters.keys() | inspect.signature(cls).parameters
    for name in params:
        is_known = isinstance(name, str) and (name in known or name.split("__")[0] in known)
        if not is_known or name.startswith("_") or name.endswith("_") or name == "kwargs":
            raise ModelFileError(f"{cls.__name__} has no parameter {name!r}.")
    for name, base in (("module", nn.Module), ("criterion", nn.Module), ("optimizer", _OPTIMIZER)):
        chosen = params.get(name, base)
        wrong = isinstance(chosen, type) and not issubclass(chosen, base)
        if wrong or not callable(chosen):
            raise ModelFileError(
                f"The {name} of a net must be a class of {base.__name__}, not {shown(chosen)}."
            )
    return dict(params)


def _restore(net: NeuralNet, fitted: Any) -> None:
    """Build the parts of a net and give them their weights and the history."""
    if not isinstance(fitted, dict) or fitted.keys() != {"history", *_PARTS}:
        raise ModelFileError("A fitted net must have a history and the weights of its parts.")
    for part in _PARTS:
        _check_sizes(net, part, fitted[part])
    _initialize(net)
    for part in _PARTS:
        module = _uncompiled(getattr(net, f"{part}_"))
        if isinstance(module, nn.Module):
            load_weights(module, fitted[part], f"the {part} {type(module).__name__}")
    net.history_ = _history_from(fitted["history"])
    forget_training(net)


def _check_sizes(net: NeuralNet, part: str, weights: Any) -> None:
    """Raise if a part of the net would have other weights than the file has for it."""
    if not isinstance(weights, dict) or not all(isinstance(w, Tensor) for w in weights.values()):
        raise ModelFileError(f"The weights of a {part} must be tensors by name.")
    component = getattr(net, part)
    params = net.get_params_for(part)
    with torch.device("meta"), _registrations_limited_to(len(weights)):
        built = _tried(part, _name(component), lambda: component(**params))
    if isinstance(built, nn.Module):
        check_weights(built, weights, f"the {part} {_name(component)}")
    elif weights:
        raise ModelFileError(f"The {part} {_name(component)} has no weights, but the file has.")


def _initialize(net: NeuralNet) -> None:
    """Build the parts of a net, without its callbacks, which belong to a training."""
    callbacks = net.callbacks
    net.callbacks = "disable"
    with global_generator(seed=0):
        _tried("net", type(net).__name__, net.initialize)
    net.callbacks = callbacks


def _history_from(rows: Any) -> History:
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ModelFileError("The history of a net must be a list of dicts.")
    return History([{"batches": [], **row} for row in rows])


def _tried(what: str, name: str, build: Any) -> Any:
    """Build something from a file's parameters, which its class may refuse in any way."""
    try:
        return build()
    except ModelFileError:
        raise
    except Exception as error:
        raise ModelFileError(
            f"The {what} {name} cannot be built from the parameters in the file "
            f"({type(error).__name__}: {error})."
        ) from None


@contextmanager
def _registrations_limited_to(n_tensors: int) -> Iterator[None]:
    """Stop the building of modules that have far more layers than the file has tensors."""
    left = _FREE_REGISTRATIONS + _REGISTRATIONS_A_TENSOR * n_tensors
    here = threading.get_ident()

    def count(*_: Any) -> None:
        nonlocal left
        # The hooks are global to the process: modules of other threads do not count.
        if threading.get_ident() == here:
            left -= 1
            if left < 0:
                raise ModelFileError(
                    "The parameters in the file ask for a module of more layers than the "
                    f"{n_tensors} tensors that the file has for it."
                )

    with ExitStack() as hooks:
        for register in _REGISTER_HOOKS:
            hooks.callback(register(count).remove)
        yield


_REGISTER_HOOKS: tuple[Any, ...] = (
    registration.register_module_parameter_registration_hook,
    registration.register_module_buffer_registration_hook,
    registration.register_module_module_registration_hook,
)

_OPTIMIZER = torch.optim.Optimizer


def _uncompiled(module: Any) -> Any:
    """Return a module as it was before torch.compile, which renames its weights."""
    return getattr(module, "_orig_mod", module)


def _name(component: Any) -> str:
    return str(getattr(component, "__name__", type(component).__name__))
