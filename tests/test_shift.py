import copy
import pickle
import warnings

import joblib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from sklearn_degu import DistilledRegressor
from sklearn_degu.baselines import MCDropoutRegressor
from sklearn_degu.conformal import ConformalRegressor
from sklearn_degu.nets.prediction import forward
from sklearn_degu.sequences import SequenceEncoder, reverse_complement
from sklearn_degu.shift import (
    _two_sample,
    check_exchangeability,
    effective_sample_size,
    estimate_likelihood_ratio,
    penultimate_features,
)
from sklearn_degu.shift._features import kmer_counts
from tests.toys import LENGTH, tiny_conv_net, tiny_ensemble, tiny_net

pytestmark = pytest.mark.filterwarnings("ignore:The smaller sample has")


def check(X_calibration, X_new, *labels, estimator=None, **params):
    """Run the test on tables, quickly and without its warnings."""
    params = {"features": None, "n_permutations": 99, "random_state": 0, **params}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return check_exchangeability(estimator, X_calibration, X_new, *labels, **params)


def normal(*shape, seed=0, loc=0.0, scale=1.0):
    return np.random.default_rng(seed).normal(loc, scale, size=shape)


class Spread:
    """A fitted regressor that predicts zero, with the first feature as standard deviation."""

    def predict(self, X, return_std=False):
        mean = np.zeros(len(X))
        return (mean, np.abs(X[:, 0])) if return_std else mean


class NoLinear(nn.Module):
    """A net whose head is a convolution."""

    draws_globally = False

    def __init__(self, n_outputs, n_channels=4, seq_len=LENGTH):
        super().__init__()
        self.head = nn.Conv1d(n_channels, n_outputs, seq_len)

    def forward(self, x):
        return self.head(x).flatten(1)


class TestFeatures:
    def test_kmers_of_strings_and_of_one_hot_are_the_same(self, strings, sequences):
        assert np.array_equal(kmer_counts(strings), kmer_counts(sequences[0]))

    def test_kmers_do_not_depend_on_the_strand(self, sequences):
        X = sequences[0]
        assert np.array_equal(kmer_counts(X), kmer_counts(reverse_complement(X)))

    def test_every_known_kmer_counts_on_both_strands(self):
        counts = kmer_counts(["acgta", "ACNGT", "ACG"])
        assert counts.shape == (3, 136)
        assert counts.sum(axis=1).tolist() == [3.0, 0.0, 0.0]  # ACGT is its own complement

    def test_kmers_of_a_table_are_refused(self):
        with pytest.raises(ValueError, match="features=None for a table"):
            kmer_counts(normal(3, 5))

    def test_kmers_of_other_letters_are_refused(self):
        with pytest.raises(ValueError, match="letter 'X'"):
            kmer_counts(["ACGX"])


