"""The rows that a teacher labels for a student, epoch by epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sklearn_degu._inputs import Samples
from sklearn_degu.nets.data import Rows
from sklearn_degu.nets.randomness import Seeds
from sklearn_degu.uncertainty import Array, Heads

Augmentation = Callable[[NDArray[Any], np.random.Generator], NDArray[Any]]
Labels = dict[str, Array]

# What the scales of the heads are taken from, and the student's deviations if nothing is held out,
# where its teacher is sampled: so many rows are labelled by all members.
N_REFERENCE = 4096


class Teaching(Protocol):
    """What a teacher says of rows, in y's units, by head."""

    def __call__(
        self, X: NDArray[Any], name: str | int, generator: np.random.Generator | None = None
    ) -> Labels:
        """Return what all members say together, or random ones if a generator draws them."""


class Plan(NamedTuple):
    """Which rows a student sees, and who labels them.

    Attributes
    ----------
    augment : callable or None
        Maps rows and a generator to edited rows.
    copy_epochs : int
        How many epochs see the same copy and the same labels.
    keep_originals : bool
        Whether the training rows are shown beside their edited copy, and not replaced by it.
    samples_members : bool
        Whether random members label the rows, and not all.
    """

    augment: Augmentation | None = None
    copy_epochs: int = 1
    keep_originals: bool = False
    samples_members: bool = False

    @property
    def changes(self) -> bool:
        """Whether rows or labels are drawn anew."""
        return self.augment is not None or self.samples_members


class Lessons:
    """What a student is trained on: rows, and what the teacher says of them.

    With an augmentation the student sees edited copies of the training rows, by default *instead
    of* the rows: there the teacher repeats the measurements that it was fitted to, and is too sure
    of itself.

    Parameters
    ----------
    teaching : Teaching
        Labels rows.
    train : Samples
        The training rows.
    unlabeled : ndarray of shape (n_unlabeled, ...)
        Further rows, seen in every epoch.
    plan : Plan
        Which rows are shown, and who labels them.
    seed : int
        Decides the edits and the members.

    Attributes
    ----------
    X : ndarray of shape (n, ...)
        The rows of this epoch.
    labels : dict of str to ndarray of shape (n, n_targets)
        What the teacher says of them, in y's units.
    weight : ndarray of shape (n,) or None
        Their weights; further rows have the average weight.
    reference : tuple of ndarray and dict
        Rows, and what all members say of them.
    """

    def __init__(
        self,
        teaching: Teaching,
        train: Samples,
        unlabeled: NDArray[Any],
        plan: Plan,
        seed: int,
    ) -> None:
        self._teaching = teaching
        self._train = train
        self._plan = plan
        self._seed = Seeds(seed).augmentation
        appends = plan.augment is not None and plan.keep_originals
        originals = train.X if appends else train.X[:0]
        # As they are in every epoch, so that all members need to label them only once.
        self._lasting = [rows for rows in (originals, unlabeled) if len(rows)]
        self._lasting_labels: Labels | None = None
        self.weight = _weights(train.weight, 1 + appends, len(unlabeled))
        self._draw(copy=0)
        self._reference: tuple[NDArray[Any], Labels] | None = None
        if plan.samples_members:
            n_rows = len(train.X)
            drawn = np.random.default_rng([self._seed, 0, 1]).permutation(n_rows)
            self._referred = np.sort(drawn[:N_REFERENCE])
            some = self.X[self._referred]
            self._reference = some, teaching(some, "reference")

    @property
    def reference(self) -> tuple[NDArray[Any], Labels]:
        """Rows, and what all members say of them."""
        return (self.X, self.labels) if self._reference is None else self._reference

    @property
    def reference_weight(self) -> Array | None:
        """The weights of these rows."""
        if self._reference is None or self.weight is None:
            return self.weight
        return self.weight[self._referred]

    def rows(self, heads: Heads) -> Rows:
        """Return the rows with their labels as the student's outputs learn them."""
        encode = heads.encode_variances if self._plan.samples_members else heads.encode
        return Rows(self.X, encode(self.labels), self.weight, heads.output_weights)

    def refreshed(self, epoch: int, heads: Heads) -> Rows | None:
        """Return the rows of an epoch, counted from 0, or None if they stay as they are."""
        copy = epoch // self._plan.copy_epochs
        if not self._plan.changes or copy == self._copy:
            return None
        self._draw(copy)
        return self.rows(heads)

    def _draw(self, copy: int) -> None:
        self._copy = copy
        # A generator for each copy, so that a training can go on at any of them.
        generator = np.random.default_rng([self._seed, copy])
        X = self._train.X
        if self._plan.augment is not None:
            X = edited(self._plan.augment, X, generator)
        self.X, self.labels = self._labelled(X, copy, generator)

    def _labelled(
        self, X: NDArray[Any], copy: int, generator: np.random.Generator
    ) -> tuple[NDArray[Any], Labels]:
        """Return a copy together with the lasting rows, and all their labels."""
        together = np.concatenate([X, *self._lasting]) if self._lasting else X
        if self._plan.samples_members:
            return together, self._teaching(together, copy, generator)
        labels = self._teaching(X, copy)
        if self._lasting:
            if self._lasting_labels is None:
                self._lasting_labels = self._teaching(np.concatenate(self._lasting), "lasting")
            more = self._lasting_labels
            labels = {head: np.vstack([labels[head], more[head]]) for head in labels}
        return together, labels


def edited(augment: Augmentation, X: NDArray[Any], generator: np.random.Generator) -> NDArray[Any]:
    """Return an edited copy of rows.

    Raises
    ------
    ValueError
        If what is returned are not finite numbers of the same shape.
    """
    # X may be the user's own array.
    view = X.view()
    view.flags.writeable = False
    returned: NDArray[Any] = np.asarray(augment(view, generator))
    if returned.dtype.kind not in "biuf" or not np.isfinite(returned).all():
        raise ValueError(
            "augment must return finite numbers; it returned an array of "
            f"{returned.dtype} with missing or infinite values, or no array at all."
        )
    if returned.shape != X.shape:
        raise ValueError(
            f"augment must return an array of the shape that it is given, {X.shape}; it returned "
            f"{returned.shape}."
        )
    return returned


def _weights(weight: Array | None, n_times: int, n_more: int) -> Array | None:
    """Return the weights of the rows, shown so many times, and the average for further rows."""
    if weight is None:
        return None
    return np.append(np.tile(weight, n_times), np.full(n_more, weight.mean()))
