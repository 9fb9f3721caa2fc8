"""DNA sequences: strings to one-hot arrays and back, and edits of one-hot arrays.

Everything here speaks one layout: one-hot arrays of shape ``(n_sequences, 4, length)`` with the
channels in the order A, C, G, T. An unknown base (N) is a column of zeros, or of 0.25 in every
channel. `SequenceEncoder` makes such arrays from strings; the functions return edited copies of
them with shape and dtype kept.

Only numpy and scikit-learn's public interface are needed.
"""

from sklearn_degu.sequences.dinucleotides import dinucleotide_shuffle
from sklearn_degu.sequences.encoder import SequenceEncoder
from sklearn_degu.sequences.recombination import recombine
from sklearn_degu.sequences.transforms import mutate, reverse_complement, shuffle

__all__ = [
    "SequenceEncoder",
    "dinucleotide_shuffle",
    "mutate",
    "recombine",
    "reverse_complement",
    "shuffle",
]
