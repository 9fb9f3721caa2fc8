"""Every substitution of a base, predicted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from sklearn_degu._base import NeuralRegressor
from sklearn_degu.attribution._batches import (
    Progress,
    check_batch_size,
    for_each_batch,
    may_run_side_by_side,
)
from sklearn_degu.attribution._explained import (
    Explained,
    Sequences,
    check_head,
    inner_model,
    totals,
)
from sklearn_degu.attribution.maps import Map, corrected
from sklearn_degu.sequences._one_hot import column_codes

Predict = Callable[[Sequences], NDArray[np.float64]]

# Sequences at a time that an estimator predicts, which has batches of its own within.
_CHUNK = 8192


def saturation_mutagenesis(
    estimator: Any,
    X: ArrayLike,
    *,
    target: int = 0,
    head: str = "mean",
    centered: bool = False,
    batch_size: int | None = None,
    verbose: int = 0,
) -> Map:
    """Return by how much every substitution of a base changes an output.

    All 3 ``length`` mutants of a sequence are predicted, at the speed at which the estimator
    predicts anything.

    Parameters
    ----------
    estimator, X, target, head, verbose
        As in :func:`saliency`. Any fitted estimator of this package will do, also one without
        gradients. The bases that a Pipeline adds to strings, such as adaptors, are mutated too.
    centered : bool, default=False
        Whether to subtract the mean over the four bases at every position, the one that is there
        among them: an importance of each base, to be compared with gradients.
    batch_size : int, default=None
        Mutants that are predicted at a time. None chooses.

    Returns
    -------
    maps : ndarray of float32 of shape (n_sequences, 4, length)
        Output with the base at the position less that of the sequence, in y's units: 0 for the
        base that is there.

    Raises
    ------
    TypeError, ValueError
        If the estimator, X, ``head`` or ``target`` is not usable.

    Examples
    --------
    >>> import torch
    >>> from sklearn_degu.attribution import saturation_mutagenesis
    >>> from sklearn_degu.modules import DeepSTARR
    >>> X = torch.eye(4).repeat(2, 1, 5).numpy()
    >>> maps = saturation_mutagenesis(DeepSTARR(n_outputs=1, seq_len=20, width=0.1), X)
    >>> maps.shape, bool((maps[X == 1] == 0).all())
    ((2, 4, 20), True)
    """
    model, sequences = inner_model(estimator, X, head)
    if isinstance(model, nn.Module):
        predict, rows = _of_module(Explained.of(model, sequences, target=target, head=head))
    else:
        predict, rows = _of_estimator(model, sequences, target, head), _CHUNK
    rows = check_batch_size(batch_size or rows, torch.device("cpu"), sequences[0].size)
    maps = np.zeros(sequences.shape, dtype=np.float32)
    progress = Progress("saturation mutagenesis", len(sequences), verbose)
    n_mutants = 3 * sequences.shape[2]
    n_at_a_time = max(1, rows // n_mutants)
    for start in range(0, len(sequences), n_at_a_time):
        some = slice(start, min(start + n_at_a_time, len(sequences)))
        _fill(maps[some], sequences[some], predict, rows)
        progress.add(some.stop - some.start)
    return corrected(maps) if centered else maps


def _fill(maps: Map, X: Sequences, predict: Predict, n_rows: int) -> None:
    """Write the effects of all substitutions into zeros (n, 4, length)."""
    codes = column_codes(X)
    row, base, position = np.nonzero(codes[:, np.newaxis] != np.arange(4)[:, np.newaxis])
    original = predict(X)
    for start in range(0, len(row), n_rows):
        place = tuple(index[start : start + n_rows] for index in (row, base, position))
        maps[place] = predict(_mutants(X, *place)) - original[place[0]]


def _mutants(
    X: Sequences, row: NDArray[Any], base: NDArray[Any], position: NDArray[Any]
) -> Sequences:
    """Return a copy of a row of X with another base for every place."""
    mutants: Sequences = X[row]
    each = np.arange(len(row))
    mutants[each, :, position] = 0
    mutants[each, base, position] = 1
    return mutants


def _of_estimator(model: NeuralRegressor, X: Sequences, target: int, head: str) -> Predict:
    def predictions(rows: Sequences) -> dict[str, NDArray[np.float64]]:
        parts = model.predict_components(rows)
        return {name: part.reshape(len(part), -1) for name, part in parts.items()}

    n_positions = model._n_positions
    check_head(predictions(X[:1]), head, target, n_positions)
    return lambda rows: totals(predictions(rows)[head], n_positions)[:, target]


def _of_module(explained: Explained) -> tuple[Predict, int]:
    """Return the predictions of a module, and how many rows fill it well."""
    device = explained.device
    threads = may_run_side_by_side(explained.module, device)

    def predict(rows: Sequences) -> NDArray[np.float64]:
        values = np.empty(len(rows))

        def compute(some: slice) -> None:
            with torch.no_grad():
                values[some] = explained.values(explained.tensor(rows[some])).cpu().numpy()

        size = check_batch_size(None, device, rows[0].size)
        silent = Progress("prediction", len(rows), verbose=0)
        for_each_batch(compute, len(rows), size, silent, threads=threads)
        return values

    return predict, _CHUNK
