"""Which rows a training is stopped on."""

import numpy as np
import pytest
from sklearn.model_selection import GroupKFold, KFold, LeaveOneGroupOut, PredefinedSplit

from sklearn_degu._inputs import Samples
from sklearn_degu._validation import validation_split
from tests.noisy import replicates_of
from tests.toys import tiny_ensemble, tiny_net


def samples(n=20, groups=None):
    return Samples(np.arange(n)[:, np.newaxis], np.arange(float(n))[:, np.newaxis], None, groups)


class TestSplit:
    def test_none_holds_nothing_out(self):
        assert validation_split(None, samples(), 0) is None

    def test_a_fraction_holds_that_much_out_at_random(self):
        train, valid = validation_split(0.25, samples(), 0)
        assert len(valid) == 5
        assert sorted([*train, *valid]) == list(range(20))
        assert not np.array_equal(np.sort(valid), np.arange(15, 20))

    def test_the_seed_decides_a_fraction(self):
        one, same, other = (validation_split(0.25, samples(), seed)[1] for seed in (0, 0, 1))
        np.testing.assert_array_equal(one, same)
        assert set(one) != set(other)

    def test_a_fraction_keeps_groups_together(self):
        groups = np.repeat(np.arange(5), 4)
        train, valid = validation_split(0.2, samples(groups=groups), 0)
        assert len(valid) == 4
        assert not set(groups[train]) & set(groups[valid])

    def test_of_a_splitter_the_first_split_is_taken(self):
        _, valid = validation_split(KFold(4), samples(), 0)
        np.testing.assert_array_equal(valid, np.arange(5))

    def test_a_splitter_is_given_the_groups(self):
        groups = np.repeat(["chr1", "chr2"], 10)
        _, valid = validation_split(LeaveOneGroupOut(), samples(groups=groups), 0)
        np.testing.assert_array_equal(valid, np.arange(10))

    @pytest.mark.parametrize("validation", [0, 1, 1.0, -0.1, 2, True, "inherit", [0.1], np.nan])
    def test_anything_else_is_refused(self, validation):
        with pytest.raises(
            ValueError, match="must be None, a fraction between 0 and 1, or a split"
        ):
            validation_split(validation, samples(), 0)

    @pytest.mark.parametrize(
        ("validation", "n", "message"),
        [
            (GroupKFold(2), 20, "cannot split the 20 training rows: .*groups"),
            (KFold(30), 20, "cannot split the 20 training rows"),
            (0.1, 1, "cannot split the 1 training rows"),
            (PredefinedSplit([0] * 20), 20, "leaves 0 of 20 rows to train on and 20"),
            (PredefinedSplit([-1] * 20), 20, "leaves 0 of 20 rows to train on and 0"),
            (PredefinedSplit([-1, 0] * 15), 20, "asks for row 29, .* made for other data"),
        ],
    )
    def test_what_cannot_split_the_rows_is_refused(self, validation, n, message):
        with pytest.raises(ValueError, match=message):
            validation_split(validation, samples(n), 0)


class TestOfAnEnsemble:
    def test_is_one_split_for_all_members(self, table):
        X, y = table
        ensemble = tiny_ensemble(tiny_net(max_epochs=1, lr=1e-12), 3, validation=0.25).fit(X, y)
        held_out = ensemble.validation_indices_
        assert len(held_out) == 10
        loc, scale = np.delete(y, held_out).mean(), np.delete(y, held_out).std()
        errors = (ensemble.predict_members(X[held_out]) - y[held_out]) / scale
        np.testing.assert_allclose(
            ensemble.history_["valid_loss"], (errors**2).mean(axis=1), rtol=1e-6
        )
        assert loc == pytest.approx(ensemble._heads[0].heads["mean"].loc[0])

    def test_rows_given_come_before_validation(self, table):
        X, y = table
        ensemble = tiny_ensemble(validation=0.25).fit(X[:30], y[:30], X_val=X[30:], y_val=y[30:])
        assert ensemble.validation_indices_ is None
        assert np.isfinite(ensemble.history_["valid_loss"]).all()
        without = tiny_ensemble().fit(X[:30], y[:30])
        np.testing.assert_array_equal(ensemble.predict(X), without.predict(X))

    def test_rows_held_out_do_not_train(self, table):
        X, y = table
        wrong = y.copy()
        splitter = KFold(4)
        wrong[:10] += 1000
        right, other = (tiny_ensemble(validation=splitter).fit(X, t).predict(X) for t in (y, wrong))
        np.testing.assert_array_equal(right, other)

    @pytest.mark.parametrize("aleatoric", [None, "replicates", "heteroscedastic"])
    def test_loss_is_of_the_noise_too(self, table, aleatoric):
        X, y = table
        options = {"replicates": replicates_of(y)} if aleatoric == "replicates" else {}
        net = tiny_net(max_epochs=2)
        ensemble = tiny_ensemble(net, aleatoric=aleatoric, validation=0.25).fit(X, y, **options)
        assert np.isfinite(ensemble.history_["valid_loss"]).all()
        assert (ensemble.history_["valid_loss"] != ensemble.history_["train_loss"]).all()

    def test_indices_count_the_rows_of_positive_weight(self, table):
        X, y = table
        weight = np.ones(40)
        weight[:20] = 0
        ensemble = tiny_ensemble(validation=KFold(4)).fit(X, y, sample_weight=weight)
        np.testing.assert_array_equal(ensemble.validation_indices_, np.arange(5))


