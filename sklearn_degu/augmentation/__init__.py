"""New sequences for a teacher to label, made from the training sequences."""

from sklearn_degu.augmentation.edits import SequenceEdits

__all__ = ["SequenceEdits"]
