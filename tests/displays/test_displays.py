"""What all displays have in common."""

import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import BayesianRidge, LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_degu.conformal import ConformalRegressor
from sklearn_degu.displays import (
    CoverageDisplay,
    GroupCoverageDisplay,
    RejectionCurveDisplay,
    ReliabilityDisplay,
)
from sklearn_degu.displays._drawing import PALETTE
from tests.displays.predictors import (
    DISPLAYS,
    INTERVAL_DISPLAYS,
    PredictsIntervals,
    PredictsStd,
    PredictsStdOfNoKind,
)
from tests.toys import tiny_ensemble

WITH_UNITS = [display for display in DISPLAYS if display.__name__ != "CoverageDisplay"]


def numbers(display):
    """Return the numbers behind a picture, in one vector."""
    stored = {name: value for name, value in vars(display).items() if not name.endswith("_")}
    return np.hstack([value for value in stored.values() if np.asarray(value).dtype.kind in "fi"])


def same(one, other):
    return np.array_equal(numbers(one), numbers(other), equal_nan=True)


@pytest.fixture
def two_targets(calibrated):
    """Return y_true, y_pred and y_std of two targets that differ in their units."""
    return tuple(np.c_[values, 10 * values] for values in calibrated)


@pytest.mark.parametrize("display", DISPLAYS)
class TestEveryDisplay:
    def test_draws_on_the_axes_that_it_is_given(self, display, calibrated):
        ax = Figure().subplots()
        drawn = display.from_predictions(*calibrated, ax=ax)
        assert drawn.ax_ is ax
        assert drawn.figure_ is ax.figure
        assert ax.collections or ax.lines

    def test_makes_a_figure_of_its_own(self, display, calibrated):
        first, second = (display.from_predictions(*calibrated) for _ in range(2))
        assert first.figure_ is not second.figure_

    def test_has_no_box_around_it(self, display, calibrated):
        spines = display.from_predictions(*calibrated).ax_.spines
        assert [side for side in spines if spines[side].get_visible()] == ["left", "bottom"]

    def test_can_be_drawn_again_elsewhere(self, display, calibrated):
        drawn = display.from_predictions(*calibrated)
        ax = Figure().subplots()
        assert drawn.plot(ax) is drawn
        assert drawn.ax_ is ax

    def test_labels_its_axes_and_renders_without_a_warning(self, display, calibrated, recwarn):
        drawn = display.from_predictions(*calibrated)
        drawn.figure_.canvas.draw()
        assert drawn.ax_.get_xlabel()
        assert drawn.ax_.get_ylabel()
        assert not recwarn.list

    def test_estimator_gives_the_picture_of_its_predictions(self, display, calibrated):
        y_true, y_pred, y_std = calibrated
        X = np.c_[y_pred, 0.1 * y_std, y_std]
        expected = display.from_predictions(y_true, y_pred, y_std)
        assert same(display.from_estimator(PredictsStd(), X, y_true), expected)

    def test_kind_chooses_the_deviation(self, display, calibrated):
        y_true, y_pred, y_std = calibrated
        X = np.c_[y_pred, 0.1 * y_std, y_std]
        drawn = display.from_estimator(PredictsStd(), X, y_true, kind="epistemic")
        assert same(drawn, display.from_predictions(y_true, y_pred, 0.1 * y_std))

    def test_asks_estimators_that_know_no_kinds(self, display, table):
        X, y = table
        process = make_pipeline(StandardScaler(), GaussianProcessRegressor(alpha=0.1)).fit(X, y)
        y_pred, y_std = process.predict(X, return_std=True)
        drawn = display.from_estimator(process, X, y)
        assert same(drawn, display.from_predictions(y, y_pred, y_std))

    def test_draws_an_ensemble(self, display, table):
        X, y = table
        ensemble = tiny_ensemble().fit(X, y)
        drawn = display.from_estimator(ensemble, X, y, kind="epistemic")
        assert same(drawn, display.from_predictions(y, *ensemble.predict(X, return_std=True)))

    def test_an_estimator_without_deviations_is_named(self, display, table):
        X, y = table
        with pytest.raises(TypeError, match=r"LinearRegression.predict\(X, return_std=True\)"):
            display.from_estimator(LinearRegression().fit(X, y), X, y)

    def test_an_estimator_without_kinds_is_named(self, display, table):
        X, y = table
        with pytest.raises(TypeError, match=r"return_std=True, kind='total'\) failed"):
            display.from_estimator(PredictsStdOfNoKind(), X, y, kind="total")

    def test_leaves_missing_measurements_out(self, display, calibrated):
        y_true, y_pred, y_std = calibrated
        missing = np.arange(len(y_true)) % 3 == 0
        drawn = display.from_predictions(np.where(missing, np.nan, y_true), y_pred, y_std)
        expected = display.from_predictions(*(values[~missing] for values in calibrated))
        assert same(drawn, expected)

    @pytest.mark.parametrize("target", [0, 1])
    def test_shows_the_target_that_is_asked_for(self, display, two_targets, target):
        drawn = display.from_predictions(*two_targets, target=target)
        expected = display.from_predictions(*(values[:, target] for values in two_targets))
        assert same(drawn, expected)

    def test_a_target_measured_elsewhere_is_drawn_where_it_was_measured(self, display, two_targets):
        y_true, y_pred, y_std = two_targets
        y_true = y_true.copy()
        y_true[:200, 0] = y_true[500:, 1] = np.nan
        drawn = display.from_predictions(y_true, y_pred, y_std, target=1)
        expected = display.from_predictions(*(values[:500, 1] for values in two_targets))
        assert same(drawn, expected)

    @pytest.mark.parametrize("target", [None, 2, -1])
    def test_refuses_to_guess_among_targets(self, display, two_targets, target):
        with pytest.raises(ValueError, match=f"one of 0 to 1; got target={target}"):
            display.from_predictions(*two_targets, target=target)

    def test_a_column_is_one_target(self, display, calibrated):
        y_true, y_pred, y_std = calibrated
        drawn = display.from_predictions(y_true[:, np.newaxis], y_pred, y_std)
        assert same(drawn, display.from_predictions(*calibrated))

    @pytest.mark.parametrize(
        ("y_true", "message"),
        [
            (np.full(600, np.nan), "holds no measurement of target 0"),
            (np.empty(0), "holds no measurement of target 0"),
            (np.full(600, np.inf), "holds infinite values"),
            (np.zeros((600, 1, 1)), r"must have shape .*, got \(600, 1, 1\)"),
            (np.zeros(599), "but y_true has 599 rows and 1 targets"),
            (np.zeros((600, 2)), "but y_true has 600 rows and 2 targets"),
        ],
    )
    def test_unusable_measurements(self, display, calibrated, y_true, message):
        target = 0 if y_true.ndim == 2 else None
        with pytest.raises(ValueError, match=message):
            display.from_predictions(y_true, *calibrated[1:], target=target)

    def test_unusable_predictions(self, display, calibrated):
        y_true, y_pred, y_std = calibrated
        with pytest.raises(ValueError, match=r"y_std has shape \(599,\)"):
            display.from_predictions(y_true, y_pred, y_std[1:])
        with pytest.raises(ValueError, match="is NaN in 1 measured rows"):
            display.from_predictions(y_true, np.r_[np.nan, y_pred[1:]], y_std)
        with pytest.raises(ValueError, match=r"negative|positive"):
            display.from_predictions(y_true, y_pred, -y_std)

    def test_names_the_extra_that_brings_matplotlib(self, display, calibrated, monkeypatch):
        drawn = display.from_predictions(*calibrated)
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        message = rf"{display.__name__} .*pip install 'sklearn-degu\[plots\]'"
        with pytest.raises(ImportError, match=message):
            drawn.plot()
        with pytest.raises(ImportError, match=message):
            display.from_predictions(*calibrated)
        # An estimator is not asked in vain.
        with pytest.raises(ImportError, match=message):
            display.from_estimator(object(), None, None)


