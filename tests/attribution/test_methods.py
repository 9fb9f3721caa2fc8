"""What the methods that explain have in common, and what each promises."""

import sys

import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression
from torch import nn

from sklearn_degu.attribution import (
    CheckedMaps,
    deep_lift_shap,
    integrated_gradients,
    observed_contributions,
    saliency,
    saturation_mutagenesis,
)
from sklearn_degu.conformal import ConformalRegressor
from sklearn_degu.modules import ResidualBind
from sklearn_degu.profiles import BinnedProfileRegressor
from sklearn_degu.recalibration import RecalibratedRegressor
from sklearn_degu.sequences import SequenceEncoder, dinucleotide_shuffle
from tests.attribution.models import (
    Functional,
    Motif,
    Recurrent,
    Total,
    convolutional,
    weights_of,
)
from tests.toys import LENGTH, tiny_ensemble

METHODS = [saliency, integrated_gradients, deep_lift_shap, saturation_mutagenesis]
SEEDED = {deep_lift_shap: {"random_state": 0}}
CHECKED = [integrated_gradients, deep_lift_shap]


def explain(method, *args, **params):
    return method(*args, **{**SEEDED.get(method, {}), **params})


@pytest.fixture(autouse=True)
def need_the_extra():
    pytest.importorskip("captum")
    pytest.importorskip("tangermeme")


