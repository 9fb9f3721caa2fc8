"""Replicates are compared with the y that they belong to."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklearn_degu._replicates import check_replicates
from tests.noisy import replicates_of
from tests.toys import tiny_ensemble, tiny_net

APART = "y is no average of its replicates in target 0: .* same units, .* same order"
N_ROWS = 200


def measured(noise=0.3, n_replicates=3, n_targets=1, seed=0):
    """Return replicates of shape (n, n_targets, n_replicates) of true values of deviation 1."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(N_ROWS, n_targets, 1))
    return truth + noise * rng.normal(size=(N_ROWS, n_targets, n_replicates))


def quietly(replicates, y):
    """Fail the test if a warning is given."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_replicates(replicates, y, "y")


class TestY:
    @pytest.mark.parametrize("noise", [0.01, 0.3, 1.0])
    @pytest.mark.parametrize("n_replicates", [2, 3, 10])
    @pytest.mark.parametrize(
        "wrong",
        [
            lambda y: np.roll(y, 1, axis=0),
            lambda y: y[::-1],
            lambda y: y + 30,
            lambda y: 100 * y,
        ],
        ids=["other rows", "reversed", "shifted", "other units"],
    )
    def test_that_is_no_average_is_warned_of(self, noise, n_replicates, wrong):
        replicates = measured(noise, n_replicates)
        with pytest.warns(UserWarning, match=APART):
            check_replicates(replicates, wrong(replicates.mean(axis=-1)), "y")

    @pytest.mark.parametrize("factor", [np.log(2), 1 / np.log(2), np.log10(2)])
    def test_of_another_logarithm_is_warned_of(self, factor):
        replicates = measured(0.1)
        with pytest.warns(UserWarning, match=APART):
            check_replicates(replicates, factor * replicates.mean(axis=-1), "y")

    @given(
        st.lists(st.floats(0.01, 1), min_size=2, max_size=6),
        st.sampled_from([0.01, 1.0, 100.0]),
        st.floats(-1e3, 1e3),
        st.integers(0, 1000),
    )
    def test_may_be_any_weighted_mean(self, weights, noise, level, seed):
        """Whatever single replicates are like, such as one that failed."""
        replicates = level + measured(noise, len(weights), seed=seed)
        replicates[..., 0] *= 30
        quietly(replicates, np.average(replicates, axis=-1, weights=weights))

    @pytest.mark.parametrize("of", [np.median, np.max, lambda R, axis: R[..., 0]])
    def test_may_be_one_of_them(self, of):
        replicates = measured()
        quietly(replicates, of(replicates, axis=-1))

    def test_may_count_missing_replicates_out(self):
        replicates = measured()
        replicates[::3, :, 1:] = np.nan
        replicates[1::3, :, 0] = np.nan
        y = np.nanmean(replicates, axis=-1)
        # A row with one replicate, or with none, does not tell.
        y[::3] += 100
        replicates[::6] = np.nan
        quietly(replicates, y)
        y[1::3] += 100
        with pytest.warns(UserWarning, match=APART):
            check_replicates(replicates, y, "y")

    @pytest.mark.parametrize("noise", [0.01, 0.3, 2.0])
    def test_may_be_pseudo_counted_or_shrunken(self, noise):
        replicates = measured(noise)
        mean = replicates.mean(axis=-1)
        quietly(replicates, 0.9 * mean + 0.05)
        quietly(np.log2(np.exp2(replicates)), np.log2(np.exp2(replicates).mean(axis=-1) + 0.1))
        quietly(replicates, mean / (1 + noise**2 / 3))

    @pytest.mark.parametrize("noise", [0.3, 3.0])
    def test_may_be_the_mean_of_further_replicates(self, noise):
        replicates = measured(noise, 6)
        quietly(replicates[..., :2], replicates.mean(axis=-1))

    @pytest.mark.parametrize("y", [np.zeros((1, 1)), np.full((2, 1), np.nan)])
    def test_may_be_too_little_to_tell(self, y):
        quietly(np.tile([[[-1.0, 1.0]]], (len(y), 1, 1)), y)
        quietly(np.full((len(y), 1, 2), np.nan), y)

    def test_is_judged_target_by_target(self):
        replicates = measured(n_targets=3, n_replicates=4)
        y = replicates.mean(axis=-1)
        y[:, 1] *= 1000
        y[:, 2] = y[::-1, 2]
        y[:50] = np.nan
        with pytest.warns(UserWarning, match="in target 1, 2: "):
            check_replicates(replicates, y, "y")


class TestAxes:
    def test_that_changed_places_are_warned_of(self):
        replicates = measured(n_targets=3)
        y = replicates.mean(axis=-1)
        replicates[0, 0, 0] = y[1, 0] = np.nan
        with pytest.warns(UserWarning, match=r"change places: .* \(n_samples, n_targets, n_rep"):
            check_replicates(replicates.swapaxes(1, 2), y, "y")

    @pytest.mark.parametrize("of", [np.mean, np.max, lambda R, axis: R[..., 0]])
    def test_that_are_right_are_not(self, of):
        """Even if all targets are measurements of the same."""
        replicates = measured(n_targets=3)
        quietly(replicates, of(replicates, axis=-1))
        quietly(replicates - replicates[:, :1], of(replicates - replicates[:, :1], axis=-1))
        same = measured(n_replicates=9).reshape(N_ROWS, 3, 3)
        quietly(same, of(same, axis=-1))


def test_the_warning_is_shown_at_the_call_of_fit_and_names_the_validation_rows(table):
    X, y = table
    replicates, ensemble = replicates_of(y, 0.1), tiny_ensemble(tiny_net(max_epochs=1), 1)
    ensemble.set_params(aleatoric="replicates")
    with pytest.warns(UserWarning, match=APART) as caught:
        ensemble.fit(X, y[::-1], replicates=replicates)
    assert [warning.filename for warning in caught] == [__file__]
    given = {"X_val": X, "y_val": y[::-1], "replicates_val": replicates}
    with pytest.warns(UserWarning, match="y_val is no average of its replicates"):
        ensemble.fit(X, y, replicates=replicates, **given)
