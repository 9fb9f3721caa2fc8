"""New sequences, made from the training sequences.

:class:`SequenceEdits` makes the copies that a teacher labels for a student by default. The
transforms are torch modules that edit every sequence by itself, on the device that it is on;
:class:`Augment` puts several together.
"""

from sklearn_degu.augmentation.edits import SequenceEdits
from sklearn_degu.augmentation.policy import Augment
from sklearn_degu.augmentation.transforms import (
    Deletion,
    DinucleotideShuffle,
    Insertion,
    Inversion,
    Mutation,
    Noise,
    PositionShuffle,
    ReverseComplement,
    Transform,
    Translocation,
)

__all__ = [
    "Augment",
    "Deletion",
    "DinucleotideShuffle",
    "Insertion",
    "Inversion",
    "Mutation",
    "Noise",
    "PositionShuffle",
    "ReverseComplement",
    "SequenceEdits",
    "Transform",
    "Translocation",
]
