"""Ensembles of members that were trained elsewhere."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNet

from sklearn_degu._members import MembersRegressor
from sklearn_degu._noise import harmonic_mean
from sklearn_degu._noise_map import NoiseMap
from sklearn_degu.nets.count_losses import predicts_rates
from sklearn_degu.nets.prediction import output_shape
from sklearn_degu.nets.progress import tidy_history
from sklearn_degu.uncertainty import Heads

Ensemble = TypeVar("Ensemble", bound=MembersRegressor)

_NOISE = ("aleatoric", "likelihood", "noise_of")


def as_part(
    ensembles: type[Ensemble], member: Any, input_shape: tuple[int, ...] | None
) -> Ensemble:
    """Return a member trained elsewhere as a fitted ensemble of a class.

    Raises
    ------
    TypeError
        If it is neither a skorch net nor an ensemble of the class.
    ValueError
        If it does not read samples of this shape, or nothing says their shape.
    """
    if not isinstance(member, (NeuralNet, ensembles)):
        raise TypeError(
            "members must be fitted skorch nets or fitted EnsembleRegressors, got "
            f"{type(member).__name__}."
        )
    # Older skorch nets do not tell scikit-learn whether they are fitted.
    check_is_fitted(member, "module_" if isinstance(member, NeuralNet) else None)
    if isinstance(member, ensembles):
        return member
    if input_shape is None:
        raise ValueError(
            "A net does not say what it was trained on: pass input_shape, the shape of a sample, "
            "such as (4, 249) for sequences or (10,) for ten features."
        )
    ensemble = ensembles(net=clone(member), n_estimators=1)
    ensemble.estimators_ = [member]
    ensemble.input_shape_ = tuple(input_shape)
    try:
        shape = output_shape(member, tuple(input_shape))
    except RuntimeError as error:
        raise ValueError(
            f"A member cannot read samples of input_shape={tuple(input_shape)}: {error}"
        ) from error
    n_outputs = math.prod(shape[1:])
    ensemble._n_positions = shape[2] if len(shape) == 3 else None
    ensemble.n_replicates_ = np.ones(n_outputs)
    ensemble._noise_map = NoiseMap.identity(n_outputs)
    ensemble._seen_rows = np.empty(0, dtype=np.uint64)
    heads = Heads.unscaled_mean(n_outputs, rates=predicts_rates([member]))
    return ensemble._assemble([heads], y_ndim=1 if shape == (1, 1) else len(shape))


def check_together(parts: Sequence[MembersRegressor]) -> None:
    """Raise if fitted ensembles differ in what they read, or in what they predict.

    Raises
    ------
    ValueError
        With what differs.
    """
    first = parts[0]
    for part in parts[1:]:
        if (part.input_shape_, part.n_outputs_) != (first.input_shape_, first.n_outputs_):
            raise ValueError(
                "The members do not fit together: one reads samples of shape "
                f"{first.input_shape_} and predicts {first.n_outputs_} targets, another "
                f"reads {part.input_shape_} and predicts {part.n_outputs_}."
            )
        if part._n_positions != first._n_positions:
            raise ValueError(
                "The members do not fit together: one predicts profiles of n_positions="
                f"{first._n_positions}, another of n_positions={part._n_positions}."
            )
        if _noise_settings(part) != _noise_settings(first):
            raise ValueError(
                "The members do not fit together: they were fitted with "
                f"{_noise_settings(first)} and {_noise_settings(part)}."
            )
    _check_names(parts)


def _check_names(parts: Sequence[MembersRegressor]) -> None:
    """Raise if columns have other names, or stand in another order, for some than for others."""
    named = [part.feature_names_in_ for part in parts if hasattr(part, "feature_names_in_")]
    for names in named[1:]:
        if not np.array_equal(names, named[0]):
            column = int(np.flatnonzero(names != named[0])[0])
            raise ValueError(
                "The members do not fit together: they were fitted on columns of other names, or "
                f"in another order. Column {column} is {named[0][column]!r} for one and "
                f"{names[column]!r} for another."
            )


def _noise_settings(part: MembersRegressor) -> str:
    settings = {name: getattr(part, name) for name in _NOISE}
    return ", ".join(f"{name}={value!r}" for name, value in settings.items())


def warn_if_misfit_counts_twice(parts: Sequence[MembersRegressor]) -> None:
    """Warn if the noise of several ensembles holds the misfit of each."""
    if len(parts) > 1 and parts[0].aleatoric == "heteroscedastic":
        warnings.warn(
            "The noise that heteroscedastic members learned holds the misfit of each part, which "
            "the epistemic deviation of all parts together counts again: the total is too large. "
            "RecalibratedRegressor corrects it on rows that no part has seen.",
            UserWarning,
            stacklevel=3,
        )


def assembled(ensembles: type[Ensemble], parts: Sequence[Ensemble]) -> Ensemble:
    """Return an ensemble of a class that has the members of all parts, and shares their weights."""
    first, nets = parts[0], [net for part in parts for net in part.estimators_]
    noise = {name: getattr(first, name) for name in _NOISE}
    ensemble = ensembles(net=first.net, n_estimators=len(nets), **noise)
    ensemble.estimators_ = nets
    n_members = [len(part.estimators_) for part in parts]
    of_members = np.repeat([part.n_replicates_ for part in parts], n_members, axis=0)
    ensemble.n_replicates_ = harmonic_mean(of_members, np.ones_like(of_members))
    ensemble._noise_map = NoiseMap.mean([part._noise_map for part in parts], n_members)
    ensemble.input_shape_ = first.input_shape_
    ensemble._n_positions = first._n_positions
    ensemble.n_features_in_ = math.prod(first.input_shape_)
    ensemble.history_ = tidy_history(nets)
    ensemble._seen_rows = np.unique(np.concatenate([part._seen_rows for part in parts]))
    for name in ("feature_names_in_", "validation_indices_", "fingerprint_"):
        _copy_if_shared(name, parts, ensemble)
    return ensemble._assemble([heads for part in parts for heads in part._heads], first._y_ndim)


def _copy_if_shared(
    name: str, parts: Sequence[MembersRegressor], ensemble: MembersRegressor
) -> None:
    """Give an assembled ensemble what all its parts agree on, such as their validation rows."""
    values: list[Any] = [getattr(part, name, None) for part in parts]
    shared = all(np.array_equal(value, values[0]) for value in values)
    if shared and values[0] is not None:
        setattr(ensemble, name, values[0])
    elif name != "feature_names_in_":
        setattr(ensemble, name, None)
