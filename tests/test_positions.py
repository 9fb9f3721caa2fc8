"""Profiles as columns side by side: what their positions share, and their sums."""

import numpy as np
import pytest

from sklearn_degu._positions import (
    at_positions,
    bin_sums,
    count_bins,
    pooled,
    pooled_weight,
    rows_with_any,
)

PROFILES = np.arange(24.0).reshape(2, 3, 4)


def test_pooled_rows_are_the_positions_of_every_row():
    rows = pooled(PROFILES.reshape(2, 12), 4)
    assert rows.shape == (8, 3)
    np.testing.assert_array_equal(rows[:4], PROFILES[0].T)
    np.testing.assert_array_equal(rows[4:], PROFILES[1].T)


def test_plain_columns_stay_as_they_are():
    columns = PROFILES.reshape(2, 12)
    np.testing.assert_array_equal(pooled(columns, 1), columns)


def test_weights_go_with_their_rows():
    np.testing.assert_array_equal(pooled_weight(np.array([1.0, 2.0]), 3), [1, 1, 1, 2, 2, 2])
    assert pooled_weight(None, 3) is None


def test_what_a_target_has_all_its_positions_have():
    np.testing.assert_array_equal(at_positions(np.array([1, 2]), 3), [1, 1, 1, 2, 2, 2])


def test_rows_are_counted_once_for_a_target():
    present = np.array([[True, True, False, False], [False, True, False, False]])
    np.testing.assert_array_equal(rows_with_any(present, 2), [2, 0])


def test_sums_are_of_neighbouring_positions():
    np.testing.assert_array_equal(bin_sums(PROFILES, 2)[0, 0], [1, 5])
    np.testing.assert_array_equal(bin_sums(PROFILES, None)[..., 0], PROFILES.sum(axis=2))


@pytest.mark.parametrize("bin_size", [0, -2, 2.0, True, "2"])
def test_bins_have_a_whole_number_of_positions(bin_size):
    with pytest.raises(ValueError, match="bin_size must be a positive integer or None, got"):
        count_bins(4, bin_size)


def test_bins_that_do_not_fill_a_profile_are_refused_with_those_that_would():
    message = r"1000 positions .* bin_size=300. Divisors near it are 125, 200, 250; .*\[..., :900\]"
    with pytest.raises(ValueError, match=message):
        count_bins(1000, 300)
