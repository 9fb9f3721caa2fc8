"""Ensembles of neural networks, distilled into one, for DNA sequences and tables."""

from sklearn_degu.conformal import ConformalRegressor
from sklearn_degu.distillation import DistilledRegressor
from sklearn_degu.ensemble import EnsembleRegressor
from sklearn_degu.persistence import load, save

__all__ = ["ConformalRegressor", "DistilledRegressor", "EnsembleRegressor", "load", "save"]
