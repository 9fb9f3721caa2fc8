"""A training that is killed again and again ends with the weights of one that is left alone."""

import multiprocessing
import random

import numpy as np
import pytest
from skorch.callbacks import EarlyStopping, LRScheduler

from sklearn_degu import DistilledRegressor
from sklearn_degu.augmentation import Augment, Mutation
from tests.toys import LENGTH, tiny_conv_net, tiny_ensemble

# Of each strategy.
N_KILLS = 15


def data():
    rng = np.random.default_rng(0)
    X = np.eye(4, dtype=np.uint8)[rng.integers(4, size=(400, LENGTH))].transpose(0, 2, 1)
    return X, X[:, 0].sum(axis=1) + 0.1 * rng.normal(size=len(X))


def model(strategy, **params):
    callbacks = [
        LRScheduler("ReduceLROnPlateau", monitor="valid_loss", patience=1),
        EarlyStopping("valid_loss", patience=50, load_best=True),
    ]
    net = tiny_conv_net(
        max_epochs=45, module__dropout=0.1, module__width=16, batch_size=64, callbacks=callbacks
    )
    teacher = tiny_ensemble(net, n_estimators=3, strategy=strategy, n_jobs=2, validation=0.1)
    teacher.set_params(augment=Augment([Mutation(0.1)], 1), fine_tune_epochs=15)
    return DistilledRegressor(teacher, random_state=0, **params)


def everything(fitted):
    """Return all weights, and what the whole predicts."""
    nets = [*fitted.teacher_.estimators_, fitted.student_]
    weights = [v.numpy() for net in nets for v in net.module_.state_dict().values()]
    return [*weights, *fitted.predict(data()[0], return_std=True)]


def fit_in_child(strategy, folder, has_begun, result):
    has_begun.set()
    fitted = model(strategy, checkpoint_dir=folder).fit(*data())
    result.send((everything(fitted), fitted.history_["train_loss"]))


class Fit:
    """A fit in a process of its own."""

    context = multiprocessing.get_context("forkserver")

    def __init__(self, strategy, folder):
        has_begun = self.context.Event()
        self.receiver, sender = self.context.Pipe(duplex=False)
        arguments = (strategy, folder, has_begun, sender)
        self.process = self.context.Process(target=fit_in_child, args=arguments)
        self.process.start()
        has_begun.wait()

    def ends_within(self, seconds):
        return self.receiver.poll(seconds)

    def kill(self):
        self.process.kill()
        self.process.join()

    def result(self):
        found = self.receiver.recv()
        self.process.join()
        return found


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["threads", "joint"])
def test_killed_at_random_moments(strategy, tmp_path):
    Fit.context.set_forkserver_preload(["tests.test_faults"])
    moments = random.Random(strategy)
    undisturbed = model(strategy).fit(*data())
    n_killed = n_finished = 0
    while n_killed < N_KILLS or not n_finished:
        fit = Fit(strategy, tmp_path / str(n_finished))
        if n_killed < N_KILLS and not fit.ends_within(moments.uniform(0.05, 0.6)):
            fit.kill()
            n_killed += 1
            continue
        found, losses = fit.result()
        n_finished += 1
        np.testing.assert_array_equal(losses, undisturbed.history_["train_loss"])
        for there, here in zip(found, everything(undisturbed), strict=True):
            np.testing.assert_array_equal(there, here)
        assert not list(tmp_path.rglob("*.tmp"))
