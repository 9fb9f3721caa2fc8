"""How one net is trained."""

import os
import signal

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback, EarlyStopping, EpochScoring, LRScheduler
from torch import nn

from sklearn_degu.exceptions import TrainingDivergedError
from sklearn_degu.nets.configure import configure
from sklearn_degu.nets.data import Rows
from sklearn_degu.nets.prediction import compute_dtype, forward, warn_if_constant
from sklearn_degu.nets.progress import EpochReporter, _duration, tidy_history
from sklearn_degu.nets.training import train_net
from tests.toys import Constant, plain_skorch_net, tiny_ensemble, tiny_net, weights


def rows(n=40, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 6))
    return Rows(X, (X[:, :1] - X[:, 1:2]) / 1.4)


def train(net, data=None, valid=None, reporter=None, **options):
    net = configure(net, n_outputs=1, input_shape=(6,), validated=valid is not None)
    options = {"seed": 3, "dtype": torch.float64} | options
    reporter = reporter or EpochReporter()
    return train_net(net, data or rows(), valid, reporter=reporter, **options)


class StopAfterTwo(Callback):
    """Stop as skorch's callbacks do."""

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 2:
            raise KeyboardInterrupt


class Keep(Callback):
    """Remember the weights of the second epoch."""

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 2:
            net.kept = weights(net)


class Grow(Callback):
    """Spoil the weights from the third epoch on, before the validation of the epoch."""

    def on_batch_end(self, net, training, **kwargs):
        if training and len(net.history) > 2:
            with torch.no_grad():
                for parameter in net.module_.parameters():
                    parameter.add_(10.0)


class TestLoop:
    @pytest.mark.parametrize("validated", [False, True])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_equals_skorchs_own(self, validated, weighted):
        """Recording losses once an epoch changes neither losses nor weights.

        Only where rows weigh unequally do the losses differ: skorch counts the rows of a batch.
        """
        data = rows()
        if weighted:
            data = data._replace(weight=np.arange(1.0, 41))
        valid = rows(15, seed=1) if validated else None
        options = {"max_epochs": 4, "module__dropout": 0.2}
        ours, theirs = (
            train(make(**options), data, valid) for make in (tiny_net, plain_skorch_net)
        )
        np.testing.assert_allclose(weights(ours), weights(theirs), rtol=1e-12)
        for name in ("epoch", "train_batch_count"):
            assert ours.history[:, name] == theirs.history[:, name]
        for name in [] if weighted else ["train_loss", "valid_loss"][: 1 + validated]:
            np.testing.assert_allclose(ours.history[:, name], theirs.history[:, name], rtol=1e-6)
            assert ours.history[:, f"{name}_best"] == theirs.history[:, f"{name}_best"]

    def test_validation_loss_does_not_depend_on_the_size_of_batches(self):
        data, valid = rows(), rows(30, seed=1)._replace(weight=np.arange(1.0, 31))
        losses = [
            train(tiny_net(max_epochs=2, iterator_valid__batch_size=size), data, valid).history[
                :, "valid_loss"
            ]
            for size in (7, 30)
        ]
        np.testing.assert_allclose(*losses, rtol=1e-6)

    def test_calls_the_hooks_of_every_batch(self):
        seen = []

        class Batches(Callback):
            def on_batch_begin(self, net, batch, training, **kwargs):
                seen.append((training, len(batch[0])))

            def on_batch_end(self, net, batch, training, loss, y_pred, **kwargs):
                seen.append((training, len(y_pred)))

        train(tiny_net(max_epochs=1, callbacks=[Batches()]), rows(33), rows(5))
        assert seen == [(True, 16)] * 2 + [(True, 17)] * 2 + [(False, 5)] * 2

    def test_serves_user_callbacks_that_score(self):
        score = EpochScoring("neg_mean_squared_error", name="train_mse", on_train=True)
        trained = train(plain_skorch_net(callbacks=[score]))
        assert len(trained.history[:, "train_mse"]) == 3

    def test_sees_the_rows_in_an_order_of_the_seed(self):
        orders = {}

        class Order(Callback):
            def on_batch_begin(self, net, batch, training, **kwargs):
                orders[seed].append(batch[0].numpy().copy())

        for seed in (1, 2):
            orders[seed] = []
            train(tiny_net(max_epochs=1, callbacks=[Order()]), seed=seed)
        one, other = (np.concatenate(batches) for batches in orders.values())
        assert not np.array_equal(one, other)
        np.testing.assert_array_equal(np.sort(one, axis=0), np.sort(other, axis=0))

    def test_starts_and_ends_with_the_callbacks(self):
        seen = []

        class Ends(Callback):
            def on_train_begin(self, net, X=None, y=None, **kwargs):
                seen.append(len(X))

            def on_train_end(self, net, X=None, y=None, **kwargs):
                seen.append(len(net.history))

        train(tiny_net(callbacks=[Ends()]))
        assert seen == [40, 3]