@pytest.mark.parametrize("method", METHODS)
class TestEveryMethod:
    def test_maps_have_the_shape_of_the_sequences(self, method, student, one_hot):
        maps = explain(method, student, one_hot[:3])
        assert maps.shape == (3, 4, LENGTH)
        assert maps.dtype == np.float32
        assert np.isfinite(maps).all()

    def test_of_profiles_the_total_is_explained(self, method, of_profiles, one_hot):
        total = Total(of_profiles.to_module(), n_targets=2)
        for target in range(2):
            maps = explain(method, of_profiles, one_hot[:2], target=target)
            expected = explain(method, total, one_hot[:2], target=target)
            np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-5)
        binned = BinnedProfileRegressor(FrozenEstimator(of_profiles)).fit(None, None)
        np.testing.assert_array_equal(explain(method, binned, one_hot[:2], target=1), maps)
        with pytest.raises(ValueError, match=r"Bins cannot be explained .* bin_size=4"):
            explain(method, binned.set_params(bin_size=4), one_hot[:2])
        with pytest.raises(ValueError, match=r"target must be an integer from 0 to 1, .* got 2"):
            explain(method, of_profiles, one_hot[:2], target=2)
        with pytest.raises(ValueError, match="head='epistemic' of profiles cannot be explained"):
            explain(method, of_profiles, one_hot[:2], head="epistemic")

    @pytest.mark.parametrize("model", ["ensemble", "student", "evidential"])
    def test_every_head_and_target_is_explained_apart(self, method, model, one_hot, request):
        estimator = request.getfixturevalue(model)
        maps = [
            explain(method, estimator, one_hot[:2], head=head, target=target)
            for head in ("mean", *estimator.uncertainty_kinds_)
            for target in range(2)
        ]
        assert all(np.abs(one).max() > 0 for one in maps)
        assert len({one.tobytes() for one in maps}) == len(maps)

    def test_batch_size_changes_nothing(self, method, pooled):
        ensemble, X = pooled
        maps = [explain(method, ensemble, X[:7], batch_size=size) for size in (None, 1, 3, 1000)]
        for other in maps[1:]:
            np.testing.assert_allclose(other, maps[0], rtol=1e-4, atol=1e-6)

    def test_pipeline_reads_strings(self, method, pipeline, strings):
        X = pipeline[:-1].transform(strings[:3])
        np.testing.assert_array_equal(
            explain(method, pipeline, strings[:3]), explain(method, pipeline[-1], X)
        )

    def test_wrappers_are_explained_by_what_they_wrap(self, method, ensemble, one_hot):
        conformal = ConformalRegressor(ensemble)
        conformal.estimator_ = ensemble
        expected = explain(method, ensemble, one_hot[:2])
        for wrapped in (conformal, FrozenEstimator(ensemble)):
            np.testing.assert_array_equal(explain(method, wrapped, one_hot[:2]), expected)

    def test_module_is_left_as_it_was(self, method, one_hot):
        module = convolutional(inplace=True)
        module[0].weight.grad = torch.ones_like(module[0].weight)
        module[3].eval()
        hook = module[4].register_forward_hook(lambda *_: None)
        before = state_of(module)
        explain(method, module, one_hot[:3])
        assert state_of(module) == before
        hook.remove()

    def test_module_is_left_as_it_was_by_an_error(self, method, one_hot):
        class Fails(nn.Module):
            def forward(self, x):
                if len(x) > 1:
                    raise RuntimeError("as it happens")
                return x

        module = nn.Sequential(*convolutional(), Fails())
        before = state_of(module)
        with pytest.raises(RuntimeError, match="as it happens"):
            explain(method, module, one_hot[:8])
        assert state_of(module) == before

    def test_progress_is_told_on_request(self, method, student, one_hot, capsys):
        explain(method, student, one_hot[:4])
        assert capsys.readouterr().out == ""
        explain(method, student, one_hot[:4], verbose=1)
        assert ": 4 of 4 sequences, " in capsys.readouterr().out.splitlines()[-1]

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"head": "aleatory"}, "no head 'aleatory'; it has mean, epistemic, aleatoric, total"),
            ({"target": 2}, "integer from 0 to 1, for the model's 2 targets; got 2"),
            ({"target": -1}, "got -1"),
            ({"target": True}, "got True"),
            ({"batch_size": -3}, "batch_size must be a positive integer or None, got -3"),
            ({"batch_size": 1.5}, "batch_size must be a positive integer or None, got 1.5"),
        ],
    )
    def test_parameters_that_cannot_be_used_are_named(
        self, method, student, one_hot, params, message
    ):
        with pytest.raises(ValueError, match=message):
            explain(method, student, one_hot[:2], **params)

    def test_no_sequence_is_an_error(self, method, one_hot):
        with pytest.raises(ValueError, match="no sequence"):
            explain(method, convolutional(), one_hot[:0])

    def test_other_models_are_refused(self, method, one_hot):
        with pytest.raises(TypeError, match=r"fitted estimator of this package.*LinearRegression"):
            explain(method, LinearRegression(), one_hot)

    def test_tables_are_refused(self, method, table):
        with pytest.raises(ValueError, match=r"does not read sequences.*\(6,\)"):
            explain(method, tiny_ensemble().fit(*table), table[0])

    def test_unfitted_estimator_is_an_error(self, method, one_hot):
        with pytest.raises(ValueError, match="not fitted"):
            explain(method, tiny_ensemble(), one_hot)

    def test_module_of_other_outputs_is_refused(self, method, one_hot):
        with pytest.raises(ValueError, match=r"shape \(n, n_targets\), got \(1, 4, 12\)"):
            explain(method, nn.Identity(), one_hot[:2])


def state_of(module):
    """Return everything about a module that explaining it could have changed."""
    return [
        (
            layer.training,
            sorted(vars(layer)),
            len(layer._forward_hooks) + len(layer._backward_hooks),
            getattr(layer, "inplace", None),
            [
                (p.requires_grad, p.detach().numpy().tobytes(), None if p.grad is None else "grad")
                for p in layer.parameters()
            ],
            [b.numpy().tobytes() for b in layer.buffers()],
        )
        for layer in module.modules()
    ]


def test_recalibrated_deviation_cannot_be_explained(ensemble, one_hot):
    recalibrated = RecalibratedRegressor(ensemble)
    recalibrated.estimator_ = ensemble
    assert saliency(recalibrated, one_hot[:1]).shape == (1, 4, LENGTH)
    with pytest.raises(ValueError, match=r"pass estimator\.estimator_"):
        saliency(recalibrated, one_hot[:1], head="total")


