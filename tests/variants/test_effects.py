"""Effects, their deviations, and which estimators can tell them."""

import sys

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline, make_pipeline

from sklearn_degu import ConformalRegressor, DistilledRegressor, EnsembleRegressor
from sklearn_degu.baselines import EvidentialRegressor, MCDropoutRegressor
from sklearn_degu.recalibration import RecalibratedRegressor
from sklearn_degu.sequences import SequenceEncoder
from sklearn_degu.variants import variant_effect
from tests.toys import LENGTH, tiny_conv_net, tiny_ensemble
from tests.variants.models import additive, one_hot

SEQUENCE = "ACGTTGCAATCGGCTAAGCT"
SEQUENCES = {"s": SEQUENCE}


def substitutions(start=5, stop=15):
    """Return all three alternatives at every position, counted from 1."""
    rows = [
        ("s", pos, SEQUENCE[pos - 1], alt)
        for pos in range(start, stop)
        for alt in "ACGT"
        if alt != SEQUENCE[pos - 1]
    ]
    return dict(zip(("chrom", "pos", "ref", "alt"), zip(*rows, strict=True), strict=True))


@pytest.fixture(scope="module")
def ensemble(sequences):
    return tiny_ensemble(tiny_conv_net(), n_estimators=3).fit(*sequences)


@pytest.fixture(scope="module")
def student(ensemble, sequences):
    return DistilledRegressor(FrozenEstimator(ensemble), augment=None, random_state=0).fit(
        *sequences
    )


def effect_of(estimator, **how):
    return variant_effect(estimator, substitutions(), SEQUENCES, edge="pad", **how)


def test_effect_is_the_difference_of_the_two_predictions():
    effects = effect_of(additive())
    assert effects.effect.shape == (30,)
    np.testing.assert_allclose(effects.effect, effects.alt - effects.ref)
    for row, pos in enumerate(effects.variants.pos):
        window = f"NNN{SEQUENCE}NNNN"[pos - 1 : pos + 7]
        expected = additive().predict(one_hot(window)[np.newaxis])[0]
        assert effects.ref[row] == pytest.approx(expected)


def test_effect_of_a_substitution_is_the_difference_of_its_weights():
    model = additive()
    effects = effect_of(model)
    weight = model.weights.mean(axis=0)[:, 3]
    ref, alt = (
        ["ACGT".index(base) for base in alleles]
        for alleles in (effects.variants.ref, effects.variants.alt)
    )
    np.testing.assert_allclose(effects.effect, weight[alt] - weight[ref])


def test_deviation_is_that_of_the_effects_of_the_members():
    model = additive(n_targets=2)
    effects = effect_of(model, return_std=True)
    assert effects.effect.shape == effects.std.shape == (30, 2)
    per_member = model.weights[:, :, :, 3]
    for row, (ref, alt) in enumerate(zip(effects.variants.ref, effects.variants.alt, strict=True)):
        of_members = per_member[:, :, "ACGT".index(alt)] - per_member[:, :, "ACGT".index(ref)]
        np.testing.assert_allclose(effects.effect[row], of_members.mean(axis=0))
        np.testing.assert_allclose(effects.std[row], of_members.std(axis=0))


def test_what_members_disagree_about_in_both_alleles_cancels_out():
    model = additive()
    model.weights[:] = model.weights[0]
    model.weights[:, :, 0] += 10.0 * np.arange(3)[:, np.newaxis]
    np.testing.assert_allclose(effect_of(model, return_std=True).std, 0, atol=1e-12)


def test_both_strands_are_averaged_member_by_member():
    model = additive()
    one = effect_of(model, return_std=True)
    both = effect_of(model, both_strands=True, return_std=True)
    turned = additive()
    turned.weights = (model.weights + model.weights[:, ::-1, ::-1]) / 2
    expected = effect_of(turned, return_std=True)
    for values, wanted in zip(both[:4], expected[:4], strict=True):
        np.testing.assert_allclose(values, wanted, atol=1e-12)
    assert not np.allclose(both.effect, one.effect)


