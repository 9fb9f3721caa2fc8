"""The one-cycle schedule over a training whose length the data decide."""

import pickle
from typing import ClassVar

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback

from sklearn_degu import DistilledRegressor, load, save
from sklearn_degu.nets import OneCycle
from sklearn_degu.nets.checkpoints import Checkpoint
from sklearn_degu.nets.configure import configure
from sklearn_degu.nets.data import Rows
from sklearn_degu.nets.joint import train_jointly
from sklearn_degu.nets.progress import EpochReporter
from sklearn_degu.nets.training import train_net
from tests.toys import tiny_ensemble, tiny_net, weights

N_ROWS, BATCH, EPOCHS, PEAK = 40, 16, 5, 0.02
# 16, 16 and 8 rows.
N_STEPS = 3 * EPOCHS


class Rates(Callback):
    """Keep the rate of every step; of the class, because nets are cloned for the fit."""

    seen: ClassVar[list[float]] = []

    def on_grad_computed(self, net, **kwargs):
        self.seen.append(net.optimizer_.param_groups[0]["lr"])


class KilledError(Exception):
    """The machine has gone."""


class Killer(Callback):
    """Cut the training off at the begin of an epoch."""

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 4:
            raise KilledError


@pytest.fixture
def rates():
    Rates.seen.clear()
    return Rates.seen


def cycling(*others, pct_start=0.4, **params):
    callbacks = [("lr_schedule", OneCycle(pct_start)), *others]
    sizes = {"lr": PEAK, "batch_size": BATCH, "max_epochs": EPOCHS, **params}
    return tiny_net(callbacks=callbacks, **sizes)


def table(n=N_ROWS):
    X = np.random.default_rng(0).normal(size=(n, 6))
    return X, X[:, 0]


def fitted(*others, n=N_ROWS, n_estimators=1, strategy="loop", **params):
    net = cycling(*others, **params)
    return tiny_ensemble(net, n_estimators, strategy=strategy).fit(*table(n))


def of_torch(n_steps, pct_start):
    """Return the rates that torch's schedule gives to so many steps."""
    optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=PEAK)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PEAK, total_steps=n_steps, pct_start=pct_start
    )
    expected = []
    for _ in range(n_steps):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(expected) < n_steps:
            schedule.step()
    return expected


@pytest.mark.parametrize("pct_start", [0.1, 0.4, 1.0])
def test_is_torchs_over_all_batches_of_all_epochs(rates, pct_start):
    fitted(("rates", Rates()), pct_start=pct_start)
    assert rates == pytest.approx(of_torch(N_STEPS, pct_start))


def test_rises_to_the_rate_of_the_net_and_falls_to_nearly_zero(rates):
    fitted(("rates", Rates()))
    assert max(rates) == rates[N_STEPS * 2 // 5 - 1] == pytest.approx(PEAK)
    assert rates[0] == pytest.approx(PEAK / 25)
    assert rates[-1] == pytest.approx(PEAK / 250_000)


@pytest.mark.parametrize("strategy", ["threads", "joint"])
def test_is_the_same_for_members_side_by_side(strategy):
    loop = fitted(n_estimators=3)
    members = fitted(n_estimators=3, strategy=strategy)
    np.testing.assert_allclose(members.history_["lr"], loop.history_["lr"])
    np.testing.assert_allclose(members.predict(table()[0]), loop.predict(table()[0]), rtol=1e-3)


@pytest.mark.parametrize(("n", "max_epochs"), [(16, 1), (16, 2), (16, 10), (20, 5)])
@pytest.mark.parametrize("pct_start", [0, 0.1, 0.5, 1])
def test_may_be_as_short_as_one_step(rates, n, max_epochs, pct_start):
    fitted(("rates", Rates()), n=n, max_epochs=max_epochs, pct_start=pct_start)
    assert np.isfinite(rates).all()
    assert 0 < max(rates) <= PEAK * (1 + 1e-9)


def test_ends_where_it_ended_if_there_are_more_batches_than_in_the_first_epoch(rates):
    X, y = table()
    net = configure(cycling(("rates", Rates())), n_outputs=1, input_shape=(6,), validated=False)
    first, more = Rows(X[:20], y[:20, None]), Rows(X, y[:, None])
    train_net(
        net,
        first,
        None,
        seed=0,
        dtype=torch.float64,
        reporter=EpochReporter(),
        refresh=lambda epoch: more if epoch else None,
    )
    n_planned = 2 * EPOCHS
    assert len(rates) == 2 + 3 * (EPOCHS - 1)
    assert rates[n_planned - 1 :] == [rates[-1]] * (len(rates) - n_planned + 1)


@pytest.mark.parametrize("jointly", [False, True])
def test_goes_on_from_a_checkpoint_as_if_uninterrupted(tmp_path, monkeypatch, jointly):
    monkeypatch.setattr("sklearn_degu.nets.checkpoints.PAUSE", 0)

    def train(*others, checkpoint=None):
        X, y = table()
        rows, dtype = Rows(X, y[:, None]), torch.float64
        net = configure(cycling(*others), n_outputs=1, input_shape=(6,), validated=False)
        if jointly:
            reporters = [EpochReporter()]
            [net] = train_jointly(
                [net],
                rows,
                None,
                seeds=[0],
                dtype=dtype,
                reporters=reporters,
                checkpoint=checkpoint,
            )
            return net
        reporter = EpochReporter()
        return train_net(
            net, rows, None, seed=0, dtype=dtype, reporter=reporter, checkpoint=checkpoint
        )

    with pytest.raises(KilledError):
        train(("killer", Killer()), checkpoint=Checkpoint(tmp_path / "net"))
    resumed, uninterrupted = train(checkpoint=Checkpoint(tmp_path / "net")), train()
    np.testing.assert_array_equal(weights(resumed), weights(uninterrupted))
    assert resumed.history[:, "lr"] == uninterrupted.history[:, "lr"]


def test_is_cloned_pickled_and_saved_with_an_estimator(tmp_path):
    ensemble = fitted()
    assert clone(ensemble).net.callbacks[0][1].pct_start == 0.4
    save(ensemble, tmp_path / "model.safetensors")
    for twin in (pickle.loads(pickle.dumps(ensemble)), load(tmp_path / "model.safetensors")):
        np.testing.assert_array_equal(twin.predict(table()[0]), ensemble.predict(table()[0]))
        twin.fit(*table())
        assert dict(twin.net.callbacks)["lr_schedule"].pct_start == 0.4


def test_teaches_a_student_too(rates):
    teacher = tiny_ensemble(cycling(("rates", Rates())), 2, strategy="loop")
    DistilledRegressor(teacher, random_state=0).fit(*table())
    np.testing.assert_allclose(rates, of_torch(N_STEPS, 0.4) * 3)


def test_is_tuned_by_name():
    net = cycling().set_params(callbacks__lr_schedule__pct_start=0.2)
    assert tiny_ensemble(net, 1).fit(*table()).history_["lr"][-1] < PEAK


@pytest.mark.parametrize("pct_start", [-0.1, 1.5])
def test_refuses_what_is_no_fraction(pct_start):
    with pytest.raises(ValueError, match=f"between 0 and 1, got {pct_start}"):
        fitted(pct_start=pct_start)
