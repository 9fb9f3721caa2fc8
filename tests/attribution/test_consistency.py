import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from sklearn_degu.attribution import (
    leave_one_out,
    map_cosine,
    map_rmse,
    map_spearman,
    map_variability,
    top_overlap,
)

METRICS = [map_rmse, map_cosine, map_spearman, top_overlap]


@pytest.fixture(scope="module")
def maps():
    """Return maps of five models, (5, 3, 4, 30)."""
    return np.random.default_rng(0).normal(size=(5, 3, 4, 30))


def test_rmse_and_cosine_of_known_maps():
    a = np.zeros((1, 4, 2))
    a[0, 0, 0] = 3
    b = np.zeros((1, 4, 2))
    b[0, 0, 0] = 3
    b[0, 1, 1] = 4
    assert map_rmse(a, b) == pytest.approx(np.sqrt(16 / 8))
    assert map_cosine(a, b) == pytest.approx(3 / 5)


@given(st.floats(0.01, 100))
def test_a_shrunken_map_has_the_same_direction_and_ranks(factor):
    maps = np.random.default_rng(1).normal(size=(2, 4, 25))
    assert map_cosine(factor * maps, maps) == pytest.approx(1)
    assert map_spearman(factor * maps, maps) == pytest.approx(1)
    assert top_overlap(factor * maps, maps) == pytest.approx(1)
    assert map_cosine(-maps, maps) == pytest.approx(-1)


def test_spearman_is_that_of_the_norms_of_positions(maps):
    a, b = maps[0], maps[1]
    norms = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    expected = [spearmanr(*pair).statistic for pair in zip(*norms, strict=True)]
    np.testing.assert_allclose(map_spearman(a, b), expected)


def test_top_overlap_counts_shared_positions():
    a = np.zeros((1, 4, 6))
    a[0, 0, [0, 1, 2]] = [3, -2, 1]
    b = np.zeros((1, 4, 6))
    b[0, 3, [1, 2, 5]] = [1, 2, 3]
    assert top_overlap(a, b, k=3) == pytest.approx(2 / 3)
    assert top_overlap(a, b, k=1) == 0
    assert top_overlap(a, b, k=6) == 1


@pytest.mark.parametrize("metric", METRICS)
def test_all_members_are_compared_with_one_reference_at_once(metric, maps):
    together = metric(maps, maps[0])
    assert together.shape == (5, 3)
    np.testing.assert_allclose(together[2], metric(maps[2], maps[0]))
    assert metric(maps[0, 0], maps[1, 0]).shape == ()


@pytest.mark.parametrize("metric", METRICS)
def test_member_is_compared_with_the_mean_of_the_others(metric, maps):
    found = leave_one_out(maps, metric)
    for member in range(5):
        others = np.delete(maps, member, axis=0).mean(axis=0)
        np.testing.assert_allclose(found[member], metric(maps[member], others))


def test_comparing_a_member_with_itself_in_part_would_flatter_it(maps):
    assert (leave_one_out(maps) > map_rmse(maps, maps.mean(axis=0))).all()


def test_variability_is_the_root_of_the_summed_variances(maps):
    expected = [np.sqrt(sum(maps[:, n].reshape(5, -1).var(axis=0))) for n in range(3)]
    np.testing.assert_allclose(map_variability(maps), expected)
    assert map_variability(np.stack([maps[0]] * 3)) == pytest.approx(0)


@pytest.mark.parametrize("metric", METRICS)
def test_maps_of_other_shapes_are_refused(metric, maps):
    with pytest.raises(ValueError, match="cannot be compared"):
        metric(maps[0], maps[0, :, :, :5])
    with pytest.raises(ValueError, match="cannot be compared"):
        metric(maps[0], maps[:2, 0])
    with pytest.raises(ValueError, match=r"reference must have shape \(4, length\)"):
        metric(maps[0], maps[0, :, :3])
    with pytest.raises(ValueError, match="NaN"):
        metric(maps[0], np.full((4, 30), np.nan))


def test_map_without_direction_or_ranks_is_refused(maps):
    nothing = np.zeros((3, 4, 30))
    with pytest.raises(ValueError, match="3 of 3 pairs of maps have one that is zero everywhere"):
        map_cosine(maps[0], nothing)
    with pytest.raises(ValueError, match="equally important"):
        map_spearman(maps[0], nothing)


@pytest.mark.parametrize("k", [0, 31, 2.5])
def test_number_of_top_positions_is_checked(maps, k):
    with pytest.raises(ValueError, match="k must be an integer from 1 to the length 30"):
        top_overlap(maps[0], maps[1], k=k)


@pytest.mark.parametrize("function", [leave_one_out, map_variability])
def test_one_model_cannot_be_compared(function, maps):
    with pytest.raises(ValueError, match="at least two"):
        function(maps[:1])
    with pytest.raises(ValueError, match=r"\(n_models, n_sequences, 4, length\)"):
        function(maps[0])
