"""What members learn of the noise, from replicates or from y alone."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import PredefinedSplit

from sklearn_degu import EnsembleRegressor
from sklearn_degu._inputs import Samples
from sklearn_degu._noise import objective
from sklearn_degu._noise_map import NoiseMap
from sklearn_degu.nets.data import split_targets
from tests.noisy import replicates_of
from tests.toys import tiny_ensemble, tiny_net


def samples(replicates, y=None, weight=None):
    """Return rows with replicates of shape (n, n_targets, n_replicates)."""
    y = np.nanmean(replicates, axis=-1) if y is None else y
    return Samples(np.zeros((len(y), 1)), y, weight, None, replicates)


def learned(replicates, **params):
    return objective("replicates", "gaussian", samples(replicates, **params))


def noise_targets(rows):
    """Return the targets of the noise and their weights, each of shape (n, n_targets)."""
    k = rows.y.shape[1] // 2
    return rows.y[:, k:], rows.target_weight[:, k:]


def unequal(replicates, n_present):
    """Return the replicates with NaN behind the first few of every row."""
    missing = np.arange(replicates.shape[-1]) >= np.asarray(n_present).reshape(-1, 1, 1)
    return np.where(missing, np.nan, replicates)


@pytest.fixture
def replicates():
    """Return replicates of shape (30, 2, 4), the second target ten times as noisy."""
    y = np.random.default_rng(1).normal(size=(30, 2))
    return replicates_of(y, np.array([1.0, 10.0]), 4)


class TestTargets:
    def test_are_the_mean_and_the_sample_variance(self, replicates):
        goal = learned(replicates)
        rows = goal.rows(samples(replicates))
        mean = goal.heads.heads["mean"].encode(replicates.mean(axis=-1))
        np.testing.assert_array_equal(rows.y[:, :2], mean)
        variance = replicates.var(axis=-1, ddof=1)
        ratio = noise_targets(rows)[0] / variance
        np.testing.assert_allclose(ratio, np.broadcast_to(ratio[0], ratio.shape))

    def test_are_in_units_of_the_mean_variance(self, replicates):
        """A net whose noise outputs begin near zero begins near the truth."""
        small, large = (learned(factor * replicates) for factor in (1e-6, 1e6))
        for goal, factor in ((small, 1e-6), (large, 1e6)):
            said = goal.heads.decode(np.zeros((1, 4)))["aleatoric"]
            expected = factor * np.sqrt(replicates.var(axis=-1, ddof=1).mean(axis=0))
            np.testing.assert_allclose(said[0], expected, rtol=1e-9)
            targets, _ = noise_targets(goal.rows(samples(factor * replicates)))
            assert (np.abs(np.log(targets.mean(axis=0))) < 0.5).all()

    @pytest.mark.filterwarnings("ignore:.*fewer than two replicates")
    def test_weigh_as_their_degrees_of_freedom(self, replicates):
        n_present = np.resize([0, 1, 2, 3, 4], 30)
        some = unequal(replicates, n_present)
        rows = learned(some, y=replicates.mean(axis=-1)).rows(
            samples(some, y=replicates.mean(axis=-1))
        )
        targets, weight = noise_targets(rows)
        freedom = np.maximum(n_present - 1, 0)
        ratio = weight[freedom > 0] / freedom[freedom > 0, np.newaxis]
        np.testing.assert_allclose(ratio, ratio[0, 0])
        assert (weight[freedom == 0] == 0).all()
        np.testing.assert_array_equal(np.isnan(targets[:, 0]), freedom == 0)

    @pytest.mark.parametrize("n_replicates", [2, 3, 100])
    def test_weigh_on_average_as_much_as_the_mean(self, n_replicates):
        """Whatever the number of replicates: the mean must not drown."""
        replicates = replicates_of(np.zeros((20, 1)), n_replicates=n_replicates)
        _, weight = noise_targets(learned(replicates).rows(samples(replicates)))
        assert 0.5 <= weight.mean() <= 1

    def test_do_not_depend_on_the_order_of_the_replicates(self, replicates):
        shuffled = np.random.default_rng(0).permuted(replicates, axis=-1)
        one, other = (
            learned(r).rows(samples(r, y=replicates.mean(axis=-1))) for r in (replicates, shuffled)
        )
        np.testing.assert_allclose(one.y, other.y, rtol=1e-9)
        np.testing.assert_array_equal(one.target_weight, other.target_weight)

    @given(st.floats(-1e6, 1e6))
    def test_do_not_depend_on_the_level_of_the_replicates(self, level):
        replicates = replicates_of(np.zeros((8, 1)))
        one, other = (
            noise_targets(learned(r).rows(samples(r)))[0] for r in (replicates, replicates + level)
        )
        np.testing.assert_allclose(one, other, rtol=1e-6)

    def test_of_rows_without_replicates_are_means_alone(self, replicates):
        goal = learned(replicates)
        given, without = (
            goal.rows(samples(replicates)),
            Samples(np.zeros((30, 1)), replicates.mean(axis=-1)),
        )
        rows = goal.rows(without)
        np.testing.assert_array_equal(rows.y[:, :2], given.y[:, :2])
        _, weight = split_targets(rows.y, None, rows.target_weight)
        np.testing.assert_array_equal(weight, [[1, 1, 0, 0]] * 30)

    def test_of_a_weight_of_two_are_those_of_a_row_twice(self, replicates):
        some = unequal(replicates, np.where(np.arange(30) < 12, 2, 4))
        twice = np.r_[np.arange(30), np.arange(12)]
        weighted = learned(some, weight=1.0 + (np.arange(30) < 12))
        repeated = learned(some[twice])
        np.testing.assert_allclose(weighted.n_replicates, repeated.n_replicates)
        for head in ("mean", "aleatoric"):
            np.testing.assert_allclose(
                weighted.heads.heads[head].loc, repeated.heads.heads[head].loc
            )
        np.testing.assert_allclose(
            weighted.rows(samples(some)).target_weight, repeated.rows(samples(some)).target_weight
        )

    @pytest.mark.filterwarnings("ignore:.*fewer than two replicates")
    def test_count_the_replicates_of_every_target(self, replicates):
        replicates[:20, 0, 2:] = np.nan
        replicates[:10, 1] = np.nan
        goal = learned(replicates, y=np.zeros((30, 2)))
        np.testing.assert_allclose(goal.n_replicates, [1 / np.mean([1 / 2, 1 / 2, 1 / 4]), 4])

    @pytest.mark.filterwarnings("ignore:.*fewer than two replicates")
    def test_give_y_the_mean_variance_of_means_of_so_many_replicates(self):
        n_present = np.resize([1, 2, 3, 8], 4000)
        noise = np.random.default_rng(0).normal(size=(4000, 1, 8))
        some = unequal(noise, n_present)
        (n_replicates,) = learned(some).n_replicates
        assert 1 / n_replicates == pytest.approx(np.nanmean(some, axis=-1).var(), rel=0.05)

    @pytest.mark.parametrize("n", [2, 3, 7, 49])
    def test_of_equal_numbers_of_replicates_count_exactly_these(self, n):
        weight = np.random.default_rng(0).uniform(0.1, 2, size=30)
        replicates = replicates_of(np.zeros((30, 1)), n_replicates=n)
        np.testing.assert_array_equal(learned(replicates, weight=weight).n_replicates, [n])


def mean_loss(replicates, kappa, factor=1.0, deviation=3.0):
    """Return the loss where a net says that the deviation is so much times the true one."""
    goal = learned(replicates)
    loss = goal.loss(**goal.loss_params).double()
    torch.nn.init.constant_(loss.log_kappa, np.log(kappa))
    rows, head = goal.rows(samples(replicates)), goal.heads.heads["aleatoric"]
    noise = head.encode(np.full((len(replicates), 1), factor * deviation))
    outputs = torch.tensor(np.hstack([rows.y[:, :1], noise]))
    targets = split_targets(rows.y, None, rows.target_weight)
    return loss(outputs, [torch.tensor(part) for part in targets]).item()


@pytest.fixture(scope="module")
def mixed():
    """Return ten replicates of deviation 3, or two in every third row."""
    return unequal(replicates_of(np.zeros((4000, 1)), 3.0, 10), np.resize([2, 10, 10], 4000))


class TestLoss:
    """Rows and loss together, as a net meets them."""

    def test_is_least_at_the_true_deviation(self, mixed):
        factors = [0.9, 0.95, 1, 1.05, 1.1]
        values = [mean_loss(mixed, 100, factor) for factor in factors]
        assert factors[np.argmin(values)] == 1

    def test_tells_gaussian_replicates_by_their_tails(self, mixed):
        """Rows with few replicates do not pass for rows of which some failed."""
        values = [mean_loss(mixed, kappa) for kappa in (1, 2, 4, 10, 30, 100)]
        assert (np.diff(values) < 0).all()

    def test_tells_how_much_the_noise_varies(self, mixed):
        rng = np.random.default_rng(0)
        freedom = np.resize([1, 9, 9], (4000, 1, 1))
        varying = mixed * np.sqrt(2 * freedom / rng.chisquare(2 * freedom))
        kappas = [0.5, 1, 2, 4, 8]
        assert kappas[np.argmin([mean_loss(varying, kappa) for kappa in kappas])] == 2


class TestWarning:
    def caught(self, replicates, **params):
        X, y = np.random.default_rng(0).normal(size=len(replicates)), np.zeros(len(replicates))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            tiny_ensemble(tiny_net(max_epochs=1), 1, **{"aleatoric": "replicates"} | params).fit(
                X[:, np.newaxis], y, replicates=replicates
            )
        return caught

    @pytest.mark.parametrize("n_present", [0, 1])
    def test_counts_rows_without_two_replicates(self, n_present):
        replicates = replicates_of(np.zeros(20))
        replicates[:7, n_present:] = np.nan
        (warning,) = self.caught(replicates)
        assert "7 of 20 training rows have fewer than two replicates" in str(warning.message)
        assert "contribute to the mean alone" in str(warning.message)

    def test_is_shown_at_the_call_of_fit(self):
        replicates = replicates_of(np.zeros(20))
        (unused,) = self.caught(replicates, aleatoric=None)
        replicates[0, 1:] = np.nan
        (single,) = self.caught(replicates)
        assert single.filename == unused.filename == __file__

    def test_is_for_the_training_rows(self):
        replicates = replicates_of(np.zeros(20))
        replicates[:, 1:] = np.where(np.arange(20)[:, np.newaxis] < 10, np.nan, 0.0)
        warning, _ = self.caught(replicates, validation=0.5)
        assert 0 < int(str(warning.message).split()[0]) < 10
        assert "of 10 training rows" in str(warning.message)

    def test_leaves_out_targets_that_were_not_measured(self):
        """A row of which one target was never measured has no replicates of it to miss."""
        X, y = np.zeros((20, 1)) + np.arange(20)[:, np.newaxis], np.ones((20, 2))
        replicates = replicates_of(y)
        y[:5, 0], replicates[:5, 0] = np.nan, np.nan
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            tiny_ensemble(tiny_net(max_epochs=1), aleatoric="replicates").fit(
                X, y, replicates=replicates
            )

    @pytest.mark.parametrize("aleatoric", [None, "heteroscedastic"])
    def test_says_that_replicates_are_not_used(self, aleatoric):
        (warning,) = self.caught(replicates_of(np.zeros(20)), aleatoric=aleatoric)
        assert f"not used by aleatoric={aleatoric!r}" in str(warning.message)
        assert "set aleatoric='replicates'" in str(warning.message)

    def test_is_not_given_without_cause(self):
        assert not self.caught(replicates_of(np.zeros(20)))
        assert not self.caught(replicates_of(np.zeros(40)), validation=0.5)

    @pytest.mark.parametrize(
        ("aleatoric", "set_", "message"),
        [
            (None, {"likelihood": "beta"}, "likelihood='beta' has no effect: it is for"),
            ("replicates", {"likelihood": "beta"}, "aleatoric='heteroscedastic', but .* 'repl"),
            (None, {"noise_of": "replicate"}, "noise_of='replicate' .* aleatoric is None"),
            ("heteroscedastic", {"noise_of": "replicate"}, "it is for aleatoric='replicates'"),
        ],
    )
    def test_names_a_parameter_without_effect(self, table, aleatoric, set_, message):
        X, y = table
        given = {"replicates": replicates_of(y)} if aleatoric == "replicates" else {}
        with pytest.warns(UserWarning, match=message) as caught:
            tiny_ensemble(tiny_net(max_epochs=1), aleatoric=aleatoric, **set_).fit(X, y, **given)
        assert [warning.filename for warning in caught] == [__file__]

    @pytest.mark.parametrize(
        ("aleatoric", "set_"),
        [
            ("replicates", {"noise_of": "replicate"}),
            ("heteroscedastic", {"likelihood": "beta"}),
            (None, {"likelihood": "gaussian", "noise_of": "mean"}),
        ],
    )
    def test_is_not_given_of_a_parameter_in_use(self, table, aleatoric, set_):
        X, y = table
        given = {"replicates": replicates_of(y)} if aleatoric == "replicates" else {}
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            tiny_ensemble(tiny_net(max_epochs=1), aleatoric=aleatoric, **set_).fit(X, y, **given)


N_ROWS = 600


class Simulated:
    """Rows with a deviation that spans a factor of seven and is no part of the mean."""

    def __init__(self, seed=0, noise=None):
        rng = np.random.default_rng(seed)
        self.X = rng.uniform(-1, 1, size=(N_ROWS, 2))
        self.mean = np.sin(3 * self.X[:, 1])
        self.deviation = np.exp(self.X[:, 0])
        self.noise = self.deviation * rng.normal(size=N_ROWS)
        self.y = self.mean + self.noise / np.sqrt(3)
        self.replicates = replicates_of(self.y, self.deviation)


TRAIN, NEW = Simulated(), Simulated(seed=1)


def one_net(max_epochs=30, **params):
    net = tiny_net(max_epochs=max_epochs, batch_size=100, lr=0.05)
    return EnsembleRegressor(net, 1, random_state=0, **params)


def noise_by(replicates, X=NEW.X, y=TRAIN.y):
    """Return the deviation of a replicate, learned from these replicates of the training rows."""
    net = one_net(aleatoric="replicates", noise_of="replicate")
    return net.fit(TRAIN.X, y, replicates=replicates).predict_uncertainty(X)


def log_error(deviation, true=NEW.deviation):
    return np.mean(np.log(np.maximum(deviation, 1e-2) / true) ** 2)


@pytest.fixture(scope="module")
def by_replicates():
    return noise_by(TRAIN.replicates)


class TestKnownNoise:
    def test_is_learned_from_replicates_without_bias(self, by_replicates):
        true = NEW.deviation
        assert np.corrcoef(by_replicates, true)[0, 1] > 0.97
        assert (by_replicates**2).mean() / (true**2).mean() == pytest.approx(1, abs=0.1)
        for third in np.array_split(np.argsort(true), 3):
            ratio = by_replicates[third].mean() / true[third].mean()
            assert ratio == pytest.approx(1, abs=0.1)

    def test_is_learned_better_than_by_regression_on_the_deviations(self, by_replicates):
        measured = TRAIN.replicates.std(axis=1, ddof=1)
        regression = one_net().fit(TRAIN.X, measured).predict(NEW.X)
        # Of three replicates the deviation is too small by this factor, on average.
        unbiased = regression / 0.886
        assert log_error(by_replicates) < 0.7 * min(log_error(regression), log_error(unbiased))

    @pytest.mark.parametrize("likelihood", ["gaussian", "beta", "laplace"])
    def test_is_learned_from_y_alone(self, likelihood):
        noise = TRAIN.noise
        if likelihood == "laplace":
            noise = TRAIN.deviation * np.random.default_rng(2).laplace(0, np.sqrt(0.5), N_ROWS)
        net = one_net(aleatoric="heteroscedastic", likelihood=likelihood)
        said = net.fit(TRAIN.X, TRAIN.mean + noise).predict_uncertainty(NEW.X)
        assert np.corrcoef(said, NEW.deviation)[0, 1] > 0.9
        assert said.mean() / NEW.deviation.mean() == pytest.approx(1, abs=0.25)

    def test_is_that_of_rows_with_few_and_with_many_replicates(self):
        """Noise that is equal everywhere does not seem to fall with the replicates."""
        replicates = replicates_of(TRAIN.y, 1.0, 10)
        replicates[TRAIN.X[:, 0] < 0, 2:] = np.nan
        said = noise_by(replicates)
        few, many = (said[side].mean() for side in (NEW.X[:, 0] < -0.2, NEW.X[:, 0] > 0.2))
        assert few / many == pytest.approx(1, abs=0.12)

    def test_hardly_changes_by_a_replicate_that_failed(self, by_replicates):
        failed = TRAIN.replicates.copy()
        failed[0, 0] += 20
        said = noise_by(failed)
        assert np.corrcoef(said, by_replicates)[0, 1] > 0.95
        assert said.mean() / by_replicates.mean() < 1.25

    def test_leaves_the_mean_as_well_known_with_many_replicates(self):
        many = replicates_of(TRAIN.y, 1.0, 200)
        alone = one_net(60).fit(TRAIN.X, TRAIN.y)
        beside = one_net(60, aleatoric="replicates").fit(TRAIN.X, TRAIN.y, replicates=many)
        assert beside.score(NEW.X, NEW.mean) > alone.score(NEW.X, NEW.mean) - 0.1


def log_linear(n_rows=4000, level=0.3, slope=1.5, freedom=2, seed=0):
    """Return what members say, and sample variances around a log-linear map of it."""
    rng = np.random.default_rng(seed)
    said = np.exp(rng.normal(size=(n_rows, 1)))
    measured = np.exp(level) * said**slope * rng.chisquare(freedom, size=said.shape) / freedom
    return said, measured


def fit_map(said, measured, unit=1.0, weight=None, with_slope=True):
    weight = np.ones_like(said) if weight is None else weight
    unit, with_slope = (np.full(said.shape[1], value) for value in (unit, with_slope))
    return NoiseMap.fit(unit, said, measured, weight, with_slope=with_slope)


class TestNoiseMap:
    @pytest.mark.parametrize("slope", [0.7, 1, 1.5])
    def test_learns_level_and_slope(self, slope):
        found = fit_map(*log_linear(slope=slope))
        np.testing.assert_allclose(found.slope, slope, atol=0.06)
        np.testing.assert_allclose(found.level, 0.3, atol=0.06)

    def test_is_right_on_average_over_its_rows(self):
        said, measured = log_linear(200)
        for with_slope in (False, True):
            mapped = fit_map(said, measured, with_slope=with_slope)(said)
            assert (measured / mapped).mean() == pytest.approx(1, abs=1e-3)

    def test_without_a_slope_is_a_factor(self):
        said, measured = log_linear()
        mapped = fit_map(said, measured, with_slope=False)(said)
        np.testing.assert_allclose(mapped / said, (measured / said).mean())

    def test_of_few_rows_has_nearly_no_slope_of_its_own(self):
        few, many = (
            [fit_map(*log_linear(n, slope=1, seed=seed)).slope[0] for seed in range(20)]
            for n in (20, 4000)
        )
        alone = [
            np.polyfit(*np.log(np.hstack(log_linear(20, slope=1, seed=seed))).T, 1)[0]
            for seed in range(20)
        ]
        assert np.std(few) < 0.7 * np.std(alone)
        np.testing.assert_allclose(many, 1, atol=0.1)

    @pytest.mark.parametrize("factor", [1e-6, 1e6])
    def test_is_in_the_unit_of_the_variances(self, factor):
        said, measured = log_linear(300)
        expected = factor * fit_map(said, measured)(said)
        scaled = fit_map(factor * said, factor * measured, unit=factor)
        np.testing.assert_allclose(scaled(factor * said), expected, rtol=1e-6)

    def test_leaves_rows_without_a_spread_out(self):
        said, measured = log_linear(300)
        weight = np.where(np.arange(300)[:, np.newaxis] < 100, 0.0, 1.0)
        expected = fit_map(said[100:], measured[100:])(said)
        measured[:100] = np.nan
        mapped = fit_map(said, measured, weight=weight)(said)
        np.testing.assert_allclose(mapped, expected, rtol=1e-6)

    def test_counts_rows_by_their_weight(self):
        said, measured = log_linear(300)
        twice = np.r_[np.arange(300), np.arange(100)]
        weight = 1.0 + (np.arange(300)[:, np.newaxis] < 100)
        weighted = fit_map(said, measured, weight=weight, with_slope=False)
        repeated = fit_map(said[twice], measured[twice], with_slope=False)
        np.testing.assert_allclose(weighted.level, repeated.level)

    def test_is_one_for_every_target(self):
        parts = [log_linear(level=level) for level in (-1.0, 2.0)]
        said, measured = (np.hstack(columns) for columns in zip(*parts, strict=True))
        np.testing.assert_allclose(fit_map(said, measured).level, [-1, 2], atol=0.1)

    def test_bears_replicates_that_agree_exactly(self):
        said, measured = log_linear(300)
        measured[::10] = 0.0
        mapped = fit_map(said, measured)(said)
        assert (mapped / said).mean() == pytest.approx(1.5, abs=0.5)
        for with_slope in (False, True):
            nothing = fit_map(said, 0 * measured, with_slope=with_slope)
            np.testing.assert_allclose(nothing(said), said)

    def test_of_members_that_were_calibrated_apart_is_in_between(self):
        said, _ = log_linear(10)
        low, high = (
            NoiseMap(np.array([unit]), np.array([level]), np.array([slope]))
            for unit, level, slope in ((1.0, -0.1, 1.0), (1.1, 0.1, 1.2))
        )
        between = NoiseMap.mean([low, high], [2, 2])
        np.testing.assert_allclose(between(said), np.sqrt(low(said) * high(said)), rtol=0.02)
        thrice = NoiseMap.mean([low, high, high, high], [1, 1, 1, 1])
        np.testing.assert_allclose(NoiseMap.mean([low, high], [1, 3])(said), thrice(said))
        np.testing.assert_array_equal(NoiseMap.identity(1)(said), said)


class TestCalibration:
    def ratio(self, n_valid, n_spread=None):
        """Return the mean of measured over predicted variance, of training and of validation."""
        replicates = TRAIN.replicates.copy()
        replicates[:n_valid][(n_spread or n_valid) :, 1:] = np.nan
        # Training rows are half as noisy, which shows what the map was fitted to.
        replicates[n_valid:] *= 0.5
        held_out = PredefinedSplit(np.where(np.arange(N_ROWS) < n_valid, 0, -1))
        net = one_net(5, aleatoric="replicates", noise_of="replicate", validation=held_out)
        said = net.fit(TRAIN.X, TRAIN.y, replicates=replicates).predict_uncertainty(TRAIN.X)
        ratio = np.nanvar(replicates, axis=1, ddof=1) / said**2
        return np.nanmean(ratio[n_valid:]), np.nanmean(ratio[:n_valid])

    def test_is_on_the_validation_rows(self):
        train, valid = self.ratio(200)
        assert valid == pytest.approx(1, abs=1e-3)
        assert train < 0.7

    @pytest.mark.filterwarnings("ignore:Degrees of freedom")
    @pytest.mark.parametrize(("n_valid", "n_spread"), [(10, 10), (100, 10)])
    def test_is_on_the_training_rows_where_validation_rows_tell_too_little(self, n_valid, n_spread):
        with pytest.warns(UserWarning, match="replicates or more .* 10 for target 0; 20 are need"):
            train, valid = self.ratio(n_valid, n_spread)
        assert train == pytest.approx(1, abs=1e-3)
        assert valid > 1.4

    def test_is_of_every_target_by_its_own_rows(self):
        """A target without validation rows leaves the calibration of the others as it is."""
        y, replicates = np.c_[TRAIN.y, TRAIN.y], np.stack([TRAIN.replicates] * 2, axis=1)
        replicates[100:] *= 0.5
        sparse = replicates.copy()
        sparse[5:100, 1, 1:] = np.nan
        held_out = PredefinedSplit(np.where(np.arange(N_ROWS) < 100, 0, -1))
        net = one_net(1, aleatoric="replicates", noise_of="replicate", validation=held_out)
        full = net.fit(TRAIN.X, y, replicates=replicates).predict_uncertainty(TRAIN.X)
        with pytest.warns(UserWarning, match="noise on: 5 for target 1; 20 are needed"):
            some = net.fit(TRAIN.X, y, replicates=sparse).predict_uncertainty(TRAIN.X)
        np.testing.assert_array_equal(some[:, 0], full[:, 0])
        on_train = replicates[100:, 1].var(axis=-1, ddof=1) / some[100:, 1] ** 2
        assert on_train.mean() == pytest.approx(1, abs=1e-3)

    def test_says_that_validation_rows_came_without_replicates(self):
        net = one_net(1, aleatoric="replicates")
        given = {"replicates": TRAIN.replicates, "X_val": NEW.X, "y_val": NEW.y}
        with pytest.warns(UserWarning, match="0 for target 0; .* Pass replicates_val") as caught:
            net.fit(TRAIN.X, TRAIN.y, **given)
        assert [warning.filename for warning in caught] == [__file__]


class TestResidualCalibration:
    """With aleatoric="heteroscedastic", the total is that of y, misfit included."""

    def squares(self, n_valid, n_estimators=3, weight=None, y=None):
        """Return squared residuals and total variances of rows, the first of them validation."""
        y = TRAIN.mean + TRAIN.noise if y is None else y
        held_out = PredefinedSplit(np.where(np.arange(N_ROWS) < n_valid, 0, -1))
        net = tiny_net(max_epochs=3, batch_size=100, lr=0.02)
        model = tiny_ensemble(
            net, n_estimators, aleatoric="heteroscedastic", validation=held_out
        ).fit(TRAIN.X, y, sample_weight=weight)
        mean, std = model.predict(TRAIN.X, return_std=True)
        assert (model.predict_uncertainty(TRAIN.X, kind="aleatoric") > 0).all()
        return (y - mean) ** 2, std**2

    @pytest.mark.parametrize("n_estimators", [1, 3])
    def test_is_on_the_validation_rows(self, n_estimators):
        residual, total = self.squares(150, n_estimators)
        assert total[:150].mean() == pytest.approx(residual[:150].mean())

    def test_counts_rows_by_their_weight(self):
        weight = np.random.default_rng(0).uniform(0.1, 2, N_ROWS)
        residual, total = (part[:150] for part in self.squares(150, weight=weight))
        expected = np.average(residual, weights=weight[:150])
        assert np.average(total, weights=weight[:150]) == pytest.approx(expected)

    def test_is_of_every_target_by_its_measurements(self):
        y = np.c_[TRAIN.mean + TRAIN.noise, 100 * TRAIN.y]
        y[:60, 0] = np.nan
        residual, total = (part[:150] for part in self.squares(150, y=y))
        known = ~np.isnan(residual)
        for target in range(2):
            rows = known[:, target]
            expected = residual[rows, target].mean()
            assert total[rows, target].mean() == pytest.approx(expected)

    def test_is_left_out_where_validation_rows_tell_too_little(self):
        y = TRAIN.mean + TRAIN.noise
        wild = np.where(np.arange(N_ROWS) < 10, y + 1000, y)
        with pytest.warns(UserWarning, match="with a measurement .* 10 for target 0; 20 are"):
            (_, usual), (_, total) = (self.squares(10, y=target) for target in (y, wild))
        np.testing.assert_array_equal(usual, total)

    @pytest.mark.parametrize("n_known", [0, 5])
    def test_is_left_out_for_a_sparse_target_alone(self, n_known):
        y = np.c_[TRAIN.mean + TRAIN.noise, 100 * TRAIN.y]
        y[n_known:150, 1] = np.nan
        with pytest.warns(UserWarning, match=f"noise on: {n_known} for target 1; 20 are needed"):
            residual, total = self.squares(150, y=y)
        assert total[:150, 0].mean() == pytest.approx(residual[:150, 0].mean())
        assert np.isfinite(total).all()
        y[:n_known, 1] += 1e4
        with pytest.warns(UserWarning, match="20 are needed"):
            np.testing.assert_array_equal(self.squares(150, y=y)[1], total)


class TestFewReplicates:
    def fit(self, X, y, replicates):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ensemble = tiny_ensemble(aleatoric="replicates", noise_of="replicate")
            return ensemble.fit(X, y, replicates=replicates)

    @pytest.mark.parametrize("value", [5.0, 1e6, np.nan])
    def test_tell_nothing_of_the_noise(self, table, value):
        X, y = table
        replicates = replicates_of(y)
        replicates[:10, 1:] = np.nan
        expected = self.fit(X, y, replicates).predict_components(X)
        replicates[:10, 0] = value
        found = self.fit(X, y, replicates).predict_components(X)
        for kind, values in expected.items():
            np.testing.assert_array_equal(found[kind], values)

    def test_leave_their_rows_to_the_mean(self, table):
        X, y = table
        replicates = replicates_of(y)
        replicates[:10, 1:] = np.nan
        other = np.where(np.arange(40) < 10, y + 3, y)
        one, two = (self.fit(X, target, replicates).predict(X) for target in (y, other))
        assert (two - one)[:10].mean() > 0.3


def test_heteroscedastic_total_has_the_mean_square_of_the_validation_residuals():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    y = X[:, 0] + np.exp(X[:, 1] / 2) * rng.normal(size=200)
    weight = rng.uniform(0.5, 2, size=60)
    ensemble = EnsembleRegressor(
        tiny_net(max_epochs=20), 4, aleatoric="heteroscedastic", random_state=0
    )
    ensemble.fit(X[:140], y[:140], X_val=X[140:], y_val=y[140:], sample_weight_val=weight)
    mean, total = ensemble.predict(X[140:], return_std=True, kind="total")
    residual = np.average((y[140:] - mean) ** 2, weights=weight)
    assert np.average(total**2, weights=weight) == pytest.approx(residual)
