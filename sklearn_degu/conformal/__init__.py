"""Conformal prediction: intervals that cover y as often as they say.

The other modules here are what :class:`ConformalRegressor` is made of: scores, ranks, groups.
"""

from sklearn_degu.conformal.regressor import ConformalRegressor, PredictionInterval

__all__ = ["ConformalRegressor", "PredictionInterval"]
