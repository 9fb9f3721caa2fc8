"""Links: how a quantity in y's units is learned, as an output without bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# The smallest standard deviation that a head can say, as a fraction of the mean deviation that
# it was trained on: members may agree exactly, and the logarithm of zero must not happen.
DEVIATION_FLOOR = 1e-3

# The smallest rate of counts whose logarithm is learned, as a fraction of the mean rate.
RATE_FLOOR = 1e-6


class Link(Protocol):
    """A strictly monotone map between a quantity in y's units and an unbounded output."""

    def forward(self, value: Array) -> Array:
        """Map from y's units."""

    def inverse(self, output: Array) -> Array:
        """Map back to y's units."""


@dataclass(frozen=True)
class Identity:
    """The mean is learned as it is."""

    def forward(self, value: Array) -> Array:
        """Return the value."""
        return value

    def inverse(self, output: Array) -> Array:
        """Return the output."""
        return output


@dataclass(frozen=True)
class LogRate:
    """The mean of counts learned as the logarithm of their rate.

    Attributes
    ----------
    floor : ndarray of shape (n_targets,)
        Smallest rate that has a logarithm.
    """

    floor: Array

    def forward(self, value: Array) -> Array:
        """Map a rate to its logarithm."""
        log_rate: Array = np.log(np.maximum(value, self.floor))
        return log_rate

    def inverse(self, output: Array) -> Array:
        """Map a logarithm to its rate, which is positive."""
        rate: Array = np.exp(output)
        return rate

    @classmethod
    def relative_to(cls, unit: Array) -> LogRate:
        """Return the link for rates of about ``unit``."""
        return cls(RATE_FLOOR * unit)


@dataclass(frozen=True)
class LogVariance:
    """A standard deviation learned as the logarithm of its square.

    Attributes
    ----------
    floor : ndarray of shape (n_targets,)
        Smallest deviation.
    """

    floor: Array

    def forward(self, value: Array) -> Array:
        """Map a deviation to its log-variance."""
        log_var: Array = 2 * np.log(np.maximum(value, self.floor))
        return log_var

    def inverse(self, output: Array) -> Array:
        """Map a log-variance to its deviation, which is positive."""
        std: Array = np.maximum(np.exp(0.5 * output), self.floor)
        return std

    @classmethod
    def relative_to(cls, unit: Array) -> LogVariance:
        """Return the link for deviations of about ``unit``."""
        return cls(DEVIATION_FLOOR * unit)


@dataclass(frozen=True)
class SoftplusDeviation:
    """A standard deviation learned through softplus: linear where large, positive everywhere.

    Attributes
    ----------
    floor : ndarray of shape (n_targets,)
        Smallest deviation.
    unit : ndarray of shape (n_targets,)
        The deviation at which softplus bends: the mean over the training rows.
    """

    floor: Array
    unit: Array

    def forward(self, value: Array) -> Array:
        """Map a deviation to the output whose softplus it is."""
        ratio = np.maximum(value, self.floor) / self.unit
        output: Array = ratio + np.log(-np.expm1(-ratio))
        return output

    def inverse(self, output: Array) -> Array:
        """Map an output to a deviation, which is positive."""
        std: Array = np.maximum(self.unit * np.logaddexp(0.0, output), self.floor)
        return std
