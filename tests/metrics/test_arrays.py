"""What all metrics share: shapes, missing measurements, weights, targets and bad input."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given

from sklearn_degu import metrics
from tests.metrics.strategies import examples, seeds

POINT = {
    "pearson": metrics.pearson_correlation,
    "spearman": metrics.spearman_correlation,
}
GAUSSIAN = {
    "nll": metrics.gaussian_nll,
    "crps": metrics.gaussian_crps,
    "ence": partial(metrics.expected_normalized_calibration_error, n_bins=3),
    "uncertainty_error": metrics.uncertainty_error_correlation,
    "rejection_area": metrics.error_rejection_area,
}
INTERVAL = {
    "coverage": metrics.interval_coverage,
    "score": partial(metrics.interval_score, confidence_level=0.9),
}
WEIGHTED = {"nll", "crps", "coverage", "score"}
POSITIVE_STD = {"nll", "ence"}


def example(rng, shape):
    """Return the arguments of the metrics, by name."""
    y_true, y_pred, center = rng.normal(size=(3, *shape))
    y_std, width = rng.uniform(0.5, 2, size=(2, *shape))
    return {
        "y_true": y_true,
        "y_pred": y_pred,
        "y_std": y_std,
        "y_lower": center - width,
        "y_upper": center + width,
    }


def arguments(name, values):
    names = ("y_true", "y_lower", "y_upper")
    if name not in INTERVAL:
        names = ("y_true", "y_pred", "y_std")[: 2 if name in POINT else 3]
    return [values[key] for key in names]


ALL = POINT | GAUSSIAN | INTERVAL
EVERY = pytest.mark.parametrize(("name", "metric"), ALL.items(), ids=ALL)


def of(names):
    return pytest.mark.parametrize(("name", "metric"), [(n, ALL[n]) for n in names], ids=names)


@pytest.fixture
def values(rng):
    return example(rng, (12,))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


class TestTargets:
    @EVERY
    def test_each_is_scored_as_if_it_were_alone(self, name, metric, rng):
        given = arguments(name, example(rng, (12, 3)))
        alone = [metric(*(array[:, t] for array in given)) for t in range(3)]
        np.testing.assert_allclose(metric(*given, multioutput="raw_values"), alone)
        assert metric(*given) == pytest.approx(np.mean(alone))

    @EVERY
    def test_missing_measurements_are_left_out_of_their_target_alone(self, name, metric, rng):
        given = arguments(name, example(rng, (12, 2)))
        given[0][[1, 4], 0] = np.nan
        measured = ~np.isnan(given[0][:, 0])
        expected = [
            metric(*(array[measured, 0] for array in given)),
            metric(*(array[:, 1] for array in given)),
        ]
        np.testing.assert_allclose(metric(*given, multioutput="raw_values"), expected)

    @EVERY
    def test_of_one_the_shape_may_be_a_vector_or_a_column(self, name, metric, values):
        given = arguments(name, values)
        value = metric(*given)
        assert isinstance(value, float)
        assert metric(*(array[:, np.newaxis] for array in given)) == value
        assert metric(*given, multioutput="raw_values").tolist() == [value]

    @EVERY
    def test_average_must_be_one_that_scikit_learn_knows(self, name, metric, values):
        with pytest.raises(ValueError, match="'uniform_average' or 'raw_values', got 'mean'"):
            metric(*arguments(name, values), multioutput="mean")


class TestInput:
    @EVERY
    @pytest.mark.parametrize("convert", [list, pd.Series, np.float32])
    def test_may_be_anything_like_an_array(self, name, metric, rng, convert):
        given = [np.round(a * 4) / 4 + 1 for a in arguments(name, example(rng, (12,)))]
        assert metric(*map(convert, given)) == metric(*given)

    @EVERY
    def test_is_left_as_it_was(self, name, metric, values):
        given = arguments(name, values)
        kept = [array.copy() for array in given]
        metric(*given)
        np.testing.assert_array_equal(given, kept)

    @EVERY
    @pytest.mark.parametrize("which", [0, 1, -1], ids=["first", "second", "last"])
    @pytest.mark.parametrize(
        "reshape",
        [lambda a: a[:, np.newaxis], lambda a: a[:1], lambda a: a[:-1]],
        ids=["column", "one row", "a row less"],
    )
    def test_of_different_shapes_is_never_broadcast(self, name, metric, values, which, reshape):
        given = arguments(name, values)
        given[which] = reshape(given[which])
        with pytest.raises(ValueError, match="Expected one shape"):
            metric(*given)

    @EVERY
    def test_of_three_axes_is_refused(self, name, metric, rng):
        with pytest.raises(ValueError, match=r"\(n_samples, n_targets\), got .*\(12, 2, 3\)"):
            metric(*arguments(name, example(rng, (12, 2, 3))))

    @EVERY
    def test_without_rows_is_refused(self, name, metric):
        with pytest.raises(ValueError, match=r"0 sample\(s\)"):
            metric(*([] for _ in arguments(name, example(np.random.default_rng(0), (1,)))))

    @EVERY
    @pytest.mark.parametrize("which", [1, -1], ids=["second", "last"])
    def test_may_be_nan_in_y_true_alone(self, name, metric, values, which):
        given = arguments(name, values)
        given[which][3] = np.nan
        with pytest.raises(ValueError, match="NaN"):
            metric(*given)

    @EVERY
    def test_infinite_measurements_are_refused(self, name, metric, values):
        values["y_true"][3] = np.inf
        with pytest.raises(ValueError, match="y_true contains infinity"):
            metric(*arguments(name, values))

    @of([*POINT, *GAUSSIAN])
    def test_infinite_predictions_are_refused(self, name, metric, values):
        given = arguments(name, values)
        given[-1][3] = np.inf
        with pytest.raises(ValueError, match="contains infinity"):
            metric(*given)

    @EVERY
    def test_a_target_without_measurement_is_refused(self, name, metric, rng):
        given = arguments(name, example(rng, (12, 2)))
        given[0][:, 1] = np.nan
        with pytest.raises(ValueError, match=r"Target 1 of y_true has too few .*: 0, expected"):
            metric(*given)

    @of(GAUSSIAN)
    def test_negative_deviations_are_refused(self, name, metric, values):
        values["y_std"][[2, 5]] = -0.1
        with pytest.raises(ValueError, match=r"y_std must .* 2 of 12 .* first at index \(2,\)"):
            metric(*arguments(name, values))

    @of(sorted(POSITIVE_STD))
    def test_a_deviation_of_zero_is_refused_by_what_divides_by_it(self, name, metric, values):
        values["y_std"][2] = 0
        with pytest.raises(ValueError, match="y_std must be positive: put a floor"):
            metric(*arguments(name, values))

    @of(sorted(set(GAUSSIAN) - POSITIVE_STD))
    def test_a_deviation_of_zero_is_welcome_elsewhere(self, name, metric, values):
        values["y_std"][2] = 0
        assert np.isfinite(metric(*arguments(name, values)))


class TestSampleWeight:
    @of(sorted(WEIGHTED))
    def test_of_whole_numbers_equals_repetition(self, name, metric, values, rng):
        weight = rng.integers(0, 4, size=12)
        given = arguments(name, values)
        given[0][0] = np.nan
        repeated = [np.repeat(array, weight) for array in given]
        assert metric(*given, sample_weight=weight) == pytest.approx(metric(*repeated))

    @of(sorted(WEIGHTED))
    def test_does_not_depend_on_its_unit(self, name, metric, values, rng):
        given, weight = arguments(name, values), rng.uniform(size=12)
        scaled = metric(*given, sample_weight=7 * weight)
        assert metric(*given, sample_weight=weight) == pytest.approx(scaled)

    @pytest.mark.parametrize(
        ("weight", "message"),
        [
            (np.ones(11), r"shape \(11,\), expected \(12,\)"),
            (np.ones((12, 1)), r"shape \(12, 1\), expected \(12,\)"),
            (np.r_[-1, np.ones(11)], "must not be negative"),
            (np.r_[np.nan, np.ones(11)], "sample_weight contains NaN"),
            (np.r_[np.zeros(11), 1.0], "zero for every row in which target 0 was measured"),
        ],
    )
    @of(sorted(WEIGHTED))
    def test_that_means_nothing_is_refused(self, name, metric, values, weight, message):
        values["y_true"][-1] = np.nan
        with pytest.raises(ValueError, match=message):
            metric(*arguments(name, values), sample_weight=weight)


@EVERY
@examples
@given(seed=seeds)
def test_the_order_of_the_rows_does_not_matter(name, metric, seed):
    rng = np.random.default_rng(seed)
    values = example(rng, (13, 2))
    values["y_std"] = np.ceil(values["y_std"] * 2)  # many ties
    given = arguments(name, values)
    order = rng.permutation(13)
    shuffled = metric(*(array[order] for array in given), multioutput="raw_values")
    np.testing.assert_allclose(shuffled, metric(*given, multioutput="raw_values"), atol=1e-12)


@EVERY
@examples
@given(seed=seeds)
def test_rows_without_measurement_could_hold_anything(name, metric, seed):
    rng = np.random.default_rng(seed)
    given = arguments(name, example(rng, (13,)))
    given[0][5] = np.nan
    value = metric(*given)
    for array in given[1:]:
        array[5] = given[-1][6]
    assert metric(*given) == value