class TestReplicates:
    """The net learns so little that its outputs and the loss are those of its first weights."""

    def fit(self, X, y, lr=1e-12, **options):
        net = tiny_net(max_epochs=1, lr=lr)
        ensemble = tiny_ensemble(net, 1, aleatoric="replicates", **options.pop("params", {}))
        return ensemble.fit(X, y, **options)

    def valid_loss(self, table, replicates_val):
        X, y = table
        given = {"X_val": X[30:], "y_val": y[30:], "replicates_val": replicates_val}
        return self.fit(X[:30], y[:30], replicates=replicates_of(y)[:30], **given).history_[
            "valid_loss"
        ]

    def test_are_held_out_with_their_rows(self, table):
        """Noise that only rows held out have changes no weight."""
        X, y = table
        quiet = replicates_of(y)
        loud = replicates_of(y, np.where(np.arange(40) < 10, 9.0, 1.0))
        params = {"validation": KFold(4)}
        one, other = (
            self.fit(X, y, lr=0.05, params=params, replicates=some) for some in (quiet, loud)
        )
        np.testing.assert_array_equal(one.predict(X), other.predict(X))
        np.testing.assert_array_equal(one.history_["train_loss"], other.history_["train_loss"])
        assert (one.history_["valid_loss"] != other.history_["valid_loss"]).all()

    def test_of_rows_given_equal_those_held_out(self, table):
        X, y = table
        replicates = replicates_of(y)
        split = self.fit(X, y, params={"validation": KFold(4)}, replicates=replicates)
        given = {"X_val": X[:10], "y_val": y[:10], "replicates_val": replicates[:10]}
        apart = self.fit(X[10:], y[10:], replicates=replicates[10:], **given)
        np.testing.assert_array_equal(split.history_["valid_loss"], apart.history_["valid_loss"])
        for kind, values in split.predict_components(X).items():
            np.testing.assert_array_equal(apart.predict_components(X)[kind], values)

    def test_are_part_of_what_a_training_stops_on(self, table):
        y = table[1]
        near, far = (
            self.valid_loss(table, replicates_of(y[30:], deviation)) for deviation in (1, 30)
        )
        assert (far > near + 0.5).all()

    def test_need_not_be_given_for_validation_rows(self, table):
        """The loss is then that of the mean."""
        X, y = table
        given = {"X_val": X[30:], "y_val": y[30:]}
        alone = self.fit(X[:30], y[:30], replicates=replicates_of(y)[:30], **given)
        scale = alone.predict_members(X[30:])[0] - y[30:]
        expected = np.mean((scale / y[:30].std()) ** 2)
        np.testing.assert_allclose(alone.history_["valid_loss"], [expected], rtol=1e-6)
        assert np.isfinite(alone.predict_uncertainty(X)).all()

    def test_without_a_spread_count_as_none(self, table):
        y = table[1]
        single = np.c_[y[30:], np.full((10, 2), np.nan)]
        np.testing.assert_array_equal(self.valid_loss(table, single), self.valid_loss(table, None))

    def test_without_a_spread_leave_the_noise_as_it_is_without_them(self, table):
        X, y = table
        replicates = replicates_of(y)
        given = {"replicates": replicates[:30], "X_val": X[30:], "y_val": y[30:]}
        single = np.c_[y[30:], np.full((10, 2), np.nan)]
        none, some = (
            self.fit(X[:30], y[:30], replicates_val=part, **given).predict_uncertainty(X)
            for part in (None, single)
        )
        np.testing.assert_array_equal(none, some)

    def test_may_be_more_than_those_of_training(self, table):
        y = table[1]
        assert np.isfinite(self.valid_loss(table, replicates_of(y[30:], n_replicates=7))).all()
