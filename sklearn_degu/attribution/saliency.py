"""Gradients of an output with respect to the bases."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from sklearn_degu.attribution._batches import (
    Progress,
    check_batch_size,
    differentiable_recurrence,
    for_each_batch,
    may_run_side_by_side,
)
from sklearn_degu.attribution._explained import Explained
from sklearn_degu.attribution.maps import Map, corrected


def saliency(
    estimator: Any,
    X: ArrayLike,
    *,
    target: int = 0,
    head: str = "mean",
    correct_gradients: bool = True,
    batch_size: int | None = None,
    verbose: int = 0,
) -> Map:
    r"""Return the gradient of an output with respect to the one-hot sequences [1]_.

    .. math:: a_{c,l} = \frac{\partial f}{\partial x_{c,l}}
        - \frac{1}{4} \sum_{c'} \frac{\partial f}{\partial x_{c',l}}

    Parameters
    ----------
    estimator : estimator or torch.nn.Module
        A fitted estimator of this package, a Pipeline that ends in one, or a module that maps
        (n, 4, length) to (n, n_targets).
    X : array-like of shape (n_sequences, 4, length) or (n_sequences,)
        Sequences, as the estimator reads them; strings for a Pipeline that encodes them.
    target : int, default=0
        Which target: a column of y. Of a profile its sum over all positions is explained, the
        predicted total count.
    head : str, default="mean"
        What is explained: ``"mean"``, or one of the estimator's ``uncertainty_kinds_``: which
        bases make the model unsure. Of profiles there is the mean alone.
    correct_gradients : bool, default=True
        Whether to subtract the mean over the four bases at every position [2]_, the second term.
    batch_size : int, default=None
        Rows that pass through the net at a time. None chooses by the device.
    verbose : int, default=0
        Whether to print, every few seconds, how far it is.

    Returns
    -------
    maps : ndarray of float32 of shape (n_sequences, 4, length)
        Gradients in y's units.

    Raises
    ------
    TypeError, ValueError
        If the estimator, X, ``head`` or ``target`` is not usable.

    Notes
    -----
    The estimator, or module, is not touched: gradients are taken through a copy that shares its
    weights. On a CPU, batches are computed side by side.

    References
    ----------
    .. [1] Simonyan, Vedaldi and Zisserman, "Deep inside convolutional networks", ICLR 2014
       workshop.
    .. [2] Majdandzic, Rajesh and Koo, "Correcting gradient-based interpretations of deep neural
       networks for genomics", Genome Biology 24, 2023.

    Examples
    --------
    >>> import torch
    >>> from sklearn_degu.attribution import saliency
    >>> from sklearn_degu.modules import DeepSTARR
    >>> X = torch.eye(4).repeat(2, 1, 5).numpy()
    >>> saliency(DeepSTARR(n_outputs=1, seq_len=20, width=0.1), X).shape
    (2, 4, 20)
    """
    explained = Explained.of(estimator, X, target=target, head=head)
    sequences, device = explained.X, explained.device
    maps = np.empty(sequences.shape, dtype=np.float32)

    def compute(rows: slice) -> None:
        batch = explained.tensor(sequences[rows]).requires_grad_()
        with differentiable_recurrence(device), torch.enable_grad():
            (gradient,) = torch.autograd.grad(explained.values(batch).sum(), batch)
        values = gradient.cpu().numpy()
        maps[rows] = corrected(values) if correct_gradients else values

    for_each_batch(
        compute,
        len(sequences),
        check_batch_size(batch_size, device, sequences[0].size),
        Progress("saliency", len(sequences), verbose),
        threads=may_run_side_by_side(explained.module, device),
    )
    return maps
