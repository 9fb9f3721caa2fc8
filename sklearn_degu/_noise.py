"""What a member learns: the mean of y, and on request the noise of its measurement."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import GammaRegressor

from sklearn_degu._inputs import Samples
from sklearn_degu._validation import TrainingRows
from sklearn_degu.nets.data import Rows
from sklearn_degu.nets.losses import (
    BetaGaussianLoss,
    GaussianLoss,
    HeadLoss,
    LaplaceLoss,
    ReplicateLoss,
    WeightedLoss,
)
from sklearn_degu.uncertainty import Array, Head, Heads, LogVariance

Moments = Callable[[NDArray[Any]], tuple[Array, Array, Array]]
Aleatoric = Literal["replicates", "heteroscedastic"]
Likelihood = Literal["gaussian", "beta", "laplace"]
NoiseOf = Literal["mean", "replicate"]

# Fewer validation rows with a spread say too little of a target's noise to calibrate it on.
MIN_VALIDATION = 20

# The smallest part of the members' own variance that is left to the noise.
SMALLEST_FACTOR = 0.01

# Draws the slope of a NoiseMap towards 1, as if it were known to 0.3 beforehand.
SLOPE_PENALTY = 10.0

LIKELIHOODS: dict[str, type[HeadLoss]] = {
    "gaussian": GaussianLoss,
    "beta": BetaGaussianLoss,
    "laplace": LaplaceLoss,
}


@dataclass(frozen=True)
class NoiseMap:
    r"""What makes of the members' mean variance the variance of the noise.

    The mean of several predictions, each right on average for the rows that it singles out, is
    spread less than the truth: what one member rightly says is diluted by the others. The map is
    log-linear, :math:`u \, e^{a} (v / u)^{b}`, with :math:`b` usually above 1.

    Attributes
    ----------
    unit : ndarray of shape (n_targets,)
        The variance :math:`u` that the members' variances are relative to.
    level, slope : ndarray of shape (n_targets,)
        :math:`a` and :math:`b`.
    """

    unit: Array
    level: Array
    slope: Array

    @classmethod
    def identity(cls, n_targets: int) -> NoiseMap:
        """Return the map that changes nothing."""
        return cls(np.ones(n_targets), np.zeros(n_targets), np.ones(n_targets))

    @classmethod
    def fit(
        cls, unit: Array, variance: Array, measured: Array, weight: Array, *, with_slope: bool
    ) -> NoiseMap:
        """Fit the map to sample variances, by their gamma likelihood.

        Parameters
        ----------
        unit : ndarray of shape (n_targets,)
            Unit of the variances.
        variance : ndarray of shape (n, n_targets)
            The members' mean variance.
        measured, weight : ndarray of shape (n, n_targets)
            Sample variance of the replicates, and its weight, 0 where there is none.
        with_slope : bool
            Whether to fit the slope too, which is drawn towards 1.
        """
        relative = np.log(variance / unit)
        fits = [
            _log_linear(
                relative[rows, t], (measured / variance)[rows, t], weight[rows, t], with_slope
            )
            for t, rows in enumerate((weight > 0).T)
        ]
        level, extra = np.array(fits).T
        return cls(unit, level, 1 + extra)

    @classmethod
    def mean(cls, maps: Sequence[NoiseMap]) -> NoiseMap:
        """Return one map for members that were calibrated apart."""
        return cls(
            np.exp(np.mean([np.log(part.unit) for part in maps], axis=0)),
            np.mean([part.level for part in maps], axis=0),
            np.mean([part.slope for part in maps], axis=0),
        )

    def __call__(self, variance: Array) -> Array:
        """Map variances of shape (n, n_targets)."""
        mapped: Array = self.unit * np.exp(self.level) * (variance / self.unit) ** self.slope
        return mapped


def _log_linear(x: Array, ratio: Array, weight: Array, with_slope: bool) -> tuple[float, float]:
    """Return intercept and slope of the logarithm of the expected ratio."""
    mean = float(np.average(ratio, weights=weight))
    if not with_slope or mean == 0:
        return (np.log(mean) if mean > 0 else 0.0), 0.0
    model = GammaRegressor(alpha=SLOPE_PENALTY / len(x), max_iter=1000)
    # The gamma likelihood is defined for positive values; equal replicates have variance 0.
    model.fit(x[:, np.newaxis], np.maximum(ratio, np.finfo(np.float64).tiny), weight)
    return float(model.intercept_), float(model.coef_[0])


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
    """

    heads: Heads
    loss: type[HeadLoss]
    n_replicates: Array

    @classmethod
    def fit(cls, train: Samples) -> Objective:
        """Take the scales from the training rows."""
        heads = Heads.fit({"mean": train.y}, train.weight)
        return cls(heads, WeightedLoss, np.ones(heads.n_targets))

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
    def fit(cls, train: Samples) -> ReplicateObjective:
        """Take the scales from the training rows.

        Raises
        ------
        ValueError
            If a target has no row with two replicates, or no spread between them.
        """
        replicates = _replicates_of(train)
        variance, freedom = _spread(replicates)
        _warn_of_single_replicates(freedom, ~np.isnan(train.y))
        weight = np.maximum(freedom, 0.0) * _row_weights(train)
        mean_variance = _weighted_mean(variance, weight)
        _check_spread(mean_variance, np.nanmax(np.abs(replicates), axis=(0, 2), initial=0.0))
        n_replicates = _weighted_median(freedom + 1, (freedom >= 0) * _row_weights(train))
        heads = _with_noise(train, np.sqrt(mean_variance))
        return cls(heads, ReplicateLoss, n_replicates, _shares(freedom, weight))

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
        variance, freedom = _spread(samples.replicates)
        relative = variance / np.exp(self.heads.heads["aleatoric"].loc)
        # Half the degrees of freedom, but never so much that the mean would drown.
        typical = sum(freedom * share for freedom, share in self.freedom.items())
        noise_weight = np.maximum(freedom, 0) / max(2.0, typical)
        importance = np.hstack([np.ones_like(freedom), noise_weight])
        return means._replace(y=np.hstack([means.y, relative]), target_weight=importance)

    def noise_map(self, moments: Moments, rows: TrainingRows) -> NoiseMap:
        """Fit the map to the replicates of the validation rows, or else of the training rows."""
        valid = rows.valid
        part, slope_known = rows.train, False
        if valid is not None and valid.replicates is not None:
            n_known = (~np.isnan(valid.replicates)).sum(axis=-1) > 1
            if n_known.sum(axis=0).min() >= MIN_VALIDATION:
                part, slope_known = valid, True
        measured, freedom = _spread(_replicates_of(part))
        weight = np.maximum(freedom, 0.0) * _row_weights(part)
        unit = np.exp(self.heads.heads["aleatoric"].loc)
        # A net knows its training rows too well to tell how far it spreads other ones.
        return NoiseMap.fit(unit, moments(part.X)[2], measured, weight, with_slope=slope_known)


