import numpy as np
import pytest

from sklearn_degu.attribution import (
    EnsembleMaps,
    deep_lift_shap,
    ensemble_attribution,
    integrated_gradients,
    saliency,
    saturation_mutagenesis,
)
from tests.attribution.models import Motif, weights_of
from tests.toys import LENGTH, tiny_conv_net, tiny_ensemble


@pytest.mark.parametrize("method", [saliency, saturation_mutagenesis])
@pytest.mark.parametrize("params", [{}, {"head": "aleatoric", "target": 1}])
def test_mean_and_deviation_are_those_of_the_members(method, params, ensemble, one_hot):
    found = ensemble_attribution(method, ensemble, one_hot[:3], **params)
    members = [method(member, one_hot[:3], **params) for member in ensemble.member_modules()]
    np.testing.assert_allclose(found.mean, np.mean(members, axis=0), atol=1e-6)
    np.testing.assert_allclose(found.std, np.std(members, axis=0), atol=1e-6)
    assert found.n_members == 3


@pytest.mark.parametrize("method", [saliency, saturation_mutagenesis])
def test_mean_map_is_that_of_the_mean(method, ensemble, one_hot):
    np.testing.assert_allclose(
        ensemble_attribution(method, ensemble, one_hot[:3]).mean,
        method(ensemble, one_hot[:3]),
        rtol=1e-4,
        atol=1e-6,
    )


def test_pipeline_reads_strings(pipeline, strings):
    X = pipeline[:-1].transform(strings[:2])
    found, expected = (
        ensemble_attribution(saliency, *pair)
        for pair in ((pipeline, strings[:2]), (pipeline[-1], X))
    )
    np.testing.assert_array_equal(found.std, expected.std)


def test_replicated_models_are_members(one_hot):
    weights = weights_of()
    found = ensemble_attribution(
        saliency, [Motif(weights), Motif(3 * weights)], one_hot[:1], correct_gradients=False
    )
    np.testing.assert_allclose(found.mean[0], 2 * weights, rtol=1e-6)
    np.testing.assert_allclose(found.std[0], np.abs(weights), rtol=1e-5)


def test_equal_members_do_not_disagree_about_random_references(student, one_hot):
    pytest.importorskip("tangermeme")
    found = ensemble_attribution(
        deep_lift_shap, [student, student], one_hot[:2], n_references=2, random_state=None
    )
    assert not found.std.any()
    again, other = (
        ensemble_attribution(
            deep_lift_shap, [student] * 2, one_hot[:2], n_references=2, random_state=seed
        ).mean
        for seed in (0, 1)
    )
    assert not np.array_equal(again, other)


def test_mean_is_significant_where_it_is_several_standard_errors_from_zero():
    mean = np.array([[[0.5, -0.5, 0.1, 0.0]]], dtype=np.float32)
    std = np.full_like(mean, 0.4)
    maps = EnsembleMaps(mean, std, n_members=5)  # standard error 0.2
    assert maps.significant(2).tolist() == [[[True, True, False, False]]]
    assert not maps.significant(3).any()
    assert maps.significant(0).sum() == 3
    with pytest.raises(ValueError, match="0 or more; got -1"):
        maps.significant(-1)


def test_standard_error_is_that_of_a_sample_of_members():
    rng = np.random.default_rng(0)
    members = rng.normal(size=(4000, 6))
    maps = EnsembleMaps(members.mean(axis=1), members.std(axis=1), 6)
    # Student's distribution of 5 degrees of freedom is beyond 2.571 in a twentieth.
    assert maps.significant(2.571).mean() == pytest.approx(0.05, abs=0.01)


def test_models_without_members_are_refused(student, one_hot, sequences):
    with pytest.raises(TypeError, match=r"got DistilledRegressor. Pass its teacher_\."):
        ensemble_attribution(saliency, student, one_hot)
    with pytest.raises(TypeError, match=r"got Motif\.$"):
        ensemble_attribution(saliency, Motif(weights_of()), one_hot)
    alone = tiny_ensemble(tiny_conv_net(), 1).fit(*sequences)
    with pytest.raises(ValueError, match="at least two, got 1"):
        ensemble_attribution(saliency, alone, one_hot)


def test_progress_of_every_member_is_told(ensemble, one_hot, capsys):
    pytest.importorskip("captum")
    ensemble_attribution(integrated_gradients, ensemble, one_hot[:2], verbose=1)
    assert capsys.readouterr().out.count("2 of 2 sequences") == 3
    assert one_hot.shape[2] == LENGTH
