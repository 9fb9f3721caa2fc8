"""Members trained apart, side by side or at once are the same members."""

import numpy as np
import pytest
import torch
from skorch.callbacks import (
    Callback,
    EarlyStopping,
    EpochScoring,
    Freezer,
    GradientNormClipping,
    LRScheduler,
    Unfreezer,
)
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

from sklearn_degu import EnsembleRegressor
from sklearn_degu.exceptions import TrainingDivergedError
from sklearn_degu.modules import MLP, DeepSTARR, ResidualBind
from sklearn_degu.nets import InMemoryNet, WeightAverage
from sklearn_degu.nets.configure import configure
from sklearn_degu.nets.data import Rows
from sklearn_degu.nets.prediction import forward
from sklearn_degu.nets.strategies import check_strategy, train_members
from sklearn_degu.recipes import deepstarr_net, mlp_net
from tests.noisy import replicates_of
from tests.toys import GlobalDropout, TinyConv, plain_skorch_net, tiny_ensemble, tiny_net

STRATEGIES = pytest.mark.parametrize("strategy", ["threads", "processes", "joint"])


def rows_of(module, n=40, seed=0):
    rng = np.random.default_rng(seed)
    if module is MLP:
        X = rng.normal(size=(n, 6))
    else:
        X = np.eye(4, dtype=np.uint8)[rng.integers(0, 4, size=(n, 26))].transpose(0, 2, 1).copy()
    y = np.column_stack([X.reshape(n, -1)[:, :3].sum(axis=1), rng.normal(size=n)])
    return Rows(X, y.astype(float))


def small(module, **params):
    sizes = {
        MLP: {"module__hidden": (8,), "module__dropout": 0.3},
        DeepSTARR: {"module__width": 0.05},
        ResidualBind: {},
    }[module]
    return tiny_net(module, **sizes, **params)


def stopping(net):
    """Let every member lower its learning rate and stop when its own validation loss says so."""
    callbacks = [
        ("schedule", LRScheduler("ReduceLROnPlateau", monitor="valid_loss", patience=0)),
        ("clipping", GradientNormClipping(1.0)),
        ("stopping", EarlyStopping(patience=4, load_best=True)),
    ]
    return net.set_params(callbacks=callbacks, max_epochs=20, lr=0.1)


def trained(net, strategy, train, valid=None, n_members=3):
    """Return members trained in double precision."""
    sized = [
        configure(net, n_outputs=2, input_shape=train.X.shape[1:], validated=valid is not None)
        for _ in range(n_members)
    ]
    return train_members(
        sized,
        train,
        valid,
        seeds=list(range(n_members)),
        dtype=torch.float64,
        strategy=strategy,
        n_jobs=2,
        verbose=0,
    )


def assert_same(members, others, X, names=("train_loss", "lr")):
    assert [len(net.history) for net in members] == [len(net.history) for net in others]
    for one, other in zip(members, others, strict=True):
        for name in names:
            np.testing.assert_allclose(one.history[:, name], other.history[:, name], rtol=1e-8)
        np.testing.assert_allclose(forward(one, X), forward(other, X), rtol=1e-7, atol=1e-8)


class Tied(nn.Module):
    """A net with two layers of the same weights."""

    draws_globally = False

    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.first, self.second = (nn.Linear(n_features, n_features) for _ in range(2))
        self.second.weight = self.first.weight
        self.output = nn.Linear(n_features, n_outputs)

    def forward(self, x):
        return self.output(self.second(self.first(x)))


class Remembering(nn.Module):
    """A net with a random tensor that is no buffer."""

    draws_globally = False

    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.output = nn.Linear(n_features, n_outputs)
        self.shift = torch.randn(n_features)

    def forward(self, x):
        return self.output(x + self.shift)


class Hook(Callback):
    """Watch a layer of the net."""

    def on_train_begin(self, net, **kwargs):
        net.module_.register_forward_hook(lambda *args: None)


class Meddling(Callback):
    """Throw gradients away behind every batch."""

    def on_batch_end(self, net, training, **kwargs):
        for parameter in net.module_.parameters():
            parameter.grad = None