class TestWithoutLabels:
    def test_shift_is_found_with_a_warning(self):
        with pytest.warns(UserWarning, match="not exchangeable") as caught:
            result = check_exchangeability(
                None, normal(150, 3), normal(150, 3, seed=1, loc=0.8), features=None
            )
        assert len(caught) == 1
        assert caught[0].filename == __file__
        assert result.message == str(caught[0].message)
        assert not result.is_exchangeable
        assert result.p_value == 1 / 500
        assert result.statistic > 0.7

    def test_no_shift_gives_no_warning_and_no_proof(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = check_exchangeability(
                None, normal(100, 3), normal(100, 3, seed=1), features=None, random_state=0
            )
        assert result.is_exchangeable
        assert "no proof" in result.message

    @pytest.mark.parametrize("form", ["strings", "one-hot"])
    def test_kmers_show_a_shift_of_composition(self, form):
        rng = np.random.default_rng(0)
        poor, rich = (
            ["".join(rng.choice(list("ACGT"), 60, p=p)) for _ in range(40)]
            for p in ([0.3, 0.2, 0.2, 0.3], [0.2, 0.3, 0.3, 0.2])
        )
        if form == "one-hot":
            poor, rich = (SequenceEncoder().fit_transform(part) for part in (poor, rich))
        assert not check(poor, rich, features="kmers").is_exchangeable

    def test_callable_and_penultimate_features(self, sequences):
        X, y = sequences
        ensemble = tiny_ensemble(tiny_conv_net()).fit(X, y)
        shifted = np.zeros_like(X)
        shifted[:, 2] = 1
        for features in ("penultimate", lambda X: X.sum(axis=2)):
            result = check(X, shifted, estimator=ensemble, features=features, n_permutations=19)
            assert not result.is_exchangeable

    def test_level_holds_on_repeated_rows_dealt_at_random(self):
        """Copies in other folds make held-out scores depend on each other.

        Permuting the labels against the scores of a single fit would fire in 33 of these trials.
        """
        fired = 0
        for seed in range(200):
            rng = np.random.default_rng(seed)
            rows = np.repeat(rng.normal(size=(20, 20)), 2, axis=0)
            first, second = np.split(rng.permutation(40), 2)
            result = check(
                rows[first], rows[second], n_permutations=19, level=0.1, random_state=seed
            )
            fired += not result.is_exchangeable
        assert 8 <= fired <= 28  # 20 are expected, with a deviation of 4

    def test_groups_keep_families_from_looking_like_a_shift(self):
        families = np.repeat(np.arange(30), 8)
        fired = {"rows": 0, "groups": 0}
        for seed in range(10):
            rows = normal(30, 4, seed=seed)[families] + normal(240, 4, seed=100 + seed, scale=0.2)
            for name, groups in (("rows", None), ("groups", families)):
                result = check(
                    rows[:120], rows[120:], groups=groups, n_permutations=19, random_state=seed
                )
                fired[name] += not result.is_exchangeable
        assert fired["rows"] >= 8
        assert fired["groups"] <= 3

    def test_groups_still_let_a_shift_be_found(self):
        families = np.repeat(np.arange(40), 3)
        rows = normal(40, 2)[families]
        rows[60:] += 3
        # In another order of names than of rows.
        result = check(rows[:60], rows[60:], groups=[f"family {-i}" for i in families])
        assert not result.is_exchangeable

    @pytest.mark.parametrize("classifier", [QuadraticDiscriminantAnalysis(), GaussianNB()])
    def test_classifier_sees_what_ridge_regression_does_not(self, classifier):
        same, wider = normal(100, 2), normal(100, 2, seed=1, scale=3.0)
        assert check(same, wider, n_permutations=19).is_exchangeable
        found = check(same, wider, classifier=classifier, n_permutations=19)
        assert not found.is_exchangeable
        assert found.statistic > 0.8

    def test_number_of_jobs_changes_nothing(self):
        samples, how = (normal(30, 2), normal(30, 2, seed=1)), {"classifier": GaussianNB()}
        how["n_permutations"] = 19
        with joblib.parallel_config("threading"):
            assert check(*samples, **how, n_jobs=2) == check(*samples, **how)

    def test_one_random_state_decides(self):
        samples = normal(30, 3), normal(30, 3, seed=1)
        assert check(*samples, random_state=3) == check(*samples, random_state=3)
        assert check(*samples, random_state=3) != check(*samples, random_state=4)

    def test_statistic_does_not_depend_on_which_sample_is_new(self):
        samples = normal(50, 3), normal(50, 3, seed=1, loc=1.0)
        there, back = check(*samples), check(*samples[::-1])
        assert there.statistic == pytest.approx(back.statistic, abs=0.1)
        assert min(there.statistic, back.statistic) > 0.6

    def test_permutations_in_several_portions_give_the_same(self, monkeypatch):
        samples = normal(30, 3), normal(30, 3, seed=1)
        whole = check(*samples)
        monkeypatch.setattr(_two_sample, "LABELS_AT_A_TIME", 60 * 7)
        portions = check(*samples)
        assert portions.p_value == whole.p_value
        assert portions.statistic == pytest.approx(whole.statistic)

    def test_few_rows_or_groups_give_a_warning(self):
        rows = normal(220, 2)
        with pytest.warns(UserWarning, match="99 rows, fewer than 100"):
            check_exchangeability(None, rows[:99], rows[99:], features=None, random_state=0)
        with pytest.warns(UserWarning, match="55 groups, fewer than 100"):
            check_exchangeability(
                None,
                rows[:110],
                rows[110:],
                features=None,
                groups=np.arange(220) // 2,
                random_state=0,
            )

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"features": "motifs"}, "features must be 'kmers', 'penultimate', None"),
            ({"features": "penultimate"}, "needs a fitted estimator"),
            ({"features": lambda X: X[:5]}, "X_calibration has 20 rows, but .* returned 5"),
            ({"features": lambda X: X * np.nan}, "X_calibration contains NaN"),
            ({"level": 0.0}, "level must lie between 0 and 1"),
            ({"level": 1.0}, "level must lie between 0 and 1"),
            ({"level": "low"}, "level must lie between 0 and 1"),
            ({"n_permutations": 18}, "integer of at least 19"),
            ({"n_permutations": 100.0}, "integer of at least 19"),
            ({"n_permutations": True, "level": 0.5}, "integer of at least 1"),
            ({"cv": 21}, "smaller sample has 20 rows, but cv=21"),
            ({"groups": np.zeros(20)}, r"groups has shape \(20,\)"),
            ({"groups": np.repeat([0, 1], [21, 19])}, "1 groups, the first .*0.*, have rows in"),
            ({"groups": np.repeat([0, 1], 20)}, "smaller sample has 1 groups"),
            ({"classifier": LinearRegression()}, "LinearRegression has not"),
        ],
    )
    def test_unusable_parameter_is_refused(self, params, message):
        with pytest.raises(ValueError, match=message):
            check(normal(20, 3), normal(20, 3, seed=1), **params)

    def test_smallest_number_of_permutations_for_a_level_is_accepted(self):
        result = check(normal(20, 3), normal(20, 3, loc=9.0), n_permutations=19)
        assert result.p_value == 0.05
        assert not result.is_exchangeable

    def test_samples_of_different_features_are_refused(self):
        with pytest.raises(ValueError, match="3 in the first, 4 in the second"):
            check(normal(20, 3), normal(20, 4))