@pytest.mark.parametrize("head", ["mean", "epistemic", "aleatoric", "total"])
@pytest.mark.parametrize("target", [0, 1])
@pytest.mark.parametrize("of", ["student", "teacher"])
def test_saliency_equals_finite_differences(in_float64, head, target, of):
    student, X = in_float64
    model = student if of == "student" else student.teacher_
    maps = saliency(model, X[1:2], head=head, target=target, correct_gradients=False)
    step = 1e-5
    steps = step * np.eye(4 * LENGTH).reshape(-1, 4, LENGTH)
    up, down = (model.predict_components(X[1] + sign * steps)[head][:, target] for sign in (1, -1))
    differences = ((up - down) / (2 * step)).reshape(4, LENGTH)
    np.testing.assert_allclose(maps[0], differences, rtol=1e-4, atol=1e-6)
    assert np.abs(differences).max() > 1e-3


def test_correction_subtracts_the_mean_over_bases(student, one_hot):
    raw = saliency(student, one_hot[:3], correct_gradients=False)
    np.testing.assert_allclose(
        saliency(student, one_hot[:3]), raw - raw.mean(axis=1, keepdims=True), atol=1e-7
    )


def test_saliency_of_a_linear_function_is_its_weights(one_hot):
    weights = weights_of()
    maps = saliency(Motif(weights), one_hot[:2], correct_gradients=False)
    np.testing.assert_allclose(maps, [weights, weights], rtol=1e-6)


def test_saliency_of_a_user_class_is_computed_in_turn(one_hot):
    """Batches of a class that may keep a state are not run side by side."""

    class Counts(Motif):
        inside = 0

        def forward(self, X):
            assert self.inside == 0
            self.inside = 1
            values = super().forward(X)
            self.inside = 0
            return values

    weights = weights_of()
    maps = saliency(Counts(weights), one_hot, batch_size=1, correct_gradients=False)
    np.testing.assert_allclose(maps, np.broadcast_to(weights, maps.shape), rtol=1e-6)


def test_saliency_of_a_recurrent_net(one_hot):
    assert np.abs(saliency(Recurrent(), one_hot[:2])).max() > 0


@pytest.mark.parametrize("method", CHECKED)
@pytest.mark.parametrize("model", ["ensemble", "student", "evidential"])
def test_contributions_add_up_for_every_head(method, model, one_hot, request):
    estimator, X = request.getfixturevalue(model), one_hot[:4]
    references = dinucleotide_shuffle(np.roll(one_hot[4:6], 3, axis=0), random_state=1)
    for head in ("mean", *estimator.uncertainty_kinds_):
        params = {"head": head, "target": 1, "correct_gradients": False, "return_deltas": True}
        if method is deep_lift_shap:
            found = deep_lift_shap(estimator, X, references=references, **params)
            start = estimator.predict_components(references)[head][:, 1].mean()
        else:
            found = integrated_gradients(
                estimator, X, baseline=references[0], n_steps=200, **params
            )
            start = estimator.predict_components(references[:1])[head][0, 1]
        assert isinstance(found, CheckedMaps)
        difference = estimator.predict_components(X)[head][:, 1] - start
        total = observed_contributions(found.maps, X).sum(axis=1)
        tolerance = 0.02 * np.abs(difference).max()
        np.testing.assert_allclose(total, difference, atol=tolerance)
        assert np.abs(found.deltas).max() < tolerance
        np.testing.assert_allclose(found.deltas.mean(axis=1), difference - total, atol=1e-6)


def test_deep_lift_of_our_architectures_adds_up(pooled):
    ensemble, X = pooled
    residual = ResidualBind(1, seq_len=32)
    twice = np.tile(X, 2)[:3]
    for model, rows in ((ensemble, X[:3]), (residual, twice)):
        maps, deltas = deep_lift_shap(model, rows, random_state=0, return_deltas=True)
        assert np.abs(deltas).max() < 1e-5
        assert np.abs(maps).max() > 1e-4


