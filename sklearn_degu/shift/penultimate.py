"""What a fitted network makes of its input, before its last linear layer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNet
from torch import Tensor, nn

from sklearn_degu._base import NeuralRegressor
from sklearn_degu._calibration import CalibratedRegressor
from sklearn_degu._inputs import check_predict_data
from sklearn_degu.nets.prediction import forward
from sklearn_degu.uncertainty import Array


def penultimate_features(estimator: Any, X: Any) -> Array:
    """Return the activations that a fitted network feeds to its last linear layer.

    They are what the prediction is a linear function of: rows that look alike there get the same
    prediction.

    Parameters
    ----------
    estimator : estimator
        A fitted :class:`DistilledRegressor`, of which the student is read, an
        :class:`EnsembleRegressor`, of which the first member is read (the members learn the same
        data, and one costs a tenth), or a regressor of :mod:`sklearn_degu.baselines`. Or a
        Pipeline that ends in one, a FrozenEstimator of one, or a conformal or recalibrated
        regressor around one. For another choice of layer or
        members pass a function of your own as ``features`` of :func:`check_exchangeability`.
    X : array-like
        Samples, as ``estimator.predict`` reads them.

    Returns
    -------
    features : ndarray of shape (n_samples, n_units)
        Inputs of the :class:`torch.nn.Linear` that runs last, flattened, in the mode of
        prediction. They have no units.

    Raises
    ------
    TypeError
        If the estimator is no network of this package.
    ValueError
        If X does not fit the estimator, or its network runs no linear layer on every sample.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from sklearn_degu import EnsembleRegressor
    >>> from sklearn_degu.shift import penultimate_features
    >>> X, y = make_regression(n_samples=100, n_features=5, random_state=0)
    >>> ensemble = EnsembleRegressor(n_estimators=2, random_state=0).fit(X, y)
    >>> penultimate_features(ensemble, X[:3]).shape
    (3, 64)
    """
    if isinstance(estimator, FrozenEstimator):
        return penultimate_features(estimator.estimator, X)
    if isinstance(estimator, CalibratedRegressor):
        check_is_fitted(estimator)
        return penultimate_features(estimator.estimator_, X)
    if isinstance(estimator, Pipeline):
        check_is_fitted(estimator)
        X = estimator[:-1].transform(X) if len(estimator) > 1 else X
        return penultimate_features(estimator[-1], X)
    net = _net_of(estimator)
    rows = check_predict_data(estimator, X)
    with _recorded_inputs(net.module_) as recorded:
        forward(net, rows)
    return _joined(recorded, len(rows))


def _net_of(estimator: Any) -> NeuralNet:
    if not isinstance(estimator, NeuralRegressor):
        raise TypeError(
            "Penultimate features are those of a fitted DistilledRegressor or EnsembleRegressor, "
            f"or of a Pipeline that ends in one; got {type(estimator).__name__}. Use "
            "features='kmers', None or a callable."
        )
    check_is_fitted(estimator)
    for name in ("student_", "net_"):
        if hasattr(estimator, name):
            return getattr(estimator, name)
    return estimator.estimators_[0]


@contextmanager
def _recorded_inputs(module: nn.Module) -> Iterator[list[Tensor]]:
    """Record the input of the linear layer that runs last, a batch at a time.

    The module is left without hooks, and in the modes that its layers were in.
    """
    batches: list[Tensor] = []
    latest: list[Tensor] = []

    def see(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        latest[:] = [inputs[0].detach()]

    def keep(module: nn.Module, inputs: Any, output: Any) -> None:
        batches.extend(latest)

    modes = [(layer, layer.training) for layer in module.modules()]
    with ExitStack() as hooks:
        for layer in module.modules():
            if isinstance(layer, nn.Linear):
                hooks.callback(layer.register_forward_pre_hook(see).remove)
        hooks.callback(module.register_forward_hook(keep).remove)
        try:
            yield batches
        finally:
            for layer, mode in modes:
                layer.training = mode


def _joined(batches: list[Tensor], n_rows: int) -> Array:
    if sum(map(len, batches)) != n_rows:
        raise ValueError(
            "The network runs no torch.nn.Linear on every sample, so that it has no penultimate "
            "features. Pass features='kmers' or a callable."
        )
    return np.concatenate([batch.flatten(1).to("cpu").double().numpy() for batch in batches])