@pytest.mark.parametrize("display", WITH_UNITS)
def test_units_are_on_the_axes(display, calibrated):
    ax = display.from_predictions(*calibrated, units="kcal").ax_
    assert "(kcal" in ax.get_xlabel() + ax.get_ylabel()


@pytest.mark.parametrize("display", [CoverageDisplay, ReliabilityDisplay, RejectionCurveDisplay])
class TestCurvesOnTheSameAxes:
    def test_differ_in_colour_and_in_marker(self, display, calibrated):
        ax = Figure().subplots()
        lines = [display.from_predictions(*calibrated, ax=ax).line_ for _ in range(6)]
        assert len({line.get_color() for line in lines}) == 6
        assert len({line.get_marker() for line in lines}) == 6

    def test_more_than_there_are_colours_are_drawn(self, display, calibrated):
        ax = Figure().subplots()
        lines = [display.from_predictions(*calibrated, ax=ax).line_ for _ in range(7)]
        assert lines[6].get_color() == lines[0].get_color()

    @pytest.mark.parametrize("color", [[1, 0, 0], "none", ("red", 0.5)])
    def test_may_have_colours_of_the_user_in_any_form(self, display, calibrated, color):
        ax = Figure().subplots()
        display.from_predictions(*calibrated, ax=ax, color=color)
        assert display.from_predictions(*calibrated, ax=ax).line_.get_color() == PALETTE[0]