class TestSameMembers:
    @STRATEGIES
    @pytest.mark.parametrize("module", [MLP, DeepSTARR, ResidualBind])
    def test_of_every_architecture_over_three_epochs(self, module, strategy):
        train = rows_of(module, 24)
        members = trained(small(module), strategy, train)
        assert_same(members, trained(small(module), "loop", train), train.X)

    @STRATEGIES
    @pytest.mark.parametrize("module", [MLP, DeepSTARR])
    def test_that_stop_each_at_its_own_epoch(self, module, strategy):
        train, valid = rows_of(module), rows_of(module, 10, seed=1)
        loop = trained(stopping(small(module)), "loop", train, valid)
        assert len({len(net.history) for net in loop}) > 1
        assert len({tuple(net.history[:5, "lr"]) for net in loop}) > 1
        members = trained(stopping(small(module)), strategy, train, valid)
        assert_same(members, loop, train.X, ("train_loss", "valid_loss", "lr"))

    @STRATEGIES
    def test_with_weights_and_missing_measurements(self, strategy):
        train = rows_of(MLP)
        train.y[::3, 1] = np.nan
        weighted = train._replace(weight=np.linspace(0.1, 2, 40))
        members = trained(small(MLP), strategy, weighted, weighted)
        loop = trained(small(MLP), "loop", weighted, weighted)
        assert_same(members, loop, train.X, ("train_loss", "valid_loss"))

    @STRATEGIES
    @pytest.mark.parametrize("aleatoric", ["replicates", "heteroscedastic"])
    def test_that_learn_noise(self, table, aleatoric, strategy):
        X, y = table
        given = {"replicates": replicates_of(y)} if aleatoric == "replicates" else {}
        said = [
            tiny_ensemble(aleatoric=aleatoric, strategy=how)
            .fit(X, y, **given)
            .predict_components(X)
            for how in (strategy, "loop")
        ]
        for kind, values in said[0].items():
            np.testing.assert_allclose(values, said[1][kind], rtol=1e-7)

    @STRATEGIES
    def test_with_scores_that_callbacks_take_from_the_predictions(self, strategy):
        train = rows_of(MLP)
        scoring = [("scores", EpochScoring("neg_mean_absolute_error", name="mae"))]
        train, valid = rows_of(MLP), rows_of(MLP, 12, seed=1)
        loop = trained(small(MLP, callbacks=scoring), "loop", train, valid)
        members = trained(small(MLP, callbacks=scoring), strategy, train, valid)
        assert_same(members, loop, train.X, ("mae",))

    @STRATEGIES
    @pytest.mark.parametrize(
        "callbacks",
        [
            [Freezer("layers.1.*")],
            [Freezer("*weight", at=2), Unfreezer("*weight", at=3)],
            [Meddling()],
            [LRScheduler(OneCycleLR, max_lr=0.1, total_steps=30, step_every="batch")],
            [WeightAverage()],
        ],
    )
    def test_whose_callbacks_change_weights_or_gradients(self, callbacks, strategy):
        train = rows_of(MLP)
        net = small(MLP, callbacks=callbacks, max_epochs=4, optimizer__weight_decay=0.1)
        members, loop = (trained(net, how, train) for how in (strategy, "loop"))
        assert_same(members, loop, train.X)

    @STRATEGIES
    def test_with_an_optimiser_that_remembers(self, strategy):
        net = small(MLP, optimizer=torch.optim.SGD, optimizer__momentum=0.9, lr=0.01)
        groups = [("layers.1.*", {"lr": 0.001, "weight_decay": 0.1})]
        net.set_params(optimizer__param_groups=groups)
        train = rows_of(MLP)
        assert_same(trained(net, strategy, train), trained(net, "loop", train), train.X)

    def test_of_one(self):
        train = rows_of(MLP)
        joint, loop = (trained(small(MLP), how, train, n_members=1) for how in ("joint", "loop"))
        assert_same(joint, loop, train.X)


