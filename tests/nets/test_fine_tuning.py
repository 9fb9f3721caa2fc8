"""Members that train on with the rows as they are."""

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, EarlyStopping, LRScheduler

from sklearn_degu.nets import OneCycle, WeightAverage
from sklearn_degu.nets.fine_tuning import fine_tuning_net
from sklearn_degu.nets.randomness import Seeds
from sklearn_degu.recipes import deepstarr_net
from tests.nets.test_augmented import Jitter, watched
from tests.toys import GlobalDropout, plain_skorch_net, tiny_ensemble, tiny_net, weights

# It takes no member anywhere.
NO_STEP = 1e-14


def two_stages(net=None, n_estimators=2, **params):
    params = {"augment": Jitter(), "fine_tune_epochs": 2, "strategy": "loop", **params}
    return tiny_ensemble(net, n_estimators, **params)


class PowerCutError(Exception):
    """What ends a fit that is to go on."""


class Cut(Callback):
    """End a fit in the middle of an epoch of a stage, told by its learning rate."""

    where = None

    def on_batch_end(self, net, training, **kwargs):
        if training and (net.lr, len(net.history)) == Cut.where:
            raise PowerCutError


@pytest.fixture
def every_epoch(monkeypatch):
    """Keep every epoch, however short."""
    monkeypatch.setattr("sklearn_degu.nets.checkpoints.PAUSE", 0)
    yield
    Cut.where = None


class TestSecondStage:
    @pytest.mark.parametrize("strategy", ["loop", "threads", "joint"])
    @pytest.mark.parametrize("callbacks", [[], [WeightAverage(0.9)]])
    def test_begins_with_the_weights_of_the_first(self, table, strategy, callbacks):
        net = tiny_net(callbacks=callbacks)
        first = two_stages(net, fine_tune_epochs=0).fit(*table)
        both = two_stages(net, fine_tune_lr=NO_STEP, strategy=strategy, n_jobs=2).fit(*table)
        for one, other in zip(first.estimators_, both.estimators_, strict=True):
            np.testing.assert_allclose(weights(one), weights(other), rtol=1e-6, atol=1e-9)

    def test_begins_with_the_best_weights_of_the_first(self, table):
        X, y = table
        best = [EarlyStopping("valid_loss", patience=50, load_best=True)]
        net = tiny_net(max_epochs=40, lr=0.3, callbacks=best)
        fitted = two_stages(net, fine_tune_lr=NO_STEP, validation=0.3).fit(X, y)
        for member in range(2):
            losses = fitted.history_[fitted.history_["member"] == member]["valid_loss"]
            assert losses[:40].argmin() < 39
            np.testing.assert_allclose(losses[40:], losses[:40].min(), rtol=1e-6)

    def test_restores_its_own_best_weights(self, table):
        X, y = table
        best = [EarlyStopping("valid_loss", patience=3, load_best=True)]
        net = tiny_net(max_epochs=5, callbacks=best)
        fitted = two_stages(
            net, fine_tune_epochs=30, fine_tune_lr=0.3, validation=0.3, n_estimators=1
        ).fit(X, y)
        held_out = fitted.validation_indices_
        scale = np.delete(y, held_out).std()
        error = np.mean(((fitted.predict(X[held_out]) - y[held_out]) / scale) ** 2)
        second = fitted.history_[fitted.history_["lr"] == 0.3]
        assert 0 < len(second) < 30
        assert error == pytest.approx(second["valid_loss"].min())

    @pytest.mark.parametrize("strategy", ["loop", "joint"])
    def test_sees_the_rows_as_they_are(self, table, strategy):
        X, y = table
        fitted = two_stages(watched(), strategy=strategy).fit(X, y)
        for net in fitted.estimators_:
            assert len(net.batches_seen[True]) == 2
            for batch in net.batches_seen[True]:
                np.testing.assert_array_equal(np.sort(batch, axis=0), np.sort(X, axis=0))

    def test_takes_normalisations_along(self, sequences):
        X, y = np.tile(sequences[0], 3), sequences[1]
        net = deepstarr_net(module__width=0.05, max_epochs=2, callbacks=None, batch_size=16)
        second = {"fine_tune_epochs": 1, "fine_tune_lr": NO_STEP}
        first, both = (
            two_stages(net, 1, augment=Jitter(0.0), **stage).fit(X, y).estimators_[0].module_
            for stage in ({"fine_tune_epochs": 0}, second)
        )
        n_steps = [
            {int(v) for k, v in m.state_dict().items() if "num_batches" in k} for m in (first, both)
        ]
        assert n_steps == [{2 * 3}, {3 * 3}]

    @pytest.mark.parametrize(
        "net", [plain_skorch_net(), tiny_net(GlobalDropout)], ids=["plain skorch", "global"]
    )
    def test_of_other_nets(self, net, table):
        assert len(two_stages(net).fit(*table).history_) == 2 * (3 + 2)

    def test_has_random_streams_of_its_own(self):
        streams = [
            {seeds.order, seeds.dropout, seeds.augmentation}
            for seeds in (Seeds(3), Seeds(3, stage=1), Seeds(4, stage=1))
        ]
        assert len(set.union(*streams)) == 9
        assert Seeds(3).weights == Seeds(3, stage=1).weights

    def test_of_no_epochs_changes_nothing_and_a_rate_for_them_is_warned_of(self, table):
        one = two_stages(fine_tune_epochs=0).fit(*table)
        with pytest.warns(UserWarning, match=r"fine_tune_lr=0.1 has no effect") as caught:
            other = two_stages(fine_tune_epochs=0, fine_tune_lr=0.1).fit(*table)
        assert caught[0].filename == __file__
        np.testing.assert_array_equal(one.predict(table[0]), other.predict(table[0]))


