"""Deep evidential regression: a normal-inverse-gamma distribution for every target."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from sklearn_degu.nets.losses import HeadLoss

# Added to the three positive parameters, where a clamp would leave no gradient to come back by.
# Targets have unit variance: nu stays above a millionth of an observation, so that the epistemic
# deviation is at most 1000 times the aleatoric one, and at alpha = 2 the aleatoric deviation is at
# least a thousandth.
FLOOR = 1e-6


class NormalInverseGamma(NamedTuple):
    r"""A distribution of the mean and the variance of y.

    .. math:: \mu \sim N(\gamma, \sigma^2 / \nu), \quad \sigma^2 \sim \Gamma^{-1}(\alpha, \beta)

    The first quarter of a net's outputs is gamma of every target, then follow nu, alpha and beta.

    Attributes
    ----------
    gamma, nu, alpha, beta : Tensor of shape (n, n_targets)
        The parameters, of standardised targets; ``nu > 0``, ``alpha > 1``, ``beta > 0``.
    """

    gamma: Tensor
    nu: Tensor
    alpha: Tensor
    beta: Tensor

    @classmethod
    def of(cls, outputs: Tensor) -> NormalInverseGamma:
        """Read the parameters from a net's outputs of shape (n, 4 * n_targets)."""
        gamma, nu, alpha, beta = outputs.chunk(4, dim=1)
        return cls(gamma, _positive(nu), 1 + _positive(alpha), _positive(beta))

    @property
    def aleatoric_variance(self) -> Tensor:
        r"""Expected variance of y about its mean, :math:`E[\sigma^2] = \beta / (\alpha - 1)`."""
        return self.beta / (self.alpha - 1)

    @property
    def epistemic_variance(self) -> Tensor:
        r"""Variance of the mean, :math:`Var[\mu] = \beta / (\nu (\alpha - 1))`."""
        return self.aleatoric_variance / self.nu

    def negative_log_likelihood(self, y: Tensor) -> Tensor:
        r"""Return the negative logarithm of the marginal density of y.

        It is Student's, with location :math:`\gamma`, squared scale
        :math:`\beta (1 + \nu) / (\nu \alpha)` and :math:`2 \alpha` degrees of freedom.
        """
        omega = 2 * self.beta * (1 + self.nu)
        # The published form -alpha log(omega) + (alpha + 1/2) log(nu r^2 + omega), without the
        # difference of two large numbers.
        misfit = (self.alpha + 0.5) * torch.log1p(self.nu * (y - self.gamma) ** 2 / omega)
        spread = 0.5 * (math.log(math.pi) + torch.log(omega) - torch.log(self.nu))
        return spread + misfit + torch.lgamma(self.alpha) - torch.lgamma(self.alpha + 0.5)


class EvidentialLoss(HeadLoss):
    r"""Negative log-likelihood of y, and a price on evidence where the prediction is wrong [1]_.

    .. math:: -\log St\left(y; \gamma, \tfrac{\beta (1 + \nu)}{\nu \alpha}, 2 \alpha\right)
        + \lambda |y - \gamma| (2 \nu + \alpha)

    Parameters
    ----------
    regularization : float, default=0.01
        The factor :math:`\lambda`.

    References
    ----------
    .. [1] Amini, Schwarting, Soleimany and Rus, "Deep evidential regression", NeurIPS 2020,
       equations 8 to 10.
    """

    outputs_a_column = 4

    def __init__(self, regularization: float = 0.01) -> None:
        super().__init__()
        self.regularization = regularization

    def each(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Return the loss of every row and target."""
        evidence = NormalInverseGamma.of(prediction)
        price = (y - evidence.gamma).abs() * (2 * evidence.nu + evidence.alpha)
        return evidence.negative_log_likelihood(y) + self.regularization * price


def _positive(output: Tensor) -> Tensor:
    return softplus(output) + FLOOR
