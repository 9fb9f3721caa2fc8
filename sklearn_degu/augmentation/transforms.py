"""Random edits of one-hot sequences, a draw for every sequence, on the device that they are on.

Every class is a :class:`torch.nn.Module` that maps sequences (n, 4, length) and a generator to
edited sequences of the same shape and type. The edits are those of EvoAug [1]_, which draws once
for a whole batch; here every sequence has its own.

References
----------
.. [1] Lee, Tang, Toneyan and Koo, "EvoAug: improving generalization and interpretability of
   genomic deep neural networks with evolution-inspired data augmentations", Genome Biology 24,
   2023.
"""

from __future__ import annotations

import inspect
from abc import abstractmethod
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from sklearn_degu._numbers import is_real, is_whole
from sklearn_degu.nets.randomness import MAX_SEED
from sklearn_degu.sequences import dinucleotide_shuffle

N_BASES = 4


class Draws(NamedTuple):
    """Random numbers on the device of some sequences.

    Attributes
    ----------
    device : torch.device
        Where they are.
    generator : torch.Generator or None
        What decides them; None is torch's own.
    """

    device: torch.device
    generator: torch.Generator | None

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> Tensor:
        """Return whole numbers from low to high, without high."""
        return torch.randint(low, high, shape, generator=self.generator, device=self.device)

    def uniform(self, shape: tuple[int, ...]) -> Tensor:
        """Return numbers between 0 and 1."""
        return torch.rand(shape, generator=self.generator, device=self.device)

    def normal(self, like: Tensor) -> Tensor:
        """Return standard normal numbers of a tensor's shape and type."""
        return torch.empty_like(like).normal_(generator=self.generator)


