"""Which rows a training is stopped on."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from sklearn_degu._checkpoint_folder import CheckpointFolder
from sklearn_degu._inputs import Samples, check_more_rows
from sklearn_degu._positions import rows_with_any
from sklearn_degu._splitting import HoldOut, Split

# A standard deviation is calibrated on no fewer rows: one from 20 Gaussian residuals is itself
# uncertain by 1 / sqrt(2 * 20), a sixth of its size.
MIN_VALIDATION = 20


def validation_split(validation: Any, samples: Samples, seed: int) -> Split | None:
    """Return the indices of the rows to train on and of those to validate on.

    Parameters
    ----------
    validation : None, float or splitter
        None holds nothing out. A fraction holds that much out at random, whole groups where
        groups are given. Of a splitter the first split is taken.
    samples : Samples
        The rows.
    seed : int
        Decides a random split.

    Raises
    ------
    ValueError
        If ``validation`` is something else, or leaves no rows on one side.
    """
    if validation is None:
        return None
    hold_out = HoldOut("validation", validation, "validate on", otherwise="None, ")
    return hold_out.split(samples.X, samples.y, samples.groups, seed)


class GivenRows(NamedTuple):
    """Validation rows as passed to ``fit``.

    Attributes
    ----------
    X_val, y_val, sample_weight_val, replicates_val : array-like or None
        As for :meth:`EnsembleRegressor.fit`.
    """

    X_val: Any = None
    y_val: Any = None
    sample_weight_val: Any = None
    replicates_val: Any = None


class TrainingRows(NamedTuple):
    """Rows to train on and rows to validate on.

    Attributes
    ----------
    train : Samples
        Rows to train on.
    valid : Samples or None
        Rows to validate on.
    indices : ndarray of int or None
        Where the validation rows stand among all rows, if they were among them.
    """

    train: Samples
    valid: Samples | None
    indices: NDArray[np.intp] | None

    def check_measured(self, n_positions: int = 1) -> None:
        """Raise if the training rows hold no measurement of a target, at any position."""
        measured = rows_with_any(~np.isnan(self.train.y), n_positions)
        unmeasured = np.flatnonzero(measured == 0)
        if len(unmeasured):
            raise ValueError(
                f"Target {unmeasured[0]} of y has no measurement in the {len(self.train.y)} "
                "training rows (all are NaN), so that nothing can be learned about it. Leave the "
                "target out, or check what the validation split holds out."
            )


def training_rows(
    estimator: BaseEstimator,
    samples: Samples,
    validation: Any,
    seed: int,
    given: GivenRows,
    folder: CheckpointFolder,
) -> TrainingRows:
    """Separate the rows to train on from those to validate on.

    Parameters
    ----------
    estimator : estimator
        Whose fit it is.
    samples : Samples
        All rows.
    validation : None, float or splitter
        See :func:`validation_split`.
    seed : int
        Decides a random split.
    given : GivenRows
        Validation rows as passed to ``fit``; they come before ``validation``.
    folder : CheckpointFolder
        Where the separation is kept: a splitter may draw another one when it is asked again.
    """
    if given.X_val is not None and given.y_val is not None:
        valid = check_more_rows(estimator, *given, name="X_val")
        if valid.y.shape[1] != samples.y.shape[1]:
            raise ValueError(
                f"y_val has {valid.y.shape[1]} targets, but y has {samples.y.shape[1]}."
            )
        return TrainingRows(samples, valid, None)
    if any(part is not None for part in given):
        raise ValueError("Validation data need both X_val and y_val; pass both or neither.")
    split = folder.decided("validation", lambda: validation_split(validation, samples, seed))
    if split is None:
        return TrainingRows(samples, None, None)
    train, held_out = split
    return TrainingRows(samples.take(train), samples.take(held_out), held_out)
