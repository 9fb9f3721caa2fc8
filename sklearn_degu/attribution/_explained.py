"""What is explained: one output of a model, as a function of one-hot sequences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from sklearn_degu._base import NeuralRegressor
from sklearn_degu._calibration import CalibratedRegressor
from sklearn_degu._inputs import check_predict_data
from sklearn_degu._numbers import is_whole
from sklearn_degu._prediction_module import PredictionModule, with_shared_weights
from sklearn_degu.nets.data import as_tensor
from sklearn_degu.profiles import BinnedProfileRegressor
from sklearn_degu.recalibration import RecalibratedRegressor
from sklearn_degu.sequences._one_hot import check_one_hot_shape

Sequences = NDArray[Any]


class Inner(NamedTuple):
    """What an estimator is around, and the sequences as that reads them.

    Attributes
    ----------
    model : NeuralRegressor or torch.nn.Module
        What computes.
    X : ndarray of shape (n, 4, length)
        One-hot sequences.
    """

    model: NeuralRegressor | nn.Module
    X: Sequences


def inner_model(estimator: Any, X: Any, head: str = "mean") -> Inner:
    """Return what an estimator is around, and X as that reads it.

    Raises
    ------
    TypeError
        If it is none of this package's estimators, no Pipeline that ends in one, and no module.
    ValueError
        If X is not what it reads, or is empty, or ``head`` is that of a recalibration.
    """
    if isinstance(estimator, Pipeline):
        for _, step in estimator.steps[:-1]:
            X = X if step in (None, "passthrough") else step.transform(X)
        return inner_model(estimator.steps[-1][1], X, head)
    if isinstance(estimator, FrozenEstimator):
        return inner_model(estimator.estimator, X, head)
    if isinstance(estimator, CalibratedRegressor):
        check_is_fitted(estimator)
        _refuse_recalibrated(estimator, head)
        return inner_model(estimator.estimator_, X, head)
    if isinstance(estimator, BinnedProfileRegressor):
        check_is_fitted(estimator)
        _refuse_bins(estimator)
        return inner_model(estimator.estimator_, X, head)
    return Inner(estimator, _sequences_of(estimator, X))


def _refuse_bins(estimator: BinnedProfileRegressor) -> None:
    if estimator.bin_size is not None:
        raise ValueError(
            f"Bins cannot be explained one by one, but bin_size={estimator.bin_size}. With "
            "bin_size=None it is the total over all positions that is explained."
        )


def _refuse_recalibrated(estimator: CalibratedRegressor, head: str) -> None:
    if isinstance(estimator, RecalibratedRegressor) and head != "mean":
        raise ValueError(
            f"head={head!r} of a recalibrated estimator cannot be explained: a recalibration is "
            "no part of the net. Explain the deviation before it: pass estimator.estimator_."
        )


def _sequences_of(model: Any, X: Any) -> Sequences:
    if isinstance(model, nn.Module):
        sequences = check_one_hot_shape(X)
    elif isinstance(model, NeuralRegressor):
        check_is_fitted(model)
        _check_reads_sequences(model)
        sequences = check_predict_data(model, X)
    else:
        raise TypeError(
            "estimator must be a fitted estimator of this package, a Pipeline that ends in one, "
            f"or a torch.nn.Module; got {type(model).__name__}."
        )
    if not len(sequences):
        raise ValueError("X holds no sequence: nothing to explain.")
    return sequences


def _check_reads_sequences(model: NeuralRegressor) -> None:
    shape = model.input_shape_
    if len(shape) != 2 or shape[0] != 4:
        raise ValueError(
            f"{type(model).__name__} does not read sequences: it was fitted on samples of shape "
            f"{shape}, not (4, length)."
        )


class Explained(NamedTuple):
    """A scalar function of sequences.

    Attributes
    ----------
    module : torch.nn.Module
        Maps sequences (n, 4, length) to values (n, 1), in evaluation mode. It shares weights with
        the user's, and nothing else.
    X : ndarray of shape (n, 4, length)
        One-hot sequences.
    device, dtype : torch.device, torch.dtype
        Of the weights.
    """

    module: nn.Module
    X: Sequences
    device: torch.device
    dtype: torch.dtype

    @classmethod
    def of(cls, estimator: Any, X: Any, *, target: int, head: str) -> Explained:
        """Return one output of an estimator.

        Raises
        ------
        TypeError
            If it is not an estimator or module that could be explained.
        ValueError
            If X is not what it reads, or it has no such head or target.
        """
        model, sequences = inner_model(estimator, X, head)
        module = with_shared_weights(model) if isinstance(model, nn.Module) else model.to_module()
        module.eval().requires_grad_(False)
        like = next((p for p in module.parameters() if p.is_floating_point()), torch.zeros(()))
        device, dtype = like.device, like.dtype
        with torch.no_grad():
            predicted = module(as_tensor(sequences[:1]).to(device).to(dtype))
        n_positions = module.n_positions if isinstance(module, PredictionModule) else None
        named = predicted if isinstance(predicted, dict) else {"mean": predicted}
        check_head(named, head, target, n_positions)
        return cls(_Output(module, head, target, n_positions).eval(), sequences, device, dtype)

    def tensor(self, X: Sequences) -> Tensor:
        """Return rows as the module reads them."""
        return as_tensor(X).to(self.device).to(self.dtype)

    @property
    def values(self) -> Callable[[Tensor], Tensor]:
        """The function of sequences (n, 4, length), whose values are (n,)."""
        return lambda X: self.module(X)[:, 0]


class _Output(nn.Module):
    """One target of one head of a module; of profiles, its sum over positions."""

    def __init__(self, module: nn.Module, head: str, target: int, n_positions: int | None) -> None:
        super().__init__()
        self.module = module
        self.head = head
        self.target = target
        self.n_positions = n_positions

    def forward(self, X: Tensor) -> Tensor:
        predicted = self.module(X)
        values: Tensor = predicted[self.head] if isinstance(predicted, dict) else predicted
        chosen: Tensor = totals(values, self.n_positions)[:, self.target : self.target + 1]
        return chosen


def totals(values: Any, n_positions: int | None) -> Any:
    """Return values (n, t), or those of profiles (n, t * P) summed over their positions."""
    if n_positions is None:
        return values
    return values.reshape(len(values), -1, n_positions).sum(2)


def check_head(
    predicted: dict[str, Any], head: str, target: int, n_positions: int | None = None
) -> None:
    """Raise unless there is a target of a head among predictions by name, of shape (n, t).

    Of profiles it is (n, t * P), and the sum over positions is explained.

    Raises
    ------
    ValueError
        With what there is.
    """
    if head not in predicted:
        raise ValueError(f"The model has no head {head!r}; it has {', '.join(predicted)}.")
    if n_positions is not None and head != "mean":
        raise ValueError(
            f"head={head!r} of profiles cannot be explained: what is explained is the sum over "
            "positions, and the deviations of positions do not add up to that of their sum. "
            "Explain head='mean'; ensemble_attribution tells how the members' maps differ."
        )
    values = predicted[head]
    if values.ndim != 2:
        raise ValueError(
            f"The module must return values of shape (n, n_targets), got {tuple(values.shape)}."
        )
    values = totals(values, n_positions)
    if not is_whole(target) or not 0 <= target < values.shape[1]:
        raise ValueError(
            f"target must be an integer from 0 to {values.shape[1] - 1}, for the model's "
            f"{values.shape[1]} targets; got {target!r}."
        )
