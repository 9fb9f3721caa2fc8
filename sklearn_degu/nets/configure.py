"""Check a skorch net and fit its sizes to the data, before any training."""

from __future__ import annotations

import difflib
import inspect
import math
from types import NoneType
from typing import Any

import torch
from sklearn.base import clone
from skorch import NeuralNet
from skorch.callbacks import Checkpoint, TrainEndCheckpoint
from torch import nn
from torch.utils.data import DataLoader

from sklearn_degu._numbers import is_whole
from sklearn_degu.nets.data import InMemoryBatches
from sklearn_degu.nets.losses import HeadLoss, WeightedLoss
from sklearn_degu.nets.positions import takes_positions

_SEQUENCE_SIZES = ("n_channels", "seq_len")

# Parameters of torch's optimisers that say how a step is computed.
_HOW_TO_STEP = {"fused", "foreach", "differentiable"}


def is_sequence_net(net: NeuralNet) -> bool:
    """Whether the net's module reads sequences (n, channels, L) rather than rows of features."""
    return any(name in _module_parameters(net) for name in _SEQUENCE_SIZES)


def configure(
    net: NeuralNet,
    *,
    n_outputs: int,
    input_shape: tuple[int, ...],
    validated: bool,
    n_positions: int | None = None,
    loss: type[HeadLoss] = WeightedLoss,
    loss_params: dict[str, Any] | None = None,
) -> NeuralNet:
    """Return a clone of the net, sized for the data and set to train from memory.

    Parameters
    ----------
    net : skorch.NeuralNet
        The user's net; it is not changed.
    n_outputs : int
        Outputs that the module must have, over all positions.
    input_shape : tuple of int
        Shape of one row.
    validated : bool
        Whether validation rows will be at hand in training.
    n_positions : int, optional
        Positions of the profiles, if the targets are profiles. A module that takes
        ``n_positions`` has as many fewer ``n_outputs``, each of them at all positions.
    loss : class
        What the outputs are trained by: a loss around the net's own criterion, or a likelihood
        in its place.
    loss_params : dict, optional
        Parameters of the loss itself.

    Raises
    ------
    TypeError
        If ``net`` is no skorch net.
    ValueError
        If the module is an instance or cannot be sized, if a parameter is unknown, if the net
        holds rows out itself, if a callback watches a validation loss that there will not be,
        if ``loss`` would replace a criterion that was chosen, or if the device is absent.
    """
    check_net(net)
    _check_validation(net, validated)
    sized = clone(net)
    sized.set_params(**_sizes(net, n_outputs, input_shape, n_positions))
    sized.set_params(**_in_memory(net), **_criterion(net, loss), **_fused(net))
    sized.set_params(**{f"criterion__{name}": v for name, v in (loss_params or {}).items()})
    return sized


def check_net(net: Any) -> None:
    """Raise an error that names the fix if the net cannot be trained by the estimators."""
    if not isinstance(net, NeuralNet):
        raise TypeError(
            f"A net must be a skorch NeuralNet, such as recipes.deepstarr_net() or "
            f"NeuralNetRegressor(MyModule, train_split=None); got {type(net).__name__}."
        )
    _check_module(net)
    for prefix in ("module", "optimizer", "criterion"):
        _check_names(net, prefix)
    _check_callback_names(net)
    _check_batch_size(net)
    _check_epochs(net)
    _check_precision(net)
    _check_nonlinearity(net)
    _check_checkpoints(net)
    if net.train_split is not None:
        raise ValueError(
            f"The net holds out rows itself (train_split={net.train_split!r}). Set "
            "train_split=None on the net and use the estimator's validation= parameter, so that "
            "all members and the student stop on the same rows."
        )
    _check_device(net.device)


def _check_module(net: NeuralNet) -> None:
    if isinstance(net.module, nn.Module):
        raise ValueError(
            "The net was given a module instance, which would be trained in place and shared by "
            f"all members. Pass the class, module={type(net.module).__name__}, and its "
            "parameters as module__name=value. For nets that are trained already, use "
            "EnsembleRegressor.from_fitted."
        )
    if not callable(net.module):
        raise ValueError(
            f"The net's module must be a class of torch.nn.Module; got {net.module!r}."
        )
    if "n_outputs" not in _module_parameters(net):
        raise ValueError(
            f"The module {_name(net.module)} cannot take n_outputs, the number of outputs that "
            "the estimator needs (the targets, and for a student their uncertainties too). Give "
            "its __init__ a parameter n_outputs and make the last layer that wide."
        )


