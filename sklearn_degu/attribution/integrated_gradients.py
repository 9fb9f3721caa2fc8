"""Gradients averaged along the way from a baseline."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from sklearn_degu._numbers import as_floats
from sklearn_degu.attribution._batches import (
    Progress,
    check_batch_size,
    differentiable_recurrence,
    for_each_batch,
    may_run_side_by_side,
)
from sklearn_degu.attribution._explained import Explained
from sklearn_degu.attribution._extras import import_extra
from sklearn_degu.attribution._paths import Contributions
from sklearn_degu.attribution.maps import CheckedMaps, Map

# Which part of the largest difference in output the quadrature may miss: rectified nets have
# kinks on the way.
_TOLERANCE = 0.05


def integrated_gradients(
    estimator: Any,
    X: ArrayLike,
    *,
    target: int = 0,
    head: str = "mean",
    baseline: float | ArrayLike = 0.25,
    n_steps: int = 50,
    correct_gradients: bool = True,
    return_deltas: bool = False,
    batch_size: int | None = None,
    verbose: int = 0,
) -> Map | CheckedMaps:
    r"""Return what every base contributes by integrated gradients [1]_.

    With :math:`g` the gradient averaged over the straight way from the baseline *b* to the
    sequence, base *j* at a position contributes, or would contribute if it were there,

    .. math:: a_j = \sum_c (e_{j,c} - b_c) \, g_c

    Parameters
    ----------
    estimator, X, target, head, verbose
        As in :func:`saliency`.
    baseline : float or array-like of shape (4, length) or (n_sequences, 4, length), default=0.25
        Where the way begins, as values of the channels. 0.25 is a sequence of which nothing is
        known; from there the contributions are the corrected gradients :math:`g` themselves.
    n_steps : int, default=50
        Points of the Gauss-Legendre quadrature along the way.
    correct_gradients : bool, default=True
        Whether to subtract the mean over the four bases at every position, as in
        :func:`saliency`. From a baseline whose channels are not all equal, contributions then no
        longer add up to the difference in output.
    return_deltas : bool, default=False
        Whether to return the convergence deltas too.
    batch_size : int, default=None
        Points that pass through the net at a time, but at least ``n_steps``. None chooses by the
        device.

    Returns
    -------
    maps : ndarray of float32 of shape (n_sequences, 4, length)
        Contributions in y's units; :func:`observed_contributions` takes those of the bases that
        are there.
    deltas : ndarray of shape (n_sequences, 1)
        What the contributions before correction lack to add up to the difference in output
        between sequence and baseline. Only with ``return_deltas=True``, in a NamedTuple.

    Raises
    ------
    ImportError
        If captum is not installed.
    TypeError, ValueError
        If the estimator, X or a parameter is not usable.

    Warns
    -----
    RuntimeWarning
        If a delta is larger than 5 % of the largest difference in output.

    References
    ----------
    .. [1] Sundararajan, Taly and Yan, "Axiomatic attribution for deep networks", ICML 2017.
    """
    captum = import_extra("captum.attr", "integrated_gradients")
    explained = Explained.of(estimator, X, target=target, head=head)
    sequences, device = explained.X, explained.device
    if n_steps < 1:
        raise ValueError(f"n_steps must be a positive integer, got {n_steps!r}.")
    starts = _baseline(baseline, sequences.shape)
    # The inputs are multiplied in where maps are made of multipliers.
    method = captum.IntegratedGradients(explained.values, multiply_by_inputs=False)
    found = Contributions(sequences.shape, 1, correct_gradients=correct_gradients)

    def compute(rows: slice) -> None:
        batch, start = explained.tensor(sequences[rows]), explained.tensor(starts[rows])
        with differentiable_recurrence(device):
            gradients = method.attribute(batch, start, n_steps=n_steps)
        with torch.no_grad():
            ends = explained.module(batch), explained.module(start)
        found.fill(rows, gradients.unsqueeze(1), batch, start.unsqueeze(1), *ends)

    for_each_batch(
        compute,
        len(sequences),
        check_batch_size(batch_size, device, sequences[0].size, rows_each=n_steps),
        Progress("integrated gradients", len(sequences), verbose),
        threads=may_run_side_by_side(explained.module, device),
    )
    found.warn(_TOLERANCE, f"The quadrature is too coarse: raise n_steps={n_steps}.")
    return CheckedMaps(found.maps, found.deltas) if return_deltas else found.maps


def _baseline(baseline: float | ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    values = np.asarray(baseline, dtype=np.float64)
    values = values if values.ndim == 0 else as_floats(values, "baseline")
    if values.shape not in ((), shape[1:], shape):
        raise ValueError(
            f"baseline must be a number or have shape {shape[1:]} or {shape}, got {values.shape}."
        )
    return np.broadcast_to(values, shape)
