"""Errors of this package that are not plain ``ValueError`` or ``TypeError``."""

from __future__ import annotations


class TrainingDivergedError(ValueError):
    """A loss became NaN or infinite in training."""


class ModelFileError(ValueError):
    """A model cannot be saved, or a file holds no model that may be loaded."""
