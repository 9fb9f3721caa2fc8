"""Arrays of numbers out of anything: read exactly, or refused as TypeError or ValueError."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_degu._numbers import LARGEST, as_floats, check_groups, is_real, is_whole

numbers = st.floats(-LARGEST, LARGEST) | st.integers(-(2**70), 2**70) | st.booleans()
cells = (
    numbers
    | st.none()
    | st.text(max_size=4)
    | st.binary(max_size=4)
    | st.dates()
    | st.complex_numbers()
    | st.fractions()
    | st.decimals()
    | st.sets(st.integers(), max_size=2)
)
anything = st.recursive(
    cells,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=2), inner, max_size=2)
        | st.iterables(inner, max_size=3)
    ),
    max_leaves=8,
)


def outcome(function, *arguments):
    """Return what a function returns, and what it raises."""
    try:
        return function(*arguments), None
    except Exception as error:
        return None, error


@settings(max_examples=60)
@given(anything)
def test_anything_else_is_a_type_error_or_a_value_error(values):
    read, error = outcome(as_floats, values, "y")
    assert type(error) in (type(None), TypeError, ValueError)
    assert "y" in str(error) or np.isfinite(read).all()


@given(st.lists(numbers, min_size=1, max_size=8))
def test_a_list_of_numbers_is_read_as_it_is(values):
    floats = [float(value) for value in values]
    assert as_floats(values, "y").tolist() == floats
    assert as_floats([str(value) for value in floats], "y").tolist() == floats


@given(st.lists(st.sampled_from([1.5, None, math.nan]), min_size=1, max_size=8))
def test_what_is_missing_is_nan_where_it_may_be(values):
    read = as_floats(values, "y", finite="allow-nan")
    assert [math.isnan(value) for value in read] == [value != 1.5 for value in values]


@given(st.lists(st.text() | st.integers() | st.none() | st.floats(), min_size=1, max_size=6))
def test_labels_of_groups_are_kept_or_refused(labels):
    array = np.empty(len(labels), dtype=object)
    array[:] = labels
    read, error = outcome(check_groups, array, len(labels))
    if error is None:
        assert read.tolist() == labels
    else:
        assert "missing labels" in str(error) or "no order among them" in str(error)


@pytest.mark.parametrize("value", [LARGEST * 1.01, -LARGEST * 1.01])
def test_the_largest_number_is_named(value):
    with pytest.raises(ValueError, match=r"y holds -?1.01e\+140 at index 1, but numbers up to 1e"):
        as_floats([LARGEST, value], "y")


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3)])
def test_whole_numbers_are_real_too(value):
    assert is_whole(value)
    assert is_real(value)


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), np.nan, Fraction(1, 2)])
def test_real_numbers_need_not_be_whole(value):
    assert is_real(value)
    assert not is_whole(value)


@pytest.mark.parametrize("value", [True, np.True_, "3", None, 3j, np.ones(1), [3]])
def test_nothing_else_is_a_number(value):
    assert not is_real(value)
    assert not is_whole(value)


def test_an_error_names_the_cell():
    table = np.ones((3, 2), dtype=object)
    table[2, 1] = "< 0.1"
    with pytest.raises(ValueError, match=r"X holds '< 0.1' at index \(2, 1\), but a number was"):
        as_floats(table, "X")
