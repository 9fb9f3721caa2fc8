"""What the baselines promise: an ensemble's methods, and uncertainty of their own kinds."""

import pickle

import numpy as np
import pytest
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, PredefinedSplit, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from skorch.callbacks import EarlyStopping
from torch import nn

from sklearn_degu import EnsembleRegressor
from sklearn_degu.baselines import EvidentialRegressor, MCDropoutRegressor
from sklearn_degu.exceptions import TrainingDivergedError
from sklearn_degu.modules import MLP
from sklearn_degu.recipes import mlp_net
from sklearn_degu.sequences import SequenceEncoder
from tests.toys import Constant, GlobalDropout, TinyConv, tiny_conv_net, tiny_net, weights

BASELINES = [MCDropoutRegressor, EvidentialRegressor]

every_baseline = pytest.mark.parametrize("baseline", BASELINES)


def fast(baseline, net=None, **params):
    """Return a baseline that trains and predicts in milliseconds."""
    net = tiny_net(module__dropout=0.2) if net is None else net
    passes = {"n_samples": 5} if baseline is MCDropoutRegressor else {}
    return baseline(net, **{"random_state": 0, **passes, **params})


def two_targets(y):
    return np.c_[y, 100 * y + 5]


class Flat(MLP):
    """A net that forgets the axis of its output."""

    def forward(self, x):
        return super().forward(x)[:, 0]


class WithoutLayers(nn.Module):
    """A net whose dropout is a function, if it has any."""

    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.output = nn.Linear(n_features, n_outputs)

    def forward(self, x):
        return self.output(nn.functional.dropout(x, 0.5, self.training))


class ThinnedSum(nn.Module):
    """The sum of the features but for those dropped; its weight hardly learns."""

    def __init__(self, n_outputs):
        super().__init__()
        self.drop = nn.Dropout(0.5)
        self.tiny = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return self.drop(x).sum(dim=1, keepdim=True) + 1e-9 * self.tiny


class WithAttention(nn.Module):
    def __init__(self, n_features, n_outputs, dropout=0.1):
        super().__init__()
        self.embed = nn.Linear(n_features, 4)
        self.attention = nn.MultiheadAttention(4, 1, dropout=0.1, batch_first=True)
        self.drop = nn.Dropout(dropout)
        self.output = nn.Linear(4, n_outputs)

    def forward(self, x):
        x = self.embed(x)[:, None]
        return self.output(self.drop(self.attention(x, x, x)[0][:, 0]))


