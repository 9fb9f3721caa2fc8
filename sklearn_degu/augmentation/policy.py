"""Several random edits together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sklearn_degu._numbers import is_whole
from sklearn_degu.augmentation.transforms import (
    Deletion,
    Draws,
    Insertion,
    Inversion,
    Mutation,
    Transform,
    Translocation,
    check_sequences,
)
from sklearn_degu.nets.randomness import MAX_SEED

_ROWS_AT_ONCE = 4096


class Augment(nn.Module):
    """Edit every sequence by a few of several transforms, chosen for each sequence by itself [1]_.

    Parameters
    ----------
    transforms : sequence of Transform
        What a sequence may be edited by, applied in this order. By default EvoAug's edits that
        leave DNA: :class:`Deletion`, :class:`Insertion`, :class:`Inversion`,
        :class:`Translocation` and :class:`Mutation`, each with its defaults.
    max_per_sequence : int, default=2
        How many of them a sequence is edited by at most.
    hard : bool, default=False
        Whether every sequence is edited by ``max_per_sequence`` of them, and not by 1 to that many
        with equal probabilities.

    References
    ----------
    .. [1] Lee, Tang, Toneyan and Koo, "EvoAug: improving generalization and interpretability of
       genomic deep neural networks with evolution-inspired data augmentations", Genome Biology 24,
       2023.

    Examples
    --------
    >>> import torch
    >>> from sklearn_degu.augmentation import Augment, Mutation, ReverseComplement
    >>> augment = Augment([Mutation(0.1), ReverseComplement()])
    >>> X = torch.eye(4).repeat(2, 1, 5)
    >>> augment(X, torch.Generator().manual_seed(0)).shape
    torch.Size([2, 4, 20])
    """

    def __init__(
        self,
        transforms: Sequence[Transform] | None = None,
        max_per_sequence: int = 2,
        hard: bool = False,
    ) -> None:
        super().__init__()
        self.transforms = nn.ModuleList(_default() if transforms is None else transforms)
        self.max_per_sequence = max_per_sequence
        self.hard = hard
        if not all(isinstance(transform, Transform) for transform in self.transforms):
            raise TypeError(f"transforms must be transforms of this module, got {transforms!r}.")
        if not is_whole(max_per_sequence) or not 1 <= max_per_sequence <= len(self.transforms):
            raise ValueError(
                "max_per_sequence must be a whole number from 1 to the number of transforms, "
                f"{len(self.transforms)}; got {max_per_sequence!r}."
            )

    def forward(self, X: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return a copy of the sequences, each edited.

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
        """
        check_sequences(X)
        for transform, chosen in zip(self.transforms, self._chosen(X, generator), strict=True):
            X = torch.where(chosen[:, None, None], transform(X, generator), X)
        return X

    def _chosen(self, X: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return which transforms edit which sequences, of shape (n_transforms, n)."""
        draws = Draws(X.device, generator)
        ranks = draws.uniform((len(self.transforms), len(X))).argsort(dim=0).argsort(dim=0)
        fewest = self.max_per_sequence if self.hard else 1
        return ranks < draws.integers(fewest, self.max_per_sequence + 1, (len(X),))

    def extra_repr(self) -> str:
        """Return the parameters."""
        return f"max_per_sequence={self.max_per_sequence}, hard={self.hard}"


def _default() -> list[Transform]:
    return [Deletion(), Insertion(), Inversion(), Translocation(), Mutation()]


def edited_copy(
    augment: nn.Module, X: NDArray[np.generic], generator: np.random.Generator
) -> NDArray[np.generic]:
    """Return a copy of an array of sequences, edited by a module, some rows at a time.

    The module is given floating numbers, as in training; whole ones return to the type of X.
    """
    draws = torch.Generator().manual_seed(int(generator.integers(MAX_SEED)))
    starts = range(0, len(X), _ROWS_AT_ONCE)
    return np.concatenate([_edited(augment, X[i : i + _ROWS_AT_ONCE], draws) for i in starts])


@torch.no_grad()
def _edited(
    augment: nn.Module, X: NDArray[np.generic], draws: torch.Generator
) -> NDArray[np.generic]:
    dtype = X.dtype if X.dtype.kind == "f" else np.dtype(np.float32)
    edited: NDArray[np.generic] = augment(torch.from_numpy(X.astype(dtype)), draws).numpy()
    back = edited.astype(X.dtype)
    return back if np.array_equal(back, edited) else edited
