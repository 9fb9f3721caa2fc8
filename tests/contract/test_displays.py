"""Displays read numbers as metrics do, and refuse in the same words what is none."""

import numpy as np
import pytest

from sklearn_degu.displays import (
    CoverageDisplay,
    GroupCoverageDisplay,
    PredictionIntervalDisplay,
    RejectionCurveDisplay,
    ReliabilityDisplay,
)
from tests.contract.hostile import HARMLESS, NO_NUMBERS
from tests.contract.pairs import assert_refused, pairs
from tests.contract.takers import OTHER, STD, N, Taker, Y

plt = pytest.importorskip("matplotlib.pyplot")
plt.switch_backend("Agg")

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

LABELS = np.array(["chr1", *["chr2"] * (N - 1)], dtype=object)

OF_DISPLAYS = {
    "PredictionIntervalDisplay": Taker(
        lambda a: PredictionIntervalDisplay.from_predictions(a, -Y, STD), Y, "y_true"
    ),
    "PredictionIntervalDisplay std": Taker(
        lambda a: PredictionIntervalDisplay.from_predictions(Y, -Y, a), STD, "y_std"
    ),
    "ReliabilityDisplay": Taker(
        lambda a: ReliabilityDisplay.from_predictions(a, -Y, STD, n_bins=3), Y, "y_true"
    ),
    "CoverageDisplay": Taker(
        lambda a: CoverageDisplay.from_predictions(Y, a, STD), OTHER[:, 0], "y_pred"
    ),
    "GroupCoverageDisplay": Taker(
        lambda a: GroupCoverageDisplay.from_predictions(a, -Y, STD, n_bins=3), Y, "y_true"
    ),
    "RejectionCurveDisplay": Taker(
        lambda a: RejectionCurveDisplay.from_predictions(a, -Y, STD), Y, "y_true"
    ),
}

ARGUMENTS = {
    "GroupCoverageDisplay NaN": (
        lambda: GroupCoverageDisplay.from_predictions(
            Y, Y, STD, groups=np.r_[[np.nan], LABELS[1:]]
        ),
        "missing labels",
    ),
    "display of other rows": (
        lambda: PredictionIntervalDisplay.from_predictions(Y, Y[1:], STD),
        r"y_std has shape \(40,\), but y_pred has \(39,\)",
    ),
    "level as text": (
        lambda: PredictionIntervalDisplay.from_predictions(Y, Y, STD, confidence_level="90%"),
        "confidence_level",
    ),
    "measurements that are all missing": (
        lambda: ReliabilityDisplay.from_predictions(Y * np.nan, Y, STD),
        "holds no measurement",
    ),
    "several targets": (
        lambda: RejectionCurveDisplay.from_predictions(*3 * [np.c_[STD, STD]]),
        "target must be one of 0 to 1",
    ),
}


@pytest.fixture(autouse=True)
def no_figures():
    yield
    plt.close("all")


@pytest.mark.parametrize(("taker", "hostile"), pairs(NO_NUMBERS, OF_DISPLAYS))
def test_what_is_no_array_of_numbers_is_refused(taker, hostile):
    assert_refused(taker, hostile)


@pytest.mark.parametrize(("taker", "container"), pairs(HARMLESS, OF_DISPLAYS))
def test_the_container_is_read(taker, container):
    taker.call(container(taker.good))


@pytest.mark.parametrize(("call", "message"), ARGUMENTS.values(), ids=ARGUMENTS.keys())
def test_arguments_that_do_not_fit_are_refused(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()
