"""The recipes' hyperparameters, and that they train on their kind of data."""

import math

import numpy as np
import pytest
import torch

from sklearn_degu import load, save
from sklearn_degu.modules import DreamRNN, Dropout, MPRAnn, ProfileNet
from sklearn_degu.nets import OneCycle
from sklearn_degu.nets.configure import configure
from sklearn_degu.nets.strategies import check_strategy
from sklearn_degu.recipes import (
    deepstarr_net,
    dream_rnn_net,
    mlp_net,
    mprann_net,
    profile_net,
    residualbind_net,
)
from tests.toys import tiny_ensemble

SMALL = {
    mprann_net: {"module__width": 0.05},
    dream_rnn_net: {"module__width": 0.05},
    residualbind_net: {"module__head_width": 4},
}
ARCHITECTURES = pytest.mark.parametrize("make", SMALL)


def rows(n=24, length=25):
    codes = np.random.default_rng(0).integers(0, 4, size=(n, length))
    return np.eye(4, dtype=np.uint8)[codes].transpose(0, 2, 1).copy(), np.arange(2.0 * n).reshape(
        n, 2
    )


@pytest.mark.parametrize(
    "make", [deepstarr_net, dream_rnn_net, mlp_net, mprann_net, profile_net, residualbind_net]
)
def test_every_architecture_has_as_much_dropout_as_is_asked_for(make):
    net = make(module__dropout=0.125)
    net = configure(net, n_outputs=1, input_shape=(4, 32), validated=True, n_positions=None)
    net.initialize()
    drops = {layer.p for layer in net.module_.modules() if isinstance(layer, Dropout)}
    assert drops == {0.125}


class TestHyperparameters:
    def test_of_mprann_are_those_of_deepstarr(self):
        one, other = deepstarr_net(), mprann_net()
        assert other.module is MPRAnn
        for name in ("lr", "batch_size", "max_epochs", "optimizer", "criterion"):
            assert getattr(one, name) is getattr(other, name)
        assert [name for name, _ in other.callbacks] == [name for name, _ in one.callbacks]

    def test_of_dream_rnn_are_as_published(self):
        net = dream_rnn_net()
        assert (net.module, net.lr, net.batch_size, net.max_epochs) == (DreamRNN, 5e-3, 1024, 80)
        assert (net.optimizer, net.optimizer__weight_decay) == (torch.optim.AdamW, 0.01)
        callbacks = dict(net.callbacks)
        assert isinstance(callbacks["lr_schedule"], OneCycle)
        assert callbacks["lr_schedule"].pct_start == 0.1

    def test_of_dream_rnn_keep_the_best_weights_but_never_stop(self):
        best = dict(dream_rnn_net().callbacks)["best_weights"]
        assert (best.monitor, best.load_best, best.patience) == ("valid_loss", True, math.inf)

    def test_of_the_profile_net_are_those_of_bpnet(self):
        net = profile_net()
        assert (net.module, net.lr, net.batch_size, net.max_epochs) == (ProfileNet, 4e-3, 128, 200)
        stop = dict(net.callbacks)["early_stopping"]
        assert (stop.monitor, stop.patience, stop.load_best) == ("valid_loss", 5, True)


class TestTraining:
    @pytest.mark.filterwarnings("ignore:.*predicts a constant")
    @ARCHITECTURES
    def test_gives_members_that_are_saved(self, make, tmp_path):
        X, y = rows()
        net = make(max_epochs=2, batch_size=8, **SMALL[make])
        ensemble = tiny_ensemble(net, validation=0.25).fit(X, y)
        assert ensemble.predict_uncertainty(X).shape == (24, 2)
        save(ensemble, tmp_path / "model.safetensors")
        twin = load(tmp_path / "model.safetensors")
        np.testing.assert_array_equal(twin.predict(X), ensemble.predict(X))

    @pytest.mark.filterwarnings("ignore:.*predicts a constant")
    @ARCHITECTURES
    def test_is_the_same_in_threads(self, make):
        X, y = rows()
        net = make(max_epochs=2, batch_size=8, **SMALL[make])
        loop, threads = (
            tiny_ensemble(net, validation=0.25, strategy=strategy, n_jobs=2).fit(X, y)
            for strategy in ("loop", "threads")
        )
        np.testing.assert_array_equal(threads.predict_members(X), loop.predict_members(X))

    @pytest.mark.filterwarnings("ignore:.*predicts a constant")
    @pytest.mark.parametrize("make", [mprann_net, residualbind_net])
    def test_is_the_same_in_one_pass(self, make):
        X, y = rows()
        X = X.astype(np.float64)
        X[0, 0, 0] = 0.3
        net = make(max_epochs=2, batch_size=8, **SMALL[make])
        loop, joint = (
            tiny_ensemble(net, validation=0.25, strategy=strategy).fit(X, y)
            for strategy in ("loop", "joint")
        )
        np.testing.assert_allclose(joint.predict(X), loop.predict(X), rtol=1e-6)

    def test_of_a_recurrent_net_takes_threads_on_a_gpu(self):
        on_gpu = {"device": "cuda"}
        assert check_strategy("auto", [dream_rnn_net(**on_gpu)], 3) == "threads"
        assert check_strategy("auto", [mprann_net(**on_gpu)], 3) == "joint"

    def test_of_a_recurrent_net_in_one_pass_is_refused(self):
        net = dream_rnn_net(module__width=0.05)
        with pytest.raises(ValueError, match=r'recurrent layers\. Use strategy="loop"'):
            tiny_ensemble(net, validation=0.25, strategy="joint").fit(*rows())


def test_the_profile_net_learns_where_a_motif_stands():
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, size=(1020, 50))
    X = np.eye(4, dtype=np.float32)[codes].transpose(0, 2, 1).copy()
    gc = (X[:, 1] * np.roll(X[:, 2], -1, axis=1))[:, np.newaxis, 10:40]
    net = profile_net(
        module__n_outputs=1,
        module__seq_len=50,
        module__n_positions=30,
        module__n_dilations=1,
        module__width=0.2,
        module__dropout=0.0,
        callbacks=None,
        max_epochs=6,
        batch_size=32,
        lr=1e-2,
    )
    net.fit(X[:1000], gc[:1000])
    predicted = net.predict(X[1000:])
    assert predicted.shape == (20, 1, 30)
    assert np.corrcoef(predicted.ravel(), gc[1000:].ravel())[0, 1] > 0.9
