"""The weights of a module: whether they are its own, and how it gets them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from sklearn_degu.exceptions import ModelFileError

# What a module may compute for itself and leave out of its weights, such as positions.
_MAX_UNSAVED_BYTES = 2**26


def check_weights(module: nn.Module, weights: Mapping[str, Tensor], who: str) -> None:
    """Raise if weights are not those of a module, which may be on the meta device.

    Floating types may differ if all weights share one: a module is cast to its data's type.

    Raises
    ------
    ModelFileError
        With the first name, shape, type or number that is wrong.
    """
    own = module.state_dict()
    missing, extra = sorted(own.keys() - weights.keys()), sorted(weights.keys() - own.keys())
    if missing or extra:
        raise ModelFileError(
            f"The file's weights are not those of {who}: "
            f"{'missing' if missing else 'unknown'} are {(missing or extra)[:5]}. The class may "
            "have changed since it was saved."
        )
    cast = floating_type(weights)
    for name, tensor in own.items():
        _check_alike(name, tensor, weights[name], cast, who)
    parameters = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    for name, weight in weights.items():
        _check_finite(name, weight, name in parameters, who)
    _check_unsaved(module, own, who)


def floating_type(weights: Mapping[str, Tensor]) -> torch.dtype | None:
    """Return the floating type that all weights share, None if they have several or none."""
    types = {weight.dtype for weight in weights.values() if weight.is_floating_point()}
    return types.pop() if len(types) == 1 else None


def load_weights(module: nn.Module, weights: Mapping[str, Tensor], who: str) -> None:
    """Cast a module to the type of weights and give it them.

    Raises
    ------
    ModelFileError
        If they are not its own.
    """
    cast = floating_type(weights)
    if cast is not None:
        module.to(cast)
    check_weights(module, weights, who)
    module.load_state_dict(dict(weights))


def _check_alike(
    name: str, own: Tensor, weight: Tensor, cast: torch.dtype | None, who: str
) -> None:
    dtype = cast if cast is not None and own.is_floating_point() else own.dtype
    if (own.shape, dtype) != (weight.shape, weight.dtype):
        raise ModelFileError(
            f"The weight {name!r} of {who} must have the shape {tuple(own.shape)} and the type "
            f"{dtype}, but has {tuple(weight.shape)} and {weight.dtype}."
        )


def _check_finite(name: str, weight: Tensor, is_parameter: bool, who: str) -> None:
    """Refuse NaN, and infinity but in buffers, where masks have it."""
    if not weight.is_floating_point() or weight.is_meta:
        return
    bad = torch.isnan(weight) if not is_parameter else ~torch.isfinite(weight)
    if bad.any():
        raise ModelFileError(
            f"The weight {name!r} of {who} holds NaN or infinity in {int(bad.sum())} of "
            f"{weight.numel()} places: the model predicts nothing."
        )


def _check_unsaved(module: nn.Module, saved: Mapping[str, Tensor], who: str) -> None:
    """Refuse large buffers that the file does not hold, and so does not bound."""
    buffers = dict(module.named_buffers(remove_duplicate=False))
    unsaved = sum(b.numel() * b.element_size() for name, b in buffers.items() if name not in saved)
    if unsaved > _MAX_UNSAVED_BYTES:
        raise ModelFileError(
            f"The buffers of {who} that are not in the file would take {unsaved} bytes; at most "
            f"{_MAX_UNSAVED_BYTES} are allowed. Register them as persistent."
        )
