"""Fitted estimators as torch modules, whose predictions can be differentiated.

The maths of :mod:`sklearn_degu.uncertainty` and :mod:`sklearn_degu._noise_map` in torch: what
estimators compute with numpy from the outputs of their nets, and tests hold the two together.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn.functional import softplus

from sklearn_degu._links import Identity, Link, LogRate, LogVariance, SoftplusDeviation
from sklearn_degu._noise_map import NoiseMap
from sklearn_degu.nets.evidential import NormalInverseGamma
from sklearn_degu.uncertainty import Head, Heads

# Softplus is computed as written up to here, beyond which it is linear in float64.
_SOFTPLUS_THRESHOLD = 40.0


class PredictionModule(nn.Module):
    """The nets of a fitted estimator, and what it makes of their outputs.

    ``NeuralRegressor.to_module`` makes one.

    Parameters
    ----------
    nets : sequence of torch.nn.Module
        Modules that map X to outputs of shape (n, k) or (n, k, n_positions); copies of them are
        kept, which share their weights.
    readout : torch.nn.Module
        Maps the outputs of all nets side by side to the predictions side by side.
    names : tuple of str
        The predictions: ``"mean"`` and kinds of uncertainty.
    n_targets : int
        Number of columns of a prediction.
    n_positions : int, optional
        Of profiles, how many neighbouring columns are the positions of one target.

    Attributes
    ----------
    names : tuple of str
        The predictions, in the order of :meth:`forward`.
    n_positions : int or None
        Number of positions of a profile; None if these are no profiles.
    """

    def __init__(
        self,
        nets: Sequence[nn.Module],
        readout: nn.Module,
        names: tuple[str, ...],
        n_targets: int,
        n_positions: int | None = None,
    ) -> None:
        super().__init__()
        self.nets = nn.ModuleList(map(with_shared_weights, nets))
        self.readout = readout
        self.names = names
        self.n_targets = n_targets
        self.n_positions = n_positions
        weights = (p for p in self.nets.parameters() if p.is_floating_point())
        like = next(weights, torch.zeros(()))
        # Members that were trained on several devices are brought to one.
        self.to(like.device, like.dtype)
        self.eval()

    def forward(self, X: Tensor) -> dict[str, Tensor]:
        """Return predictions of shape (n, n_targets) by name, in y's units."""
        outputs = torch.cat([net(X).flatten(1) for net in self.nets], dim=1)
        predictions = self.readout(outputs).split(self.n_targets, dim=1)
        return dict(zip(self.names, predictions, strict=True))


def with_shared_weights(module: nn.Module) -> nn.Module:
    """Return a copy of a module whose weights are the same memory.

    Its mode, hooks, device and type can be changed, and gradients taken, without a trace in the
    module; training either trains both.
    """
    memo: dict[int, object] = {}
    for parameter in module.parameters():
        memo[id(parameter)] = nn.Parameter(parameter.detach(), parameter.requires_grad)
    for buffer in module.buffers():
        memo[id(buffer)] = buffer.detach()
    copied: nn.Module = copy.deepcopy(module, memo)
    return copied


class DecodedHeads(nn.Module):
    """The heads of one net in y's units, as :meth:`Heads.decode` returns them.

    Parameters
    ----------
    heads : Heads
        The heads.
    """

    def __init__(self, heads: Heads) -> None:
        super().__init__()
        self.names = tuple(heads.heads)
        self.decoders = nn.ModuleList(_DecodedHead(head) for head in heads.heads.values())

    def forward(self, outputs: Tensor) -> dict[str, Tensor]:
        """Return the heads' predictions by name, each of shape (n, n_targets)."""
        parts = outputs.chunk(len(self.names), dim=1)
        decoded = (decode(part) for decode, part in zip(self.decoders, parts, strict=True))
        return dict(zip(self.names, decoded, strict=True))


class StudentReadout(nn.Module):
    """Mean and deviations of a student from its outputs.

    Parameters
    ----------
    heads : Heads
        The student's heads.
    names : tuple of str
        The predictions to return, side by side.
    """

    def __init__(self, heads: Heads, names: tuple[str, ...]) -> None:
        super().__init__()
        self.decode = DecodedHeads(heads)
        self.names = names

    def forward(self, outputs: Tensor) -> Tensor:
        """Map outputs (n, k) to predictions (n, len(names) * n_targets)."""
        predicted = self.decode(outputs)
        mean = predicted.pop("mean")
        return _side_by_side(mean, {kind: std**2 for kind, std in predicted.items()}, self.names)


