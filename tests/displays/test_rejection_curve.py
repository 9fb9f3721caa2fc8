import numpy as np
import pytest
from matplotlib.figure import Figure

from sklearn_degu.displays import RejectionCurveDisplay
from sklearn_degu.metrics import error_rejection_area, error_rejection_curve


def test_curves_of_a_small_example():
    y_true, y_std = np.array([1.0, 0.0, 3.0, 2.0]), np.array([4.0, 1.0, 3.0, 2.0])
    display = RejectionCurveDisplay.from_predictions(y_true, np.zeros(4), y_std)
    np.testing.assert_allclose(display.line_.get_xdata(), [0, 0.25, 0.5, 0.75])
    np.testing.assert_allclose(display.line_.get_ydata(), [3.5, 13 / 3, 2, 0])
    np.testing.assert_allclose(display.oracle_.get_ydata(), [3.5, 5 / 3, 0.5, 0])
    np.testing.assert_allclose(display.random_.get_ydata(), [3.5, 3.5])


@pytest.mark.parametrize("error", ["mse", "mae"])
def test_numbers_are_those_of_the_metrics(calibrated, error):
    display = RejectionCurveDisplay.from_predictions(*calibrated, error=error)
    fraction, remaining = error_rejection_curve(*calibrated, error=error)
    np.testing.assert_array_equal(display.fraction_rejected, fraction)
    np.testing.assert_array_equal(display.remaining_error, remaining)
    assert display.area == error_rejection_area(*calibrated, error=error)
    assert display.line_.get_label() == f"area = {display.area:.2f}"


def test_oracle_is_below_every_other_order(calibrated):
    display = RejectionCurveDisplay.from_predictions(*calibrated)
    assert (display.oracle_error <= display.remaining_error + 1e-12).all()


def test_area_is_the_part_of_the_oracles_gain_that_is_between_the_drawn_lines(calibrated):
    display = RejectionCurveDisplay.from_predictions(*calibrated)
    chance = display.random_.get_ydata()[0]
    gain, best = (
        (chance - error).mean() for error in (display.remaining_error, display.oracle_error)
    )
    assert display.area == pytest.approx(gain / best)


def test_the_noisy_end_of_the_curve_is_not_drawn(calibrated):
    display = RejectionCurveDisplay.from_predictions(*calibrated)
    assert display.line_.get_xdata().max() == pytest.approx(0.99)
    assert display.fraction_rejected.max() > 0.99


def test_a_single_measurement_is_a_point():
    with pytest.warns(UserWarning, match="all equal"):
        display = RejectionCurveDisplay.from_predictions([1.0], [0.0], [1.0])
    np.testing.assert_array_equal(display.line_.get_data(), [[0], [1]])


@pytest.mark.parametrize(
    ("error", "label"), [("mse", "MSE of the rest (kcal)²"), ("mae", "MAE of the rest (kcal)")]
)
def test_error_is_named_with_its_units(calibrated, error, label):
    display = RejectionCurveDisplay.from_predictions(*calibrated, error=error, units="kcal")
    assert display.ax_.get_ylabel() == label


def test_unknown_error(calibrated):
    with pytest.raises(ValueError, match="'mse' or 'mae', got 'r2'"):
        RejectionCurveDisplay.from_predictions(*calibrated, error="r2")


def test_displays_on_the_same_axes_have_references_of_their_own_and_a_common_legend(calibrated):
    y_true, y_pred, y_std = calibrated
    ax = Figure().subplots()
    one = RejectionCurveDisplay.from_predictions(y_true, y_pred, y_std, name="a", ax=ax)
    other = RejectionCurveDisplay.from_predictions(y_true, 3 * y_pred, y_std, name="b", ax=ax)
    assert one.line_.get_color() != other.line_.get_color()
    for display in (one, other):
        colors = {line.get_color() for line in (display.line_, display.oracle_, display.random_)}
        assert len(colors) == 1
    entries = [text.get_text().partition(":")[0] for text in ax.get_legend().get_texts()]
    assert entries == ["a", "b", "random", "oracle"]
    ax.figure.canvas.draw()
    box = ax.get_legend().get_window_extent()
    below = ax.transData.inverted().transform((0, box.y0))[1]
    assert below > other.remaining_error[other.fraction_rejected > 0.3].max()


def test_the_legend_of_many_curves_hides_none(calibrated):
    ax = Figure(figsize=(4.2, 3.8)).subplots()
    for name in "abcdef":
        display = RejectionCurveDisplay.from_predictions(*calibrated, name=name, ax=ax)
    ax.figure.canvas.draw()
    box = ax.get_legend().get_window_extent()
    assert ax.transData.inverted().transform((0, box.y0))[1] > display.remaining_error[0]


def test_keywords_reach_the_curve_and_its_references(calibrated):
    display = RejectionCurveDisplay.from_predictions(*calibrated, c="red", lw=4)
    assert display.line_.get_linewidth() == 4
    assert display.oracle_.get_color() == "red"