class Transform(nn.Module):
    """A random edit of sequences.

    Parameters
    ----------
    p : float, default=1.0
        Probability that a sequence is edited.

    Attributes
    ----------
    moves_positions : bool
        Whether letters change places, so that a profile would not fit the sequence any more.
    """

    moves_positions: ClassVar[bool] = True

    def __init__(self, p: float = 1.0) -> None:
        super().__init__()
        self.p = _probability("p", p)

    @abstractmethod
    def edited(self, X: Tensor, draws: Draws) -> Tensor:
        """Return every sequence edited."""

    def forward(self, X: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return a copy of the sequences, some of them edited.

        Parameters
        ----------
        X : Tensor of shape (n, 4, length)
            One-hot sequences of any type.
        generator : torch.Generator, optional
            Decides the edits, on the device of X; torch's own by default.

        Returns
        -------
        X_edited : Tensor of shape (n, 4, length)
            A new tensor of the type of X.

        Raises
        ------
        TypeError
            If X is no tensor.
        ValueError
            If X has another shape, or is too short for the edit.
        """
        check_sequences(X)
        draws = Draws(X.device, generator)
        edited = self.edited(X, draws)
        if self.p == 1:
            return edited
        chosen = draws.uniform((len(X), 1, 1)) < self.p
        return torch.where(chosen, edited, X)

    def extra_repr(self) -> str:
        """Return the parameters."""
        names = inspect.signature(type(self)).parameters
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in names)


class _Stretch(Transform):
    """An edit of a stretch of random length at a random place."""

    def __init__(self, min_length: int = 0, max_length: int = 20, p: float = 1.0) -> None:
        super().__init__(p)
        self.min_length = _count("min_length", min_length)
        self.max_length = _count("max_length", max_length)
        if self.min_length > self.max_length:
            raise ValueError(
                f"min_length={min_length} is larger than max_length={max_length}: swap them."
            )

    def stretches(self, X: Tensor, draws: Draws) -> tuple[Tensor, Tensor, Tensor]:
        """Return positions (1, length), and starts and lengths of the stretches (n, 1)."""
        n, _, length = X.shape
        if self.max_length > length:
            raise ValueError(
                f"max_length={self.max_length} is longer than the sequences, which have {length} "
                "bases."
            )
        lengths = draws.integers(self.min_length, self.max_length + 1, (n, 1))
        starts = (draws.uniform((n, 1)) * (length - lengths + 1)).long()
        return torch.arange(length, device=X.device)[None], starts, lengths


class Deletion(_Stretch):
    """Leave a stretch out; random bases at both ends make up for it.

    Parameters
    ----------
    min_length, max_length : int, default=0, 20
        Shortest and longest stretch, in bases.
    p : float, default=1.0
        Probability that a sequence is edited.

    Examples
    --------
    >>> import torch
    >>> from sklearn_degu.augmentation import Deletion
    >>> X = torch.eye(4).repeat(2, 1, 5)
    >>> Deletion(max_length=6)(X, torch.Generator().manual_seed(0)).shape
    torch.Size([2, 4, 20])
    """

    def edited(self, X: Tensor, draws: Draws) -> Tensor:
        """Return every sequence without a stretch."""
        positions, starts, lengths = self.stretches(X, draws)
        before = positions - lengths // 2
        source = torch.where(before < starts, before, before + lengths)
        return _at_or_random(X, source, draws)


class Insertion(_Stretch):
    """Insert random bases; both ends are cut off as far as they now stand out.

    Parameters
    ----------
    min_length, max_length : int, default=0, 20
        Fewest and most bases.
    p : float, default=1.0
        Probability that a sequence is edited.
    """

    def edited(self, X: Tensor, draws: Draws) -> Tensor:
        """Return every sequence with an insertion."""
        positions, starts, lengths = self.stretches(X, draws)
        source = positions + lengths // 2
        inserted = (source >= starts) & (source < starts + lengths)
        source = torch.where(source < starts, source, source - lengths)
        return _at_or_random(X, source.masked_fill(inserted, -1), draws)


class Inversion(_Stretch):
    """Replace a stretch by its reverse complement.

    Parameters
    ----------
    min_length, max_length : int, default=0, 20
        Shortest and longest stretch, in bases.
    p : float, default=1.0
        Probability that a sequence is edited.
    """

    def edited(self, X: Tensor, draws: Draws) -> Tensor:
        """Return every sequence with a stretch of it on the other strand."""
        positions, starts, lengths = self.stretches(X, draws)
        within = (positions >= starts) & (positions < starts + lengths)
        mirrored = torch.where(within, 2 * starts + lengths - 1 - positions, positions)
        turned = _at(X, mirrored)
        return torch.where(within[:, None], turned.flip(1), turned)


class Translocation(Transform):
    """Move a sequence along; what leaves it at one end enters it at the other.

    Parameters
    ----------
    min_shift, max_shift : int, default=0, 20
        Smallest and largest shift, in bases, in either direction.
    p : float, default=1.0
        Probability that a sequence is edited.
    """

    def __init__(self, min_shift: int = 0, max_shift: int = 20, p: float = 1.0) -> None:
        super().__init__(p)
        self.min_shift = _count("min_shift", min_shift)
        self.max_shift = _count("max_shift", max_shift)
        if self.min_shift > self.max_shift:
            raise ValueError(
                f"min_shift={min_shift} is larger than max_shift={max_shift}: swap them."
            )

    def edited(self, X: Tensor, draws: Draws) -> Tensor:
        """Return every sequence moved along."""
        n, _, length = X.shape
        shifts = draws.integers(self.min_shift, self.max_shift + 1, (n, 1))
        signs = 2 * draws.integers(0, 2, (n, 1)) - 1
        positions = torch.arange(length, device=X.device)[None]
        return _at(X, (positions - signs * shifts) % length)


class Mutation(Transform):
    """Replace bases by one of the other three.

    Parameters
    ----------
    rate : float, default=0.05
        Probability that a base is replaced.
    p : float, default=1.0
        Probability that a sequence is edited.
    """

    moves_positions = False

    def __init__(self, rate: float = 0.05, p: float = 1.0) -> None:
        super().__init__(p)
        self.rate = _probability("rate", rate)

    def edited(self, X: Tensor, draws: Draws) -> Tensor:
        """Return every sequence with mutations."""
        n, _, length = X.shape
        mutates = draws.uniform((n, length)) < self.rate
        steps = draws.integers(1, N_BASES, (n, length)) * mutates
        channels = torch.arange(N_BASES, device=X.device)[None, :, None]
        # Turning the channels round leaves an unknown base, all channels alike, as it is.
        return X.gather(1, (channels + steps[:, None]) % N_BASES)


class Noise(Transform):
    """Add Gaussian noise to every number, so that the sequences are one-hot no more.

    Parameters
    ----------
    std : float, default=0.2
        Standard deviation of the noise.
    p : float, default=1.0
        Probability that a sequence is edited.
    """

    moves_positions = False

    def __init__(self, std: float = 0.2, p: float = 1.0) -> None:
        super().__init__(p)
        if not is_real(std) or not 0 <= std < np.inf:
            raise ValueError(f"std must be a number that is not negative, got {std!r}.")
        self.std = float(std)

    def edited(self, X: Tensor, draws: Draws) -> Tensor:
        """Return every sequence with noise."""
        if not X.is_floating_point():
            raise ValueError(
                f"Noise needs sequences of a floating type, got {X.dtype}: convert them by "
                "X.float()."
            )
        return X + self.std * draws.normal(X)


class ReverseComplement(Transform):
    """Take the other strand.

    Parameters
    ----------
    p : float, default=0.5
        Probability that a sequence is edited.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)

    def edited(self, X: Tensor, draws: Draws) -> Tensor:
        """Return the other strand of every sequence."""
        return X.flip(1, 2)