def _check_names(net: NeuralNet, prefix: str) -> None:
    """Refuse ``prefix__name`` parameters that the class does not have."""
    signature = inspect.signature(getattr(net, prefix)).parameters
    if any(p.kind is p.VAR_KEYWORD for p in signature.values()):
        return
    for name in net.get_params_for(prefix):
        if name.split("__")[0] not in {*signature, "param_groups"}:
            close = difflib.get_close_matches(name, signature, n=1)
            hint = f", did you mean {prefix}__{close[0]}?" if close else "."
            raise ValueError(
                f"Unknown parameter {prefix}__{name} for {_name(getattr(net, prefix))}{hint} "
                f"Valid: {', '.join(f'{prefix}__{p}' for p in signature)}."
            )


def _check_callback_names(net: NeuralNet) -> None:
    """Refuse ``callbacks__name__parameter`` of a callback that there is not: skorch ignores it."""
    names = [name for name, _ in _callbacks(net)]
    for key in net.get_params_for("callbacks"):
        name, _, parameter = key.partition("__")
        if parameter and name not in names:
            close = difflib.get_close_matches(name, names, n=1)
            hint = f", did you mean callbacks__{close[0]}__{parameter}?" if close else "."
            raise ValueError(
                f"Unknown parameter callbacks__{key}: the net has no callback {name!r}{hint} "
                f"Callbacks: {', '.join(names)}."
            )


def has_callback(net: NeuralNet, kind: type | tuple[type, ...]) -> bool:
    """Whether the net has a callback of a class, or of one of several."""
    return any(isinstance(callback, kind) for _, callback in _callbacks(net))


def _check_checkpoints(net: NeuralNet) -> None:
    if has_callback(net, (Checkpoint, TrainEndCheckpoint)):
        raise ValueError(
            "The net has a Checkpoint callback, whose file all members would share. For the best "
            "weights use EarlyStopping(load_best=True), which keeps them in memory."
        )


def _check_nonlinearity(net: NeuralNet) -> None:
    if net.predict_nonlinearity not in ("auto", None):
        raise ValueError(
            f"The net has predict_nonlinearity={net.predict_nonlinearity!r}, but the estimators "
            "read the module's outputs as they are. Put it into the module, as its last layer."
        )


def _check_epochs(net: NeuralNet) -> None:
    if not is_whole(net.max_epochs) or net.max_epochs < 1:
        raise ValueError(f"max_epochs must be a positive integer, got {net.max_epochs!r}.")


def _check_precision(net: NeuralNet) -> None:
    precision = getattr(net, "precision", "float32")
    if precision not in ("float32", "bfloat16"):
        raise ValueError(f"precision must be 'float32' or 'bfloat16', got {precision!r}.")


def _check_batch_size(net: NeuralNet) -> None:
    iterators = (net.get_params_for(name) for name in ("iterator_train", "iterator_valid"))
    for size in (net.batch_size, *(params.get("batch_size", 1) for params in iterators)):
        if not is_whole(size) or (size < 1 and size != -1):
            raise ValueError(
                f"batch_size must be a positive integer, or -1 for all rows at once; got {size!r}."
            )


def _check_device(device: Any) -> None:
    if device is None:
        return
    try:
        wanted = torch.device(device)
    except RuntimeError as error:
        raise ValueError(
            f"The net asks for device={device!r}, which torch does not know. Use 'cpu', 'cuda' or "
            "'cuda:1'."
        ) from error
    missing = wanted.type == "cuda" and (wanted.index or 0) >= torch.cuda.device_count()
    if missing or (wanted.type == "mps" and not torch.backends.mps.is_available()):
        raise ValueError(
            f"The net asks for device={str(device)!r}, but torch finds "
            f"{torch.cuda.device_count()} CUDA devices on this machine. Use device='cpu', or "
            "install a torch build that fits the GPU and its driver."
        )


