"""What is kept of a training, and how it goes on."""

import errno

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, EarlyStopping, Freezer, LRScheduler

from sklearn_degu.nets import WeightAverage
from sklearn_degu.nets.checkpoints import SUFFIXES, Checkpoint, NetState
from sklearn_degu.nets.configure import configure
from sklearn_degu.nets.data import Rows
from sklearn_degu.nets.joint import train_jointly
from sklearn_degu.nets.progress import EpochReporter
from sklearn_degu.nets.training import train_net
from tests.toys import GlobalDropout, plain_skorch_net, tiny_net, weights


def rows(n=40, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 6))
    return Rows(X, (X[:, :1] - X[:, 1:2]) / 1.4)


class PowerCutError(Exception):
    """What ends a training that is to go on."""


class CutAfter(Callback):
    """End a training once, in the middle of an epoch."""

    epochs = 3
    is_armed = True

    def on_batch_end(self, net, training, **kwargs):
        if CutAfter.is_armed and training and len(net.history) > self.epochs:
            raise PowerCutError


class Count(Callback):
    """Count the epochs of all nets."""

    begun = 0

    def on_epoch_begin(self, net, **kwargs):
        Count.begun += 1


class RemembersTheNet(Callback):
    """A callback of a user's that refers to the net and its parts."""

    def on_train_begin(self, net, **kwargs):
        self.net, self.first = net, next(net.module_.parameters())

    def on_epoch_end(self, net, **kwargs):
        assert self.net is net
        assert self.first is next(net.module_.parameters())
        assert len(net.history) <= net.max_epochs


@pytest.fixture(autouse=True)
def armed():
    CutAfter.is_armed = True
    Count.begun = 0


@pytest.fixture(autouse=True)
def every_epoch(monkeypatch):
    """Keep every epoch, however short."""
    monkeypatch.setattr("sklearn_degu.nets.checkpoints.PAUSE", 0)


def train(net, checkpoint=None, valid=None):
    net = configure(net, n_outputs=1, input_shape=(6,), validated=valid is not None)
    options = {"seed": 3, "dtype": torch.float32, "reporter": EpochReporter()}
    return train_net(net, rows(), valid, checkpoint=checkpoint, **options)


def train_both(net, checkpoint=None, valid=None):
    nets = [
        configure(net, n_outputs=1, input_shape=(6,), validated=valid is not None) for _ in range(2)
    ]
    reporters = [EpochReporter(), EpochReporter()]
    options = {"seeds": [3, 4], "dtype": torch.float32, "reporters": reporters}
    return train_jointly(nets, rows(), valid, checkpoint=checkpoint, **options)


def assert_equal_nets(a, b):
    np.testing.assert_array_equal(weights(a), weights(b))
    for name in ("train_loss", "epoch", "lr"):
        assert a.history[:, name] == b.history[:, name]