def test_deep_lift_of_a_linear_function_compares_with_the_references(one_hot):
    """Hypothetical contributions: what the base would contribute in place of the reference's."""
    weights, references = weights_of(), one_hot[5:9]
    maps = deep_lift_shap(
        Motif(weights), one_hot[:2], references=references, correct_gradients=False
    )
    expected = weights - (weights * references).sum(axis=1, keepdims=True).mean(axis=0)
    np.testing.assert_allclose(maps, [expected, expected], rtol=1e-5, atol=1e-6)
    corrected = deep_lift_shap(Motif(weights), one_hot[:2], references=references)
    np.testing.assert_allclose(corrected[0], weights - weights.mean(axis=0), atol=1e-5)


def test_references_of_each_sequence(one_hot):
    weights = weights_of()
    each = np.stack([one_hot[3:5], one_hot[5:7]])
    maps = deep_lift_shap(Motif(weights), one_hot[:2], references=each, correct_gradients=False)
    for row in range(2):
        alone = deep_lift_shap(
            Motif(weights), one_hot[row : row + 1], references=each[row], correct_gradients=False
        )
        np.testing.assert_allclose(maps[row], alone[0], rtol=1e-5, atol=1e-6)


def test_shuffles_come_from_the_seed_alone(student, one_hot):
    first, again, other = (
        deep_lift_shap(student, one_hot[:5], n_references=3, random_state=seed, batch_size=size)
        for seed, size in ((0, None), (0, 4), (1, None))
    )
    np.testing.assert_allclose(again, first, atol=1e-6)
    assert np.abs(other - first).max() > 1e-5


def test_integrated_gradient_of_a_square(one_hot):
    """From b to x the mean gradient of (w x)^2 is w (w x + w b)."""
    weights = weights_of()
    maps = integrated_gradients(Motif(weights, power=2), one_hot[:2])
    ends = (weights * one_hot[:2]).sum(axis=(1, 2)) + 0.25 * weights.sum()
    expected = (weights - weights.mean(axis=0)) * ends[:, np.newaxis, np.newaxis]
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-5)


def test_coarse_quadrature_is_warned_of(one_hot):
    with pytest.warns(RuntimeWarning, match=r"2 of 2 sequences.*raise n_steps=1"):
        integrated_gradients(Motif(weights_of(), power=4), one_hot[:2], n_steps=1)


def test_function_without_a_rule_is_warned_of(one_hot):
    torch.manual_seed(0)
    with pytest.warns(RuntimeWarning, match="integrated_gradients explains any"):
        deep_lift_shap(Functional(), one_hot[:4], random_state=0)


def test_layer_without_a_rule_is_refused(one_hot):
    with pytest.raises(ValueError, match=r"no rule for the LSTM.*integrated_gradients"):
        deep_lift_shap(Recurrent(), one_hot[:2])


@pytest.mark.parametrize("unknown", [0, 0.25])
@pytest.mark.parametrize("method", METHODS)
def test_unknown_bases_are_welcome(method, unknown, one_hot):
    X = one_hot[:3].astype(np.float32)
    X[0, :, 4:6] = unknown
    assert np.isfinite(explain(method, convolutional(), X)).all()


