"""Members that learn on edited batches."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback
from torch import nn

from sklearn_degu import EnsembleRegressor
from sklearn_degu.augmentation import Augment, Mutation, Noise, ReverseComplement
from sklearn_degu.modules import DeepSTARR
from sklearn_degu.modules.one_hot import kmer_tables
from sklearn_degu.nets.data import InMemoryBatches
from tests.toys import tiny_conv_net, tiny_ensemble, tiny_net, weights


class Shift(nn.Module):
    """Add what a function draws from the generator."""

    def __init__(self, draw):
        super().__init__()
        self.draw = draw

    def forward(self, X, generator):
        return X + self.draw(X, generator)


class Same(nn.Module):
    """Edit nothing, though it draws."""

    def forward(self, X, generator):
        torch.rand(3, generator=generator)
        return X


class Jitter(nn.Module):
    """Add noise of a size that is a buffer."""

    def __init__(self, std=0.3):
        super().__init__()
        self.register_buffer("std", torch.tensor(std))

    def forward(self, X, generator):
        noise = torch.rand(X.shape, generator=generator, device=X.device, dtype=X.dtype)
        return X + self.std * noise


class Watch(Callback):
    """Keep the batches that nets were given, by net."""

    def on_train_begin(self, net, **kwargs):
        net.batches_seen = {True: [], False: []}

    def on_batch_begin(self, net, batch, training, **kwargs):
        net.batches_seen[training].append(batch[0].numpy().copy())


def edits():
    return Augment([Mutation(0.3), ReverseComplement()])


def watched(**params):
    """Return a net that keeps its batches; all rows are one batch."""
    params = {"callbacks": [Watch()], "batch_size": 100, "max_epochs": 2, **params}
    return tiny_net(**params)


class TestMembers:
    @pytest.mark.parametrize("strategy", ["threads", "processes"])
    def test_are_the_same_in_all_strategies(self, sequences, strategy):
        net = tiny_conv_net(module__dropout=0.2)
        options = {"augment": edits(), "fine_tune_epochs": 2, "validation": 0.2}
        loop, other = (
            tiny_ensemble(net, strategy=name, n_jobs=2, **options).fit(*sequences)
            for name in ("loop", strategy)
        )
        for one, another in zip(loop.estimators_, other.estimators_, strict=True):
            np.testing.assert_array_equal(weights(one), weights(another))

    def test_are_the_same_in_one_pass(self, sequences):
        X, y = sequences
        X = X + 1e-9 * np.arange(X.shape[2])
        net = tiny_conv_net(module__dropout=0.2)
        options = {"augment": edits(), "fine_tune_epochs": 2}
        predicted = [
            tiny_ensemble(net, 3, strategy=name, **options).fit(X, y).predict_members(X)
            for name in ("loop", "joint")
        ]
        np.testing.assert_allclose(*predicted, rtol=1e-9)

    def test_learn_what_they_learn_without_if_nothing_is_edited(self, sequences):
        X, y = sequences
        one, other = (
            tiny_ensemble(tiny_conv_net(module__dropout=0.2), augment=augment).fit(X, y)
            for augment in (None, Same())
        )
        np.testing.assert_array_equal(one.predict_members(X), other.predict_members(X))

    def test_learn_something_else_from_edited_rows(self, sequences):
        X, y = sequences
        one, other = (
            tiny_ensemble(tiny_conv_net(), augment=augment).fit(X, y).predict_members(X)
            for augment in (None, edits())
        )
        assert not np.isclose(one, other).any()

    @pytest.mark.parametrize("strategy", ["loop", "joint"])
    def test_see_edits_of_their_own_that_are_new_in_every_epoch(self, table, strategy):
        X, y = table
        fitted = tiny_ensemble(watched(), augment=Jitter(), strategy=strategy).fit(X, y)
        noise = []
        for net in fitted.estimators_:
            for batch in net.batches_seen[True]:
                rows = batch[np.argsort(batch[:, 0] * 0 + nearest(batch, X))]
                noise.append(rows - X)
        assert len(noise) == 4
        for i, one in enumerate(noise):
            assert one.min() >= 0
            assert one.max() < 0.3
            assert all(np.abs(one - other).max() > 0.1 for other in noise[:i])

    def test_are_validated_on_the_rows_as_they_are(self, table):
        X, y = table
        fitted = tiny_ensemble(watched(), augment=Jitter()).fit(X[:30], y[:30], X_val=X, y_val=y)
        for net in fitted.estimators_:
            for batch in net.batches_seen[False]:
                np.testing.assert_array_equal(batch, X)

    def test_predict_the_rows_as_they_are(self, sequences):
        X, y = sequences
        fitted = tiny_ensemble(tiny_conv_net(), augment=edits()).fit(X, y)
        np.testing.assert_array_equal(fitted.predict(X), fitted.predict(X))

    def test_leave_the_users_module_and_torchs_generator_alone(self, table):
        augment, before = Jitter(), torch.random.get_rng_state()
        tiny_ensemble(augment=augment).fit(*table)
        assert augment.std.dtype == torch.float32
        assert torch.equal(torch.random.get_rng_state(), before)

    def test_may_be_those_of_a_teacher(self, sequences):
        from sklearn_degu import DistilledRegressor

        teacher = tiny_ensemble(tiny_conv_net(), augment=edits(), fine_tune_epochs=1)
        degu = DistilledRegressor(teacher, random_state=0).fit(*sequences)
        assert len(degu.teacher_.history_) == 2 * 3

    @pytest.mark.parametrize("strategy", ["loop", "joint"])
    @pytest.mark.skipif(kmer_tables() is None, reason="needs numba")
    def test_of_one_hot_blocks_read_noisy_rows(self, sequences, strategy):
        net = tiny_net(DeepSTARR, module__width=0.05, max_epochs=2)
        X = np.tile(sequences[0], 3)
        augment = Augment([Mutation(), Noise()], hard=True)
        fitted = tiny_ensemble(net, augment=augment, strategy=strategy).fit(X, sequences[1])
        assert np.isfinite(fitted.predict(X)).all()


def nearest(batch, X):
    return np.linalg.norm(batch[:, np.newaxis] - X, axis=2).argmin(axis=1)


class TestEstimator:
    def test_is_cloned_with_its_module(self, sequences):
        X, y = sequences
        model = tiny_ensemble(tiny_conv_net(), augment=edits())
        copy = clone(model)
        assert copy.augment is not model.augment
        np.testing.assert_array_equal(model.fit(X, y).predict(X), copy.fit(X, y).predict(X))


def fitted_with(augment, table, net=None, **params):
    return tiny_ensemble(net, augment=augment, **params).fit(*table)


class TestRefused:
    @pytest.mark.parametrize("augment", [3, "auto", lambda X, generator: X, Augment])
    def test_what_is_no_module(self, augment, table):
        with pytest.raises(TypeError, match="augment must be None or a torch module"):
            fitted_with(augment, table)

    def test_a_module_with_weights_to_train(self, table):
        with pytest.raises(ValueError, match="nothing trains them: Linear"):
            fitted_with(nn.Linear(6, 6), table)

    @pytest.mark.parametrize(
        ("draw", "message"),
        [
            (lambda X, generator: torch.inf, "finite numbers; it returned missing or infinite"),
            (lambda X, generator: torch.rand(1), "draw all that is random from the generator"),
            (lambda X, generator: X[None], r"shape, type .*\(40, 6\).* it returned \(1, 40, 6\)"),
            (lambda X, generator: 1j, r"\(40, 6\) of torch.float64 .* returned .*complex"),
        ],
    )
    def test_edits_that_cannot_be_learned_on(self, draw, message, table):
        with pytest.raises(ValueError, match=message):
            fitted_with(Shift(draw), table)

    def test_a_module_that_returns_no_tensor(self, table):
        class Numpy(nn.Module):
            def forward(self, X, generator):
                return None

        with pytest.raises(ValueError, match="finite numbers; it returned None"):
            fitted_with(Numpy(), table)

    def test_a_module_with_a_state(self, table):
        class Counts(Jitter):
            def forward(self, X, generator):
                self.std += 0.1
                return super().forward(X, generator)

        with pytest.raises(ValueError, match=r"keep no state: called twice .* Counts returned"):
            fitted_with(Counts(), table)

    def test_a_net_with_a_loader_of_its_own(self, table):
        class Loader(InMemoryBatches):
            pass

        with pytest.raises(ValueError, match="iterator_train of its own, which does not ask"):
            fitted_with(Jitter(), table, tiny_net(iterator_train=Loader))

    def test_sequence_edits_for_rows_of_a_table(self, table):
        with pytest.raises(ValueError, match=r"X must have shape \(n, 4, length\)"):
            fitted_with(Augment(), table)


def test_edits_are_a_parameter_of_the_estimator():
    assert EnsembleRegressor().get_params()["augment"] is None
