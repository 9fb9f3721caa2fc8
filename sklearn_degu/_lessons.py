"""The rows that a teacher labels for a student, epoch by epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_degu._inputs import Samples
from sklearn_degu.nets.data import Rows
from sklearn_degu.nets.randomness import Seeds
from sklearn_degu.uncertainty import Array, Heads

Augmentation = Callable[[NDArray[Any], np.random.Generator], NDArray[Any]]

# A teacher of ten labels a row at the cost of about three steps of training on it. A student
# that sees each edited copy this often spends about half of its time on labels, not most of it.
EPOCHS_A_COPY = 4


class Lessons:
    """What a student is trained on: rows, and what the teacher says of them.

    With an augmentation the student sees edited copies of the training rows *instead of* the
    rows: there the teacher repeats the measurements that it was fitted to, and is too sure of
    itself. A new copy is drawn every few epochs.

    Parameters
    ----------
    label : callable
        Maps rows, and a name for them, to the teacher's labels in y's units, by head.
    train : Samples
        The training rows.
    unlabeled : ndarray of shape (n_unlabeled, ...)
        Further rows, seen in every epoch.
    augment : callable or None
        Maps rows and a generator to edited rows.
    seed : int
        Decides the edits.

    Attributes
    ----------
    X : ndarray of shape (n, ...)
        The rows of this epoch.
    labels : dict of str to ndarray of shape (n, n_targets)
        What the teacher says of them, in y's units.
    weight : ndarray of shape (n,) or None
        Their weights; further rows have the average weight.
    """

    def __init__(
        self,
        label: Callable[[NDArray[Any], str], dict[str, Array]],
        train: Samples,
        unlabeled: NDArray[Any],
        augment: Augmentation | None,
        seed: int,
    ) -> None:
        self._label = label
        self._train = train
        self._augment = augment
        self._seed = Seeds(seed).augmentation
        self._unlabeled = unlabeled, label(unlabeled, "unlabeled") if len(unlabeled) else {}
        self.weight = _appended(train.weight, len(unlabeled))
        self._draw(copy=0)

    def encoded(self, heads: Heads) -> Rows:
        """Return the rows with their labels as the student's outputs learn them."""
        return Rows(self.X, heads.encode(self.labels), self.weight, heads.output_weights)

    def refreshed(self, epoch: int, heads: Heads) -> Rows | None:
        """Return the rows of an epoch, counted from 0, or None if they stay as they are."""
        copy = epoch // EPOCHS_A_COPY
        if self._augment is None or copy == self._copy:
            return None
        self._draw(copy)
        return self.encoded(heads)

    def _draw(self, copy: int) -> None:
        self._copy = copy
        X = self._train.X
        if self._augment is not None:
            # A generator for each copy, so that a training can go on at any of them.
            generator = np.random.default_rng([self._seed, copy])
            X = _checked(self._augment(_read_only(X), generator), X)
        labels = self._label(X, f"copy-{copy}")
        more, more_labels = self._unlabeled
        if len(more):
            X = np.concatenate([X, more])
            labels = {name: np.vstack([labels[name], more_labels[name]]) for name in labels}
        self.X, self.labels = X, labels


def _read_only(X: NDArray[Any]) -> NDArray[Any]:
    """Return a view that an augmentation cannot edit in place: X may be the user's own array."""
    view = X.view()
    view.flags.writeable = False
    return view


def _checked(returned: Any, X: NDArray[Any]) -> NDArray[Any]:
    edited: NDArray[Any] = np.asarray(returned)
    if edited.dtype.kind not in "biuf" or not np.isfinite(edited).all():
        raise ValueError(
            "augment must return finite numbers; it returned an array of "
            f"{edited.dtype} with missing or infinite values, or no array at all."
        )
    if edited.shape != X.shape:
        raise ValueError(
            f"augment must return an array of the shape that it is given, {X.shape}; it returned "
            f"{edited.shape}."
        )
    return edited


def _appended(weight: Array | None, n_more: int) -> Array | None:
    return None if weight is None else np.append(weight, np.full(n_more, weight.mean()))