@pytest.mark.parametrize("batch_size", [1, 7, 30, 100])
def test_batches_change_nothing_but_their_number(batch_size):
    model = additive()
    effects = effect_of(model, return_std=True, batch_size=batch_size)
    assert len(model.read_) == -(-30 // batch_size)
    for values, whole in zip(effects[:4], effect_of(model, return_std=True)[:4], strict=True):
        np.testing.assert_allclose(values, whole)


def test_windows_that_occur_repeatedly_are_predicted_once():
    model = additive()
    effect_of(model)
    (read,) = model.read_
    assert len(read) == len(set(read)) == 10 * 4


def test_ensemble_by_itself_in_a_pipeline_and_in_wrappers_predicts_the_same(
    ensemble, strings, sequences
):
    _, y = sequences
    encoder = SequenceEncoder().fit(strings)
    expected = effect_of(ensemble, return_std=True)
    assert expected.effect.shape == (30, 2)
    pipeline = make_pipeline(encoder, ensemble)
    conformal = ConformalRegressor(
        FrozenEstimator(pipeline), conformity_score="absolute", allow_overlap=True
    ).fit(strings, y)
    inner = ConformalRegressor(FrozenEstimator(ensemble), allow_overlap=True)
    inner.fit(encoder.transform(strings), y)
    nested = Pipeline([("a", Pipeline([("b", encoder)])), ("c", "passthrough"), ("d", ensemble)])
    for estimator in (
        pipeline,
        FrozenEstimator(pipeline),
        conformal,
        make_pipeline(encoder, inner),
        nested,
    ):
        effects = effect_of(estimator, return_std=True)
        np.testing.assert_allclose(effects.effect, expected.effect, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(effects.std, expected.std, rtol=1e-4, atol=1e-7)


def test_effects_of_an_ensemble_are_those_of_its_own_predictions(ensemble):
    effects = effect_of(ensemble, return_std=True)
    offset = (LENGTH - 1) // 2
    pos = effects.variants.pos[0]
    window = ("N" * offset + SEQUENCE)[pos - 1 : pos - 1 + LENGTH]
    mutated = window[:offset] + effects.variants.alt[0] + window[offset + 1 :]
    members = ensemble.predict_members(np.stack([one_hot(window), one_hot(mutated)]))
    difference = members[:, 1] - members[:, 0]
    np.testing.assert_allclose(effects.effect[0], difference.mean(axis=0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(effects.std[0], difference.std(axis=0), rtol=1e-4, atol=1e-6)


def test_student_predicts_effects_but_no_deviation_of_them(student, strings):
    assert effect_of(student).std is None
    model = make_pipeline(SequenceEncoder().fit(strings), student)
    for estimator in (student, model):
        with pytest.raises(ValueError, match=r"do not give that of their difference.*teacher_"):
            effect_of(estimator, return_std=True)
    teacher = make_pipeline(model[:-1], model[-1].teacher_)
    assert (effect_of(teacher, return_std=True).std > 0).all()


@pytest.mark.parametrize("kind", [EvidentialRegressor, MCDropoutRegressor])
def test_single_nets_predict_effects_but_no_deviation_of_them(kind, sequences):
    X, y = sequences
    net = tiny_conv_net(module__dropout=0.2)
    model = kind(net, random_state=0).fit(X, y[:, 0])
    assert np.isfinite(effect_of(model).effect).all()
    with pytest.raises(ValueError, match=f"{kind.__name__} cannot tell .* EnsembleRegressor"):
        effect_of(model, return_std=True)


def test_ensemble_of_one_has_no_deviation(sequences):
    model = tiny_ensemble(tiny_conv_net(), n_estimators=1).fit(*sequences)
    with pytest.raises(ValueError, match="needs at least two"):
        effect_of(model, return_std=True)


@pytest.mark.filterwarnings("ignore:Recalibration on")
def test_recalibration_of_activities_says_nothing_of_effects(ensemble, sequences):
    X, y = sequences
    rng = np.random.default_rng(1)
    X_new = rng.permuted(X, axis=2)
    model = RecalibratedRegressor(FrozenEstimator(ensemble)).fit(X_new, y)
    np.testing.assert_allclose(effect_of(model).effect, effect_of(ensemble).effect)
    wrapped = ConformalRegressor(FrozenEstimator(model), allow_overlap=True).fit(X_new, y)
    for estimator in (model, wrapped):
        with pytest.raises(ValueError, match=r"says nothing of effects\. Pass its estimator_"):
            effect_of(estimator, return_std=True)


def test_encoder_that_refuses_unknown_bases_decides(ensemble, strings):
    encoder = SequenceEncoder(unknown="error").fit(strings)
    with pytest.raises(ValueError, match=r"Row 0 .* holds the letter 'N'"):
        effect_of(make_pipeline(encoder, ensemble))


def test_pipeline_without_an_encoder_needs_a_window(strings, sequences):
    counts = CountVectorizer(analyzer="char", ngram_range=(2, 2), lowercase=False)
    model = make_pipeline(counts, Ridge()).fit(strings, sequences[1][:, 0])
    with pytest.raises(ValueError, match="pass window"):
        effect_of(model)
    effects = effect_of(model, window=9)
    assert (effects.effect != 0).any()


def test_estimator_of_tables_is_refused(table):
    model = tiny_ensemble().fit(*table)
    with pytest.raises(TypeError, match=r"does not read sequences: .* shape \(6,\)"):
        effect_of(model)


def test_estimator_that_does_not_say_what_it_reads_is_refused(table):
    with pytest.raises(TypeError, match="Ridge does not say what it reads"):
        effect_of(Ridge().fit(*table))


def test_estimator_that_is_not_fitted_is_refused():
    with pytest.raises(NotFittedError):
        effect_of(EnsembleRegressor())


@pytest.mark.parametrize("estimator", ["model", EnsembleRegressor, SequenceEncoder()])
def test_what_cannot_predict_is_refused(estimator):
    with pytest.raises(TypeError, match="estimator must be a fitted regressor"):
        effect_of(estimator)


def test_frame_has_a_row_a_variant_and_a_column_a_quantity():
    pytest.importorskip("pandas")
    frame = effect_of(additive()).to_frame()
    assert [*frame] == ["chrom", "pos", "ref", "alt", "effect", "effect_ref", "effect_alt"]
    effects = effect_of(additive(n_targets=2), return_std=True)
    np.testing.assert_array_equal(effects.to_frame()["effect_std_1"], effects.std[:, 1])
    named = effects.to_frame(["HepG2", "K562"])
    np.testing.assert_array_equal(named["effect_ref_K562"], effects.ref[:, 1])
    with pytest.raises(ValueError, match="2 targets to name"):
        effects.to_frame(["HepG2"])


def test_frame_is_a_table_of_variants_again():
    pytest.importorskip("pandas")
    variants = {"chrom": ["s"] * 2, "pos": [10, 12], "ref": ["TC", "G"], "alt": ["-", "GA"]}
    frame = variant_effect(additive(), variants, SEQUENCES).to_frame()
    assert frame["alt"].tolist() == ["-", "GA"]
    again = variant_effect(additive(), frame, SEQUENCES)
    np.testing.assert_allclose(again.effect, frame["effect"])


def test_frame_without_pandas_says_what_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        effect_of(additive()).to_frame()
