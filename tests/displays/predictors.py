"""Estimators that say what they are told, and what the displays are called with."""

from typing import NamedTuple

import numpy as np

from sklearn_degu.displays import (
    CoverageDisplay,
    GroupCoverageDisplay,
    PredictionIntervalDisplay,
    RejectionCurveDisplay,
    ReliabilityDisplay,
)

DISPLAYS = [
    PredictionIntervalDisplay,
    ReliabilityDisplay,
    CoverageDisplay,
    GroupCoverageDisplay,
    RejectionCurveDisplay,
]
INTERVAL_DISPLAYS = [PredictionIntervalDisplay, CoverageDisplay, GroupCoverageDisplay]


class PredictsStd:
    """Predict the columns of X: mean, epistemic and aleatoric deviation."""

    def predict(self, X, return_std=False, kind="aleatoric"):
        return (X[:, 0], X[:, {"epistemic": 1, "aleatoric": 2}[kind]]) if return_std else X[:, 0]


class PredictsStdOfNoKind:
    """Predict as scikit-learn's regressors do, which know no kinds."""

    def predict(self, X, return_std=False):
        return (X[:, 0], X[:, 2]) if return_std else X[:, 0]


class Interval(NamedTuple):
    mean: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


class PredictsIntervals(PredictsStd):
    """Predict intervals of a width of twice the level, and deviations too."""

    def __init__(self, confidence_level=0.5):
        self.confidence_level = confidence_level

    def predict_interval(self, X):
        mean = X[:, 0].reshape(-1, *(1 for _ in np.shape(self.confidence_level)))
        half_width = np.asarray(self.confidence_level)
        return Interval(X[:, 0], mean - half_width, mean + half_width)
