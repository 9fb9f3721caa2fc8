"""The loss of a batch whose rows and targets may weigh unequally."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from sklearn_degu.nets.data import Target


class WeightedLoss(nn.Module):
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
        If ``criterion`` cannot be made with ``reduction="none"``, or if predictions and targets
        differ in shape: torch would broadcast ``(n,)`` against ``(n, 1)`` to ``(n, n)``.
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

    def forward(self, prediction: Tensor, target: Target) -> Tensor:
        """Return the weighted mean over predictions and targets of shape (n, k)."""
        y, weight = target if isinstance(target, (tuple, list)) else (target, None)
        if prediction.shape != y.shape:
            raise ValueError(
                f"The net's output has shape {tuple(prediction.shape)}, but the targets have "
                f"{tuple(y.shape)}. The module must return (n_samples, n_outputs)."
            )
        loss: Tensor = self.criterion(prediction, y)
        return loss.mean() if weight is None else (loss * weight).sum() / weight.sum()
