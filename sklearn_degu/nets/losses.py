"""Losses of a batch whose rows and targets may weigh unequally.

A net has one output for every head and target. The mean is learned by an element-wise loss; the
noise beside it by the likelihood of the replicates (:class:`ReplicateLoss`), or both together by
the likelihood of y (:class:`GaussianLoss` and its relatives). Outputs and targets are
standardised, and a noise output is the logarithm of a variance.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from sklearn_degu.nets.data import Target

# The smallest log-variance that a loss takes seriously, of a deviation of a thousandth: a row that
# is fitted exactly would pull it to minus infinity. Losses are counted from there, so that they are
# never negative: callbacks watch for an improvement by a fraction of the loss.
LOG_VARIANCE_FLOOR = 2 * math.log(1e-3)

# Degrees of freedom of the noise around its expectation over those of a sample variance: heavy
# tails to begin with; and what is as good as Gaussian, while its gamma functions are still exact.
FIRST_KAPPA = 2.0
LAST_KAPPA = 100.0


class HeadLoss(nn.Module):
    """Weighted mean of a loss of every row and target.

    Subclasses say how many outputs the net has for every column of the targets, and what the
    loss of each row and column is.

    Raises
    ------
    ValueError
        If predictions and targets do not fit together: torch would broadcast ``(n,)`` against
        ``(n, 1)`` to ``(n, n)``.
    """

    outputs_a_column: ClassVar[int] = 1

    def forward(self, prediction: Tensor, target: Target) -> Tensor:
        """Return the weighted mean over predictions and targets of shape (n, k).

        Predicted profiles (n, outputs, positions) are read as flattened.
        """
        if prediction.ndim == 3:
            prediction = prediction.flatten(1)
        y, weight = target if isinstance(target, (tuple, list)) else (target, None)
        expected = (len(y), self.outputs_a_column * y.shape[-1])
        if y.ndim != 2 or prediction.shape != expected:
            raise ValueError(
                f"The net's output has shape {tuple(prediction.shape)}, but targets of shape "
                f"{tuple(y.shape)} need {expected}. The module must return (n_samples, n_outputs), "
                "or profiles (n_samples, n_outputs, n_positions) if it takes n_positions; of "
                "flattened profiles say module__n_positions on the net."
            )
        if weight is not None and weight.shape != y.shape:
            raise ValueError(
                f"The weights have shape {tuple(weight.shape)}, but must have that of the targets, "
                f"{tuple(y.shape)}."
            )
        loss = self.each_of(prediction, y, weight)
        return loss.mean() if weight is None else (loss * weight).sum() / weight.sum()

    def each_of(self, prediction: Tensor, y: Tensor, weight: Tensor | None) -> Tensor:
        """Return the loss of every row and column, for a loss that asks which are present."""
        return self.each(prediction, y)

    @abstractmethod
    def each(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Return the loss of every row and column, of the shape of y."""


