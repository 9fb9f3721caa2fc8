"""What a member learns beside the mean of y: on request the noise of its measurement."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from skorch import NeuralNet

from sklearn_degu._inputs import Samples
from sklearn_degu._links import LogVariance
from sklearn_degu._noise_map import NoiseMap
from sklearn_degu._objectives import Moments, Objective, mean_objective
from sklearn_degu._positions import at_positions, pooled, rows_with_any
from sklearn_degu._replicates import sample_variance
from sklearn_degu._validation import MIN_VALIDATION, TrainingRows
from sklearn_degu.nets.count_losses import predicts_rates
from sklearn_degu.nets.data import Rows
from sklearn_degu.nets.losses import (
    BetaGaussianLoss,
    GaussianLoss,
    HeadLoss,
    LaplaceLoss,
    ReplicateLoss,
)
from sklearn_degu.uncertainty import Array, Head, Heads

Aleatoric = Literal["replicates", "heteroscedastic"]
Likelihood = Literal["gaussian", "beta", "laplace"]
NoiseOf = Literal["mean", "replicate"]

# The smallest part of the members' own variance that is left to the noise.
SMALLEST_FACTOR = 0.01

LIKELIHOODS: dict[str, type[HeadLoss]] = {
    "gaussian": GaussianLoss,
    "beta": BetaGaussianLoss,
    "laplace": LaplaceLoss,
}


@dataclass(frozen=True)
class ReplicateObjective(Objective):
    """The mean of y, and the noise of a replicate from the spread over replicates.

    Attributes
    ----------
    freedom : dict of float to float
        Degrees of freedom of the sample variances, and the share of the weight that they have.
    """

    freedom: Mapping[float, float]

    @classmethod
    def fit(cls, train: Samples, n_positions: int = 1) -> ReplicateObjective:
        """Take the scales from the training rows.

        Raises
        ------
        ValueError
            If a target has no row with two replicates, or no spread between them.
        """
        replicates = _replicates_of(train)
        variance, freedom = sample_variance(replicates)
        _warn_of_single_replicates(freedom, ~np.isnan(train.y))
        weight = np.maximum(freedom, 0.0) * _row_weights(train)
        mean_variance = _pooled_mean(variance, weight, n_positions)
        largest = np.nanmax(np.abs(replicates), axis=2, initial=0.0)
        _check_spread(mean_variance, pooled(largest, n_positions).max(axis=0))
        n_replicates = harmonic_mean(
            pooled(freedom + 1, n_positions),
            pooled((freedom >= 0) * _row_weights(train), n_positions),
        )
        return cls(
            _with_noise(train, np.sqrt(mean_variance), n_positions),
            ReplicateLoss,
            at_positions(n_replicates, n_positions),
            n_positions,
            _shares(freedom, weight),
        )

    @property
    def loss_params(self) -> dict[str, Any]:
        """Degrees of freedom of the sample variances and their shares of the weight."""
        return {"freedom": self.freedom}

    def rows(self, samples: Samples) -> Rows:
        """Return rows with the mean and the sample variance as targets."""
        means = super().rows(samples)
        if samples.replicates is None:
            variance = np.full(samples.y.shape, np.nan)
            return means._replace(y=np.hstack([means.y, variance]))
        variance, freedom = sample_variance(samples.replicates)
        relative = variance / np.exp(self.heads.heads["aleatoric"].loc)
        # Half the degrees of freedom, but never so much that the mean would drown.
        typical = sum(freedom * share for freedom, share in self.freedom.items())
        noise_weight = np.maximum(freedom, 0) / max(2.0, typical)
        importance = np.hstack([np.ones_like(freedom), noise_weight])
        return means._replace(y=np.hstack([means.y, relative]), target_weight=importance)

    def noise_map(self, moments: Moments, rows: TrainingRows) -> NoiseMap:
        """Fit the map to the replicates of the validation rows, or else of the training rows.

        Of the rows every target chooses for itself. A net knows its training rows too well to tell
        how far it spreads other ones: on them only the level is fitted.
        """
        held_out = np.zeros(self.heads.n_targets // self.n_positions, dtype=bool)
        parts = [(rows.train, ~held_out)]
        if rows.valid is not None:
            held_out = _tell_enough(
                rows_with_any(_with_spread(rows.valid), self.n_positions),
                "with two replicates or more",
                "For these targets only the level of the noise is set, on the training rows. Pass "
                "replicates_val with X_val, or hold out more rows.",
            )
            parts = [(rows.train, ~held_out), (rows.valid, held_out)]
        evidence = [
            _evidence(moments, part, at_positions(chosen, self.n_positions))
            for part, chosen in parts
            if chosen.any()
        ]
        variance, measured, weight = map(np.vstack, zip(*evidence, strict=True))
        unit = np.exp(self.heads.heads["aleatoric"].loc)
        return NoiseMap.fit(
            unit, variance, measured, weight, with_slope=held_out, n_positions=self.n_positions
        )


class LikelihoodObjective(Objective):
    """The mean of y, and its residual noise, misfit included, by a likelihood of y."""

    @classmethod
    def of(cls, train: Samples, likelihood: Likelihood, n_positions: int) -> LikelihoodObjective:
        """Take the scales from the training rows."""
        alone = Objective.fit(train, n_positions)
        unit = alone.heads.heads["mean"].scale[::n_positions]
        heads = _with_noise(train, unit, n_positions)
        return cls(heads, LIKELIHOODS[likelihood], alone.n_replicates, n_positions)

    def noise_map(self, moments: Moments, rows: TrainingRows) -> NoiseMap:
        """Return the factor that gives the total the mean square of the validation residuals.

        A member's residual holds its own misfit, which the mean of the members partly averages
        out and which the epistemic variance counts again.
        """
        alone = super().noise_map(moments, rows)
        if rows.valid is None:
            return alone
        measured = ~np.isnan(rows.valid.y)
        enough = _tell_enough(
            rows_with_any(measured, self.n_positions),
            "with a measurement",
            "For these targets the noise is left as the members say it. Hold out more rows.",
        )
        mean, spread, noise = moments(rows.valid.X)
        weight = measured * _row_weights(rows.valid)
        residual = _pooled_mean((rows.valid.y - mean) ** 2 - spread, weight, self.n_positions)
        factor = residual / _pooled_mean(noise, weight, self.n_positions)
        # Members may differ by nearly the whole residual, or more.
        level = np.where(enough, np.log(np.maximum(factor, SMALLEST_FACTOR)), 0.0)
        return replace(alone, level=at_positions(level, self.n_positions))


def objective(
    aleatoric: Aleatoric | None,
    likelihood: Likelihood,
    train: Samples,
    nets: Sequence[NeuralNet] = (),
    n_positions: int = 1,
) -> Objective:
    """Return what members learn on the training rows.

    Parameters
    ----------
    aleatoric : {"replicates", "heteroscedastic"} or None
        Where the noise is learned from.
    likelihood : {"gaussian", "beta", "laplace"}
        Of y, for ``"heteroscedastic"``.
    train : Samples
        The training rows.
    nets : sequence of skorch.NeuralNet, optional
        Their criterion says whether they predict y or the logarithm of a rate of counts.
    n_positions : int, default=1
        Positions of profiles.

    Raises
    ------
    ValueError
        If replicates are needed and there are none, or they have no spread; if rates are to be
        predicted and y holds no counts, or with a noise beside them.
    """
    rates = predicts_rates(nets)
    if rates and aleatoric is not None:
        raise ValueError(
            f"aleatoric={aleatoric!r} cannot be learned beside rates: the criterion "
            f"{nets[0].criterion.__name__} is itself a likelihood of y, which says how far counts "
            "are spread. Set aleatoric=None, or leave the net's criterion at MSELoss."
        )
    if aleatoric == "replicates":
        return ReplicateObjective.fit(train, n_positions)
    if train.replicates is not None:
        warnings.warn(
            f"The replicates are not used by aleatoric={aleatoric!r}. To learn the noise from "
            "them, set aleatoric='replicates'.",
            UserWarning,
            stacklevel=4,
        )
    if aleatoric == "heteroscedastic":
        return LikelihoodObjective.of(train, likelihood, n_positions)
    return mean_objective(train, nets, n_positions)


def check_noise_parameters(aleatoric: Any, likelihood: Any, noise_of: Any) -> None:
    """Raise if a parameter is none of its values."""
    allowed = {
        "aleatoric": (aleatoric, (None, "replicates", "heteroscedastic")),
        "likelihood": (likelihood, tuple(LIKELIHOODS)),
        "noise_of": (noise_of, ("mean", "replicate")),
    }
    for name, (value, values) in allowed.items():
        if value not in values:
            raise ValueError(f"{name} must be one of {values}, got {value!r}.")


def warn_of_unused_parameters(aleatoric: Any, likelihood: Any, noise_of: Any) -> None:
    """Warn of a parameter that is not at its default and that this noise has no use for."""
    parameters = (
        ("likelihood", likelihood, "gaussian", "heteroscedastic"),
        ("noise_of", noise_of, "mean", "replicates"),
    )
    for name, value, default, user in parameters:
        if value != default and aleatoric != user:
            warnings.warn(
                f"{name}={value!r} has no effect: it is for aleatoric={user!r}, but aleatoric is "
                f"{aleatoric!r}.",
                UserWarning,
                stacklevel=3,
            )


def _with_noise(train: Samples, unit: Array, n_positions: int) -> Heads:
    """Return heads for the mean and for a noise of about ``unit``, learned as its logarithm."""
    mean = Heads.fit({"mean": train.y}, train.weight, n_positions=n_positions)
    unit = at_positions(unit, n_positions)
    noise = Head(LogVariance.relative_to(unit), 2 * np.log(unit), np.ones_like(unit))
    return Heads({**mean.heads, "aleatoric": noise}, mean.n_targets)


def _replicates_of(train: Samples) -> NDArray[np.float64]:
    if train.replicates is None:
        raise ValueError(
            "aleatoric='replicates' learns the noise from replicates, but none were passed: "
            "fit(X, y, replicates=...). Without replicates use aleatoric='heteroscedastic'."
        )
    return train.replicates


def _with_spread(samples: Samples) -> NDArray[np.bool_]:
    """Tell where there are two replicates or more, as an array of shape (n, n_targets)."""
    if samples.replicates is None:
        return np.zeros(samples.y.shape, dtype=bool)
    return sample_variance(samples.replicates)[1] > 0


def _evidence(
    moments: Moments, samples: Samples, chosen: NDArray[np.bool_]
) -> tuple[Array, Array, Array]:
    """Return predicted and sample variances, and their weights, which only chosen targets have."""
    measured, freedom = sample_variance(_replicates_of(samples))
    weight = chosen * np.maximum(freedom, 0.0) * _row_weights(samples)
    return moments(samples.X)[2], measured, weight


def _tell_enough(n_rows: NDArray[Any], kind: str, otherwise: str) -> NDArray[np.bool_]:
    """Return which targets have validation rows to calibrate on, and warn of the others."""
    enough = n_rows >= MIN_VALIDATION
    if not enough.all():
        counts = ", ".join(f"{n_rows[t]} for target {t}" for t in np.flatnonzero(~enough))
        warnings.warn(
            f"Too few validation rows {kind} to calibrate the noise on: {counts}; "
            f"{MIN_VALIDATION} are needed. {otherwise}",
            UserWarning,
            stacklevel=5,
        )
    return enough


def _row_weights(samples: Samples) -> Array:
    """Return the weights of the rows, of shape (n, 1)."""
    weight = np.ones(len(samples.y)) if samples.weight is None else samples.weight
    return weight[:, np.newaxis]


def _weighted_mean(values: Array, weight: Array) -> Array:
    """Return the mean of each column over the rows of positive weight; NaN without any."""
    total = weight.sum(axis=0)
    sums = np.where(weight > 0, weight * values, 0.0).sum(axis=0)
    mean: Array = np.divide(sums, total, out=np.full(len(total), np.nan), where=total > 0)
    return mean


def _pooled_mean(values: Array, weight: Array, n_positions: int) -> Array:
    """Return the mean of every target over rows and positions of positive weight."""
    return _weighted_mean(pooled(values, n_positions), pooled(weight, n_positions))


def harmonic_mean(n_replicates: Array, weight: Array) -> Array:
    """Return r of each column such that 1/r is the mean of 1/r over the rows."""
    most = n_replicates.max(axis=0)
    # Relative to the largest, so that the mean of equal numbers is exactly that number.
    relative = most / np.maximum(n_replicates, 1)
    mean: Array = most / _weighted_mean(relative, weight)
    return mean


def _shares(freedom: Array, weight: Array) -> dict[float, float]:
    """Return what part of the weight variances of each number of degrees of freedom have."""
    total = weight.sum()
    return {
        float(value): float(weight[freedom == value].sum() / total)
        for value in np.unique(freedom[freedom > 0])
    }


def _check_spread(mean_variance: Array, largest: Array) -> None:
    if np.isnan(mean_variance).any():
        raise ValueError(
            f"Target {int(np.argmax(np.isnan(mean_variance)))} has no training row with two "
            "replicates or more, so that nothing can be learned about its noise."
        )
    rounding = (10 * np.finfo(np.float64).eps * largest) ** 2
    if (mean_variance <= rounding).any():
        raise ValueError(
            f"The replicates of target {int(np.argmax(mean_variance <= rounding))} agree exactly "
            "in every training row: they have no noise to learn. Check that the columns are "
            "different measurements."
        )


def _warn_of_single_replicates(freedom: Array, measured: NDArray[np.bool_]) -> None:
    """Warn of rows with a measured target that has fewer than two replicates."""
    n_single = int(((freedom < 1) & (measured | (freedom == 0))).any(axis=1).sum())
    if n_single:
        warnings.warn(
            f"{n_single} of {len(freedom)} training rows have fewer than two replicates of a "
            "target: there they contribute to the mean alone, and not to its noise.",
            UserWarning,
            stacklevel=6,
        )