@every_baseline
class TestBothBaselines:
    @pytest.mark.parametrize("n_targets", [None, 1, 2])
    def test_answers_have_the_shape_of_y(self, baseline, table, n_targets):
        X, y = table
        y = y if n_targets is None else np.column_stack([y] * n_targets)
        model = fast(baseline).fit(X, y)
        components = model.predict_components(X[:7])
        assert list(components) == ["mean", *model.uncertainty_kinds_]
        for kind in model.uncertainty_kinds_:
            mean, std = model.predict(X[:7], return_std=True, kind=kind)
            assert mean.shape == std.shape == y[:7].shape
            assert mean.dtype == std.dtype == np.float64
            assert (std > 0).all()
            np.testing.assert_array_equal(std, model.predict_uncertainty(X[:7], kind=kind))
            np.testing.assert_array_equal(std, components[kind])
            np.testing.assert_array_equal(mean, components["mean"])

    def test_predictions_are_in_units_of_y(self, baseline, table):
        X, y = table
        one, other = (fast(baseline).fit(X, target) for target in (y, 1000 * y + 5000))
        np.testing.assert_allclose(other.predict(X), 1000 * one.predict(X) + 5000, rtol=1e-5)
        for kind in one.uncertainty_kinds_:
            expected = 1000 * one.predict_uncertainty(X, kind)
            np.testing.assert_allclose(other.predict_uncertainty(X, kind), expected, rtol=1e-4)

    def test_every_target_has_its_own_answer(self, baseline, table):
        X, y = table
        model = fast(baseline, tiny_net(module__dropout=0.1, max_epochs=60))
        mean, std = model.fit(X, two_targets(y)).predict(X, return_std=True)
        assert np.corrcoef(mean[:, 0], y)[0, 1] > 0.9
        assert np.corrcoef(mean[:, 1], y)[0, 1] > 0.9
        assert 30 < np.median(std[:, 1] / std[:, 0]) < 300

    def test_explains_what_can_be_explained(self, baseline, table):
        X, y = table
        model = fast(baseline, tiny_net(module__dropout=0.1, max_epochs=60)).fit(X, y)
        assert model.score(X, y) > 0.8

    def test_random_state_decides_everything_and_torch_is_left_alone(self, baseline, table):
        X, y = table
        one, again, other = (fast(baseline, random_state=seed) for seed in (0, 0, 1))
        torch.manual_seed(5)
        state = torch.get_rng_state()
        results = [model.fit(X, y).predict(X, return_std=True) for model in (one, again, other)]
        assert torch.equal(torch.get_rng_state(), state)
        np.testing.assert_array_equal(results[0], results[1])
        assert not np.allclose(results[0], results[2])

    def test_a_fitted_model_repeats_itself_in_any_split_of_the_rows(self, baseline, table):
        X, y = table
        model = fast(baseline).fit(X, y)
        whole = np.stack(model.predict(X, return_std=True))
        np.testing.assert_array_equal(whole, model.predict(X, return_std=True))
        parts = [model.predict(rows, return_std=True) for rows in (X[:1], X[1:11], X[11:])]
        np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, rtol=1e-9)

    def test_missing_measurements_are_left_out(self, baseline, table):
        X, y = table
        y = np.c_[y, -y]
        y[::2, 1] = np.nan
        changed = np.where(np.isnan(y), np.nan, y)
        changed[0, 0] += 3
        model = fast(baseline).fit(X, y)
        assert np.isfinite(model.predict(X, return_std=True)).all()
        assert np.isfinite(model.score(X, y))
        assert not np.allclose(model.predict(X), fast(baseline).fit(X, changed).predict(X))

    def test_a_target_without_measurements_is_refused(self, baseline, table):
        X, y = table
        with pytest.raises(ValueError, match="Target 1 of y has no measurement"):
            fast(baseline).fit(X, np.c_[y, np.full(len(y), np.nan)])

    def test_rows_of_weight_zero_are_as_if_absent(self, baseline, table):
        X, y = table
        weight = np.ones(len(y))
        weight[30:] = 0
        model = fast(baseline).fit(X, np.where(weight, y, 1e6), sample_weight=weight)
        expected = fast(baseline).fit(X[:30], y[:30], sample_weight=weight[:30])
        np.testing.assert_allclose(model.predict(X), expected.predict(X))

    def test_weights_pull_the_prediction(self, baseline, table):
        X, _ = table
        y = np.resize([0.0, 1.0], len(X))
        net = tiny_net(module__dropout=0.1, max_epochs=20)
        light, heavy = (
            fast(baseline, net).fit(X, y, sample_weight=np.where(y, weight, 1.0)).predict(X).mean()
            for weight in (0.1, 10)
        )
        assert light < 0.3 < 0.7 < heavy

    def test_validation_rows_are_held_out_or_given(self, baseline, table):
        X, y = table
        fold = np.where(np.arange(len(y)) % 4, -1, 0)
        held_out, kept = np.flatnonzero(fold == 0), np.flatnonzero(fold)
        model = fast(baseline, validation=PredefinedSplit(fold)).fit(X, y)
        np.testing.assert_array_equal(model.validation_indices_, held_out)
        given = fast(baseline).fit(X[kept], y[kept], X_val=X[held_out], y_val=y[held_out])
        assert given.validation_indices_ is None
        np.testing.assert_array_equal(given.predict(X), model.predict(X))
        losses = model.history_["valid_loss"]
        assert np.isfinite(losses).all()
        np.testing.assert_array_equal(given.history_["valid_loss"], losses)
        shifted = fast(baseline).fit(X[kept], y[kept], X_val=X[held_out], y_val=y[held_out] + 100)
        assert (shifted.history_["valid_loss"] > 2 * losses).all()

    def test_knows_the_rows_that_it_was_trained_or_stopped_on(self, baseline, table):
        X, y = table
        model = fast(baseline, validation=0.25).fit(X[:20], y[:20])
        np.testing.assert_array_equal(model.seen(X), np.arange(len(X)) < 20)

    def test_a_fraction_of_the_rows_is_held_out_at_random(self, baseline, table):
        assert len(fast(baseline, validation=0.25).fit(*table).validation_indices_) == 10

    def test_validation_weights_weigh(self, baseline, table):
        X, y = table
        weight = np.r_[1e6, np.full(4, 1e-6)]
        some = fast(baseline).fit(X, y, X_val=X[:5], y_val=y[:5], sample_weight_val=weight)
        first = fast(baseline).fit(X, y, X_val=X[:1], y_val=y[:1])
        np.testing.assert_allclose(
            some.history_["valid_loss"], first.history_["valid_loss"], rtol=1e-3
        )

    def test_groups_are_held_out_whole(self, baseline, table):
        X, y = table
        groups = np.repeat(np.arange(8), 5)
        model = fast(baseline, validation=0.25).fit(X, y, groups=groups)
        np.testing.assert_array_equal(
            np.unique(groups[model.validation_indices_], return_counts=True)[1], 5
        )

    def test_training_stops_early_on_the_validation_loss(self, baseline, table):
        X, y = table
        stop = EarlyStopping(monitor="valid_loss", patience=1, threshold=10.0)
        net = tiny_net(module__dropout=0.2, max_epochs=30, callbacks=[("stop", stop)])
        assert len(fast(baseline, net, validation=0.2).fit(X, y).history_) < 30
        with pytest.raises(ValueError, match="no validation rows"):
            fast(baseline, net).fit(X, y)

    def test_history_has_a_row_an_epoch(self, baseline, table):
        history = fast(baseline).fit(*table).history_
        np.testing.assert_array_equal(history["epoch"], [1, 2, 3])
        assert np.isfinite(history["train_loss"]).all()

    def test_prints_only_when_asked(self, baseline, table, capsys):
        fast(baseline).fit(*table)
        assert not capsys.readouterr().out
        fast(baseline, verbose=1).fit(*table)
        assert "3 epochs" in capsys.readouterr().out

    def test_default_net_works_at_once(self, baseline, table):
        X, y = table
        with pytest.MonkeyPatch.context() as patch:
            small = {"module__hidden": (8,), "max_epochs": 2}
            patch.setattr(
                "sklearn_degu.baselines.mlp_net", lambda **given: mlp_net(**given, **small)
            )
            assert (baseline().fit(X, y).predict_uncertainty(X) > 0).all()

    def test_clone_and_pickle_keep_what_they_should(self, baseline, table):
        X, y = table
        model = fast(baseline).fit(X, y)
        restored = pickle.loads(pickle.dumps(model))
        expected = model.predict(X, return_std=True)
        np.testing.assert_array_equal(restored.predict(X, return_std=True), expected)
        fresh = clone(model)
        with pytest.raises(NotFittedError):
            fresh.predict(X)
        np.testing.assert_array_equal(fresh.fit(X, y).predict(X, return_std=True), expected)

    def test_fit_leaves_the_net_as_it_was(self, baseline, table):
        net = tiny_net(module__dropout=0.2)
        before = net.get_params(deep=False)
        fast(baseline, net).fit(*table)
        assert net.get_params(deep=False) == before
        assert not hasattr(net, "module_")

    def test_works_in_pipelines_and_searches(self, baseline, table):
        X, y = table
        pipeline = make_pipeline(StandardScaler(), fast(baseline)).fit(X, y)
        mean, std = pipeline.predict(X, return_std=True, kind="epistemic")
        assert mean.shape == std.shape == y.shape
        name = baseline.__name__.lower()
        search = GridSearchCV(pipeline, {f"{name}__net__lr": [1e-3, 1e-2]}, cv=2).fit(X, y)
        assert search.best_estimator_[-1].net_.lr in (1e-3, 1e-2)

    def test_routes_metadata(self, baseline, table):
        X, y = table
        with config_context(enable_metadata_routing=True):
            model = fast(baseline, validation=0.5)
            model.set_fit_request(groups=True, sample_weight=True)
            model.set_score_request(sample_weight=True)
            groups = np.resize(np.arange(10), len(y))
            params = {"groups": groups, "sample_weight": np.ones(len(y))}
            scores = cross_validate(model, X, y, cv=2, params=params, return_estimator=True)
        assert all(len(fitted.validation_indices_) > 0 for fitted in scores["estimator"])

    def test_reads_sequences_and_strings(self, baseline, sequences, strings):
        X, y = sequences
        model = fast(baseline, tiny_conv_net(module__dropout=0.2))
        flat = clone(model).fit(X.reshape(len(X), -1), y)
        whole = clone(model).fit(X, y)
        from_strings = make_pipeline(SequenceEncoder(), clone(model)).fit(strings, y)
        assert whole.input_shape_ == X.shape[1:]
        for other in (flat.predict(X), from_strings.predict(strings)):
            np.testing.assert_array_equal(other, whole.predict(X))

    def test_other_kinds_are_refused_by_name(self, baseline, table):
        model = fast(baseline).fit(*table)
        with pytest.raises(ValueError, match=f"it has {', '.join(model.uncertainty_kinds_)}"):
            model.predict_uncertainty(table[0], kind="knowledge")

    def test_an_output_without_columns_is_refused(self, baseline, table):
        with pytest.raises(ValueError, match="must return"):
            fast(baseline, tiny_net(Flat, module__dropout=0.2, module__hidden=(4,))).fit(*table)

    def test_what_is_no_net_is_refused(self, baseline, table):
        with pytest.raises(TypeError, match="must be a skorch NeuralNet"):
            fast(baseline, nn.Linear(1, 1)).fit(*table)

    def test_parameters_of_a_net_that_is_not_there_are_refused(self, baseline):
        with pytest.raises(ValueError, match="Cannot set net__lr"):
            baseline().set_params(net__lr=0.1)
        assert baseline().set_params(net=tiny_net(), net__lr=0.1).net.lr == 0.1

    def test_divergence_is_an_error(self, baseline, table):
        net = tiny_net(module__dropout=0.2, lr=1e300, optimizer=torch.optim.SGD)
        with pytest.raises(TrainingDivergedError, match="The training of net diverged"):
            fast(baseline, net).fit(*table)

    def test_constant_predictions_are_warned_of(self, baseline, table):
        class Stuck(Constant):
            def __init__(self, n_outputs):
                super().__init__(n_outputs)
                self.drop = nn.Dropout(0.5)

        with pytest.warns(ConvergenceWarning, match="The net predicts a constant for 1 of its 1"):
            fast(baseline, tiny_net(Stuck)).fit(*table)


