"""Fitted regressors whose predictions are known."""

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin

from sklearn_degu.sequences import SequenceEncoder


class Members(RegressorMixin, BaseEstimator):
    """Sums of weights of shape (n_members, 4, length) or (n_members, n_targets, 4, length).

    It keeps the strings of every batch that it is given.
    """

    uncertainty_kinds_ = ("epistemic",)

    def __init__(self, weights, known=()):
        self.weights = weights
        self.known = known
        self.read_ = []

    def fit(self, X, y):
        return self

    def __sklearn_is_fitted__(self):
        return True

    @property
    def input_shape_(self):
        return self.weights.shape[-2:]

    def predict_members(self, X):
        encoder = SequenceEncoder(length=X.shape[2]).fit(["A" * X.shape[2]])
        self.read_.append(encoder.inverse_transform(X).tolist())
        return np.einsum("m...cl,ncl->mn...", self.weights, X)

    def predict(self, X):
        return self.predict_members(X).mean(axis=0)

    def seen(self, X):
        encoder = SequenceEncoder(length=X.shape[2]).fit(["A" * X.shape[2]])
        return np.isin(encoder.inverse_transform(X), list(self.known))


def additive(length=8, n_members=3, n_targets=None, seed=0):
    """Return members with random weights."""
    targets = () if n_targets is None else (n_targets,)
    rng = np.random.default_rng(seed)
    return Members(rng.normal(size=(n_members, *targets, 4, length)))


def one_hot(string):
    return SequenceEncoder().fit_transform([string])[0]
