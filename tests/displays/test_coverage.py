import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.stats import binom, norm

from sklearn_degu.displays import CoverageDisplay
from sklearn_degu.metrics import interval_coverage
from tests.displays.predictors import PredictsIntervals


def band_at(display, level):
    """Return the ends of the band at a confidence level."""
    vertices = display.band_.get_paths()[0].vertices
    return np.sort(vertices[np.isclose(vertices[:, 0], level), 1])[[0, -1]]


def entries(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_line_is_the_coverage_of_gaussian_intervals(calibrated):
    y_true, y_pred, y_std = calibrated
    display = CoverageDisplay.from_predictions(*calibrated, confidence_level=[0.5, 0.9])
    levels, coverage = display.line_.get_data()
    reach = norm.ppf([0.75, 0.95])[:, np.newaxis] * y_std
    np.testing.assert_array_equal(levels, [0.5, 0.9])
    np.testing.assert_allclose(coverage, (np.abs(y_true - y_pred) <= reach).mean(axis=1))


def test_default_levels_go_from_five_to_ninety_five_percent(calibrated):
    display = CoverageDisplay.from_predictions(*calibrated)
    np.testing.assert_allclose(display.confidence_level, np.arange(0.05, 0.96, 0.05))


def test_right_deviations_stay_near_the_diagonal_and_small_ones_below(calibrated):
    y_true, y_pred, y_std = calibrated
    right = CoverageDisplay.from_predictions(y_true, y_pred, y_std)
    assert np.abs(right.coverage - right.confidence_level).max() < 0.07
    small = CoverageDisplay.from_predictions(y_true, y_pred, 0.3 * y_std)
    assert (small.coverage < small.confidence_level).all()


def test_several_levels_of_several_targets_are_on_the_last_axis(calibrated):
    y_true, y_pred, _ = (np.c_[values, 10 * values] for values in calibrated)
    half_width = np.array([0.3, 0.9])
    lower, upper = y_pred[..., np.newaxis] - half_width, y_pred[..., np.newaxis] + half_width
    display = CoverageDisplay.from_intervals(
        y_true, lower, upper, confidence_level=[0.5, 0.9], target=1
    )
    expected = [interval_coverage(y_true[:, 1], lower[:, 1, k], upper[:, 1, k]) for k in range(2)]
    np.testing.assert_array_equal(display.coverage, expected)


def test_levels_are_drawn_in_order(calibrated):
    X = np.c_[calibrated[1], calibrated[2], calibrated[2]]
    display = CoverageDisplay.from_estimator(PredictsIntervals([0.9, 0.2, 0.5]), X, calibrated[0])
    np.testing.assert_array_equal(display.confidence_level, [0.2, 0.5, 0.9])
    assert (np.diff(display.coverage) > 0).all()


def test_a_single_level_needs_no_axis(calibrated):
    y_true, y_pred, _ = calibrated
    display = CoverageDisplay.from_intervals(y_true, y_pred - 1, y_pred + 1, confidence_level=0.8)
    np.testing.assert_array_equal(display.coverage, [np.mean(np.abs(y_true - y_pred) <= 1)])


def test_bounds_of_another_number_of_levels(calibrated):
    y_true, y_pred, _ = calibrated
    with pytest.raises(ValueError, match=r"y_lower has 600 bounds on its last axis, .* 2 levels"):
        CoverageDisplay.from_intervals(y_true, y_pred, y_pred, confidence_level=[0.5, 0.9])


def test_band_is_binomial(calibrated):
    display = CoverageDisplay.from_predictions(*calibrated)
    for level in (0.1, 0.5, 0.9):
        expected = np.array(binom.interval(0.95, 600, level)) / 600
        np.testing.assert_allclose(band_at(display, level), expected)


def test_legend_has_the_name_and_the_number_of_measurements(calibrated):
    y_true, y_pred, y_std = calibrated
    y_true = np.r_[np.full(100, np.nan), y_true[100:]]
    display = CoverageDisplay.from_predictions(y_true, y_pred, y_std, name="ensemble")
    assert entries(display.ax_) == ["ensemble", "95% band, n = 500"]
    assert entries(display.plot(name="student").ax_)[0] == "student"


def test_estimator_is_named(calibrated):
    X = np.c_[calibrated[1], calibrated[2], calibrated[2]]
    display = CoverageDisplay.from_estimator(PredictsIntervals(), X, calibrated[0])
    assert display.line_.get_label() == "PredictsIntervals"


def test_displays_on_the_same_axes_share_band_and_diagonal_in_the_legend(calibrated):
    ax = Figure().subplots()
    for name in "ab":
        CoverageDisplay.from_predictions(*calibrated, name=name, ax=ax)
    shorter = [values[:500] for values in calibrated]
    CoverageDisplay.from_predictions(*shorter, name="c", ax=ax)
    assert entries(ax) == ["a", "b", "c", "95% band, n = 600", "95% band, n = 500"]


def test_picture_is_square_and_no_larger_than_the_levels_need(calibrated):
    display = CoverageDisplay.from_predictions(*calibrated, confidence_level=[0.8, 0.9])
    low, high = display.ax_.get_xlim()
    assert display.ax_.get_ylim() == (low, high)
    assert display.ax_.get_aspect() == 1
    assert 0.6 < low < 0.8
    assert 0.9 < high < 1.02


def test_keywords_reach_the_line(calibrated):
    display = CoverageDisplay.from_predictions(*calibrated, color="0.4", mfc="none")
    assert display.line_.get_color() == "0.4"
    assert display.line_.get_markerfacecolor() == "none"