class TestJoint:
    def test_members_keep_their_own_weights_alone(self):
        members = trained(small(MLP), "joint", rows_of(MLP))
        for net in members:
            for own in (*net.module_.parameters(), *net.module_.buffers()):
                assert own.untyped_storage().nbytes() == own.nbytes

    def test_callbacks_see_weights_that_are_the_members_own(self):
        class Copying(Callback):
            def on_epoch_end(self, net, **kwargs):
                for own in net.module_.state_dict().values():
                    assert own.untyped_storage().nbytes() == own.nbytes

        trained(small(MLP, callbacks=[Copying()]), "joint", rows_of(MLP))

    def test_refuses_nets_of_several_architectures(self, table):
        named = [("a", tiny_net()), ("b", tiny_net())]
        with pytest.raises(ValueError, match="one architecture, but there are 2 named nets"):
            EnsembleRegressor(named, 2, strategy="joint").fit(*table)

    @pytest.mark.parametrize(
        ("net", "message"),
        [
            (tiny_net(GlobalDropout), "torch's global generator"),
            (tiny_net(net=type("Other", (InMemoryNet,), {})), "it is a Other with its own"),
            (plain_skorch_net(), "it is a NeuralNetRegressor with its own"),
            (tiny_net(Tied), "layers of Tied share weights"),
            (tiny_net(Remembering), "Remembering keeps a tensor"),
            (tiny_net(callbacks=[("hook", Hook())]), "there are hooks on layers"),
            (tiny_net(optimizer=torch.optim.LBFGS), "LBFGS"),
        ],
    )
    def test_refuses_nets_that_it_would_train_otherwise(self, table, net, message):
        with pytest.raises(ValueError, match=message):
            tiny_ensemble(net, strategy="joint").fit(*table)

    def test_refuses_recurrent_nets(self, table):
        class Recurrent(nn.Module):
            draws_globally = False

            def __init__(self, n_features, n_outputs):
                super().__init__()
                self.layer = nn.LSTM(n_features, n_outputs)

            def forward(self, x):
                return self.layer(x)[0]

        with pytest.raises(ValueError, match="recurrent layers"):
            tiny_ensemble(tiny_net(Recurrent), strategy="joint").fit(*table)

    def test_trains_a_users_architecture(self, sequences):
        X, y = sequences
        net = tiny_net(TinyConv, module__dropout=0.2)
        joint, loop = (tiny_ensemble(net, strategy=how).fit(X, y) for how in ("joint", "loop"))
        np.testing.assert_allclose(joint.predict(X), loop.predict(X), rtol=1e-3, atol=1e-5)

    def test_names_the_member_that_diverges(self, table):
        net = tiny_net(lr=1e30, optimizer=torch.optim.SGD, max_epochs=20)
        with pytest.raises(TrainingDivergedError, match=r"member \d/2 diverged"):
            tiny_ensemble(net, strategy="joint").fit(*table)

    def test_an_interrupt_within_an_epoch_is_the_users(self, table):
        class Interrupt(Callback):
            def on_batch_end(self, net, training, **kwargs):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            tiny_ensemble(tiny_net(callbacks=[Interrupt()]), strategy="joint").fit(*table)

    def test_reports_every_member(self, table, capsys):
        tiny_ensemble(strategy="joint", verbose=1).fit(*table)
        lines = capsys.readouterr().out.splitlines()
        assert [line.split(",")[0] for line in lines] == ["member 1/2", "member 2/2"]


class TestChoice:
    def test_is_threads_on_a_cpu(self):
        assert check_strategy("auto", [deepstarr_net()], 5) == "threads"

    def test_is_processes_for_nets_that_would_wait_for_each_other(self):
        assert check_strategy("auto", [mlp_net(), tiny_net(GlobalDropout)], 5) == "processes"

    def test_is_joint_for_nets_that_take_longer_to_call_than_to_compute(self):
        assert check_strategy("auto", [mlp_net()], 5) == "joint"
        assert check_strategy("auto", [mlp_net(module__hidden=[])], 5) == "joint"
        assert check_strategy("auto", [mlp_net(module__hidden=(512,))], 5) == "threads"

    def test_is_threads_for_a_single_member(self):
        assert check_strategy("auto", [mlp_net()], 1) == "threads"
        assert check_strategy("auto", [deepstarr_net(device="cuda")], 1) == "threads"

    def test_is_joint_on_a_gpu(self):
        assert check_strategy("auto", [deepstarr_net(device="cuda")], 5) == "joint"

    def test_is_not_joint_for_what_may_not_run_together(self):
        nets = [deepstarr_net(device="cuda"), mlp_net(device="cuda")]
        assert check_strategy("auto", nets, 5) == "threads"
        lbfgs = mlp_net(device="cuda", optimizer=torch.optim.LBFGS)
        assert check_strategy("auto", [lbfgs], 5) == "threads"
        users = tiny_net(GlobalDropout, device="cuda")
        assert check_strategy("auto", [users], 5) == "processes"

    def test_of_the_user_stays(self):
        assert check_strategy("loop", [deepstarr_net(device="cuda")], 5) == "loop"

    def test_of_an_unknown_one_is_refused(self, table):
        with pytest.raises(ValueError, match=r"strategy must be one of .*'joint'.*, got 'vmap'"):
            tiny_ensemble(strategy="vmap").fit(*table)
