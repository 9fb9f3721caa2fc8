"""Pictures of maps."""

import sys

import numpy as np
import pytest

from sklearn_degu.attribution import ensemble_attribution, saliency, saturation_mutagenesis
from sklearn_degu.attribution.displays import (
    MapComparisonDisplay,
    MutagenesisDisplay,
    SequenceLogoDisplay,
)
from tests.toys import LENGTH

pytest.importorskip("logomaker")
pyplot = pytest.importorskip("matplotlib.pyplot")
pyplot.switch_backend("Agg")
Figure = pyplot.Figure


@pytest.fixture(autouse=True)
def no_figure_left_open():
    yield
    pyplot.close("all")


@pytest.fixture
def maps():
    return np.random.default_rng(0).normal(size=(3, 4, LENGTH))


def letter_heights(display, axis=None):
    """Return the upper or lower end of every letter."""
    ax = display.ax_ if axis is None else axis
    heights = np.zeros(LENGTH)
    for patch in ax.patches:
        box = patch.get_path().get_extents()
        ends = (box.y0, box.y1)
        heights[round((box.x0 + box.x1) / 2) - 1] = max(ends, key=abs)
    return heights


def observed(maps, X):
    return (maps * X).sum(axis=1)


def test_band_lies_behind_the_letters(maps, one_hot):
    display = SequenceLogoDisplay.from_maps(maps, one_hot[:3], std=np.abs(maps))
    assert display.band_.zorder < min(patch.zorder for patch in display.ax_.patches)


def test_letters_are_as_high_as_the_contributions(maps, one_hot):
    display = SequenceLogoDisplay.from_maps(maps, one_hot[:3], row=1)
    np.testing.assert_allclose(letter_heights(display), observed(maps, one_hot[:3])[1], atol=1e-6)
    assert display.band_ is None


def test_band_reaches_so_many_deviations_from_the_letters(maps, one_hot):
    std = np.abs(maps) / 4
    display = SequenceLogoDisplay.from_maps(maps, one_hot[:3], std=std, n_std=3)
    box = display.band_.get_paths()[0].get_extents()
    value, deviation = observed(maps, one_hot[:3])[0], observed(std, one_hot[:3])[0]
    assert box.y1 == pytest.approx((value + 3 * deviation).max())
    assert box.y0 == pytest.approx((value - 3 * deviation).min())
    assert display.ax_.get_legend().get_texts()[0].get_text() == "± 3 standard deviations"
    low, high = display.ax_.get_ylim()
    assert low < box.y0 < box.y1 < high


def test_ensemble_is_drawn_with_its_members_deviation(ensemble, one_hot):
    display = SequenceLogoDisplay.from_estimator(ensemble, one_hot, row=4)
    mean, std, _ = ensemble_attribution(saliency, ensemble, one_hot[4:5])
    np.testing.assert_allclose(display.one.values, mean[0])
    np.testing.assert_allclose(display.std, observed(std, one_hot[4:5])[0])


@pytest.mark.parametrize("head", ["mean", "epistemic"])
def test_student_is_drawn_without_a_band(student, one_hot, head):
    display = SequenceLogoDisplay.from_estimator(student, one_hot, row=2, head=head)
    np.testing.assert_allclose(
        display.one.values, saliency(student, one_hot[2:3], head=head)[0], rtol=1e-6
    )
    assert display.std is None


def test_strings_of_a_pipeline_are_drawn(pipeline, strings):
    display = SequenceLogoDisplay.from_estimator(pipeline, strings, row=5)
    assert "".join("ACGT"[code] for code in display.one.codes) == strings[5]
    assert display.band_ is not None
    assert MutagenesisDisplay.from_estimator(pipeline, strings, row=5).one.start == 0


def test_heat_map_shows_all_substitutions(student, one_hot):
    display = MutagenesisDisplay.from_estimator(student, one_hot, row=3, target=1)
    expected = saturation_mutagenesis(student, one_hot[3:4], target=1)[0]
    np.testing.assert_allclose(display.image_.get_array(), expected)
    low, high = display.image_.get_clim()
    assert high == -low == pytest.approx(np.abs(expected).max())
    assert [tick.get_text() for tick in display.ax_.get_yticklabels()] == list("ACGT")


def test_heat_map_marks_the_bases_that_are_there(maps, one_hot):
    display = MutagenesisDisplay.from_maps(maps, one_hot[:3], row=2)
    x, y = display.ax_.get_lines()[0].get_data()
    np.testing.assert_array_equal(x, np.arange(1, LENGTH + 1))
    np.testing.assert_array_equal(y, one_hot[2].argmax(axis=0))


def test_heat_map_of_no_effect_and_of_a_limit(maps, one_hot):
    nothing = MutagenesisDisplay.from_maps(0 * maps, one_hot[:3])
    assert nothing.image_.get_clim() == (-1, 1)
    assert nothing.colorbar_.extend == "neither"
    limited = MutagenesisDisplay.from_maps(maps, one_hot[:3], limit=0.1)
    assert limited.image_.get_clim() == (-0.1, 0.1)
    assert limited.colorbar_.extend == "both"