class PositionShuffle(Transform):
    """Put the bases of a sequence in random order: its composition stays.

    Parameters
    ----------
    p : float, default=1.0
        Probability that a sequence is edited.
    """

    def edited(self, X: Tensor, draws: Draws) -> Tensor:
        """Return every sequence in random order."""
        n, _, length = X.shape
        return _at(X, draws.uniform((n, length)).argsort(dim=1))


class DinucleotideShuffle(Transform):
    """Put a sequence in a random order that keeps its dinucleotides.

    It is computed on the CPU, by :func:`~sklearn_degu.sequences.dinucleotide_shuffle`.

    Parameters
    ----------
    p : float, default=1.0
        Probability that a sequence is edited.
    """

    def edited(self, X: Tensor, draws: Draws) -> Tensor:
        """Return every sequence in random order, with its dinucleotides."""
        seed = int(draws.integers(0, MAX_SEED, ()))
        shuffled = dinucleotide_shuffle(X.cpu().numpy(), random_state=seed)
        return torch.from_numpy(shuffled).to(X.device)


def check_sequences(X: Any) -> None:
    """Raise unless X is a tensor of shape (n, 4, length)."""
    if not isinstance(X, Tensor):
        raise TypeError(f"X must be a torch tensor of shape (n, 4, length), got {type(X)}.")
    if X.ndim != 3 or X.shape[1] != N_BASES:
        raise ValueError(f"X must have shape (n, 4, length), got {tuple(X.shape)}.")


def _at(X: Tensor, source: Tensor) -> Tensor:
    """Return X at the positions ``source`` (n, length)."""
    return X.gather(2, source[:, None].expand(-1, N_BASES, -1))


def _at_or_random(X: Tensor, source: Tensor, draws: Draws) -> Tensor:
    """Return X at the positions ``source`` (n, length), and random bases where there are none."""
    n, _, length = X.shape
    random = torch.zeros_like(X).scatter_(1, draws.integers(0, N_BASES, (n, 1, length)), 1)
    outside = (source < 0) | (source >= length)
    return torch.where(outside[:, None], random, _at(X, source.clamp(0, length - 1)))


def _probability(name: str, value: Any) -> float:
    if not is_real(value) or not 0 <= value <= 1:
        raise ValueError(f"{name} must be a probability between 0 and 1, got {value!r}.")
    return float(value)


def _count(name: str, value: Any) -> int:
    if not is_whole(value) or value < 0:
        raise ValueError(f"{name} must be a whole number that is not negative, got {value!r}.")
    return int(value)
