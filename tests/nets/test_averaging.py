"""What the averaged weights are and when the net holds them."""

from typing import ClassVar

import numpy as np
import pytest
import torch
from sklearn.datasets import make_regression
from skorch.callbacks import Callback, EarlyStopping

from sklearn_degu import EnsembleRegressor
from sklearn_degu.nets import WeightAverage
from sklearn_degu.recipes import mlp_net


class Recorder(Callback):
    """Keep the first weight after every step and at the end of every epoch.

    The net is cloned for the fit and its callbacks with it, so the record belongs to the class.
    """

    steps: ClassVar[list[torch.Tensor]] = []
    epochs: ClassVar[list[torch.Tensor]] = []

    def on_batch_end(self, net, training=False, **kwargs):
        if training:
            self.steps.append(first_weight(net))

    def on_epoch_end(self, net, **kwargs):
        self.epochs.append(first_weight(net))


def first_weight(net):
    return next(net.module_.parameters()).detach().clone()


def fit(callbacks, max_epochs=6, **params):
    X, y = make_regression(60, 4, noise=5.0, random_state=0)
    net = mlp_net(max_epochs=max_epochs, batch_size=20, callbacks=callbacks, lr=0.05)
    ensemble = EnsembleRegressor(net, n_estimators=1, random_state=0, **params)
    return ensemble.fit(X, y)


@pytest.fixture
def record():
    Recorder.steps.clear()
    Recorder.epochs.clear()
    return Recorder


def test_the_net_ends_up_with_the_moving_average_of_its_steps(record):
    ensemble = fit([WeightAverage(decay=0.9), Recorder()])
    average = record.steps[0]
    for n, step in enumerate(record.steps[1:], start=1):
        keep = min(0.9, (1 + n) / (10 + n))
        average = keep * average + (1 - keep) * step
    torch.testing.assert_close(first_weight(ensemble.estimators_[0]), average)


def test_training_goes_on_from_the_weights_as_they_are(record):
    fit([WeightAverage(), Recorder()])
    averaged = list(record.steps)
    record.steps.clear()
    fit([Recorder()])
    for with_average, without in zip(averaged, record.steps, strict=True):
        torch.testing.assert_close(with_average, without)


@pytest.mark.parametrize("validation", [None, 0.2])
def test_an_epoch_ends_with_the_average_in_the_net(record, validation):
    fit([WeightAverage(), Recorder()], validation=validation)
    assert not torch.equal(record.epochs[-1], record.steps[-1])


def test_early_stopping_restores_the_best_average():
    callbacks = [
        WeightAverage(decay=0.5),
        ("stop", EarlyStopping(monitor="valid_loss", patience=3, load_best=True)),
    ]
    X, y = make_regression(60, 4, noise=5.0, random_state=0)
    net = mlp_net(max_epochs=40, batch_size=20, callbacks=callbacks, lr=0.1)
    ensemble = EnsembleRegressor(net, n_estimators=1, random_state=0)
    ensemble.fit(X[:40], y[:40], X_val=X[40:], y_val=y[40:])
    losses = ensemble.history_["valid_loss"]
    scale = y[:40].std()
    reached = np.mean((ensemble.predict(X[40:]) - y[40:]) ** 2) / scale**2
    assert losses.argmin() < len(losses) - 1
    assert reached == pytest.approx(losses.min(), rel=1e-5)
