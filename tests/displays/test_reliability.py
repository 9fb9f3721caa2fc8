import numpy as np
import pytest
from matplotlib.figure import Figure

from sklearn_degu.displays import ReliabilityDisplay
from sklearn_degu.metrics import expected_normalized_calibration_error


def test_points_are_root_mean_variance_and_error_of_the_bins():
    y_true, y_std = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 7.0, 2.0, 4.0])
    display = ReliabilityDisplay.from_predictions(y_true, np.zeros(4), y_std, n_bins=2)
    rmv, rmse = display.line_.get_data()
    np.testing.assert_allclose(rmv, np.sqrt([(1 + 4) / 2, (16 + 49) / 2]))
    np.testing.assert_allclose(rmse, np.sqrt([(1 + 9) / 2, (16 + 4) / 2]))


@pytest.mark.parametrize("n_bins", [3, 10])
def test_legend_has_the_calibration_error_of_the_points(calibrated, n_bins):
    display = ReliabilityDisplay.from_predictions(*calibrated, n_bins=n_bins)
    rmv, rmse = display.line_.get_data()
    assert len(rmv) == n_bins
    assert display.ence == pytest.approx(np.mean(np.abs(rmv - rmse) / rmv))
    assert display.ence == expected_normalized_calibration_error(*calibrated, n_bins=n_bins)
    assert display.line_.get_label() == f"ENCE = {display.ence:.2f}"


def test_diagonal_is_drawn_once_and_spans_square_axes(calibrated):
    y_true, y_pred, y_std = calibrated
    ax = Figure().subplots()
    one = ReliabilityDisplay.from_predictions(y_true, y_pred, y_std, ax=ax)
    other = ReliabilityDisplay.from_predictions(y_true, y_pred, 5 * y_std, ax=ax)
    assert one.diagonal_ is other.diagonal_
    assert one.diagonal_.get_slope() == 1
    assert one.diagonal_.get_xy1() == (0, 0)
    assert ax.get_xlim() == ax.get_ylim()
    assert ax.get_aspect() == 1
    assert ax.get_xlim()[1] > other.rmv.max()


def test_the_diagonal_does_not_widen_the_picture(calibrated):
    y_true, y_pred, y_std = calibrated
    ax = ReliabilityDisplay.from_predictions(100 * y_true, 100 * y_pred, 100 * y_std).ax_
    assert ax.get_xlim()[0] > 10


def test_displays_on_the_same_axes_differ_in_colour_and_are_all_in_the_legend(calibrated):
    ax = Figure().subplots()
    names = list("abcdefgh")
    displays = [ReliabilityDisplay.from_predictions(*calibrated, name=n, ax=ax) for n in names]
    colors = [display.line_.get_color() for display in displays]
    assert len(set(colors[:6])) == 6
    entries = [text.get_text()[0] for text in ax.get_legend().get_texts()]
    assert entries == names


def test_keywords_reach_the_line_however_they_are_spelt(calibrated):
    display = ReliabilityDisplay.from_predictions(*calibrated, c="red", lw=3, label="mine")
    assert display.line_.get_color() == "red"
    assert display.line_.get_linewidth() == 3
    assert display.line_.get_label() == "mine"


def test_a_deviation_of_zero_has_no_relative_error(calibrated):
    y_true, y_pred, y_std = calibrated
    with pytest.raises(ValueError, match="must be positive"):
        ReliabilityDisplay.from_predictions(y_true, y_pred, 0 * y_std)


def test_more_bins_than_measurements(calibrated):
    with pytest.raises(ValueError, match="at least 700"):
        ReliabilityDisplay.from_predictions(*calibrated, n_bins=700)


def test_a_line_without_a_label_has_no_legend(calibrated):
    display = ReliabilityDisplay.from_predictions(*calibrated, label="_nolegend_")
    assert display.ax_.get_legend() is None