class WeightedLoss(HeadLoss):
    """Mean of an element-wise loss over the targets that are present.

    Parameters
    ----------
    criterion : class, default=torch.nn.MSELoss
        Loss module that takes ``reduction="none"``.
    **kwargs : object
        Parameters of ``criterion``.

    Raises
    ------
    ValueError
        If ``criterion`` cannot be made with ``reduction="none"``.
    """

    def __init__(self, criterion: type[nn.Module] = nn.MSELoss, **kwargs: Any) -> None:
        super().__init__()
        try:
            self.criterion = criterion(**{**kwargs, "reduction": "none"})
        except TypeError as error:
            raise ValueError(
                f"The net's criterion must be a class that takes reduction='none', as torch's "
                f"element-wise losses do (MSELoss, HuberLoss, L1Loss); got {criterion!r}, which "
                f"says: {error}."
            ) from error

    def each(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Return the criterion of every output."""
        loss: Tensor = self.criterion(prediction, y)
        return loss


class ReplicateLoss(WeightedLoss):
    r"""The criterion for the means, and the likelihood of the replicates for their noise.

    The sample variance :math:`s^2` of replicates, on :math:`\nu` degrees of freedom, is taken for
    :math:`\sigma^2` times an F variable with :math:`\nu` and :math:`\kappa \nu` degrees of freedom,
    as in empirical Bayes for microarrays [1]_: the noise of a row varies around what its
    features tell. The negative log-likelihood, up to a constant, is :math:`\nu / 2` times

    .. math:: (1 + \kappa) \log \left( 1 + \frac{s^2}{\kappa \sigma^2} \right) + \log \sigma^2
        + \log \kappa + \frac{2}{\nu} \log B \left( \frac{\nu}{2}, \frac{\kappa \nu}{2} \right)

    :math:`\kappa` is learned with the net. Where it is large this is the likelihood of Gaussian
    replicates, which uses all that they tell of the noise (a regression on :math:`\log s^2` uses
    61 % of what triplicates tell). Where single replicates fail it is small, and the gradient,
    between :math:`-\kappa` and 1, keeps them from upsetting the training. The mean does not
    enter, so that noisy rows keep their weight in it.

    The first half of the outputs and targets are means; the second are logarithms of variances
    in the outputs and sample variances in the targets. The factor :math:`\nu / 2` is a weight of
    the target, at most 1 for typical :math:`\nu`.

    Parameters
    ----------
    criterion : class, default=torch.nn.MSELoss
        Loss module of the means.
    freedom : dict of float to float, optional
        Degrees of freedom of the sample variances, and the share of the noise's weight that
        variances of these have. By default all have 2, as those of triplicates.
    **kwargs : object
        Parameters of ``criterion``.

    References
    ----------
    .. [1] Smyth, "Linear models and empirical Bayes methods for assessing differential expression
       in microarray experiments", Statistical Applications in Genetics and Molecular Biology 3,
       2004.
    """

    def __init__(
        self,
        criterion: type[nn.Module] = nn.MSELoss,
        freedom: Mapping[float, float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(criterion, **kwargs)
        self.freedom = {2.0: 1.0} if freedom is None else dict(freedom)
        self.log_kappa = nn.Parameter(torch.tensor(math.log(FIRST_KAPPA)))

    def each(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Return the criterion of every mean, and the deviance of every variance."""
        mean, log_variance = _halves(prediction)
        y_mean, variance = y.chunk(2, dim=1)
        kappa = self.log_kappa.exp().clamp(max=LAST_KAPPA)
        ratio = variance * torch.exp(-log_variance)
        deviance = (1 + kappa) * torch.log1p(ratio / kappa) + log_variance
        return torch.cat([self.criterion(mean, y_mean), deviance + self._norm(kappa)], dim=1)

    def _norm(self, kappa: Tensor) -> Tensor:
        """Return what the likelihood has of kappa alone, on average over the rows."""
        norm = kappa.log() - LOG_VARIANCE_FLOOR
        for freedom, share in self.freedom.items():
            half = freedom / 2
            log_beta = math.lgamma(half) + (kappa * half).lgamma() - ((1 + kappa) * half).lgamma()
            norm = norm + share * log_beta / half
        return norm


class SampledTeacherLoss(WeightedLoss):
    r"""The criterion for the mean, and the likelihood of variances that few members tell.

    A student that learns from random members of an ensemble is given an unbiased estimate
    :math:`s^2` of their variance on so few degrees of freedom, :math:`\nu`, that its logarithm says
    little. The gamma likelihood of :math:`s^2`, :math:`\nu / 2` times

    .. math:: \frac{s^2}{\sigma^2} - 1 - \log \frac{s^2}{\sigma^2}

    is least in expectation where :math:`\sigma^2` is the expectation of :math:`s^2`. One member
    alone has no variance: in training the squared deviation from the student's own mean takes its
    place, which is the variance and the student's squared error.

    The outputs are the mean and, of every deviation, the standardised log-variance; the targets
    the mean and, of every deviation, the variance relative to that of output zero.

    Parameters
    ----------
    criterion : class, default=torch.nn.MSELoss
        Loss module of the mean.
    n_members : int, default=2
        How many members an estimate is from.
    scales : sequence of float of shape (n_variances,), optional
        The log-variance of an output of one, without that of zero; 1 by default.
    mean_variances : sequence of float of shape (n_targets,), optional
        The variance of one unit of the mean, in the units of the first variances of the targets;
        for a single member. 1 by default.
    **kwargs : object
        Parameters of ``criterion``.
    """

    def __init__(
        self,
        criterion: type[nn.Module] = nn.MSELoss,
        n_members: int = 2,
        scales: Sequence[float] = (1.0,),
        mean_variances: Sequence[float] = (1.0,),
        **kwargs: Any,
    ) -> None:
        super().__init__(criterion, **kwargs)
        self.n_members = n_members
        self.scales = nn.Buffer(torch.tensor(scales))
        self.mean_variances = nn.Buffer(torch.tensor(mean_variances))

    def each(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Return the criterion of every mean, and the deviance of every variance."""
        n_targets = len(self.mean_variances)
        mean, standardised = prediction[:, :n_targets], prediction[:, n_targets:]
        y_mean, variance = y[:, :n_targets], y[:, n_targets:]
        if self.training and self.n_members == 1:
            own = (y_mean - mean.detach()) ** 2 * self.mean_variances.to(y)
            own = own.clamp(min=math.exp(LOG_VARIANCE_FLOOR))
            variance = torch.cat([own, variance[:, n_targets:]], dim=1)
        log_ratio = variance.log() - standardised * self.scales.to(y)
        deviance = log_ratio.exp() - 1 - log_ratio
        weight = min(1.0, max(1, self.n_members - 1) / 2)
        return torch.cat([self.criterion(mean, y_mean), weight * deviance], dim=1)


class GaussianLoss(HeadLoss):
    r"""Gaussian negative log-likelihood of y, with a mean and a log-variance for every target [1]_.

    .. math:: \tfrac{1}{2} \left( (y - \mu)^2 / \sigma^2 + \log \sigma^2 \right)

    References
    ----------
    .. [1] Nix and Weigend, "Estimating the mean and variance of the target probability
       distribution", ICNN 1994.
    """

    outputs_a_column = 2

    def each(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Return the negative log-likelihood of every target, up to a constant."""
        mean, log_variance = _halves(prediction)
        excess = log_variance - LOG_VARIANCE_FLOOR
        return 0.5 * ((y - mean) ** 2 * torch.exp(-log_variance) + excess)


class BetaGaussianLoss(GaussianLoss):
    r"""Gaussian likelihood with every row weighted by :math:`\sigma^{2\beta}`, as a constant [1]_.

    The likelihood gives rows that it fits badly a large variance and then little weight, so that
    they are never fitted. With :math:`\beta = 1/2` the mean is learned nearly as by squared error.
    Validation rows have the plain likelihood: the weighted one is not least at the truth.

    References
    ----------
    .. [1] Seitzer, Tavakoli, Antic and Martius, "On the pitfalls of heteroscedastic uncertainty
       estimation with probabilistic neural networks", ICLR 2022.
    """

    BETA = 0.5

    def each(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Return the weighted negative log-likelihood of every target."""
        likelihood = super().each(prediction, y)
        if not self.training:
            return likelihood
        _, log_variance = _halves(prediction)
        return torch.exp(self.BETA * log_variance).detach() * likelihood


class LaplaceLoss(HeadLoss):
    r"""Laplace negative log-likelihood of y, robust against outliers.

    The scale is :math:`b = \sigma / \sqrt{2}`, so that the output is the logarithm of the
    variance here too: :math:`|y - \mu| / b + \log b`, up to a constant.
    """

    outputs_a_column = 2

    def each(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Return the negative log-likelihood of every target, up to a constant."""
        mean, log_variance = _halves(prediction)
        excess = log_variance - LOG_VARIANCE_FLOOR
        return math.sqrt(2) * (y - mean).abs() * torch.exp(-log_variance / 2) + excess / 2


def _halves(prediction: Tensor) -> tuple[Tensor, Tensor]:
    """Return means and log-variances; these bend towards the floor, and keep a gradient there."""
    mean, log_variance = prediction.chunk(2, dim=1)
    return mean, LOG_VARIANCE_FLOOR + functional.softplus(log_variance - LOG_VARIANCE_FLOOR)
