"""Heads: how the outputs of a net become a mean and its uncertainties, and back.

A net has one output for every head and target, and of profiles for every position. This module
alone knows their order: all targets of the first head, each with its positions, then all of the
second. Heads are trained standardised, each output to mean 0
and deviation 1 over the training rows, so that a log-variance near -5 and an activity near 0
weigh alike in the loss; predictions are scaled back to y's units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sklearn_degu._links import (
    DEVIATION_FLOOR,
    Identity,
    Link,
    LogRate,
    LogVariance,
    SoftplusDeviation,
)
from sklearn_degu._positions import at_positions, pooled, pooled_weight

Array = NDArray[np.float64]
Kind = Literal["epistemic", "aleatoric", "total"]
UncertaintyTarget = Literal["log_var", "std"]

# What a net may predict for every target.
HEADS = ("mean", "epistemic", "aleatoric")


@dataclass(frozen=True)
class Head:
    """One quantity that a net predicts for every target.

    Attributes
    ----------
    link : Link
        How the quantity is learned.
    loc, scale : ndarray of shape (n_targets,)
        Mean and deviation of the linked quantity over the training rows.
    factor : ndarray of shape (n_targets,) or float
        Factor on the decoded quantity, see :meth:`Heads.unbiased`.
    loss_weight : float
        Weight of the head's outputs in the loss.
    """

    link: Link
    loc: Array
    scale: Array
    factor: Array | float = 1.0
    loss_weight: float = 1.0

    @classmethod
    def fit(
        cls, link: Link, labels: Array, sample_weight: Array | None, n_positions: int = 1
    ) -> Head:
        """Take loc and scale from labels of shape (n, n_targets), NaN where missing."""
        linked = pooled(link.forward(labels), n_positions)
        moments = weighted_moments(linked, pooled_weight(sample_weight, n_positions))
        loc, scale = (at_positions(moment, n_positions) for moment in moments)
        return cls(link, loc, scale)

    def encode(self, labels: Array) -> Array:
        """Map labels in y's units to training targets."""
        return (self.link.forward(labels) - self.loc) / self.scale

    def decode(self, outputs: Array) -> Array:
        """Map a net's outputs to y's units."""
        return self.factor * self.link.inverse(outputs * self.scale + self.loc)