def test_unknown_bases_have_no_letter_and_no_dot(maps, one_hot):
    X = one_hot[:3].astype(float)
    X[0, :, 4] = 0.25
    assert letter_heights(SequenceLogoDisplay.from_maps(maps, X))[4] == 0
    x, _ = MutagenesisDisplay.from_maps(maps, X).ax_.get_lines()[0].get_data()
    assert 5 not in x


@pytest.mark.parametrize("display", [SequenceLogoDisplay, MutagenesisDisplay])
class TestBoth:
    def test_draws_on_the_axes_that_it_is_given(self, display, maps, one_hot):
        ax = Figure().subplots()
        drawn = display.from_maps(maps, one_hot[:3], ax=ax)
        assert drawn.ax_ is ax
        assert drawn.figure_ is ax.figure
        other = Figure().subplots()
        assert drawn.plot(other) is drawn
        assert drawn.ax_ is other

    def test_positions_count_from_one(self, display, maps, one_hot):
        drawn = display.from_maps(maps, one_hot[:3], positions=slice(3, 8))
        assert drawn.ax_.get_xlim() == pytest.approx((3.4, 8.6))
        np.testing.assert_array_equal(drawn.one.values, maps[0, :, 3:8])

    def test_renders_with_labels_and_without_a_warning(self, display, maps, one_hot, recwarn):
        drawn = display.from_maps(maps, one_hot[:3], label="effect", units="log2")
        drawn.figure_.canvas.draw()
        words = [
            text.get_text()
            for ax in drawn.figure_.axes
            for text in ax.yaxis.get_children()
            if hasattr(text, "get_text")
        ]
        assert "effect\n(log2)" in words
        assert drawn.ax_.get_xlabel().startswith("position")
        assert not recwarn.list

    @pytest.mark.parametrize("row", [3, -1, 0.5])
    def test_rows_that_are_not_there_are_refused(self, display, maps, one_hot, student, row):
        with pytest.raises(ValueError, match="row must be from 0 to 2"):
            display.from_maps(maps, one_hot[:3], row=row)
        with pytest.raises(ValueError, match="row must be from 0 to 2"):
            display.from_estimator(student, one_hot[:3], row=row)

    @pytest.mark.parametrize("positions", [slice(3, 3), slice(0, 9, 2)])
    def test_stretches_with_gaps_are_refused(self, display, maps, one_hot, positions):
        with pytest.raises(ValueError, match="no unbroken stretch"):
            display.from_maps(maps, one_hot[:3], positions=positions)

    def test_maps_of_other_sequences_are_refused(self, display, maps, one_hot):
        with pytest.raises(ValueError, match="do not belong to X"):
            display.from_maps(maps, one_hot[:2])

    def test_missing_matplotlib_is_named_before_anything_is_computed(
        self, display, student, one_hot, monkeypatch
    ):
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        with pytest.raises(ImportError, match="draws with matplotlib"):
            display.from_estimator(student, one_hot)


def test_missing_logomaker_is_named(maps, one_hot, monkeypatch):
    monkeypatch.setitem(sys.modules, "logomaker", None)
    with pytest.raises(ImportError, match=r"SequenceLogoDisplay needs logomaker.*\[attribution\]"):
        SequenceLogoDisplay.from_maps(maps, one_hot[:3])


def test_student_is_compared_with_its_teacher_and_members(student, one_hot):
    display = MapComparisonDisplay.from_student(student, one_hot, row=1, n_members=2, units="log2")
    assert list(display.maps) == ["ensemble", "student", "member 1", "member 2"]
    members = student.teacher_.member_modules()
    np.testing.assert_allclose(
        display.maps["member 2"].values, saliency(members[1], one_hot[1:2])[0], rtol=1e-6
    )
    titles = [ax.get_title(loc="left") for ax in display.axes_]
    assert titles[0] == "ensemble"
    assert titles[1] == f"student: cosine to ensemble {display.cosines['student']:.2f}"
    assert len({ax.get_ylim() for ax in display.axes_}) == 1


def test_comparison_of_maps_that_are_there(maps, one_hot):
    figure = Figure()
    display = MapComparisonDisplay.from_maps(
        {"a": maps, "b": -maps}, one_hot[:3], reference="a", figure=figure, positions=slice(2, 9)
    )
    assert display.figure_ is figure
    assert display.cosines["b"] == pytest.approx(-1)
    with pytest.raises(ValueError, match="reference='c' is none of the maps a, b"):
        MapComparisonDisplay.from_maps({"a": maps, "b": maps}, one_hot[:3], reference="c")


def test_only_a_student_has_a_teacher_to_compare_with(ensemble, one_hot):
    with pytest.raises(TypeError, match=r"got EnsembleRegressor\. For other models use from_maps"):
        MapComparisonDisplay.from_student(ensemble, one_hot)
