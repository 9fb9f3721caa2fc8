from itertools import pairwise
from statistics import NormalDist

import numpy as np
import pytest
from scipy.stats import norm

from sklearn_degu.displays import GroupCoverageDisplay
from sklearn_degu.metrics import coverage_by_bin
from tests.displays.predictors import PredictsIntervals


def wilson(p, n):
    """Return Wilson's interval as his paper has it."""
    z = NormalDist().inv_cdf(0.975)
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return middle - reach, middle + reach


def drawn(display):
    """Return the points and the ends of the error bars."""
    points, _, (collection,) = display.error_bars_
    ends = np.array([segment[:, 0] for segment in collection.get_segments()])
    return *points.get_data(), ends


def rows(display):
    return [tick.get_text() for tick in display.ax_.get_yticklabels()]


@pytest.fixture
def three_groups():
    """Return measurements, bounds that cover 3 of 4, 1 of 2 and 1 of 1, and labels."""
    y_true = np.array([0.0, 0.0, 9.0, 0.0, 9.0, 0.0, 0.0])
    groups = np.array(["b", "b", "b", "b", "c", "c", "a"])
    return y_true, np.full(7, -1.0), np.full(7, 1.0), groups


def test_points_are_the_coverage_of_the_groups_in_the_order_of_their_names(three_groups):
    *intervals, groups = three_groups
    display = GroupCoverageDisplay.from_intervals(*intervals, confidence_level=0.9, groups=groups)
    coverage, places, _ = drawn(display)
    assert rows(display) == ["a\nn = 1", "b\nn = 4", "c\nn = 2"]
    np.testing.assert_array_equal(coverage, [1, 0.75, 0.5])
    np.testing.assert_array_equal(places, [0, 1, 2])
    # From top to bottom.
    assert display.ax_.yaxis_inverted()


def test_error_bars_are_wilson_intervals(three_groups):
    *intervals, groups = three_groups
    display = GroupCoverageDisplay.from_intervals(*intervals, confidence_level=0.9, groups=groups)
    coverage, _, ends = drawn(display)
    expected = [wilson(p, n) for p, n in zip(coverage, display.n_samples, strict=True)]
    np.testing.assert_allclose(ends, expected)


def test_missing_measurements_do_not_count_and_an_unmeasured_group_is_shown_as_such(three_groups):
    y_true, lower, upper, groups = three_groups
    y_true = np.where(groups == "a", np.nan, y_true)
    y_true[0] = np.nan
    display = GroupCoverageDisplay.from_intervals(
        y_true, lower, upper, confidence_level=0.9, groups=groups
    )
    assert rows(display) == ["a\nn = 0", "b\nn = 3", "c\nn = 2"]
    np.testing.assert_allclose(display.coverage, [np.nan, 2 / 3, 0.5])
    display.figure_.canvas.draw()


def test_groups_go_with_the_rows_of_the_target(three_groups):
    y_true, lower, upper, groups = (np.c_[values, values[::-1]] for values in three_groups)
    display = GroupCoverageDisplay.from_intervals(
        y_true, lower, upper, confidence_level=0.9, groups=groups[:, 1], target=1
    )
    np.testing.assert_array_equal(display.coverage, [1, 0.75, 0.5])


def test_long_names_leave_room_for_the_picture(three_groups):
    *intervals, groups = three_groups
    long = np.char.add(groups, " developmental enhancers of the chromosome 2L, S2 cells")
    display = GroupCoverageDisplay.from_intervals(*intervals, confidence_level=0.9, groups=long)
    display.figure_.canvas.draw()
    assert display.ax_.get_position().width > 0.5
    assert rows(display)[0].replace("\n", " ") == f"{display.groups[0]} n = 1"
    boxes = [label.get_window_extent() for label in display.ax_.get_yticklabels()]
    assert all(upper.y0 > lower.y1 for upper, lower in pairwise(boxes))


def test_the_label_of_few_bins_is_within_the_figure(calibrated):
    display = GroupCoverageDisplay.from_predictions(*calibrated, n_bins=1, units="log2 counts")
    display.figure_.canvas.draw()
    label = display.ax_.yaxis.label.get_window_extent()
    assert 0 <= label.y0 < label.y1 <= display.figure_.bbox.height


def test_labels_may_be_numbers(three_groups):
    *intervals, groups = three_groups
    numbered = np.where(groups == "b", 10, 9)
    display = GroupCoverageDisplay.from_intervals(*intervals, confidence_level=0.9, groups=numbered)
    assert rows(display) == ["9\nn = 3", "10\nn = 4"]


