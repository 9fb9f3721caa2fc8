import numpy as np
import pytest
from scipy.stats import norm

from sklearn_degu.displays import PredictionIntervalDisplay


def bars(collection):
    """Return x, lower and upper end of vertical bars."""
    segments = np.array(collection.get_segments()).reshape(-1, 2, 2)
    return segments[:, 0, 0], segments[:, 0, 1], segments[:, 1, 1]


def texts(display):
    legend = display.ax_.get_legend()
    return [legend.get_title().get_text(), *(text.get_text() for text in legend.get_texts())]


def test_points_are_predictions_over_measurements():
    y_true, y_pred = np.array([0.0, 1.0, 2.0]), np.array([0.1, 1.5, 9.0])
    display = PredictionIntervalDisplay.from_predictions(y_true, y_pred, np.ones(3))
    covered, missed = (points.get_offsets() for points in display.points_)
    np.testing.assert_allclose(covered, [[0, 0.1], [1, 1.5]])
    np.testing.assert_allclose(missed, [[2, 9]])


def test_bars_are_gaussian_intervals():
    y_true, y_pred, y_std = np.zeros(2), np.array([0.0, 9.0]), np.array([1.0, 2.0])
    display = PredictionIntervalDisplay.from_predictions(
        y_true, y_pred, y_std, confidence_level=0.8
    )
    reach = norm.ppf(0.9)
    np.testing.assert_allclose(np.ravel(bars(display.bars_[0])), [0, -reach, reach])
    np.testing.assert_allclose(np.ravel(bars(display.bars_[1])), [0, 9 - 2 * reach, 9 + 2 * reach])


def test_bars_are_the_intervals_given_even_if_they_leave_the_prediction_out():
    display = PredictionIntervalDisplay.from_intervals(
        [0.0], [5.0], [-1.0], [1.0], confidence_level=0.9
    )
    np.testing.assert_allclose(np.ravel(bars(display.bars_[0])), [0, -1, 1])


def test_a_measurement_on_the_bound_is_covered():
    display = PredictionIntervalDisplay.from_intervals(
        [1.0, -1.0], [0.0, 0.0], [-1.0, -1.0], [1.0, 1.0], confidence_level=0.9
    )
    assert texts(display) == ["90% intervals", "100.0% covered", "0.0% missed"]
    assert len(display.points_[0].get_offsets()) == 2


def test_covered_and_missed_differ_in_colour(calibrated):
    display = PredictionIntervalDisplay.from_predictions(*calibrated)
    for artists in (display.points_, display.bars_):
        covered, missed = (artist.get_edgecolor()[0, :3] for artist in artists)
        assert not np.allclose(covered, missed)


def test_covered_and_missed_differ_in_form_for_a_print_in_grey(calibrated):
    display = PredictionIntervalDisplay.from_predictions(*calibrated)
    covered, missed = (points.get_paths()[0].vertices for points in display.points_)
    assert not np.array_equal(covered, missed)


def test_both_axes_have_the_same_limits_and_scale(calibrated):
    ax = PredictionIntervalDisplay.from_predictions(*calibrated).ax_
    assert ax.get_xlim() == ax.get_ylim()
    assert ax.get_aspect() == 1


def test_many_samples_are_subsampled_and_the_legend_says_so(calibrated):
    display = PredictionIntervalDisplay.from_predictions(*calibrated, subsample=100)
    assert sum(len(points.get_offsets()) for points in display.points_) == 100
    assert "100 of 600 drawn" in texts(display)[0]


def test_percentages_are_those_of_all_samples(calibrated):
    everything = PredictionIntervalDisplay.from_predictions(*calibrated, subsample=None)
    some = PredictionIntervalDisplay.from_predictions(*calibrated, subsample=10)
    assert sum(len(points.get_offsets()) for points in everything.points_) == 600
    assert "drawn" not in texts(everything)[0]
    assert texts(everything)[1:] == texts(some)[1:]


def test_every_call_draws_the_same_samples_each_once(calibrated):
    displays = [
        PredictionIntervalDisplay.from_predictions(*calibrated, subsample=100) for _ in range(2)
    ]
    first, second = (
        np.vstack([points.get_offsets() for points in display.points_]) for display in displays
    )
    np.testing.assert_array_equal(first, second)
    assert len(np.unique(first, axis=0)) == 100


def test_bars_of_many_samples_are_rasterised_and_of_few_are_not(calibrated):
    many, few = (
        PredictionIntervalDisplay.from_predictions(*calibrated, subsample=subsample)
        for subsample in (None, 50)
    )
    assert all(artist.get_rasterized() for artist in (*many.bars_, *many.points_))
    assert not any(artist.get_rasterized() for artist in (*few.bars_, *few.points_))


@pytest.mark.parametrize("subsample", [0, -1])
def test_a_subsample_is_positive(calibrated, subsample):
    with pytest.raises(ValueError, match=f"positive number or None, got {subsample}"):
        PredictionIntervalDisplay.from_predictions(*calibrated, subsample=subsample)


def test_infinite_bars_leave_the_picture_and_do_not_widen_it():
    y_true, y_pred = np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 2.0])
    lower, upper = np.array([-1.0, -np.inf, -np.inf]), np.array([1.0, np.inf, 3.0])
    display = PredictionIntervalDisplay.from_intervals(
        y_true, y_pred, lower, upper, confidence_level=0.9
    )
    low, high = display.ax_.get_ylim()
    assert -2 < low < -1
    assert 3 < high < 4
    _, ends, tops = bars(display.bars_[0])
    assert (ends[1:] < low).all()
    assert tops[1] > high
    assert tops[2] == 3


def test_keywords_reach_the_points(calibrated):
    display = PredictionIntervalDisplay.from_predictions(*calibrated, s=25, color="black")
    assert [points.get_sizes().tolist() for points in display.points_] == [[25], [25]]


def test_keywords_may_be_abbreviated(calibrated):
    display = PredictionIntervalDisplay.from_predictions(*calibrated, c="red", lw=2)
    for points in display.points_:
        np.testing.assert_array_equal(points.get_facecolor()[0], [1, 0, 0, 1])
        assert points.get_linewidth()[0] == 2


def test_one_panel_shows_one_level(calibrated):
    with pytest.raises(ValueError, match=r"there are 2: 0.5, 0.9. Choose one"):
        PredictionIntervalDisplay.from_predictions(*calibrated, confidence_level=[0.5, 0.9])
