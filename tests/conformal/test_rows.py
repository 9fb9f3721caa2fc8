"""Calibration rows that differ: in groups, in weight, or because they were trained on."""

import pickle
import warnings

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold, PredefinedSplit
from sklearn.pipeline import make_pipeline

from sklearn_degu.recalibration import RecalibratedRegressor
from sklearn_degu.sequences import SequenceEncoder
from tests.known import conformal, covered, heteroscedastic
from tests.toys import tiny_conv_net, tiny_ensemble


def sign(X):
    return np.where(np.asarray(X)[:, 0] < 0, "low", "high")


def slope(X):
    """Return a likelihood ratio, up to a factor."""
    return np.exp(np.asarray(X)[:, 0])


def underestimated(n, seed=0):
    """Return X and y whose deviation is three times the predicted one where X is high."""
    X, y = heteroscedastic(n, seed)
    return X, X[:, 0] + np.where(X[:, 0] < 0, 1, 3) * (y - X[:, 0])


class TestGroups:
    def test_are_calibrated_one_by_one(self):
        X, y = underestimated(200)
        low = sign(X) == "low"
        model = conformal(confidence_level=[0.8, 0.9], mondrian=sign).fit(X, y)
        interval = model.predict_interval(X)
        for rows in (low, ~low):
            alone = conformal(confidence_level=[0.8, 0.9]).fit(X[rows], y[rows])
            np.testing.assert_array_equal(
                interval.lower[rows], alone.predict_interval(X[rows]).lower
            )

    def test_are_covered_each(self):
        X, y = underestimated(20_000)
        low = sign(X[10_000:]) == "low"
        for groups, expected in ((sign, [0.9, 0.9]), (None, [0.99, 0.8])):
            model = conformal(mondrian=groups).fit(X[:10_000], y[:10_000])
            inside = covered(model.predict_interval(X[10_000:]), y[10_000:])
            assert [inside[low].mean(), inside[~low].mean()] == pytest.approx(expected, abs=0.02)

    def test_have_attributes_of_their_own(self):
        X, y = underestimated(200)
        model = conformal(confidence_level=[0.5, 0.8, 0.9], mondrian=sign).fit(X, y)
        assert sorted(model.groups_) == ["high", "low"]
        counts = [(sign(X) == label).sum() for label in model.groups_]
        np.testing.assert_array_equal(model.n_calibration_, np.c_[counts])
        assert model.quantiles_.shape == (2, 1, 3, 2)
        assert not hasattr(conformal().fit(X, y), "groups_")

    def test_of_any_hashable_label_are_welcome(self):
        X, y = heteroscedastic(60)
        for labels in (np.arange(60) % 2, np.array(["a", 1], dtype=object)[np.arange(60) % 2]):
            model = conformal(mondrian=lambda X, labels=labels: labels[: len(X)]).fit(X, y)
            assert sorted(map(str, model.groups_)) == sorted(map(str, set(labels.tolist())))
            assert np.isfinite(model.predict_interval(X[:5]).lower).all()

    def test_with_too_few_rows_are_named(self):
        X, y = heteroscedastic(30)
        few = lambda X: np.where(np.arange(len(X)) < 3, "few", "many")  # noqa: E731
        model = conformal(mondrian=few)
        with pytest.warns(UserWarning, match="needs 9 .* target 0 of group 'few' has 3\\. The bo"):
            model.fit(X, y)
        lower = model.predict_interval(X).lower
        assert np.isinf(lower[:3]).all()
        assert np.isfinite(lower[3:]).all()
        with pytest.raises(ValueError, match="of group 'few' has 3"):
            model.conformalize(X, y)

    def test_with_too_few_rows_are_named_up_to_five(self):
        X, y = heteroscedastic(30)
        model = conformal(mondrian=lambda X: np.arange(len(X)) % 7)
        with pytest.warns(UserWarning, match="group 4 has 4, and 2 more have too few"):
            model.fit(X, y)

    def test_that_were_not_calibrated_are_refused(self):
        X, y = heteroscedastic(60)
        model = conformal(mondrian=lambda X: np.where(np.asarray(X)[:, 0] < 9, "old", "new"))
        model.fit(X, y)
        with pytest.raises(ValueError, match=r"no calibration rows: 'new'\. Known groups: 'old'"):
            model.predict_interval(X + 10)

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            (np.zeros((60, 1)), r"one label a row, .* \(60,\); got shape \(60, 1\)"),
            (np.zeros(59), r"got shape \(59,\)"),
            ("all", r"got shape \(\)"),
            (np.full(60, np.nan), r"no label \(but nan\) for row 0"),
            (np.array([1] * 59 + [None]), r"no label \(but None\) for row 59"),
        ],
    )
    def test_that_are_no_labels_are_refused(self, labels, message):
        with pytest.raises(ValueError, match=message):
            conformal(mondrian=lambda X: labels).fit(*heteroscedastic(60))

    def test_are_read_from_x_as_it_is_passed(self, strings, sequences):
        starts = lambda X: [str(sequence)[0] in "AC" for sequence in X]  # noqa: E731
        pipeline = make_pipeline(SequenceEncoder(), tiny_ensemble(tiny_conv_net()))
        model = conformal(pipeline, mondrian=starts, confidence_level=0.5, calibration=0.5)
        model.fit(list(strings), sequences[1])
        assert model.predict_interval(list(strings[:3])).lower.shape == (3, 2)
        assert set(model.groups_) == {True, False}