@dataclass(frozen=True)
class Heads:
    """All heads of a net, in the order of its outputs.

    Attributes
    ----------
    heads : dict of str to Head
        ``"mean"`` and any of ``"epistemic"`` and ``"aleatoric"``.
    n_targets : int
        Number of targets, which every head predicts.
    """

    heads: Mapping[str, Head]
    n_targets: int

    @classmethod
    def fit(
        cls,
        labels: Mapping[str, Array],
        sample_weight: Array | None = None,
        target: UncertaintyTarget = "log_var",
        loss_weights: Mapping[str, float] | None = None,
        *,
        n_positions: int = 1,
        mean_link: Link | None = None,
    ) -> Heads:
        """Take the scales of the heads from the labels of the training rows.

        Parameters
        ----------
        labels : dict of str to ndarray of shape (n, n_targets)
            The mean, and standard deviations by kind, in y's units.
        sample_weight : ndarray of shape (n,), optional
            Weights of the rows.
        target : {"log_var", "std"}, default="log_var"
            How deviations are learned.
        loss_weights : dict of str to float, optional
            Weights of the heads in the loss, 1 where none is given; those of other heads are
            ignored.
        n_positions : int, default=1
            Positions of profiles, whose columns lie side by side and share their scale.
        mean_link : Link, optional
            How the mean is learned, by default as it is.
        """
        given = loss_weights or {}
        heads = {}
        for name, values in labels.items():
            link = mean_link or Identity()
            if name != "mean":
                link = _deviation_link(values, target, n_positions)
            head = Head.fit(link, values, sample_weight, n_positions)
            heads[name] = replace(head, loss_weight=float(given.get(name, 1.0)))
        return cls(heads, labels["mean"].shape[1])

    @classmethod
    def unscaled_mean(cls, n_targets: int, *, rates: bool = False) -> Heads:
        """Describe a net whose outputs are the mean in y's units, or logarithms of rates."""
        link = LogRate.relative_to(np.ones(n_targets)) if rates else Identity()
        head = Head(link, np.zeros(n_targets), np.ones(n_targets))
        return cls({"mean": head}, n_targets)

    @property
    def n_outputs(self) -> int:
        """Number of outputs of the net."""
        return len(self.heads) * self.n_targets

    @property
    def output_weights(self) -> Array | None:
        """Weight of every output in the loss, or None if all weigh alike."""
        weights = [head.loss_weight for head in self.heads.values()]
        return None if len(set(weights)) == 1 else np.repeat(weights, self.n_targets)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of uncertainty among the heads."""
        return tuple(name for name in self.heads if name != "mean")

    def unbiased(
        self,
        outputs: Array,
        labels: Mapping[str, Array],
        sample_weight: Array | None = None,
        n_positions: int = 1,
    ) -> Heads:
        """Return heads whose deviations and rates have the right mean over some labelled rows.

        A net that has learned the mean of a logarithm predicts, transformed back, less than the
        mean: the smearing bias [1]_. The ratio of the means mends it, target by target.

        Parameters
        ----------
        outputs : ndarray of shape (n, n_outputs)
            The net's outputs for the rows.
        labels : dict of str to ndarray of shape (n, n_targets)
            Their labels in y's units.
        sample_weight : ndarray of shape (n,), optional
            Weights of the rows.
        n_positions : int, default=1
            Positions of profiles, which share the ratio.

        References
        ----------
        .. [1] Duan, "Smearing estimate: a nonparametric retransformation method", Journal of the
           American Statistical Association 78, 1983.
        """
        predicted = self.decode(outputs)
        weight = pooled_weight(sample_weight, n_positions)
        heads = dict(self.heads)
        for name, head in self.heads.items():
            if isinstance(head.link, Identity):
                continue
            # Floored as they were learned: members may agree exactly, and a factor of zero
            # would leave a deviation of zero everywhere.
            floored = head.link.inverse(head.link.forward(labels[name]))
            means = (
                np.average(pooled(values, n_positions), axis=0, weights=weight)
                for values in (floored, predicted[name])
            )
            ratio = at_positions(np.divide(*means), n_positions)
            heads[name] = replace(head, factor=head.factor * ratio)
        return replace(self, heads=heads)

    def encode(self, labels: Mapping[str, Array]) -> Array:
        """Return training targets of shape (n, n_outputs)."""
        return np.hstack([head.encode(labels[name]) for name, head in self.heads.items()])

    def encode_variances(self, labels: Mapping[str, Array]) -> Array:
        """Return training targets of a likelihood of the variances, of shape (n, n_outputs).

        The mean is standardised; variances are relative to that of the head's location, a
        logarithm of a variance.
        """
        relative = {
            kind: np.exp(self.heads[kind].link.forward(labels[kind]) - self.heads[kind].loc)
            for kind in self.kinds
        }
        return np.hstack([self.heads["mean"].encode(labels["mean"]), *relative.values()])

    def decode(self, outputs: Array) -> dict[str, Array]:
        """Return the heads' predictions in y's units, each of shape (n, n_targets).

        Raises
        ------
        ValueError
            If the net has another number of outputs.
        """
        if outputs.shape[1] != self.n_outputs:
            raise ValueError(
                f"The net has {outputs.shape[1]} outputs, but {self.n_outputs} were expected: "
                f"{self.n_targets} targets for each of {', '.join(self.heads)}."
            )
        parts = np.split(outputs, len(self.heads), axis=1)
        return {
            name: head.decode(part)
            for (name, head), part in zip(self.heads.items(), parts, strict=True)
        }


def _deviation_link(labels: Array, target: UncertaintyTarget, n_positions: int) -> Link:
    unit = pooled(labels, n_positions).mean(axis=0)
    unit = at_positions(np.where(unit > 0, unit, 1.0), n_positions)
    if target == "log_var":
        return LogVariance.relative_to(unit)
    return SoftplusDeviation(DEVIATION_FLOOR * unit, unit)


def weighted_moments(values: Array, sample_weight: Array | None) -> tuple[Array, Array]:
    """Return mean and standard deviation of each column, leaving NaN out.

    A deviation of zero is returned as one, and so is what rounding leaves of it.
    """
    present = ~np.isnan(values)
    rows = np.ones(len(values)) if sample_weight is None else sample_weight
    weight = present * rows[:, np.newaxis]
    total = weight.sum(axis=0)
    # A target that no training row measured has nothing to say about its scale.
    total = np.where(total > 0, total, 1.0)
    filled = np.where(present, values, 0.0)
    loc = (weight * filled).sum(axis=0) / total
    scale = np.sqrt((weight * (filled - loc) ** 2).sum(axis=0) / total)
    constant = scale <= 10 * np.finfo(np.float64).eps * np.abs(loc)
    return loc, np.where(constant, 1.0, scale)


def available_kinds(components: tuple[str, ...]) -> tuple[str, ...]:
    """Return the kinds that a model with these components offers: both make a total."""
    return (*components, "total") if len(components) == 2 else components


def combine(variances: Mapping[str, Array], kind: str | None) -> Array:
    """Return the standard deviation of one kind, or of all components together.

    Parameters
    ----------
    variances : dict of str to ndarray
        Variance of each component, ``"epistemic"`` or ``"aleatoric"``.
    kind : {"epistemic", "aleatoric", "total"} or None
        None takes every component that there is.

    Raises
    ------
    ValueError
        If the model does not have this kind.
    """
    kinds = available_kinds(tuple(variances))
    if not kinds:
        raise ValueError(
            "This model has no uncertainty to predict: one member alone has nobody to disagree "
            "with. Fit with n_estimators of at least 2, or with aleatoric='replicates' or "
            "'heteroscedastic'."
        )
    if kind is not None and kind not in kinds:
        raise ValueError(f"This model has no {kind!r} uncertainty; it has {', '.join(kinds)}.")
    chosen = list(variances) if kind in (None, "total") else [str(kind)]
    std: Array = np.sqrt(sum(variances[component] for component in chosen))
    return std