class TestStopping:
    def test_restores_the_best_weights(self):
        early = EarlyStopping(patience=3, load_best=True)
        callbacks = [Grow(), Keep(), ("early", early)]
        trained = train(tiny_net(max_epochs=50, callbacks=callbacks), valid=rows(15, seed=1))
        assert len(trained.history) == 5
        assert np.argmin(trained.history[:, "valid_loss"]) == 1
        np.testing.assert_array_equal(weights(trained), trained.kept)

    def test_keeps_the_best_weights_of_every_member_apart(self, table):
        X, y = table
        stop = ("early", EarlyStopping(patience=2, load_best=True))
        net = tiny_net(max_epochs=30, lr=0.3, callbacks=[stop])
        ensemble = tiny_ensemble(net, 3, validation=0.25, n_jobs=2).fit(X, y)
        held_out = ensemble.validation_indices_
        scale = np.delete(y, held_out).std()
        errors = ((ensemble.predict_members(X[held_out]) - y[held_out]) / scale) ** 2
        for member, error in enumerate(errors.mean(axis=1)):
            history = ensemble.history_[ensemble.history_["member"] == member]
            assert error == pytest.approx(history["valid_loss"].min())
        assert len({id(net.callbacks) for net in ensemble.estimators_}) == 3

    def test_by_a_callback_is_kept(self):
        trained = train(tiny_net(max_epochs=9, callbacks=[StopAfterTwo()]))
        assert len(trained.history) == 2

    def test_by_a_callback_after_validation_is_kept(self):
        net = tiny_net(max_epochs=9, callbacks=[StopAfterTwo()])
        assert len(train(net, valid=rows(9)).history) == 2

    @pytest.mark.parametrize("hook", ["on_batch_begin", "on_batch_end", "on_epoch_begin"])
    def test_by_ctrl_c_is_not_swallowed(self, hook):
        def interrupt(self, net, **kwargs):
            if len(net.history) == 2:
                raise KeyboardInterrupt

        callback = type("CtrlC", (Callback,), {hook: interrupt})()
        with pytest.raises(KeyboardInterrupt):
            train(tiny_net(callbacks=[callback]), valid=rows(9))

    def test_by_ctrl_c_at_the_end_of_an_epoch_is_not_taken_for_a_callbacks(self, heeds_ctrl_c):
        class CtrlC(Callback):
            def on_epoch_end(self, net, **kwargs):
                os.kill(os.getpid(), signal.SIGINT)

        with pytest.raises(KeyboardInterrupt):
            train(tiny_net(callbacks=[CtrlC()]))
        with pytest.raises(KeyboardInterrupt):
            tiny_ensemble(tiny_net(callbacks=[CtrlC()]), strategy="joint").fit(*rows(9)[:2])
        assert len(train(tiny_net(max_epochs=9, callbacks=[StopAfterTwo()])).history) == 2

    def test_by_ctrl_c_before_the_first_epoch_is_not_swallowed(self, monkeypatch):
        def interrupt(net, *args, **kwargs):
            raise KeyboardInterrupt

        monkeypatch.setattr("skorch.NeuralNet.fit_loop", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(tiny_net())

    def test_by_ctrl_c_of_an_ensemble_is_not_swallowed(self, table):
        class CtrlC(Callback):
            def on_batch_begin(self, net, **kwargs):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            tiny_ensemble(tiny_net(callbacks=[CtrlC()])).fit(*table)


class TestLearningRate:
    def test_is_reduced_on_a_plateau(self):
        schedule = LRScheduler(
            policy="ReduceLROnPlateau", monitor="valid_loss", patience=1, factor=0.1, min_lr=1e-3
        )
        net = tiny_net(max_epochs=9, callbacks=[Grow(), schedule])
        rates = tidy_history([train(net, valid=rows(9))])["lr"]
        # The loss is worse from the third epoch on: two such epochs, and the next one is slower.
        expected = [0.05] * 4 + [0.005] * 2 + [0.001] * 3
        np.testing.assert_allclose(rates, expected)


class TestTrouble:
    @pytest.mark.parametrize("make", [tiny_net, plain_skorch_net])
    def test_that_diverges_says_so(self, make):
        net = make(lr=1e30, optimizer=torch.optim.SGD, max_epochs=20)
        with pytest.raises(
            TrainingDivergedError, match=r"member 2 diverged: train_loss is (nan|inf)"
        ):
            train(net, reporter=EpochReporter("member 2"))

    def test_that_diverges_on_validation_rows_says_so(self):
        valid = rows(9)
        valid.X[0] = 1e200
        valid.y[0] = 1e200
        with pytest.raises(TrainingDivergedError, match=r"valid_loss is inf in epoch 1\. Lower"):
            train(tiny_net(), valid=valid)

    @pytest.mark.parametrize("n_jobs", [1, 2])
    def test_that_diverges_is_an_error_of_the_ensemble(self, table, n_jobs):
        net = tiny_net(lr=1e30, optimizer=torch.optim.SGD, max_epochs=20)
        with pytest.raises(TrainingDivergedError, match=r"member \d/2 diverged"):
            tiny_ensemble(net, n_jobs=n_jobs).fit(*table)

    def test_that_learns_a_constant_says_so(self, table):
        with pytest.warns(ConvergenceWarning, match="Member 0 of the ensemble predicts a constant"):
            tiny_ensemble(tiny_net(Constant), 1).fit(*table)

    def test_a_constant_is_right_where_the_targets_are(self, table, recwarn):
        tiny_ensemble().fit(table[0], np.full(40, 7.0))
        warn_if_constant(train(tiny_net()), rows(), "A net that has learned")
        assert not [w for w in recwarn if issubclass(w.category, ConvergenceWarning)]

    def test_a_module_of_another_shape_says_so(self):
        class Flat(nn.Module):
            def __init__(self, n_outputs):
                super().__init__()
                self.weight = nn.Parameter(torch.ones(6))

            def forward(self, x):
                return x.to(self.weight) @ self.weight

        with pytest.raises(ValueError, match=r"must return \(n_samples, n_outputs\)"):
            train(tiny_net(Flat))


class TestForward:
    def test_refuses_what_is_no_row_of_outputs_a_row(self):
        class Flat(nn.Linear):
            def forward(self, x):
                return x.sum()

        net = plain_skorch_net(Flat, module__in_features=1, module__out_features=1).initialize()
        with pytest.raises(ValueError, match=r"for 3 samples it returned \(\)"):
            forward(net, np.zeros((3, 2), dtype=np.float32))

    def test_computes_in_the_type_of_the_weights(self):
        net = train(tiny_net())
        assert compute_dtype(net) == torch.float64
        single = forward(net, rows().X.astype(np.float32))
        assert single.dtype == np.float64

    def test_leaves_no_gradient_and_no_mode_behind(self):
        net = train(tiny_net(module__dropout=0.5))
        np.testing.assert_array_equal(forward(net, rows().X), forward(net, rows().X))
        assert not net.module_.training


class TestProgress:
    @pytest.mark.parametrize(
        ("seconds", "said"), [(5.2, "5 s"), (119, "119 s"), (150, "2 min"), (9000, "2.5 h")]
    )
    def test_durations_are_said_in_fitting_units(self, seconds, said):
        assert _duration(seconds) == said

    def test_time_left_counts_nets_that_wait(self, capsys):
        train(tiny_net(), reporter=EpochReporter("member 1/9", n_waiting=8, verbose=1))
        assert capsys.readouterr().out.startswith("member 1/9, 3 epochs: train_loss 0.")

    def test_time_left_counts_epochs_that_wait(self, capsys):
        train(tiny_net(max_epochs=2), reporter=EpochReporter(verbose=2))
        assert "net, epoch 1/2: " in capsys.readouterr().out