def test_without_groups_there_are_bins_of_the_deviation(calibrated):
    y_true, y_pred, y_std = calibrated
    display = GroupCoverageDisplay.from_predictions(*calibrated, n_bins=4, confidence_level=0.8)
    reach = norm.ppf(0.9) * y_std
    expected = coverage_by_bin(y_true, y_pred - reach, y_pred + reach, by=y_std, n_bins=4)
    np.testing.assert_array_equal(display.coverage, expected)
    np.testing.assert_array_equal(display.n_samples, [150] * 4)


def test_bins_are_named_by_their_deviations():
    y_std = np.array([3.0, 1.0, 2.0, 4.0, 5.0])
    display = GroupCoverageDisplay.from_predictions(
        np.zeros(5), np.zeros(5), y_std, n_bins=2, units="kcal"
    )
    assert rows(display) == ["1 to 3\nn = 3", "4 to 5\nn = 2"]
    assert display.ax_.get_ylabel() == "predicted deviation (kcal)"


def test_groups_have_no_label_of_an_axis_that_is_wrong(three_groups):
    *intervals, groups = three_groups
    display = GroupCoverageDisplay.from_intervals(
        *intervals, confidence_level=0.9, groups=groups, units="kcal"
    )
    assert display.ax_.get_ylabel() == ""


def test_equal_deviations_give_equal_bins(calibrated):
    y_true, y_pred, _ = calibrated
    display = GroupCoverageDisplay.from_predictions(y_true, y_pred, np.full(600, 0.6), n_bins=7)
    np.testing.assert_allclose(display.coverage, display.coverage[0])
    coverage, _, ends = drawn(display)
    assert (ends[:, 0] <= coverage).all()
    assert (coverage <= ends[:, 1]).all()


def test_bins_of_deviations_that_the_intervals_were_not_made_of(calibrated):
    y_true, y_pred, y_std = calibrated
    bounds = y_pred - 0.9, y_pred + 0.9
    display = GroupCoverageDisplay.from_intervals(
        y_true, *bounds, confidence_level=0.9, y_std=y_std
    )
    np.testing.assert_array_equal(display.coverage, coverage_by_bin(y_true, *bounds, by=y_std))
    # Intervals of one width cover the easy rows too often and the hard ones too seldom.
    assert display.coverage[0] > 0.97 > 0.9 > display.coverage[2]


def test_estimator_of_intervals_is_asked_for_deviations_to_make_bins_of(calibrated):
    y_true, y_pred, y_std = calibrated
    display = GroupCoverageDisplay.from_estimator(
        PredictsIntervals(0.5), np.c_[y_pred, y_std, y_std], y_true
    )
    expected = coverage_by_bin(y_true, y_pred - 0.5, y_pred + 0.5, by=y_std)
    np.testing.assert_array_equal(display.coverage, expected)


def test_estimator_with_groups_is_not_asked_for_deviations(calibrated, monkeypatch):
    y_true, y_pred, y_std = calibrated
    monkeypatch.delattr(PredictsIntervals.__base__, "predict")
    display = GroupCoverageDisplay.from_estimator(
        PredictsIntervals(0.5), y_pred[:, np.newaxis], y_true, groups=y_std > 0.5
    )
    assert rows(display)[0].startswith("False")


def test_nominal_level_is_a_line_and_named(calibrated):
    display = GroupCoverageDisplay.from_predictions(*calibrated, confidence_level=0.8)
    assert set(display.line_.get_xdata()) == {0.8}
    assert display.ax_.get_xlabel() == "coverage (nominal 0.8)"


def test_keywords_reach_the_points(calibrated):
    points = GroupCoverageDisplay.from_predictions(*calibrated, c="red", ms=9).error_bars_[0]
    assert points.get_color() == "red"
    assert points.get_markersize() == 9


def test_without_groups_and_deviations(three_groups):
    *intervals, _ = three_groups
    with pytest.raises(ValueError, match="Pass groups, or y_std"):
        GroupCoverageDisplay.from_intervals(*intervals, confidence_level=0.9)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (["a"] * 6, r"groups has shape \(6,\), but y_true has 7 rows"),
        ([["a"]] * 7, r"groups has shape \(7, 1\)"),
        (["a"] * 6 + [None], "missing labels"),
        ([1.0] * 6 + [np.nan], "missing labels"),
    ],
)
def test_unusable_groups(three_groups, groups, message):
    *intervals, _ = three_groups
    with pytest.raises(ValueError, match=message):
        GroupCoverageDisplay.from_intervals(*intervals, confidence_level=0.9, groups=groups)


def test_one_panel_shows_one_level(calibrated):
    with pytest.raises(ValueError, match=r"there are 2: 0.5, 0.9. Choose one"):
        GroupCoverageDisplay.from_predictions(*calibrated, confidence_level=[0.5, 0.9])
