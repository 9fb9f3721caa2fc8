"""What a teacher says of the rows that a student learns on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_degu._checkpoint_folder import CheckpointFolder
from sklearn_degu._lessons import Labels
from sklearn_degu.ensemble import EnsembleRegressor
from sklearn_degu.nets.randomness import one_intra_op_thread


class EnsembleTeaching:
    """The labels of a fitted ensemble, kept as they are computed.

    Parameters
    ----------
    teacher : EnsembleRegressor
        The fitted ensemble.
    folder : CheckpointFolder
        Where the labels are kept.
    n_sampled : int, optional
        How many random members label a row where a generator draws them; all by default.
    prefix : str, default=""
        What the names of kept labels begin with, which keeps them apart from others.
    """

    def __init__(
        self,
        teacher: EnsembleRegressor,
        folder: CheckpointFolder,
        n_sampled: int | None = None,
        prefix: str = "",
    ) -> None:
        self._teacher = teacher
        self._folder = folder
        self._n_sampled = n_sampled
        self._kept_as = f"labels-{prefix}"

    def __call__(
        self, X: NDArray[Any], name: str | int, generator: np.random.Generator | None = None
    ) -> Labels:
        """Return mean and deviations by head, each of shape (n, n_targets), in y's units.

        Parameters
        ----------
        X : ndarray of shape (n, ...)
            Rows.
        name : str or int
            Which rows these are: a name, or the number of a copy of the training rows.
        generator : numpy.random.Generator, optional
            Draws the members that label each row.
        """
        # The first copy decides the scales of the heads; of the others only the last is of use.
        is_later_copy = isinstance(name, int) and name > 1
        return self._folder.kept(
            f"{self._kept_as}{name}",
            lambda: self._label(X, generator),
            replaces=f"{self._kept_as}{int(name) - 1}" if is_later_copy else None,
        )

    def _label(self, X: NDArray[Any], generator: np.random.Generator | None) -> Labels:
        """Return the labels; they decide weights, so no net computes them on several threads."""
        with one_intra_op_thread:
            if generator is None or self._n_sampled is None:
                mean, variances = self._teacher._finite_moments(X)
            else:
                mean, variances = self._teacher._sampled_moments(X, self._n_sampled, generator)
        return {"mean": mean, **{kind: np.sqrt(v) for kind, v in variances.items()}}
