"""What a net learns of y: its mean as it is, or as the logarithm of a rate of counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skorch import NeuralNet

from sklearn_degu._inputs import Samples
from sklearn_degu._links import LogRate
from sklearn_degu._noise_map import NoiseMap
from sklearn_degu._positions import at_positions, pooled, pooled_weight
from sklearn_degu._validation import TrainingRows
from sklearn_degu.nets.count_losses import RateLoss, predicts_rates
from sklearn_degu.nets.data import Rows
from sklearn_degu.nets.losses import HeadLoss, WeightedLoss
from sklearn_degu.uncertainty import Array, Head, Heads, weighted_moments

Moments = Callable[[NDArray[Any]], tuple[Array, Array, Array]]


@dataclass(frozen=True)
class Objective:
    """The mean of y alone.

    Attributes
    ----------
    heads : Heads
        What the net's outputs are.
    loss : class
        What they are trained by.
    n_replicates : ndarray of shape (n_targets,)
        Of how many replicates y is the mean, as far as the noise head knows.
    n_positions : int
        Positions of profiles, whose columns lie side by side; what is said of the noise is said
        of all positions of a target.
    """

    heads: Heads
    loss: type[HeadLoss]
    n_replicates: Array
    n_positions: int

    @classmethod
    def fit(cls, train: Samples, n_positions: int = 1) -> Objective:
        """Take the scales from the training rows."""
        heads = Heads.fit({"mean": train.y}, train.weight, n_positions=n_positions)
        return cls(heads, WeightedLoss, np.ones(heads.n_targets), n_positions)

    @property
    def loss_params(self) -> dict[str, Any]:
        """Parameters of the loss that the data decide."""
        return {}

    def rows(self, samples: Samples) -> Rows:
        """Return rows with the targets of the loss."""
        return Rows(samples.X, self.heads.heads["mean"].encode(samples.y), samples.weight)

    def noise_map(self, moments: Moments, rows: TrainingRows) -> NoiseMap:
        """Return what makes of the members' mean variance that of the noise.

        Parameters
        ----------
        moments : callable
            Maps X to mean and variance of the members' means and to the mean of their noise
            variances, each (n, n_targets).
        rows : TrainingRows
            The rows of the fit.
        """
        return NoiseMap.identity(self.heads.n_targets)


class RateObjective(Objective):
    """The mean of counts, as the logarithm of a rate, by a likelihood of the counts."""

    @classmethod
    def fit(cls, train: Samples, n_positions: int = 1) -> RateObjective:
        """Take the mean rates from the training rows.

        Raises
        ------
        ValueError
            If y is negative somewhere, or zero everywhere in a target.
        """
        _check_counts(train.y)
        weight = pooled_weight(train.weight, n_positions)
        rate, _ = weighted_moments(pooled(train.y, n_positions), weight)
        if not rate.all():
            raise ValueError(
                f"Target {int(np.argmin(rate))} of y is 0 in all training rows, so that its rate "
                "has no logarithm. Leave the target out."
            )
        rate = at_positions(rate, n_positions)
        mean = Head(LogRate.relative_to(rate), np.log(rate), np.ones_like(rate))
        return cls(Heads({"mean": mean}, len(rate)), RateLoss, np.ones_like(rate), n_positions)

    @property
    def loss_params(self) -> dict[str, Any]:
        """Positions of a profile."""
        return {"n_positions": self.n_positions}

    def rows(self, samples: Samples) -> Rows:
        """Return rows with counts relative to their mean as targets."""
        _check_counts(samples.y)
        relative = samples.y / np.exp(self.heads.heads["mean"].loc)
        return Rows(samples.X, relative, samples.weight)


def mean_objective(train: Samples, nets: Sequence[NeuralNet], n_positions: int = 1) -> Objective:
    """Return what nets learn that learn no noise: y itself, or the logarithm of its rate."""
    kind = RateObjective if predicts_rates(nets) else Objective
    return kind.fit(train, n_positions)


def _check_counts(y: Array) -> None:
    negative = y < 0
    if negative.any():
        raise ValueError(
            f"y has {np.count_nonzero(negative)} negative values, the least is {np.nanmin(y):g}, "
            "but the net's criterion is a likelihood of counts. Pass counts, or leave the "
            "criterion at MSELoss."
        )
