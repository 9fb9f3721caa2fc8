"""A fit that fails leaves the estimator as it was, and deviations that overflow are refused."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator

from sklearn_degu import ConformalRegressor, DistilledRegressor
from sklearn_degu.baselines import MCDropoutRegressor
from sklearn_degu.recalibration import RecalibratedRegressor
from tests.toys import tiny_ensemble, tiny_net

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

REMEMBER = "_base.NeuralRegressor._remember"

# Estimators, and what they do last in a fit.
MODELS = pytest.mark.parametrize(
    ("make", "last"),
    [
        (tiny_ensemble, REMEMBER),
        (lambda: DistilledRegressor(tiny_ensemble(), tiny_net(), random_state=0), REMEMBER),
        (lambda: MCDropoutRegressor(tiny_net(module__dropout=0.2), random_state=0), REMEMBER),
        (
            lambda: ConformalRegressor(tiny_ensemble(), confidence_level=0.5, random_state=0),
            "conformal.regressor.ConformalRegressor._calibrated",
        ),
        (
            lambda: RecalibratedRegressor(tiny_ensemble(), random_state=0),
            "recalibration.hashes_as_read",
        ),
    ],
    ids=["ensemble", "student", "dropout", "conformal", "recalibrated"],
)
FAILURES = pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])


def break_at(last, monkeypatch, failure):
    """Let every fit fail at its end."""

    def fail(*args, **kwargs):
        raise failure("the power went out")

    monkeypatch.setattr(f"sklearn_degu.{last}", fail)


@MODELS
@FAILURES
def test_a_fitted_estimator_predicts_as_before(make, last, failure, table, monkeypatch):
    X, y = table
    model = make().fit(X, y)
    before = model.predict(X, return_std=True)
    break_at(last, monkeypatch, failure)
    with pytest.raises(failure, match="the power went out"):
        model.fit(X[:, :3], np.c_[y, y, y])
    for one, other in zip(before, model.predict(X, return_std=True), strict=True):
        np.testing.assert_array_equal(one, other)


@MODELS
@FAILURES
def test_a_new_estimator_is_not_fitted(make, last, failure, table, monkeypatch):
    model = make()
    break_at(last, monkeypatch, failure)
    with pytest.raises(failure, match="the power went out"):
        model.fit(*table)
    with pytest.raises(NotFittedError):
        model.predict(table[0])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_deviations_that_overflow_are_refused(table):
    X, y = table
    noisy = tiny_ensemble(aleatoric="heteroscedastic").fit(X, y)
    with pytest.raises(ValueError, match=r"The aleatoric deviations of \d+ of 40 samples"):
        noisy.predict(X * 1e4)
    student = DistilledRegressor(FrozenEstimator(tiny_ensemble().fit(X, y)), random_state=0)
    with pytest.raises(ValueError, match=r"The epistemic deviations of \d+ of 40 samples"):
        student.fit(X, y).predict(X * 1e5)