@pytest.mark.parametrize("display", INTERVAL_DISPLAYS)
class TestIntervalsOfEstimators:
    @pytest.fixture(name="X")
    def samples(self, calibrated):
        return np.c_[calibrated[1], 0.1 * calibrated[2], calibrated[2]]

    def test_are_preferred_to_deviations(self, display, X, calibrated):
        drawn = display.from_estimator(PredictsIntervals(0.5), X, calibrated[0])
        assert drawn.confidence_level == 0.5

    @pytest.mark.parametrize("options", [{"response_method": "predict"}, {"kind": "aleatoric"}])
    def test_give_way_to_deviations_on_request(self, display, X, calibrated, options):
        drawn = display.from_estimator(PredictsIntervals(0.5), X, calibrated[0], **options)
        assert same(drawn, display.from_predictions(*calibrated))

    def test_are_demanded_by_response_method(self, display, X, calibrated):
        drawn = display.from_estimator(
            PredictsIntervals(0.5), X, calibrated[0], response_method="predict_interval"
        )
        assert drawn.confidence_level == 0.5

    def test_one_of_several_levels(self, display, X, calibrated):
        several = PredictsIntervals([0.5, 0.7, 0.9])
        drawn = display.from_estimator(several, X, calibrated[0], confidence_level=0.7)
        assert same(drawn, display.from_estimator(PredictsIntervals(0.7), X, calibrated[0]))

    def test_have_no_level_but_their_own(self, display, X, calibrated):
        with pytest.raises(ValueError, match=r"no intervals of confidence_level=0.6; it has 0.5"):
            display.from_estimator(PredictsIntervals(), X, calibrated[0], confidence_level=0.6)

    def test_have_no_kind(self, display, X, calibrated):
        with pytest.raises(ValueError, match=r"kind='total' .*use response_method='predict'"):
            display.from_estimator(
                PredictsIntervals(),
                X,
                calibrated[0],
                kind="total",
                response_method="predict_interval",
            )

    def test_unknown_response_method(self, display, X, calibrated):
        with pytest.raises(ValueError, match=r"response_method must be .*; got 'bars'"):
            display.from_estimator(PredictsIntervals(), X, calibrated[0], response_method="bars")

    @pytest.mark.parametrize("level", [0.0, 1.0, [], [[0.5]], np.nan])
    def test_levels_are_between_zero_and_one(self, display, calibrated, level):
        with pytest.raises(ValueError, match="strictly between 0 and 1"):
            display.from_predictions(*calibrated, confidence_level=level)

    def test_conformal_intervals(self, display, table):
        X, y = table
        model = ConformalRegressor(BayesianRidge(), calibration=0.5, random_state=0).fit(X, y)
        drawn = display.from_estimator(model, X, y)
        mean, lower, upper = model.predict_interval(X)
        args = (y, mean, lower, upper) if "Prediction" in display.__name__ else (y, lower, upper)
        bins = {"y_std": model.predict(X, return_std=True)[1]}
        options = bins if display is GroupCoverageDisplay else {}
        assert same(drawn, display.from_intervals(*args, confidence_level=0.9, **options))


@pytest.mark.parametrize("display", [ReliabilityDisplay, RejectionCurveDisplay])
class TestLegendOfACurve:
    def test_names_the_estimator(self, display, calibrated):
        y_true, y_pred, y_std = calibrated
        X = np.c_[y_pred, y_std, y_std]
        drawn = display.from_estimator(PredictsStd(), X, y_true)
        assert drawn.line_.get_label().startswith("PredictsStd: ")
        drawn = display.from_estimator(PredictsStd(), X, y_true, name="mine")
        assert drawn.line_.get_label().startswith("mine: ")

    def test_name_can_be_changed_when_drawn(self, display, calibrated):
        drawn = display.from_predictions(*calibrated, name="before").plot(name="after")
        assert drawn.line_.get_label().startswith("after: ")
