"""Losses of counts, whose predictions are logarithms of rates."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from sklearn.base import clone
from skorch import NeuralNet
from torch import Tensor, nn

from sklearn_degu.nets.losses import WeightedLoss

# In place of the log-rate of a missing position: its rate is zero.
_NO_RATE = -1e9


class MultinomialCountLoss(nn.Module):
    r"""Likelihood of the shape of a profile and of its total count, for nets of log-rates.

    With counts :math:`y_i`, log-rates :math:`f_i`, :math:`N = \sum_i y_i` and
    :math:`\Lambda = \sum_i e^{f_i}` over the positions of a profile, it is the negative
    log-likelihood, up to a constant,

    .. math:: -\sum_i y_i \left( f_i - \log \Lambda \right)
        + w \left( \Lambda - N \log \Lambda \right)

    of the multinomial distribution of the counts given their total [1]_, and :math:`w` times that
    of the total by the Poisson distribution. With :math:`w = 1` it is the likelihood of
    independent Poisson counts. Totals are spread more widely than Poisson's and a smaller
    :math:`w` keeps the training from following their noise.

    Parameters
    ----------
    count_weight : float, default=1.0
        The weight :math:`w` of the total count.
    reduction : {"mean", "none"}, default="mean"
        Whether to average over all positions, or to return every position's part,
        :math:`w e^{f_i} - y_i f_i + (1 - w) \, y_i \log \Lambda`.

    Raises
    ------
    ValueError
        If ``count_weight`` is not positive, or ``reduction`` is none of its values.

    References
    ----------
    .. [1] Avsec et al., "Base-resolution models of transcription-factor binding reveal soft motif
       syntax", Nature Genetics 53, 2021: the multinomial likelihood of profiles, whose total is
       learned there by the squared error of its logarithm.

    Examples
    --------
    >>> import torch
    >>> from sklearn_degu.nets import MultinomialCountLoss
    >>> log_rates, counts = torch.zeros(2, 1, 4), torch.tensor([[[0.0, 2, 1, 0]], [[1.0, 0, 0, 0]]])
    >>> MultinomialCountLoss()(log_rates, counts)
    tensor(1.)
    """

    def __init__(self, count_weight: float = 1.0, reduction: str = "mean") -> None:
        super().__init__()
        if not 0 < count_weight < float("inf"):
            raise ValueError(f"count_weight must be a positive number, got {count_weight!r}.")
        if reduction not in ("mean", "none"):
            raise ValueError(f"reduction must be 'mean' or 'none', got {reduction!r}.")
        self.count_weight = count_weight
        self.reduction = reduction

    def forward(self, input: Tensor, target: Tensor, present: Tensor | None = None) -> Tensor:
        """Return the loss of log-rates and counts of shape (..., positions).

        Parameters
        ----------
        input, target : Tensor of shape (..., positions)
            Logarithms of rates, and counts.
        present : Tensor of bool of the same shape, optional
            Where counts were measured; where not, they must be 0 and their part has no meaning.
        """
        log_rates = input if present is None else torch.where(present, input, _NO_RATE)
        log_total = torch.logsumexp(log_rates, dim=-1, keepdim=True)
        weight = self.count_weight
        parts = weight * torch.exp(input) - target * input + (1 - weight) * target * log_total
        return parts.mean() if self.reduction == "mean" else parts

    def least(self, target: Tensor) -> Tensor:
        """Return what every position's part is if rates equal counts, where the loss is least."""
        total = target.sum(dim=-1, keepdim=True)
        weight = self.count_weight
        return (
            weight * target
            - torch.xlogy(target, target)
            + (1 - weight) * torch.xlogy(target, total)
        )


# What predicts logarithms of rates.
RATE_CRITERIA: tuple[type[nn.Module], ...] = (nn.PoissonNLLLoss, MultinomialCountLoss)


class RateLoss(WeightedLoss):
    """Likelihood of counts relative to their mean rate, counted from what a perfect fit would have.

    Counted from there it is never negative: callbacks watch for an improvement by a fraction of
    the loss.

    Parameters
    ----------
    criterion : {torch.nn.PoissonNLLLoss, MultinomialCountLoss}
        The likelihood.
    n_positions : int, default=1
        Positions of a profile, over which the multinomial likelihood is.
    **kwargs : object
        Parameters of ``criterion``.
    """

    def __init__(
        self, criterion: type[nn.Module] = nn.PoissonNLLLoss, n_positions: int = 1, **kwargs: Any
    ) -> None:
        super().__init__(criterion, **kwargs)
        self.n_positions = n_positions

    def each_of(self, prediction: Tensor, y: Tensor, weight: Tensor | None) -> Tensor:
        """Return the loss of every row and column, the multinomial's over what is present."""
        if not isinstance(self.criterion, MultinomialCountLoss):
            loss: Tensor = self.criterion(prediction, y) + torch.xlogy(y, y) - y
            return loss
        shape = (len(y), -1, self.n_positions)
        counts = y.reshape(shape)
        present = None if weight is None else (weight > 0).reshape(shape)
        parts: Tensor = self.criterion(prediction.reshape(shape), counts, present)
        return (parts - self.criterion.least(counts)).flatten(1)


def predicts_rates(nets: Sequence[NeuralNet]) -> bool:
    """Whether the nets' criterion is a likelihood of counts, whose outputs are logs of rates.

    Raises
    ------
    ValueError
        If this is so for some of the nets only, or outputs would be the rates themselves.
    """
    chosen = [_is_rate(net.criterion) for net in nets]
    if any(chosen) and not all(chosen):
        names = ", ".join(getattr(net.criterion, "__name__", "?") for net in nets)
        raise ValueError(
            "Some of the nets predict logarithms of rates, and some predict y itself: give all "
            f"of them a criterion of one kind; got {names}."
        )
    for net in nets:
        if not net.get_params_for("criterion").get("log_input", True):
            raise ValueError(
                "The net has criterion__log_input=False, but its outputs are linear, and rates "
                "must be positive. Leave it out: the outputs are then logarithms of rates."
            )
    return any(chosen)


def with_squared_error(net: NeuralNet) -> NeuralNet:
    """Return a clone of a net with squared error for its criterion."""
    copy = clone(net)
    for name in copy.get_params_for("criterion"):
        delattr(copy, f"criterion__{name}")
    return copy.set_params(criterion=nn.MSELoss)


def _is_rate(criterion: Any) -> bool:
    return inspect.isclass(criterion) and issubclass(criterion, RATE_CRITERIA)