class TestWithLabels:
    X = normal(120, 2)
    model = LinearRegression().fit(X, X[:, 0])

    def check(self, X, X_new, y, y_new, **params):
        params = {"estimator": self.model, "conformity_score": "absolute", **params}
        return check(X, X_new, y, y_new, **params)

    def rows(self, n, scale=1.0, seed=0):
        X = normal(n, 2, seed=seed)
        return X, self.model.predict(X) + normal(n, seed=seed + 50, scale=scale)

    def test_change_of_labels_is_found_that_the_rows_do_not_show(self):
        (X, y), (X_new, y_new) = self.rows(120), self.rows(120, scale=2.0, seed=1)
        assert check(X, X_new).is_exchangeable
        with pytest.warns(UserWarning, match="Calibrate on labelled rows"):
            result = check_exchangeability(
                self.model, X, X_new, y, y_new, conformity_score="absolute", random_state=0
            )
        assert not result.is_exchangeable
        assert result.statistic > 0.6
        assert result.method == "permutation test of conformity scores"

    def test_better_predictions_are_a_change_too(self):
        (X, y), (X_new, y_new) = self.rows(120), self.rows(120, scale=0.3, seed=1)
        result = self.check(X, X_new, y, y_new)
        assert not result.is_exchangeable
        assert result.statistic < 0.4

    def test_level_holds(self):
        fired = 0
        for seed in range(100):
            (X, y), (X_new, y_new) = self.rows(15, seed=seed), self.rows(25, seed=1000 + seed)
            result = self.check(X, X_new, y, y_new, n_permutations=19, level=0.1, random_state=seed)
            fired += not result.is_exchangeable
        assert 2 <= fired <= 18  # 10 are expected, with a deviation of 3

    def test_normalized_score_allows_for_known_noise(self):
        X, X_new = np.abs(normal(150, 1)) + 0.1, np.abs(normal(150, 1, seed=1)) + 2
        y, y_new = (x[:, 0] * normal(len(x), seed=s) for s, x in ((2, X), (3, X_new)))
        assert not self.check(X, X_new, y, y_new, estimator=Spread()).is_exchangeable
        assert self.check(
            X, X_new, y, y_new, estimator=Spread(), conformity_score="normalized"
        ).is_exchangeable

    def test_targets_weigh_alike_and_missing_measurements_are_left_out(self):
        X, X_new = self.X, normal(120, 2, seed=1)
        model = LinearRegression().fit(X, np.zeros((120, 2)))
        y, y_new = normal(120, 2, seed=2), normal(120, 2, seed=3)
        y_new[:, 0] *= 3
        y[::2, 1] = y_new[1::2, 1] = np.nan
        result = self.check(X, X_new, y, y_new, estimator=model)
        scaled = self.check(X, X_new, y * [1e-6, 1e6], y_new * [1e-6, 1e6], estimator=model)
        assert not result.is_exchangeable
        assert scaled == result

    def test_groups_keep_families_from_looking_like_a_change(self):
        families = np.repeat(np.arange(12), 20)
        fired = {"rows": 0, "groups": 0}
        for seed in range(10):
            y = normal(12, seed=seed, scale=2.0)[families] + normal(240, seed=100 + seed, scale=0.1)
            X = np.zeros((240, 2))
            for name, groups in (("rows", None), ("groups", families)):
                result = self.check(
                    X[:120], X[120:], y[:120], y[120:], groups=groups, random_state=seed
                )
                fired[name] += not result.is_exchangeable
        assert fired["rows"] >= 6
        assert fired["groups"] <= 3

    def test_perfect_predictions_are_no_change(self):
        result = self.check(
            np.ones((20, 1)), np.ones((20, 1)), np.zeros(20), np.zeros(20), estimator=Spread()
        )
        assert result.is_exchangeable
        assert result.statistic == 0.5

    def test_few_rows_give_a_warning(self):
        X, y = self.rows(20)
        with pytest.warns(UserWarning, match="20 rows, fewer than 100"):
            check_exchangeability(
                self.model, X, X, y, y, conformity_score="absolute", random_state=0
            )

    def test_labels_of_one_sample_alone_are_refused(self):
        X, y = self.rows(20)
        with pytest.raises(ValueError, match="y_new is missing"):
            self.check(X, X, y, None)
        with pytest.raises(ValueError, match="y_calibration is missing"):
            self.check(X, X, None, y)

    def test_unusable_labels_are_refused(self):
        X, y = self.rows(20)
        for wrong, message in (
            (y[:-1], r"y_new has shape \(19,\), but the predictions have \(20,\)"),
            (y[:, np.newaxis], r"y_new has shape \(20, 1\)"),
            (np.where(np.arange(20) == 3, np.nan, y), "1 rows without any .* the first is row 3"),
            (np.full(20, np.inf), "y contains infinity"),
        ):
            with pytest.raises(ValueError, match=message):
                self.check(X, X, y, wrong)

    def test_unusable_scores_are_refused(self):
        X, y = self.rows(20)
        with pytest.raises(ValueError, match="conformity_score must be 'normalized' or 'absolute'"):
            self.check(X, X, y, y, conformity_score="gamma")
        with pytest.raises(ValueError, match="takes no return_std=True"):
            self.check(X, X, y, y, conformity_score="normalized")
        with pytest.raises(ValueError, match="kind='total' chooses the deviation"):
            self.check(X, X, y, y, kind="total")


