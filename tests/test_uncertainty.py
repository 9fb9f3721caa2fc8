"""Heads: outputs of a net to mean and deviations, and back."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sklearn_degu.uncertainty import (
    DEVIATION_FLOOR,
    Heads,
    LogVariance,
    SoftplusDeviation,
    available_kinds,
    combine,
    weighted_moments,
)

SHAPE = (12, 2)
TARGETS = st.sampled_from(["log_var", "std"])


def arrays(low, high, shape=SHAPE):
    return hnp.arrays(np.float64, shape, elements=st.floats(low, high, allow_subnormal=False))


class TestHeads:
    @given(arrays(-1e6, 1e6), arrays(0, 1e3), TARGETS)
    def test_decoding_undoes_encoding_down_to_the_floor(self, mean, std, target):
        labels = {"mean": mean, "epistemic": std}
        heads = Heads.fit(labels, target=target)
        decoded = heads.decode(heads.encode(labels))
        average = std.mean(axis=0)
        floor = DEVIATION_FLOOR * np.where(average > 0, average, 1)
        np.testing.assert_allclose(decoded["mean"], mean, rtol=1e-9, atol=1e-6)
        np.testing.assert_allclose(decoded["epistemic"], np.maximum(std, floor), rtol=1e-6)

    @given(arrays(-500, 500, (12, 4)), arrays(0, 1e3), TARGETS)
    def test_deviations_are_never_nan_nor_below_the_floor(self, outputs, std, target):
        """A score of a conformal interval divides by them."""
        heads = Heads.fit({"mean": std, "epistemic": std}, target=target)
        with np.errstate(over="ignore"):
            decoded = heads.decode(outputs)["epistemic"]
        average = std.mean(axis=0)
        floor = DEVIATION_FLOOR * np.where(average > 0, average, 1)
        assert not np.isnan(decoded).any()
        assert (decoded >= floor * (1 - 1e-12)).all()

    @given(arrays(-1e3, 1e3), arrays(1e-3, 1e3), TARGETS)
    def test_training_targets_are_standardised(self, mean, std, target):
        assume((mean.std(axis=0) > 1e-3).all())
        assume((np.log(std).std(axis=0) > 1e-3).all())
        assume((std.std(axis=0) > 1e-3 * std.mean(axis=0)).all())
        labels = {"mean": mean, "epistemic": std}
        encoded = Heads.fit(labels, target=target).encode(labels)
        assert encoded.shape == (12, 4)
        np.testing.assert_allclose(encoded.mean(axis=0), 0, atol=1e-6)
        np.testing.assert_allclose(encoded.std(axis=0), 1, rtol=1e-6)

    def test_members_that_agree_exactly_are_floored(self):
        labels = {"mean": np.zeros(SHAPE), "epistemic": np.zeros(SHAPE)}
        for target in ("log_var", "std"):
            heads = Heads.fit(labels, target=target)
            encoded = heads.encode(labels)
            assert np.isfinite(encoded).all()
            np.testing.assert_allclose(heads.decode(encoded)["epistemic"], DEVIATION_FLOOR)

    def test_outputs_are_all_targets_of_a_head_and_then_of_the_next(self):
        labels = {"mean": np.array([[0.0, 10.0], [2.0, 30.0]]), "epistemic": np.ones((2, 2))}
        heads = Heads.fit(labels)
        assert heads.n_outputs == 4
        assert heads.kinds == ("epistemic",)
        decoded = heads.decode(np.array([[1.0, -1.0, 0.0, 0.0]]))
        np.testing.assert_allclose(decoded["mean"], [[2, 10]])
        np.testing.assert_allclose(decoded["epistemic"], [[1, 1]])

    def test_of_every_kind_keep_their_order(self):
        values = {"mean": 1.0, "epistemic": 2.0, "aleatoric": 3.0}
        labels = {name: np.full((4, 2), value) for name, value in values.items()}
        heads = Heads.fit(labels)
        assert heads.n_outputs == 6
        assert heads.kinds == ("epistemic", "aleatoric")
        decoded = heads.decode(heads.encode(labels))
        assert list(decoded) == list(values)
        for name, value in values.items():
            np.testing.assert_allclose(decoded[name], value)

    def test_weigh_alike_unless_told_otherwise(self):
        labels = {name: np.ones((4, 2)) for name in ("mean", "epistemic", "aleatoric")}
        assert Heads.fit(labels).output_weights is None
        assert Heads.fit(labels, loss_weights={}).output_weights is None
        assert Heads.fit(labels, loss_weights=dict.fromkeys(labels, 2)).output_weights is None
        weighted = Heads.fit(labels, loss_weights={"aleatoric": 0.5, "mean": 3})
        np.testing.assert_array_equal(weighted.output_weights, [3, 3, 1, 1, 0.5, 0.5])
        kept = weighted.unbiased(np.zeros((4, 6)), labels)
        np.testing.assert_array_equal(kept.output_weights, weighted.output_weights)

    def test_missing_measurements_stay_missing(self):
        mean = np.array([[1.0, np.nan], [3.0, 5.0], [np.nan, 7.0]])
        encoded = Heads.fit({"mean": mean}).encode({"mean": mean})
        np.testing.assert_array_equal(np.isnan(encoded), np.isnan(mean))
        np.testing.assert_allclose(np.nanmean(encoded, axis=0), 0)

    def test_unscaled_mean_is_the_output(self):
        outputs = np.array([[1.0, 2.0]])
        np.testing.assert_array_equal(Heads.unscaled_mean(2).decode(outputs)["mean"], outputs)

    def test_another_number_of_outputs_is_refused(self):
        with pytest.raises(ValueError, match="has 3 outputs, but 2 were expected: 2 targets for"):
            Heads.unscaled_mean(2).decode(np.zeros((1, 3)))

    @given(arrays(-3, 3, (12, 4)), arrays(0.01, 1e2), TARGETS)
    def test_unbiased_deviations_have_the_mean_of_the_labels(self, outputs, std, target):
        labels = {"mean": std, "epistemic": std}
        heads = Heads.fit(labels, target=target).unbiased(outputs, labels)
        decoded = heads.decode(outputs)
        floored = np.maximum(std, DEVIATION_FLOOR * std.mean(axis=0))
        np.testing.assert_allclose(
            decoded["epistemic"].mean(axis=0), floored.mean(axis=0), rtol=1e-6
        )
        np.testing.assert_array_equal(
            decoded["mean"], Heads.fit(labels, target=target).decode(outputs)["mean"]
        )

    def test_unbiased_deviations_count_a_weight_of_two_as_a_row_twice(self):
        rng = np.random.default_rng(0)
        outputs, std = rng.normal(size=(12, 4)), rng.uniform(0.1, 1.0, size=(12, 2))
        twice = np.r_[np.arange(12), np.arange(5)]
        weight = 1.0 + (np.arange(12) < 5)
        labels = {"mean": std, "epistemic": std}
        again = {name: values[twice] for name, values in labels.items()}
        heads = Heads.fit(labels)
        weighted = heads.unbiased(outputs, labels, weight).decode(outputs)["epistemic"]
        repeated = heads.unbiased(outputs[twice], again).decode(outputs)["epistemic"]
        np.testing.assert_allclose(weighted, repeated, rtol=1e-12)
        assert not np.allclose(
            weighted, heads.unbiased(outputs, labels).decode(outputs)["epistemic"]
        )

    def test_unbiased_deviations_of_members_that_agree_stay_above_zero(self):
        labels = {"mean": np.zeros(SHAPE), "epistemic": np.zeros(SHAPE)}
        heads = Heads.fit(labels).unbiased(np.zeros((12, 4)), labels)
        assert (heads.decode(np.zeros((12, 4)))["epistemic"] > 0).all()


class TestLinks:
    @pytest.mark.parametrize(
        "link",
        [LogVariance(np.array([0.1])), SoftplusDeviation(np.array([0.1]), np.array([2.0]))],
    )
    def test_grow_with_the_deviation_and_stop_at_the_floor(self, link):
        std = np.array([[0.0], [0.05], [0.1], [1.0], [50.0]])
        output = link.forward(std)
        assert (np.diff(output[2:, 0]) > 0).all()
        np.testing.assert_array_equal(output[:3], [output[2]] * 3)
        np.testing.assert_allclose(link.inverse(output), np.maximum(std, 0.1))
        np.testing.assert_allclose(link.inverse(output - 1000), 0.1)

    def test_has_a_floor_in_proportion_to_the_unit(self):
        link = LogVariance.relative_to(np.array([1.0, 1e6]))
        np.testing.assert_array_equal(link.floor, [DEVIATION_FLOOR, 1e6 * DEVIATION_FLOOR])


class TestMoments:
    @given(arrays(-1e3, 1e3), hnp.arrays(np.int64, 12, elements=st.integers(0, 3)))
    def test_weights_count_rows(self, values, weight):
        assume(weight.any())
        loc, scale = weighted_moments(values, weight.astype(float))
        repeated = np.repeat(values, weight, axis=0)
        np.testing.assert_allclose(loc, repeated.mean(axis=0), rtol=1e-9, atol=1e-9)
        spread = repeated.std(axis=0)
        varies = spread > 1e-9
        np.testing.assert_allclose(scale[varies], spread[varies], rtol=1e-6)

    def test_missing_values_are_left_out(self):
        loc, scale = weighted_moments(np.array([[1.0], [np.nan], [3.0]]), None)
        np.testing.assert_allclose([loc, scale], [[2], [1]])

    @pytest.mark.parametrize("value", [0.0, 1.0, 1e12, 0.1])
    def test_no_deviation_is_read_as_one(self, value):
        _, scale = weighted_moments(np.full((7, 1), value), None)
        np.testing.assert_array_equal(scale, [1.0])

    def test_a_target_without_measurements_is_neutral(self):
        loc, scale = weighted_moments(np.full((3, 1), np.nan), None)
        np.testing.assert_array_equal([loc, scale], [[0], [1]])


BOTH = {"epistemic": np.array([9.0]), "aleatoric": np.array([16.0])}


class TestCombine:
    @given(arrays(0, 1e6), arrays(0, 1e6))
    def test_total_is_at_least_each_part(self, epistemic, aleatoric):
        variances = {"epistemic": epistemic, "aleatoric": aleatoric}
        total = combine(variances, "total")
        for kind in variances:
            assert (total >= combine(variances, kind) * (1 - 1e-12)).all()

    @pytest.mark.parametrize(
        ("kind", "expected"), [("epistemic", 3), ("aleatoric", 4), ("total", 5), (None, 5)]
    )
    def test_variances_are_added(self, kind, expected):
        np.testing.assert_allclose(combine(BOTH, kind), [expected])

    @pytest.mark.parametrize("kind", ["epistemic", "aleatoric"])
    def test_none_is_all_that_there_is(self, kind):
        np.testing.assert_allclose(combine({kind: np.array([9.0])}, None), [3])

    @pytest.mark.parametrize("kind", ["aleatoric", "total", "variance"])
    def test_a_kind_that_is_lacking_is_refused(self, kind):
        with pytest.raises(ValueError, match=f"no '{kind}' uncertainty; it has epistemic"):
            combine({"epistemic": np.array([9.0])}, kind)

    def test_nothing_to_combine_is_refused(self):
        with pytest.raises(ValueError, match="one member alone"):
            combine({}, None)

    def test_two_components_make_a_total(self):
        assert available_kinds(()) == ()
        assert available_kinds(("epistemic",)) == ("epistemic",)
        assert available_kinds(("epistemic", "aleatoric"))[-1] == "total"