def _check_validation(net: NeuralNet, validated: bool) -> None:
    for _, callback in _callbacks(net):
        monitor = getattr(callback, "monitor", None)
        if not validated and isinstance(monitor, str) and monitor.startswith("valid"):
            raise ValueError(
                f"The net's callback {type(callback).__name__} watches {monitor!r}, but there "
                "are no validation rows. Set validation=0.1 (or a splitter) on the estimator, "
                "pass X_val and y_val to fit, or let the callback watch 'train_loss'."
            )


def _callbacks(net: NeuralNet) -> list[tuple[str, Any]]:
    """Return names and callbacks as they will be in training, with their ``callbacks__`` set."""
    if net.callbacks == "disable":
        return []
    if not isinstance(net.callbacks, (list, tuple, NoneType)):
        raise ValueError(
            f"The net's callbacks must be a list, None or 'disable'; got {net.callbacks!r}."
        )
    copy = clone(net).set_params(callbacks=list(net.callbacks or []))
    callbacks: list[tuple[str, Any]] = copy.initialize_callbacks().callbacks_
    return callbacks


def _sizes(
    net: NeuralNet, n_outputs: int, input_shape: tuple[int, ...], n_positions: int | None
) -> dict[str, int]:
    """Return the ``module__`` sizes that the module takes, as the data have them."""
    sizes = {"n_outputs": n_outputs, "n_features": math.prod(input_shape)}
    if n_positions is not None and takes_positions(net):
        sizes |= {"n_outputs": n_outputs // n_positions, "n_positions": n_positions}
    if len(input_shape) == 2:
        sizes |= dict(zip(_SEQUENCE_SIZES, input_shape, strict=True))
    known = _module_parameters(net)
    # None is what a module takes for not set.
    given = {k: v for k, v in net.get_params_for("module").items() if v is not None}
    for name, size in sizes.items():
        if given.get(name, size) != size:
            raise ValueError(
                f"The net sets module__{name}={given[name]}, but the data need {size}. Leave "
                f"module__{name} out: the estimator sets it at fit."
            )
    return {f"module__{name}": size for name, size in sizes.items() if name in known}


def _in_memory(net: NeuralNet) -> dict[str, Any]:
    """Return the parameters that replace skorch's default loader by batches from memory."""
    replaced: dict[str, Any] = {}
    for iterator, shuffle in (("iterator_train", True), ("iterator_valid", False)):
        if getattr(net, iterator) not in (DataLoader, InMemoryBatches):
            continue
        for name in net.get_params_for(iterator):
            if name not in ("batch_size", "shuffle"):
                raise ValueError(
                    f"{iterator}__{name} belongs to torch's DataLoader, but rows are served from "
                    "memory and need none. Leave it out."
                )
        replaced |= {iterator: InMemoryBatches, f"{iterator}__shuffle": shuffle}
    return replaced


def _fused(net: NeuralNet) -> dict[str, Any]:
    """Step all weights of our modules in one kernel by Adam: small nets gain a quarter."""
    ours = getattr(net.module, "__module__", "").startswith("sklearn_degu.modules")
    adam = net.optimizer in (torch.optim.Adam, torch.optim.AdamW)
    chosen = _HOW_TO_STEP & set(net.get_params_for("optimizer"))
    return {"optimizer__fused": True} if ours and adam and not chosen else {}


def _criterion(net: NeuralNet, loss: type[HeadLoss]) -> dict[str, Any]:
    if net.criterion is WeightedLoss and issubclass(loss, WeightedLoss):
        return {"criterion": loss}
    if isinstance(net.criterion, nn.Module):
        raise ValueError(
            "The net's criterion is an instance. Pass the class, "
            f"criterion={type(net.criterion).__name__}, and its parameters as criterion__name."
        )
    if issubclass(loss, WeightedLoss):
        return {"criterion": loss, "criterion__criterion": net.criterion}
    if net.criterion is not nn.MSELoss or net.get_params_for("criterion"):
        raise ValueError(
            f"The net has the criterion {_name(net.criterion)}, but is to be trained by "
            f"{loss.__name__}, which would replace it. Leave the net's criterion at MSELoss, "
            "without parameters."
        )
    return {"criterion": loss}


def _module_parameters(net: NeuralNet) -> set[str]:
    return set(inspect.signature(net.module).parameters)


def _name(thing: Any) -> str:
    return getattr(thing, "__name__", repr(thing))