class TestMCDropout:
    def test_trains_as_a_member_of_an_ensemble(self, table):
        X, y = table
        net = tiny_net(module__dropout=0.2)
        member = EnsembleRegressor(net, 1, validation=0.2, random_state=3).fit(X, y)
        model = MCDropoutRegressor(net, validation=0.2, random_state=3).fit(X, y)
        np.testing.assert_array_equal(weights(model.net_), weights(member.estimators_[0]))

    def test_mean_and_deviation_are_those_of_the_passes(self, table):
        X, y = table
        model = fast(MCDropoutRegressor, n_samples=2).fit(X, y)
        mean, std = model.predict(X, return_std=True)
        more, more_std = model.set_params(n_samples=3).predict(X, return_std=True)
        # Two passes are their mean minus and plus their deviation; the third follows.
        passes = np.stack([mean - std, mean + std, 3 * more - 2 * mean])
        np.testing.assert_allclose(more_std, passes.std(axis=0, ddof=0))

    def test_deviation_is_that_of_a_sum_whose_terms_are_dropped(self, table):
        X, y = table

        class Linear(nn.Module):
            def __init__(self, n_features, n_outputs, p=0.2):
                super().__init__()
                self.layers = nn.Sequential(nn.Dropout(p), nn.Linear(n_features, n_outputs))

            def forward(self, x):
                return self.layers(x)

        model = fast(MCDropoutRegressor, tiny_net(Linear), n_samples=500).fit(X, y)
        slope = model.net_.module_.layers[1].weight.detach().numpy()[0]
        expected = y.std() * np.sqrt(0.2 / 0.8 * (X**2 @ slope**2))
        np.testing.assert_allclose(model.predict_uncertainty(X), expected, rtol=0.15)

    def test_passes_differ_from_the_net_without_dropout(self, table):
        X, y = table
        model = fast(MCDropoutRegressor).fit(X, y)
        assert not np.allclose(
            model.predict(X), y.mean() + y.std() * model.net_.predict(X)[:, 0], rtol=1e-3
        )

    def test_random_state_decides_the_masks_in_prediction(self, table):
        X, y = table
        net = tiny_net(ThinnedSum)
        one, again, other = (
            fast(MCDropoutRegressor, net, random_state=seed).fit(X, y).predict(X)
            for seed in (0, 0, 1)
        )
        np.testing.assert_array_equal(one, again)
        assert not np.allclose(one, other, rtol=1e-2)

    def test_a_users_dropout_works(self, table):
        X, y = table
        model = fast(MCDropoutRegressor, tiny_net(GlobalDropout)).fit(X, y)
        state = torch.get_rng_state()
        std = model.predict_uncertainty(X)
        assert (std > 0).all()
        np.testing.assert_array_equal(model.predict_uncertainty(X), std)
        assert torch.equal(torch.get_rng_state(), state)

    @pytest.mark.parametrize(
        "net", [tiny_net(), tiny_net(TinyConv), tiny_net(WithoutLayers)], ids=["mlp", "p=0", "none"]
    )
    def test_a_net_without_dropout_is_refused(self, net, sequences):
        X, y = sequences
        with pytest.raises(ValueError, match="no dropout layer with a probability above 0"):
            fast(MCDropoutRegressor, net).fit(X, y)

    def test_dropout_that_stays_off_in_prediction_is_named(self, table):
        with pytest.warns(UserWarning, match="dropout of MultiheadAttention is on in training"):
            fast(MCDropoutRegressor, tiny_net(WithAttention)).fit(*table)
        with pytest.raises(ValueError, match="Found only MultiheadAttention"):
            fast(MCDropoutRegressor, tiny_net(WithAttention, module__dropout=0.0)).fit(*table)

    @pytest.mark.parametrize("n_samples", [0, 1, 2.0, True, None])
    def test_too_few_passes_are_refused(self, table, n_samples):
        X, y = table
        with pytest.raises(ValueError, match=f"at least 2, .* got {n_samples}"):
            fast(MCDropoutRegressor, n_samples=n_samples).fit(X, y)
        model = fast(MCDropoutRegressor).fit(X, y).set_params(n_samples=n_samples)
        with pytest.raises(ValueError, match="at least 2"):
            model.predict(X)

    def test_epistemic_deviation_falls_as_data_grow_and_rises_away_from_them(self):
        # Where 50 rows are overfitted; MC dropout does not promise it (see the Notes).
        X, y = noisy_sine(700, n_features=10)
        near, far = X[500:], 3 * X[500:]
        net = mlp_net(module__dropout=0.1, module__hidden=(32, 32), batch_size=50, max_epochs=50)
        few, many = (
            fast(MCDropoutRegressor, net, n_samples=30).fit(X[:n], y[:n]) for n in (50, 500)
        )
        median = np.median(many.predict_uncertainty(near))
        assert median < 0.9 * np.median(few.predict_uncertainty(near))
        assert 1.5 * median < np.median(many.predict_uncertainty(far))


