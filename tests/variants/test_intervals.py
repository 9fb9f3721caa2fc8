"""Intervals of effects, calibrated on measured effects."""

import numpy as np
import pytest

from sklearn_degu.variants import variant_effect
from tests.variants.models import additive

RNG = np.random.default_rng(0)
SEQUENCE = "".join(RNG.choice([*"ACGT"], 800))
SEQUENCES = {"s": SEQUENCE}
MODEL = additive(n_members=5)


def random_variants(n, seed):
    rng = np.random.default_rng(seed)
    pos = rng.integers(10, 790, size=n)
    ref = [SEQUENCE[p - 1] for p in pos]
    alt = [rng.choice([base for base in "ACGT" if base != r]) for r in ref]
    return {"chrom": ["s"] * n, "pos": pos, "ref": ref, "alt": alt}


def measured(variants, seed):
    """Return effects with noise of unit deviation."""
    effect = variant_effect(MODEL, variants, SEQUENCES).effect
    return effect + np.random.default_rng(seed).normal(size=len(effect))


def intervals(variants, calibration, model=MODEL, **how):
    return variant_effect(model, variants, SEQUENCES, calibration=calibration, **how)


@pytest.mark.parametrize("score", ["absolute", "normalized"])
def test_intervals_cover_measured_effects_as_often_as_they_say(score):
    known, new = random_variants(500, 1), random_variants(2000, 2)
    effects = intervals(new, (known, measured(known, 3)), conformity_score=score)
    y = measured(new, 4)
    assert np.mean((effects.lower <= y) & (y <= effects.upper)) == pytest.approx(0.9, abs=0.03)
    assert effects.std is None


def test_absolute_intervals_are_equally_wide_and_normalized_ones_follow_the_deviation():
    known, new = random_variants(200, 1), random_variants(50, 2)
    calibration = (known, measured(known, 3))
    absolute = intervals(new, calibration)
    np.testing.assert_allclose(np.ptp(absolute.upper - absolute.lower), 0, atol=1e-12)
    normalized = intervals(new, calibration, conformity_score="normalized", return_std=True)
    ratio = (normalized.upper - normalized.lower) / normalized.std
    np.testing.assert_allclose(ratio, ratio[0])
    np.testing.assert_allclose(normalized.upper + normalized.lower, 2 * normalized.effect)


def test_interval_is_the_conformal_quantile_of_the_errors():
    known, new = random_variants(99, 1), random_variants(5, 2)
    y = measured(known, 3)
    errors = np.sort(np.abs(y - variant_effect(MODEL, known, SEQUENCES).effect))
    effects = intervals(new, (known, y), confidence_level=[0.5, 0.9])
    assert effects.lower.shape == (5, 2)
    np.testing.assert_allclose(effects.upper[0] - effects.effect[0], errors[[49, 89]])


def test_intervals_of_several_targets_leave_out_what_was_not_measured():
    model = additive(n_targets=2)
    known, new = random_variants(50, 1), random_variants(5, 2)
    y = variant_effect(model, known, SEQUENCES).effect + np.array([0.1, 0.2])
    y[:20, 1] = np.nan
    effects = intervals(new, (known, y), model)
    np.testing.assert_allclose(effects.upper - effects.effect, [[0.1, 0.2]] * 5)


def test_levels_are_columns_of_a_frame():
    pytest.importorskip("pandas")
    known, new = random_variants(50, 1), random_variants(5, 2)
    model = additive(n_targets=2)
    y = variant_effect(model, known, SEQUENCES).effect
    effects = intervals(new, (known, y), model, confidence_level=[0.5, 0.9])
    frame = effects.to_frame(["a", "b"])
    np.testing.assert_array_equal(frame["effect_upper_b_1"], effects.upper[:, 1, 1])


def test_intervals_without_measured_effects_are_refused():
    with pytest.raises(ValueError, match=r"calibration=.*Intervals of activity do not carry over"):
        variant_effect(MODEL, random_variants(5, 1), SEQUENCES, confidence_level=0.9)


@pytest.mark.parametrize("level", [0, 1, 90, [0.5, 1.0]])
def test_level_that_is_no_probability_is_refused_before_anything_is_predicted(level):
    known, model = random_variants(20, 1), additive()
    with pytest.raises(ValueError, match="confidence_level must be"):
        intervals(known, (known, np.zeros(20)), model, confidence_level=level)
    assert model.read_ == []


def test_too_few_variants_leave_the_bounds_infinite_and_warn():
    known = random_variants(5, 1)
    with pytest.warns(UserWarning, match="needs 9 calibration rows"):
        effects = intervals(random_variants(3, 2), (known, measured(known, 3)))
    assert np.isinf(effects.upper).all()


def test_calibration_on_alternatives_of_the_training_is_refused():
    known = random_variants(50, 1)
    model = additive()
    variant_effect(model, known, SEQUENCES)
    read = model.read_[0]
    with pytest.raises(ValueError, match="trained or stopped on the alternative of 1 of the 50"):
        intervals(known, (known, np.zeros(50)), additive_knowing(read[1]))
    intervals(known, (known, np.zeros(50)), additive_knowing(read[0]))


def additive_knowing(string):
    model = additive()
    model.known = (string,)
    return model


def test_mismatch_in_the_calibration_says_so():
    known = random_variants(20, 1)
    known["ref"][3], known["alt"][3] = known["alt"][3], known["ref"][3]
    with pytest.raises(ValueError, match=r"^Calibration: Row 3 \(s:.*: ref is"):
        intervals(random_variants(3, 2), (known, np.zeros(20)))


@pytest.mark.parametrize(
    ("calibration", "error", "message"),
    [
        (random_variants(20, 1), TypeError, "must be a pair"),
        ((random_variants(20, 1), np.zeros(19)), ValueError, "20 variants, but .* one row"),
        ((random_variants(20, 1), 1.0), ValueError, r"20 variants, but .* shape \(\)"),
        ((random_variants(20, 1), np.zeros((20, 2))), ValueError, r"shape \(20, 2\), but the"),
    ],
)
def test_calibration_that_does_not_fit_is_refused(calibration, error, message):
    with pytest.raises(error, match=message):
        intervals(random_variants(3, 2), calibration)


def test_unknown_score_is_refused():
    with pytest.raises(ValueError, match="conformity_score must be one of"):
        variant_effect(MODEL, random_variants(3, 2), SEQUENCES, conformity_score="gamma")