@pytest.fixture(scope="module")
def fitted(sequences):
    return tiny_ensemble(tiny_conv_net()).fit(*sequences)


class TestPenultimateFeatures:
    def test_last_layer_makes_the_outputs_of_them(self, sequences, fitted):
        X, net = sequences[0], fitted.estimators_[0]
        features = penultimate_features(fitted, X)
        last = net.module_.layers[-1]
        outputs = features @ last.weight.detach().numpy().T + last.bias.detach().numpy()
        assert np.allclose(outputs, forward(net, X), atol=1e-5)

    @pytest.mark.parametrize(
        ("estimator", "name"),
        [
            (DistilledRegressor(tiny_ensemble(), random_state=0), "student_"),
            (MCDropoutRegressor(tiny_net(module__dropout=0.5), random_state=0), "net_"),
        ],
    )
    def test_net_that_predicts_is_read(self, table, estimator, name):
        features = penultimate_features(estimator.fit(*table), table[0])
        net = getattr(estimator, name)
        last = net.module_.layers[-1]
        outputs = features @ last.weight.detach().numpy().T + last.bias.detach().numpy()
        assert np.allclose(outputs, forward(net, table[0]), atol=1e-5)

    def test_batch_size_changes_nothing(self, sequences):
        whole, batches = (
            penultimate_features(
                tiny_ensemble(tiny_conv_net(**params)).fit(*sequences), sequences[0]
            )
            for params in ({}, {"iterator_valid__batch_size": 7})
        )
        assert np.allclose(whole, batches, atol=1e-6)

    def test_wrappers_are_looked_through(self, strings, sequences, fitted):
        expected = penultimate_features(fitted, sequences[0])
        pipeline = make_pipeline(SequenceEncoder().fit(strings), fitted)
        conformal = ConformalRegressor(FrozenEstimator(pipeline), allow_overlap=True)
        conformal.fit(strings, sequences[1])
        for estimator in (pipeline, FrozenEstimator(pipeline), conformal):
            assert np.array_equal(penultimate_features(estimator, strings), expected)
        assert np.array_equal(penultimate_features(make_pipeline(fitted), sequences[0]), expected)

    @pytest.mark.parametrize("fails", [False, True])
    def test_module_is_left_as_it_was(self, sequences, fitted, fails, monkeypatch):
        module = fitted.estimators_[0].module_
        module.train()
        module.layers[3].eval()
        modes = [layer.training for layer in module.modules()]
        if fails:
            monkeypatch.setattr(module.layers[1], "forward", lambda x: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                penultimate_features(fitted, sequences[0])
        else:
            penultimate_features(fitted, sequences[0])
        assert [layer.training for layer in module.modules()] == modes
        for layer in module.modules():
            assert not layer._forward_hooks
            assert not layer._forward_pre_hooks

    def test_features_are_those_of_prediction_not_of_training(self, table):
        X, y = table
        ensemble = tiny_ensemble(tiny_net(module__dropout=0.5)).fit(X, y)
        ensemble.estimators_[0].module_.train()
        first, second = (penultimate_features(ensemble, X) for _ in range(2))
        assert np.array_equal(first, second)

    def test_net_without_linear_layer_is_refused(self, sequences):
        ensemble = tiny_ensemble(tiny_net(NoLinear)).fit(*sequences)
        with pytest.raises(ValueError, match=r"no torch\.nn\.Linear on every sample"):
            penultimate_features(ensemble, sequences[0])

    def test_other_estimators_are_refused(self, table):
        with pytest.raises(TypeError, match="got LinearRegression"):
            penultimate_features(LinearRegression().fit(*table), table[0])
        for unfitted in (tiny_ensemble(), make_pipeline(StandardScaler(), tiny_ensemble())):
            with pytest.raises(NotFittedError):
                penultimate_features(unfitted, table[0])

    def test_rows_that_do_not_fit_are_refused(self, sequences, fitted):
        with pytest.raises(ValueError, match="fitted on"):
            penultimate_features(fitted, sequences[0][:, :, 1:])


def gaussian_ratio(n_source=1500, n_target=1500, **params):
    """Return an estimate of exp(x - 0.5)."""
    source, target = normal(n_source, 1), normal(n_target, 1, seed=1, loc=1.0)
    return estimate_likelihood_ratio(
        source, target, **{"features": None, "random_state": 0, **params}
    )


class TestLikelihoodRatio:
    x = np.linspace(-1.5, 2.5, 9)

    def distance(self, ratio):
        return np.abs(np.log(ratio(self.x[:, np.newaxis])) - (self.x - 0.5)).max()

    @pytest.mark.parametrize("n_target", [300, 1500])
    def test_estimate_is_near_the_truth_for_any_sizes_of_the_samples(self, n_target):
        ratio = gaussian_ratio(n_target=n_target)
        assert self.distance(ratio) < 0.3
        assert ratio(normal(4000, 1, seed=9)).mean() == pytest.approx(1, abs=0.1)

    def test_odds_of_an_overconfident_classifier_are_calibrated(self):
        """With 40 features of noise, logistic regression without penalty fits the noise."""
        source, target, new = normal(150, 40), normal(150, 40, seed=1), normal(500, 40, seed=2)
        target[:, 0] += 1.0
        free = LogisticRegression(C=1e6, max_iter=1000)
        ratio = estimate_likelihood_ratio(
            source, target, features=None, classifier=free, random_state=0
        )
        rows, labels = np.vstack([source, target]), np.repeat([0, 1], 150)
        truth = new[:, 0] - 0.5
        calibrated = np.std(np.log(ratio(new)) - truth)
        uncalibrated = np.std(free.fit(rows, labels).decision_function(new) - truth)
        assert calibrated < 0.7 * uncalibrated

    def test_classifier_is_not_fitted_in_place(self):
        classifier = LogisticRegression()
        gaussian_ratio(classifier=classifier)
        assert not hasattr(classifier, "coef_")

    def test_copies_weigh_as_the_ratio_does(self, strings, sequences):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ratio = estimate_likelihood_ratio(strings[:20], strings[20:], random_state=0)
        weights = ratio(strings)
        assert weights.shape == (40,)
        assert np.array_equal(ratio(sequences[0]), weights)
        for twin in (pickle.loads(pickle.dumps(ratio)), copy.deepcopy(ratio)):
            assert np.array_equal(twin(strings), weights)
        # With get_params, scikit-learn's clone would unfit it.
        assert not hasattr(ratio, "get_params")

    def test_penultimate_features_of_an_estimator(self, sequences, fitted):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ratio = estimate_likelihood_ratio(
                sequences[0][:20],
                sequences[0][20:],
                features="penultimate",
                estimator=fitted,
                random_state=0,
            )
        assert ratio(sequences[0]).shape == (40,)

    def test_groups_keep_families_from_looking_like_a_shift(self):
        families = np.repeat(np.arange(60), 10)
        rows = normal(60, 20)[families]
        spread = {}
        for name, groups in (("rows", None), ("groups", families)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ratio = estimate_likelihood_ratio(
                    rows[:300], rows[300:], features=None, groups=groups, random_state=0
                )
            spread[name] = np.log(ratio(normal(500, 20, seed=5))).std()
        assert spread["groups"] < 0.3
        assert spread["rows"] > 1

    def test_weights_mend_the_coverage_of_a_conformal_regressor(self):
        def measured(X, seed):
            return np.exp(X[:, 0]) * normal(len(X), seed=seed)

        X, X_new = normal(1500, 1, seed=6), normal(1000, 1, seed=7, loc=1.0)
        zero = FrozenEstimator(LinearRegression().fit(X, np.zeros(1500)))
        plain = ConformalRegressor(zero, confidence_level=0.8, conformity_score="absolute")
        # In a clone, as in cross-validation, the ratio must still be what it was.
        weighted = clone(clone(plain).set_params(likelihood_ratio=gaussian_ratio()))
        coverage = []
        for model in (plain, weighted):
            _, lower, upper = model.fit(X, measured(X, 8)).predict_interval(X_new)
            y_new = measured(X_new, 9)
            coverage.append(np.mean((lower <= y_new) & (y_new <= upper)))
        assert coverage[0] < 0.65
        assert coverage[1] == pytest.approx(0.8, abs=0.06)

    def test_weights_are_clipped_only_on_request(self):
        X = normal(300, 1, loc=2.0)
        free, clipped = gaussian_ratio()(X), gaussian_ratio(clip=2.0)(X)
        assert free.max() > 2
        assert np.array_equal(clipped, np.minimum(free, 2.0))

    def test_certain_rows_are_refused_unless_clipped(self):
        far = [[0.0], [1e4], [2e4]]
        with pytest.raises(ValueError, match="weights of 2 of 3 rows, the first being row 1"):
            gaussian_ratio()(far)
        assert gaussian_ratio(clip=5.0)(far)[1:].tolist() == [5.0, 5.0]
        with pytest.raises(ValueError, match="zero or infinite"):
            gaussian_ratio(clip=5.0)([[-1e4]])

    def test_little_overlap_gives_a_warning(self):
        source, target = normal(300, 1), normal(300, 1, loc=3.0, seed=1)
        with pytest.warns(UserWarning, match=r"300 source rows, weighted, are worth \d+ rows"):
            estimate_likelihood_ratio(source, target, features=None, random_state=0)

    def test_few_rows_give_a_warning(self):
        with pytest.warns(UserWarning, match="99 rows, fewer than 100"):
            gaussian_ratio(n_target=99)

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"clip": 0}, "clip must be None or a finite positive number"),
            ({"clip": np.inf}, "clip must be None or a finite positive number"),
            ({"clip": "2"}, "clip must be None or a finite positive number"),
            ({"groups": np.zeros(3)}, r"groups has shape \(3,\)"),
            ({"n_target": 4}, "smaller sample has 4 rows, but cv=5"),
            ({"features": "penultimate"}, "needs a fitted estimator"),
        ],
    )
    def test_unusable_parameter_is_refused(self, params, message):
        with pytest.raises(ValueError, match=message):
            gaussian_ratio(**params)


class TestEffectiveSampleSize:
    @given(
        st.lists(st.floats(0, 1e300), min_size=1, max_size=20).filter(any),
        st.floats(1e-3, 1e3),
    )
    def test_lies_between_one_and_n_whatever_the_scale(self, weights, factor):
        size = effective_sample_size(weights)
        assert 1 - 1e-9 <= size <= len(weights) + 1e-9
        if max(weights) > 1e-200:
            assert effective_sample_size(np.multiply(weights, factor)) == pytest.approx(size)

    def test_is_kishs_formula(self):
        assert effective_sample_size([3, 1]) == pytest.approx(16 / 10)

    @pytest.mark.parametrize("weights", [[], [0, 0], [1, -1], [1, np.nan], [[1, 2]], [np.inf]])
    def test_unusable_weights_are_refused(self, weights):
        with pytest.raises(ValueError, match="weights must be a vector of finite numbers"):
            effective_sample_size(weights)