class TestLikelihoodRatio:
    def test_that_is_constant_changes_nothing(self):
        X, y = heteroscedastic(57)
        levels = np.arange(1, 20) / 20
        weighted = conformal(
            confidence_level=levels, likelihood_ratio=lambda X: np.full(len(X), 0.3)
        )
        unweighted = conformal(confidence_level=levels)
        for name in ("normalized", "absolute", "gamma"):
            X[:, 0], y = np.abs(X[:, 0]) + 5, np.abs(y) + 5
            a, b = (
                model.set_params(conformity_score=name).fit(X, y).predict_interval(X)
                for model in (weighted, unweighted)
            )
            np.testing.assert_array_equal(a.lower, b.lower)
            np.testing.assert_array_equal(a.upper, b.upper)

    def test_restores_coverage_under_covariate_shift(self):
        """Rows drawn from N(0, 1) are reweighted to N(1, 1), whose ratio is exp(x - 1/2)."""
        X, y = underestimated(40_000)
        rng = np.random.default_rng(1)
        chosen = rng.random(20_000) < slope(X[20_000:]) / slope(X[20_000:]).max()
        X_new, y_new = X[20_000:][chosen], y[20_000:][chosen]
        weighted, unweighted = (
            covered(
                conformal(likelihood_ratio=ratio)
                .fit(X[:20_000], y[:20_000])
                .predict_interval(X_new),
                y_new,
            ).mean()
            for ratio in (slope, None)
        )
        assert weighted == pytest.approx(0.9, abs=0.02)
        assert unweighted < 0.86

    def test_weighs_asymmetric_scores_on_each_side(self):
        """A row of weight 2 counts as two rows."""
        X, y = heteroscedastic(50)
        X[:, 0], y = np.abs(X[:, 0]) + 5, np.abs(y) + 5
        params = {"conformity_score": "gamma", "confidence_level": np.arange(1, 20) / 20}
        twice = lambda X: np.where(np.arange(len(X)) < 20, 2.0, 1.0)  # noqa: E731
        weighted = conformal(likelihood_ratio=twice, **params).fit(X, y).predict_interval(X)
        repeated = conformal(**params).fit(np.r_[X, X[:20]], np.r_[y, y[:20]])
        expected = repeated.predict_interval(X)
        np.testing.assert_array_equal(weighted.lower[20:], expected.lower[20:])
        np.testing.assert_array_equal(weighted.upper[20:], expected.upper[20:])

    def test_within_groups_weighs_the_rows_of_a_group(self):
        X, y = underestimated(200)
        low = sign(X) == "low"
        model = conformal(mondrian=sign, likelihood_ratio=slope).fit(X, y)
        alone = conformal(likelihood_ratio=slope).fit(X[low], y[low])
        np.testing.assert_array_equal(
            model.predict_interval(X).upper[low], alone.predict_interval(X[low]).upper
        )

    def test_of_missing_measurements_is_left_out(self):
        X, y = heteroscedastic(60)
        some = np.where(np.arange(60) % 3, y, np.nan)
        model = conformal(likelihood_ratio=slope).fit(X, some)
        alone = conformal(likelihood_ratio=slope).fit(X[~np.isnan(some)], y[~np.isnan(some)])
        np.testing.assert_array_equal(
            model.predict_interval(X).upper, alone.predict_interval(X).upper
        )
        assert model.n_calibration_ == alone.n_calibration_ == [40]

    def test_has_an_effective_sample_size_instead_of_quantiles(self):
        X, y = heteroscedastic(60)
        model = conformal(likelihood_ratio=slope).fit(X, y)
        weights = slope(X)
        assert model.effective_sample_size_ == pytest.approx(
            weights.sum() ** 2 / (weights**2).sum()
        )
        assert not hasattr(model, "quantiles_")
        assert conformal().fit(X, y).effective_sample_size_ == [60]

    def test_on_few_rows_is_warned_of(self):
        X, y = heteroscedastic(60)
        heavy = lambda X: np.where(np.arange(len(X)) < 5, 1000.0, 1.0)  # noqa: E731
        model = conformal(likelihood_ratio=heavy)
        for calibrate in (model.fit, model.conformalize):
            with pytest.warns(
                UserWarning, match="effective sample size of 9, but target 0 has 5.1"
            ):
                calibrate(X, y)

    def test_on_too_few_rows_is_no_second_warning(self):
        X, y = heteroscedastic(8)
        with pytest.warns(UserWarning, match="Confidence level 0.9 needs 9") as warned:
            conformal(likelihood_ratio=slope).fit(X, y)
        assert len(warned) == 1

    @pytest.mark.parametrize(
        ("ratios", "message"),
        [
            (
                np.r_[np.ones(59), 0.0],
                "positive, finite numbers, but 1 of 60 are not; .* 0.0 for row 59",
            ),
            (np.full(60, np.nan), "60 of 60 are not; the first is nan for row 0"),
            (np.full(60, np.inf), "60 of 60"),
            (np.ones((60, 1)), r"one ratio a row, .* \(60,\); got shape \(60, 1\)"),
        ],
    )
    def test_that_is_none_is_refused(self, ratios, message):
        with pytest.raises(ValueError, match=message):
            conformal(likelihood_ratio=lambda X: ratios).fit(*heteroscedastic(60))