@pytest.mark.parametrize("method", [deep_lift_shap, saturation_mutagenesis])
def test_sequences_that_are_not_one_hot_are_refused(method, one_hot):
    X = one_hot[:3].astype(np.float32)
    X[1, :, 4] = 0.4
    with pytest.raises(ValueError, match="Row 1 is not one-hot at position 4"):
        explain(method, convolutional(), X)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_references": 0}, "n_references must be a positive integer, got 0"),
        ({"n_references": 2.5}, "n_references must be a positive integer, got 2.5"),
        ({"references": np.zeros((2, 3, 4, 5))}, r"n_references, 4, 12.*\(2, 3, 4, 5\)"),
        ({"references": np.zeros((3, 2, 4, LENGTH))}, "each of the 2 sequences"),
        ({"references": np.zeros((0, 4, LENGTH))}, "at least one"),
        ({"references": np.full((1, 4, LENGTH), 0.4)}, "not one-hot"),
    ],
)
def test_references_that_cannot_be_used_are_named(one_hot, params, message):
    with pytest.raises(ValueError, match=message):
        deep_lift_shap(convolutional(), one_hot[:2], **params)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_steps": 0}, "n_steps must be a positive integer, got 0"),
        ({"baseline": np.zeros(4)}, r"a number or have shape \(4, 12\)"),
    ],
)
def test_path_that_cannot_be_used_is_named(one_hot, params, message):
    with pytest.raises(ValueError, match=message):
        integrated_gradients(convolutional(), one_hot[:2], **params)


def test_baseline_of_every_sequence(one_hot):
    """From a sequence to itself nothing changes."""
    X = one_hot[:3]
    maps = integrated_gradients(convolutional(), X, baseline=X, correct_gradients=False)
    np.testing.assert_allclose(observed_contributions(maps, X), 0, atol=1e-6)


@pytest.mark.parametrize("head", ["mean", "epistemic"])
def test_mutagenesis_is_the_difference_of_predictions(pooled, head):
    ensemble, X = pooled
    maps = saturation_mutagenesis(ensemble, X[:2], head=head, target=1)
    before = ensemble.predict_components(X[:2])[head][:, 1]
    for row, base, position in ((0, 0, 0), (1, 2, 7), (0, 3, 15)):
        mutant = X[row : row + 1].copy()
        mutant[0, :, position] = np.arange(4) == base
        effect = ensemble.predict_components(mutant)[head][0, 1] - before[row]
        assert maps[row, base, position] == pytest.approx(effect, rel=1e-4, abs=1e-6)
    assert not maps[X[:2] == 1].any()


def test_mutagenesis_of_a_module_is_that_of_its_estimator(student, one_hot):
    expected = saturation_mutagenesis(student, one_hot[:2], head="epistemic")
    found = saturation_mutagenesis(student.to_module(), one_hot[:2], head="epistemic")
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_centred_mutagenesis_of_a_linear_function_is_its_corrected_gradient(one_hot):
    weights = weights_of()
    maps = saturation_mutagenesis(Motif(weights), one_hot[:2], centered=True)
    np.testing.assert_allclose(maps, saliency(Motif(weights), one_hot[:2]), atol=1e-6)


def test_observed_contributions_are_those_of_the_bases_that_are_there(strings):
    X = SequenceEncoder().fit_transform(strings[:2])
    maps = np.arange(2 * 4 * LENGTH).reshape(2, 4, LENGTH)
    found = observed_contributions(maps, X)
    for row, position in ((0, 0), (1, 5)):
        base = "ACGT".index(strings[row][position])
        assert found[row, position] == maps[row, base, position]
    assert observed_contributions(np.stack([maps, maps]), X).shape == (2, 2, LENGTH)
    with pytest.raises(ValueError, match="do not belong"):
        observed_contributions(maps[:1], X)
    with pytest.raises(ValueError, match=r"maps must have shape \(n_sequences, 4, length\)"):
        observed_contributions(maps[0], X)


@pytest.mark.parametrize(
    ("method", "library"),
    [(integrated_gradients, "captum.attr"), (deep_lift_shap, "tangermeme.deep_lift_shap")],
)
def test_missing_library_is_named_with_its_extra(method, library, one_hot, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=r"pip install 'sklearn-degu\[attribution\]'"):
        method(convolutional(), one_hot[:1])


def test_rounding_of_a_net_that_hardly_looks_is_not_warned_of(one_hot, recwarn):
    net = convolutional().eval()
    with torch.no_grad():
        net[-1].weight.mul_(1e-8)
    deep_lift_shap(net, one_hot[:4], random_state=0)
    assert not [w for w in recwarn.list if w.category is RuntimeWarning]
