"""Edits that keep sequences close to the library they come from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from sklearn_degu._numbers import is_real
from sklearn_degu.sequences import mutate, recombine, reverse_complement
from sklearn_degu.sequences._one_hot import check_one_hot_shape


class SequenceEdits(BaseEstimator):
    """One edited copy of every sequence, by edits that leave it plausible DNA.

    A sequence may swap its end for another's, may turn to the other strand, and mutates at a few
    per cent of its bases. Positions at which all sequences agree, such as adaptors, are left as
    they are: the other strand is taken of the stretch between them.

    The copies are for a teacher to label: on rows that no member of an ensemble was trained on,
    the members say what they know instead of repeating the measurements they have fitted.

    Parameters
    ----------
    recombination : float, default=0.5
        Probability that a sequence swaps its end, from a random position on, for that of another
        sequence.
    other_strand : float, default=0.5
        Probability that a sequence is replaced by its reverse complement.
    mutation : float, default=0.05
        Probability that a base is replaced by one of the other three.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_degu.augmentation import SequenceEdits
    >>> from sklearn_degu.sequences import SequenceEncoder
    >>> encoder = SequenceEncoder()
    >>> X = encoder.fit_transform(["TTACGGACAGTT", "TTCAGATTACTT", "TTGGGACCCATT"])
    >>> edited = SequenceEdits()(X, np.random.default_rng(0))
    >>> encoder.inverse_transform(edited)
    array(['TTAGGGTCAGTT', 'TTCAGACTACTT', 'TTGGGACCCATT'], dtype='<U12')
    """

    def __init__(
        self, recombination: float = 0.5, other_strand: float = 0.5, mutation: float = 0.05
    ) -> None:
        self.recombination = recombination
        self.other_strand = other_strand
        self.mutation = mutation

    def __call__(self, X: NDArray[Any], generator: np.random.Generator) -> NDArray[Any]:
        """Return an edited copy of every sequence.

        Parameters
        ----------
        X : ndarray of shape (n_sequences, 4, length)
            One-hot sequences.
        generator : numpy.random.Generator
            Decides the edits.

        Returns
        -------
        X_edited : ndarray of shape (n_sequences, 4, length)
            A new array, of the dtype of X.

        Raises
        ------
        TypeError
            If X does not hold numbers, or generator is none.
        ValueError
            If X is not one-hot, or a parameter is no probability.
        """
        self._check_probabilities()
        if not isinstance(generator, np.random.Generator):
            raise TypeError(
                "generator must be a numpy Generator, such as numpy.random.default_rng(0), got "
                f"{generator!r}."
            )
        X = check_one_hot_shape(X)
        varies = _varying_positions(X)
        first, last = np.flatnonzero(varies)[[0, -1]]
        edited = recombine(X, random_state=generator)
        kept = generator.random(len(X)) >= self.recombination
        edited[kept] = X[kept]
        turned = generator.random(len(X)) < self.other_strand
        edited[turned] = reverse_complement(edited[turned], region=slice(first, last + 1))
        return mutate(edited, self.mutation, region=varies, random_state=generator)

    def _check_probabilities(self) -> None:
        for name, value in self.get_params().items():
            if not is_real(value) or not 0 <= value <= 1:
                raise ValueError(f"{name} must be a probability between 0 and 1, got {value!r}.")


def _varying_positions(X: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where the sequences differ from one another; everywhere if they are all equal."""
    # Unknown bases, all zero or 0.25, are no base that differs.
    varies: NDArray[np.bool_] = (X > 0.5).any(axis=0).sum(axis=0) > 1
    return varies if varies.any() else np.ones_like(varies)