class TestOverlap:
    @pytest.fixture
    def fitted(self, sequences):
        X, y = sequences
        return tiny_ensemble(tiny_conv_net(), validation=KFold(3)).fit(X[:12], y[:12, 0])

    def test_with_rows_trained_or_stopped_on_is_refused(self, fitted, sequences):
        X, y = sequences
        message = (
            r"12 of the 30 calibration rows equal rows .* trained or stopped on.* too small\. "
            r"Leave these rows out, or set allow_overlap=True"
        )
        with pytest.raises(ValueError, match=message):
            conformal(FrozenEstimator(fitted)).fit(X[:30], y[:30, 0])
        model = conformal(FrozenEstimator(fitted)).fit(X[12:], y[12:, 0])
        with pytest.raises(ValueError, match=message):
            model.conformalize(X[:30], y[:30, 0])

    def test_on_the_other_strand_is_refused(self, fitted, sequences):
        X, y = sequences
        with pytest.raises(ValueError, match="12 of the 30 calibration rows"):
            conformal(FrozenEstimator(fitted)).fit(X[:30, ::-1, ::-1], y[:30, 0])

    def test_is_allowed_on_request(self, fitted, sequences):
        X, y = sequences
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model = conformal(FrozenEstimator(fitted), allow_overlap=True).fit(X, y[:, 0])
        assert model.n_calibration_ == [40]

    def test_without_seen_rows_is_silent(self, fitted, sequences):
        X, y = sequences
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            conformal(FrozenEstimator(fitted)).fit(X[12:], y[12:, 0])

    def test_is_found_behind_a_pipeline_and_other_wrappers(self, strings, sequences):
        y = sequences[1][:, 0]
        pipeline = make_pipeline(SequenceEncoder(), tiny_ensemble(tiny_conv_net()))
        recalibrated = RecalibratedRegressor(pipeline, calibration=KFold(4))
        with pytest.warns(UserWarning, match="rough"):
            recalibrated.fit(strings, y)
        # 30 that it was trained on, and 10 that its deviations were recalibrated on.
        with pytest.raises(ValueError, match="40 of the 40 calibration rows"):
            conformal(FrozenEstimator(recalibrated)).fit(strings, y)

    def test_by_copies_in_the_rows_of_fit_is_warned_of(self, sequences):
        X, y = sequences
        split = PredefinedSplit(np.repeat([-1, 0], 40))
        model = conformal(tiny_ensemble(tiny_conv_net()), calibration=split)
        with pytest.warns(UserWarning, match="40 of the 40 .* Pass groups that keep their copies"):
            model.fit(np.r_[X, X], np.r_[y, y])
        assert np.isfinite(model.predict_interval(X).lower).all()

    def test_by_copies_is_prevented_by_groups(self, sequences):
        X, y = sequences
        model = conformal(tiny_ensemble(tiny_conv_net()), confidence_level=0.5, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model.fit(np.r_[X, X], np.r_[y, y], groups=np.tile(np.arange(40), 2))

    def test_of_an_estimator_that_cannot_say_is_not_looked_for(self):
        X, y = heteroscedastic(60)
        linear = FrozenEstimator(LinearRegression().fit(X, y))
        assert conformal(linear, conformity_score="absolute").fit(X, y).n_calibration_ == [60]


def test_groups_and_weights_survive_pickling():
    X, y = heteroscedastic(100)
    model = conformal(mondrian=sign, likelihood_ratio=slope, confidence_level=[0.5, 0.8]).fit(X, y)
    loaded = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(loaded.predict_interval(X).lower, model.predict_interval(X).lower)