class TestEvidential:
    def test_total_deviation_is_near_the_truth(self):
        X, y = noisy_sine(1000)
        net = mlp_net(module__hidden=(32,), max_epochs=60)
        model = fast(EvidentialRegressor, net).fit(X, y)
        total = model.predict_uncertainty(X, kind="total")
        np.testing.assert_allclose(np.median(total), NOISE, rtol=0.2)
        assert (model.predict_uncertainty(X, kind="aleatoric") < total).all()

    def test_total_deviation_follows_a_noise_that_varies(self):
        X, _ = noisy_sine(1000)
        truth = np.where(X[:, 1] > 0, 1.0, 0.25)
        y = X[:, 0] + truth * np.random.default_rng(1).normal(size=len(X))
        net = mlp_net(module__hidden=(32,), max_epochs=60)
        total = fast(EvidentialRegressor, net).fit(X, y).predict_uncertainty(X, kind="total")
        assert np.median(total[truth == 1]) / np.median(total[truth == 0.25]) > 2.5

    def test_kinds_add_up(self, table):
        X, y = table
        model = fast(EvidentialRegressor).fit(X, two_targets(y))
        parts = model.predict_components(X)
        assert model.uncertainty_kinds_ == ("epistemic", "aleatoric", "total")
        np.testing.assert_allclose(
            parts["total"] ** 2, parts["epistemic"] ** 2 + parts["aleatoric"] ** 2
        )
        np.testing.assert_array_equal(model.predict_uncertainty(X), parts["total"])

    def test_kinds_are_those_of_the_distribution(self, table):
        X, y = table
        y = two_targets(y)
        model = fast(EvidentialRegressor).fit(X, y)
        outputs = model.net_.predict(X.astype(np.float64)).astype(np.float64)
        gamma, nu, alpha, beta = np.split(outputs, 4, axis=1)
        nu, excess, beta = (np.logaddexp(0, part) for part in (nu, alpha, beta))
        parts = model.predict_components(X)
        mean = y.mean(axis=0) + y.std(axis=0) * gamma
        np.testing.assert_allclose(parts["mean"], mean, rtol=1e-5, atol=1e-6)
        aleatoric = y.std(axis=0) * np.sqrt(beta / excess)
        np.testing.assert_allclose(parts["aleatoric"], aleatoric, rtol=1e-4)
        np.testing.assert_allclose(parts["epistemic"], aleatoric / np.sqrt(nu), rtol=1e-4)

    def test_regularization_lowers_the_evidence(self, table):
        X, y = table
        net = tiny_net(max_epochs=30)
        ratios = []
        for regularization in (0, 0.5):
            model = fast(EvidentialRegressor, net, regularization=regularization).fit(X, y)
            parts = model.predict_components(X)
            ratios.append(np.median(parts["epistemic"] / parts["aleatoric"]))
        assert ratios[0] < ratios[1]

    @pytest.mark.parametrize("regularization", [-0.1, np.inf, np.nan, "0.1", None, True])
    def test_another_regularization_is_refused(self, table, regularization):
        with pytest.raises(ValueError, match="regularization must be a finite number"):
            fast(EvidentialRegressor, regularization=regularization).fit(*table)

    def test_a_criterion_that_would_be_replaced_is_refused(self, table):
        with pytest.raises(ValueError, match="trained by EvidentialLoss, which would replace it"):
            fast(EvidentialRegressor, tiny_net(criterion=nn.L1Loss)).fit(*table)

    def test_needs_no_dropout(self, table):
        assert fast(EvidentialRegressor, tiny_net()).fit(*table).predict(table[0]).shape == (40,)


NOISE = 0.5


def noisy_sine(n, n_features=2):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, n_features)).astype(np.float32)
    return X, 2 * np.sin(X[:, 0]) + NOISE * rng.normal(size=n)


def small_net(dropout=0.0):
    return mlp_net(module__hidden=(16,), module__dropout=dropout, max_epochs=50, lr=0.03)


# In training every row draws its own masks, so that two rows of weight one are not one of weight
# two. With a probability that drops nothing they are, and no check need be excused.
WITH_DROPOUT = MCDropoutRegressor(small_net(0.1), n_samples=5)
CHECKED = [
    EvidentialRegressor(small_net()),
    MCDropoutRegressor(small_net(1e-9), n_samples=5),
    WITH_DROPOUT,
]
WEIGHTS_AS_REPETITION = "check_sample_weight_equivalence_on_dense_data"


def excused(estimator):
    reason = "dropout masks are drawn for every row in training"
    return {WEIGHTS_AS_REPETITION: reason} if estimator is WITH_DROPOUT else {}


@parametrize_with_checks(CHECKED, expected_failed_checks=excused)
def test_passes_scikit_learn_check(estimator, check):
    check(estimator)
