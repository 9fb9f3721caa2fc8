"""Whatever takes numbers reads the same from every container, or says in our words why not.

Every test is a pair of a public function and an input; none may end in the traceback of another
library, and none may change what it was given in silence.
"""

import numpy as np
import pytest

from tests.contract.hostile import HARMLESS, MISSING, NO_NUMBERS, NOT_FINITE
from tests.contract.pairs import assert_refused, pairs
from tests.contract.takers import (
    OF_OTHERS,
    OF_PREDICTIONS,
    OF_TABLES,
    OF_X,
    OF_Y,
)

# A second training of every container would add seconds and no more.
TRAINS_TWICE = {"X_unlabeled", "DistilledRegressor.fit"}

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning"),
]


@pytest.fixture(scope="module")
def expected():
    """Return what plain arrays give, by the call."""
    return {}


@pytest.mark.parametrize(
    ("taker", "hostile"),
    pairs(NO_NUMBERS, OF_X, OF_TABLES, OF_Y, OF_PREDICTIONS, OF_OTHERS),
)
def test_what_is_no_array_of_numbers_is_refused(taker, hostile):
    assert_refused(taker, hostile)


@pytest.mark.parametrize(("taker", "hostile"), pairs(NOT_FINITE, OF_Y, OF_PREDICTIONS))
def test_numbers_that_are_not_finite_are_refused(taker, hostile):
    assert_refused(taker, hostile)


@pytest.mark.parametrize(("taker", "missing"), pairs(MISSING, OF_X, OF_PREDICTIONS))
def test_missing_values_are_refused_where_nothing_may_be_missing(taker, missing):
    with pytest.raises(ValueError, match=f"Input {taker.name} contains NaN"):
        taker.call(missing(taker.good))


def trains_once(table):
    return {name: taker for name, taker in table.items() if name not in TRAINS_TWICE}


@pytest.mark.parametrize(
    ("taker", "container"),
    pairs(HARMLESS, trains_once(OF_X), trains_once(OF_Y), OF_PREDICTIONS),
)
def test_the_container_does_not_change_the_result(taker, container, expected):
    if taker.call not in expected:
        expected[taker.call] = taker.call(taker.good.copy())
    np.testing.assert_array_equal(taker.call(container(taker.good)), expected[taker.call])


@pytest.mark.parametrize(("taker", "container"), pairs(HARMLESS, OF_OTHERS))
def test_the_container_is_read(taker, container):
    taker.call(container(taker.good))