class TestHistory:
    def test_holds_both_stages(self, table):
        history = two_stages().fit(*table).history_
        assert history["member"].tolist() == [0] * 5 + [1] * 5
        assert history["epoch"].tolist() == [1, 2, 3, 4, 5] * 2
        np.testing.assert_allclose(history["lr"], ([0.05] * 3 + [0.005] * 2) * 2)

    def test_is_reported(self, table, capsys):
        two_stages(verbose=1).fit(*table)
        lines = capsys.readouterr().out.splitlines()
        assert [line.partition(":")[0] for line in lines] == [
            *(f"member {i}/2, 3 epochs" for i in (1, 2)),
            *(f"fine-tuning of member {i}/2, 2 epochs" for i in (1, 2)),
        ]


class TestNet:
    @pytest.mark.parametrize("lr", [None, 0.02])
    def test_learns_at_its_own_rates(self, lr):
        groups = [("layers.0*", {"lr": 0.4}), ("layers.1*", {"weight_decay": 0.1})]
        net = tiny_net(lr=0.2, optimizer__param_groups=groups)
        tuned = fine_tuning_net(net, 7, lr)
        assert tuned.max_epochs == 7
        assert tuned.lr == pytest.approx(0.02)
        (_, first), (_, second) = tuned.optimizer__param_groups
        assert first["lr"] == pytest.approx(0.04)
        assert second == {"weight_decay": 0.1}
        assert net.lr == 0.2

    def test_learns_at_the_optimisers_own_rate(self):
        tuned = fine_tuning_net(tiny_net(lr=0.3, optimizer__lr=0.2), 1, None)
        assert tuned.optimizer__lr == pytest.approx(0.02)

    @pytest.mark.parametrize("callbacks", [None, "disable"])
    def test_may_have_no_callbacks(self, callbacks):
        assert fine_tuning_net(tiny_net(callbacks=callbacks), 1, None).callbacks == callbacks

    def test_leaves_schedules_of_the_learning_rate_out(self, table):
        stop = EarlyStopping("train_loss", patience=9)
        schedules = [OneCycle(), ("plateau", LRScheduler("ReduceLROnPlateau", "train_loss"))]
        net = tiny_net(
            callbacks=[*schedules, LRScheduler, stop], callbacks__plateau__step_every="batch"
        )
        tuned = fine_tuning_net(net, 1, None)
        assert [type(callback) for callback in tuned.callbacks] == [EarlyStopping]
        net = tiny_net(callbacks=schedules, callbacks__plateau__step_every="epoch")
        rates = two_stages(net, 1).fit(*table).history_["lr"]
        np.testing.assert_allclose(rates[3:], 0.005)


@pytest.mark.usefixtures("every_epoch")
@pytest.mark.parametrize("strategy", ["loop", "joint"])
@pytest.mark.parametrize("where", [(0.05, 3), (0.02, 1), (0.02, 3)])
def test_a_fit_goes_on_in_either_stage(table, tmp_path, strategy, where):
    net = tiny_net(max_epochs=4, module__dropout=0.2, callbacks=[Cut()])
    model = two_stages(net, fine_tune_epochs=4, fine_tune_lr=0.02, strategy=strategy)
    whole = model.fit(*table)
    expected, history = whole.predict_members(table[0]), whole.history_
    Cut.where = where
    model.set_params(checkpoint_dir=tmp_path / "fit")
    with pytest.raises(PowerCutError):
        model.fit(*table)
    Cut.where = None
    resumed = model.fit(*table)
    np.testing.assert_array_equal(resumed.predict_members(table[0]), expected)
    for name in ("member", "epoch", "train_loss", "lr"):
        np.testing.assert_array_equal(resumed.history_[name], history[name])


class TestRefused:
    @pytest.mark.parametrize("epochs", [-1, 2.0, "3", True, None])
    def test_epochs(self, epochs, table):
        with pytest.raises(ValueError, match="fine_tune_epochs must be a whole number"):
            two_stages(fine_tune_epochs=epochs).fit(*table)

    @pytest.mark.parametrize("lr", [0, -0.1, np.nan, np.inf, "0.1", True])
    def test_rates(self, lr, table):
        with pytest.raises(ValueError, match="fine_tune_lr must be None or a positive number"):
            two_stages(fine_tune_lr=lr).fit(*table)

    def test_a_second_stage_without_a_first(self, table):
        with pytest.raises(ValueError, match=r"fine_tune_epochs=2 .* but augment edits none"):
            two_stages(augment=None).fit(*table)


def test_weights_of_a_criterion_go_along(table):
    class Scaled(torch.nn.MSELoss):
        def __init__(self, reduction="none"):
            super().__init__(reduction=reduction)
            self.scale = torch.nn.Parameter(torch.ones(()))

        def forward(self, predicted, y):
            return super().forward(self.scale * predicted, y)

    net = tiny_net(criterion=Scaled)
    fitted = two_stages(net, 1, fine_tune_lr=NO_STEP).fit(*table)
    alone = two_stages(net, 1, fine_tune_epochs=0).fit(*table)
    scales = [m.estimators_[0].criterion_.criterion.scale.item() for m in (fitted, alone)]
    assert scales[0] == pytest.approx(scales[1])
    assert scales[0] != 1