CALLBACKS = {
    "none": [],
    "plateau": [LRScheduler("ReduceLROnPlateau", monitor="valid_loss", patience=0)],
    "cosine": [LRScheduler("CosineAnnealingLR", T_max=8)],
    "warmup": [
        LRScheduler(
            torch.optim.lr_scheduler.OneCycleLR, max_lr=0.1, total_steps=100, step_every="batch"
        )
    ],
    "best": [EarlyStopping("valid_loss", patience=2, load_best=True)],
    "average": [WeightAverage(0.9), EarlyStopping("valid_loss", patience=20, load_best=True)],
    "frozen": [Freezer(["layers.0.weight"])],
    "reference": [RemembersTheNet()],
}


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler")
class TestGoesOn:
    @pytest.mark.parametrize("callbacks", CALLBACKS.values(), ids=CALLBACKS)
    @pytest.mark.parametrize("training", [train, train_both])
    def test_with_the_same_numbers(self, callbacks, training, tmp_path):
        def net(*more):
            return tiny_net(max_epochs=8, module__dropout=0.2, callbacks=[*callbacks, *more])

        checkpoint, valid = tmp_path / "net", rows(15, seed=1)
        with pytest.raises(PowerCutError):
            training(net(CutAfter()), Checkpoint(checkpoint), valid)
        CutAfter.is_armed = False
        resumed = training(net(CutAfter()), Checkpoint(checkpoint), valid)
        whole = training(net(), valid=valid)
        for a, b in [(resumed, whole)] if training is train else zip(resumed, whole, strict=True):
            assert_equal_nets(a, b)

    @pytest.mark.parametrize(
        "net",
        [
            tiny_net(GlobalDropout),
            plain_skorch_net(module__dropout=0.3),
            tiny_net(optimizer=torch.optim.SGD, optimizer__momentum=0.9, lr=0.01),
            tiny_net(optimizer=torch.optim.LBFGS, lr=0.1),
        ],
        ids=["global generator", "plain skorch", "momentum", "closure"],
    )
    def test_of_other_nets(self, net, tmp_path):
        net.set_params(max_epochs=8, callbacks=[CutAfter()])
        with pytest.raises(PowerCutError):
            train(net, Checkpoint(tmp_path / "net"))
        CutAfter.is_armed = False
        assert_equal_nets(train(net, Checkpoint(tmp_path / "net")), train(net))

    def test_leaving_what_has_ended_alone(self, tmp_path):
        net = tiny_net(callbacks=[EarlyStopping("valid_loss", patience=1, load_best=True)])
        first = train(net, Checkpoint(tmp_path / "net"), rows(9))
        again = tiny_net(callbacks=[Count()])
        assert_equal_nets(train(again, Checkpoint(tmp_path / "net"), rows(9)), first)
        assert Count.begun == 0

    def test_from_a_later_epoch_than_the_first(self, tmp_path):
        with pytest.raises(PowerCutError):
            train(tiny_net(max_epochs=8, callbacks=[CutAfter()]), Checkpoint(tmp_path / "net"))
        train(tiny_net(max_epochs=8, callbacks=[Count()]), Checkpoint(tmp_path / "net"))
        assert Count.begun == 5


class TestFiles:
    def test_come_back_in_order(self, tmp_path):
        kept = Checkpoint(tmp_path / "net")
        for i in range(5):
            kept.save([NetState(i, False, b"x")])
            assert Checkpoint(tmp_path / "net").load(1)[0].epochs == i

    def test_that_are_not_there_hold_nothing(self, tmp_path):
        assert Checkpoint(tmp_path / "net").load(2) == [None, None]
        assert Checkpoint(None).load(1) == [None]
        Checkpoint(None).save([NetState(1, False, b"x")])

    @pytest.mark.parametrize("damage", [b"", b"half", None])
    def test_that_are_damaged_leave_the_one_before(self, damage, tmp_path):
        kept = Checkpoint(tmp_path / "net")
        kept.save([NetState(1, False, b"x")])
        kept.save([NetState(2, False, b"x")])
        [later] = [
            path for path in tmp_path.iterdir() if path.suffix == SUFFIXES[2 % len(SUFFIXES)]
        ]
        flipped = bytearray(later.read_bytes())
        flipped[-3] ^= 1
        later.write_bytes(flipped if damage is None else damage)
        kept = Checkpoint(tmp_path / "net")
        with pytest.warns(UserWarning, match="damaged"):
            assert kept.load(1)[0].epochs == 1
        kept.save([NetState(3, False, b"x")])
        assert Checkpoint(tmp_path / "net").load(1)[0].epochs == 3

    def test_on_a_full_disk_are_warned_of_once(self, tmp_path, monkeypatch):
        def full(descriptor):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("os.fsync", full)
        with pytest.warns(UserWarning, match="No space left") as warned:
            train(tiny_net(), Checkpoint(tmp_path / "net"))
        assert len(warned) == 1
        assert not list(tmp_path.iterdir())

    def test_that_cannot_hold_a_callback_are_refused_before_the_training(self, tmp_path):
        class Opens(Callback):
            def on_train_begin(self, net, **kwargs):
                self.file = (tmp_path / "log").open("w")

            def on_epoch_begin(self, net, **kwargs):
                pytest.fail("trained")

        with pytest.raises(ValueError, match=r"cannot be kept in checkpoint_dir.*Opens"):
            train(tiny_net(callbacks=[Opens()]), Checkpoint(tmp_path / "net"))

    def test_are_written_seldom_where_epochs_are_short(self, tmp_path, monkeypatch):
        monkeypatch.setattr("sklearn_degu.nets.checkpoints.PAUSE", 1e9)
        kept = Checkpoint(tmp_path / "net")
        assert kept.is_due
        kept.save([NetState(1, False, b"x")])
        assert not kept.is_due
        assert not Checkpoint(None).is_due