class EnsembleReadout(nn.Module):
    """Mean of the members, their spread, and their noise, from all their outputs.

    Parameters
    ----------
    heads : sequence of Heads
        The heads of every member.
    names : tuple of str
        The predictions to return, side by side.
    noise_map : NoiseMap
        What makes of the members' mean variance the variance of the noise.
    n_replicates : array-like of shape (n_targets,)
        The noise is that of the mean of so many measurements.
    """

    def __init__(
        self,
        heads: Sequence[Heads],
        names: tuple[str, ...],
        noise_map: NoiseMap,
        n_replicates: ArrayLike,
    ) -> None:
        super().__init__()
        self.decoders = nn.ModuleList(map(DecodedHeads, heads))
        self.names = names
        self.unit = _constant(noise_map.unit)
        self.level = _constant(noise_map.level)
        self.slope = _constant(noise_map.slope)
        self.n_replicates = _constant(n_replicates)

    def forward(self, outputs: Tensor) -> Tensor:
        """Map outputs (n, n_members * k) to predictions (n, len(names) * n_targets)."""
        parts = outputs.chunk(len(self.decoders), dim=1)
        members = [decode(part) for decode, part in zip(self.decoders, parts, strict=True)]
        means = torch.stack([member["mean"] for member in members])
        variances = {"epistemic": means.var(dim=0, correction=0)}
        if "aleatoric" in members[0]:
            noise = torch.stack([member["aleatoric"] ** 2 for member in members]).mean(dim=0)
            variances["aleatoric"] = self._mapped(noise) / self.n_replicates
        components = {kind: variances[kind] for kind in variances if kind in self.names}
        return _side_by_side(means.mean(dim=0), components, self.names)

    def _mapped(self, variance: Tensor) -> Tensor:
        """Apply the NoiseMap."""
        return self.unit * torch.exp(self.level) * (variance / self.unit) ** self.slope


class EvidentialReadout(nn.Module):
    """Mean and deviations of a normal-inverse-gamma distribution from a net's outputs.

    Parameters
    ----------
    head : Head
        The head of the mean.
    names : tuple of str
        The predictions to return, side by side.
    """

    def __init__(self, head: Head, names: tuple[str, ...]) -> None:
        super().__init__()
        self.decode = _DecodedHead(head)
        self.names = names

    def forward(self, outputs: Tensor) -> Tensor:
        """Map outputs (n, 4 * n_targets) to predictions (n, len(names) * n_targets)."""
        predicted = NormalInverseGamma.of(outputs)
        variances = {
            "epistemic": self.decode.scale**2 * predicted.epistemic_variance,
            "aleatoric": self.decode.scale**2 * predicted.aleatoric_variance,
        }
        return _side_by_side(self.decode(predicted.gamma), variances, self.names)


class _DecodedHead(nn.Module):
    """:meth:`Head.decode` in torch."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.link = _inverse_link(head.link)
        self.loc = _constant(head.loc)
        self.scale = _constant(head.scale)
        self.factor = _constant(head.factor)

    def forward(self, outputs: Tensor) -> Tensor:
        decoded: Tensor = self.factor * self.link(outputs * self.scale + self.loc)
        return decoded


class _DeviationOfLogVariance(nn.Module):
    """:meth:`LogVariance.inverse` in torch."""

    def __init__(self, link: LogVariance) -> None:
        super().__init__()
        self.floor = _constant(link.floor)

    def forward(self, output: Tensor) -> Tensor:
        return torch.maximum(torch.exp(0.5 * output), self.floor)


class _SoftplusOfOutput(nn.Module):
    """:meth:`SoftplusDeviation.inverse` in torch."""

    def __init__(self, link: SoftplusDeviation) -> None:
        super().__init__()
        self.floor = _constant(link.floor)
        self.unit = _constant(link.unit)

    def forward(self, output: Tensor) -> Tensor:
        return torch.maximum(
            self.unit * softplus(output, threshold=_SOFTPLUS_THRESHOLD), self.floor
        )


class _RateOfLogRate(nn.Module):
    """:meth:`LogRate.inverse` in torch."""

    def forward(self, output: Tensor) -> Tensor:
        return torch.exp(output)


def _inverse_link(link: Link) -> nn.Module:
    if isinstance(link, Identity):
        return nn.Identity()
    if isinstance(link, LogRate):
        return _RateOfLogRate()
    if isinstance(link, LogVariance):
        return _DeviationOfLogVariance(link)
    if isinstance(link, SoftplusDeviation):
        return _SoftplusOfOutput(link)
    raise TypeError(f"The link {link!r} has no counterpart in torch.")


def _side_by_side(mean: Tensor, variances: dict[str, Tensor], names: tuple[str, ...]) -> Tensor:
    """Return mean and deviations as columns; the total is that of all components."""
    total = sum(variances.values(), torch.zeros_like(mean))
    columns = {"mean": mean, "total": _safe_sqrt(total)}
    columns |= {kind: _safe_sqrt(variance) for kind, variance in variances.items()}
    return torch.cat([columns[name] for name in names], dim=1)


def _safe_sqrt(variance: Tensor) -> Tensor:
    """Return the root, with a gradient of zero where it is zero: it cannot become less."""
    positive = variance > 0
    root = torch.where(positive, variance, 1.0).sqrt()
    return torch.where(positive, root, 0.0)


def _constant(values: ArrayLike) -> nn.Buffer:
    """Return numbers that move and change type with the module, and are never trained."""
    return nn.Buffer(torch.as_tensor(values, dtype=torch.float64).clone())