class LikelihoodObjective(Objective):
    """The mean of y, and its residual noise, misfit included, by a likelihood of y."""

    @classmethod
    def of(cls, train: Samples, likelihood: Likelihood) -> LikelihoodObjective:
        """Take the scales from the training rows."""
        alone = Objective.fit(train)
        heads = _with_noise(train, alone.heads.heads["mean"].scale)
        return cls(heads, LIKELIHOODS[likelihood], alone.n_replicates)

    def noise_map(self, moments: Moments, rows: TrainingRows) -> NoiseMap:
        """Return the factor that gives the total the mean square of the validation residuals.

        A member's residual holds its own misfit, which the mean of the members partly averages
        out and which the epistemic variance counts again.
        """
        alone = super().noise_map(moments, rows)
        if rows.valid is None or (~np.isnan(rows.valid.y)).sum(axis=0).min() < MIN_VALIDATION:
            return alone
        mean, spread, noise = moments(rows.valid.X)
        known = ~np.isnan(rows.valid.y) * _row_weights(rows.valid)
        residual = _weighted_mean((rows.valid.y - mean) ** 2 - spread, known)
        factor = residual / _weighted_mean(noise, known)
        # Members may differ by nearly the whole residual, or more.
        return replace(alone, level=np.log(np.maximum(factor, SMALLEST_FACTOR)))


def objective(aleatoric: Aleatoric | None, likelihood: Likelihood, train: Samples) -> Objective:
    """Return what members learn on the training rows.

    Parameters
    ----------
    aleatoric : {"replicates", "heteroscedastic"} or None
        Where the noise is learned from.
    likelihood : {"gaussian", "beta", "laplace"}
        Of y, for ``"heteroscedastic"``.
    train : Samples
        The training rows.

    Raises
    ------
    ValueError
        If replicates are needed and there are none, or they have no spread.
    """
    if aleatoric == "replicates":
        return ReplicateObjective.fit(train)
    if train.replicates is not None:
        warnings.warn(
            f"The replicates are not used by aleatoric={aleatoric!r}. To learn the noise from "
            "them, set aleatoric='replicates'.",
            UserWarning,
            stacklevel=3,
        )
    if aleatoric == "heteroscedastic":
        return LikelihoodObjective.of(train, likelihood)
    return Objective.fit(train)


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


def _with_noise(train: Samples, unit: Array) -> Heads:
    """Return heads for the mean and for a noise of about ``unit``, learned as its logarithm."""
    mean = Heads.fit({"mean": train.y}, train.weight)
    noise = Head(LogVariance.relative_to(unit), 2 * np.log(unit), np.ones_like(unit))
    return Heads({**mean.heads, "aleatoric": noise}, mean.n_targets)


def _replicates_of(train: Samples) -> NDArray[np.float64]:
    if train.replicates is None:
        raise ValueError(
            "aleatoric='replicates' learns the noise from replicates, but none were passed: "
            "fit(X, y, replicates=...). Without replicates use aleatoric='heteroscedastic'."
        )
    return train.replicates


def _spread(replicates: NDArray[np.float64]) -> tuple[Array, Array]:
    """Return the sample variance over replicates, and its degrees of freedom.

    Both have shape (n, n_targets). Where fewer than two replicates are there the variance is
    NaN; the degrees of freedom are then 0, or -1 without any replicate.
    """
    present = ~np.isnan(replicates)
    freedom = present.sum(axis=-1) - 1.0
    filled = np.where(present, replicates, 0.0)
    mean = filled.sum(axis=-1) / np.maximum(freedom + 1, 1)
    squares = (present * (filled - mean[..., np.newaxis]) ** 2).sum(axis=-1)
    return np.where(freedom > 0, squares / np.maximum(freedom, 1), np.nan), freedom


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


def _weighted_median(values: Array, weight: Array) -> Array:
    """Return the median of each column, as if every row occurred as often as it weighs."""
    medians = []
    for column, weights in zip(values.T, weight.T, strict=True):
        order = np.argsort(column)
        reached = np.cumsum(weights[order]) / weights.sum()
        middle = [np.searchsorted(reached, 0.5, side) for side in ("left", "right")]
        medians.append(column[order][middle].mean())
    return np.array(medians)


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
            stacklevel=5,
        )
