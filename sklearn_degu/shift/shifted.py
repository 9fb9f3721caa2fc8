"""Test sequences that have moved away from those of the training, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from torch import nn

from sklearn_degu.augmentation import (
    Augment,
    Deletion,
    DinucleotideShuffle,
    Insertion,
    Inversion,
    Mutation,
    PositionShuffle,
    Translocation,
)
from sklearn_degu.augmentation.policy import edited_copy
from sklearn_degu.sequences._arguments import RandomState, as_generator
from sklearn_degu.sequences._one_hot import check_one_hot_shape

Shifted = Mapping[str, npt.NDArray[np.generic]]


def shifted_sets(
    X: npt.ArrayLike,
    *,
    mutation_rates: Sequence[float] = (0.05, 0.1, 0.25, 0.5),
    random_state: RandomState = None,
) -> Shifted:
    """Return copies of sequences under shifts of several kinds and sizes [1]_.

    Predictions for them have no measurements to be compared with. What can be seen is whether a
    student still says what its ensemble says, and whether the uncertainty grows with the shift.

    Parameters
    ----------
    X : array-like of shape (n_sequences, 4, length)
        One-hot sequences, such as a test set.
    mutation_rates : sequence of float, default=(0.05, 0.1, 0.25, 0.5)
        Probabilities that a base is replaced by another.
    random_state : int, RandomState instance, Generator or None, default=None
        Decides the edits. Pass an int for the same result at every call.

    Returns
    -------
    sets : dict of str to ndarray of shape (n_sequences, 4, length)
        By name, row by row from the same sequences: ``"mutation 0.05"`` and so on; ``"evoaug"``,
        two of EvoAug's edits that leave DNA to every sequence; ``"dinucleotide shuffle"`` and
        ``"shuffle"``, which leave nothing of a sequence but its composition.

    Raises
    ------
    TypeError, ValueError
        If X is not one-hot, or a rate is no probability.

    References
    ----------
    .. [1] Zhou, Rizzo, Christensen, Tang and Koo, "Uncertainty-aware genomic deep learning with
       knowledge distillation", npj Artificial Intelligence 2, 2026.

    Examples
    --------
    >>> from sklearn_degu.sequences import SequenceEncoder
    >>> from sklearn_degu.shift import shifted_sets
    >>> X = SequenceEncoder().fit_transform(["ACGT" * 8] * 3)
    >>> sorted(shifted_sets(X, mutation_rates=[0.1], random_state=0))
    ['dinucleotide shuffle', 'evoaug', 'mutation 0.1', 'shuffle']
    """
    sequences = check_one_hot_shape(X)
    generator = as_generator(random_state)
    longest = min(20, sequences.shape[2])
    evolution = [edit(0, longest) for edit in (Deletion, Insertion, Inversion, Translocation)]
    edits: dict[str, nn.Module] = {
        **{f"mutation {rate:g}": Mutation(rate) for rate in mutation_rates},
        "evoaug": Augment([*evolution, Mutation()], max_per_sequence=2, hard=True),
        "dinucleotide shuffle": DinucleotideShuffle(),
        "shuffle": PositionShuffle(),
    }
    return {name: edited_copy(edit, sequences, generator) for name, edit in edits.items()}
