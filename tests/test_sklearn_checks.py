"""scikit-learn's own checks, on every public estimator in several configurations."""

import os

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_degu import DistilledRegressor, EnsembleRegressor
from sklearn_degu.recipes import mlp_net


def two_architectures():
    small = mlp_net(module__hidden=(32,))
    return [("wide", mlp_net()), ("narrow", small)]


def noisy_ensemble():
    cheap = mlp_net(module__hidden=(16,), max_epochs=25, lr=0.03)
    return EnsembleRegressor(cheap, 2, aleatoric="heteroscedastic")


ESTIMATORS = [
    EnsembleRegressor(),
    EnsembleRegressor(two_architectures(), n_estimators=4),
    DistilledRegressor(),
    DistilledRegressor(EnsembleRegressor(two_architectures(), n_estimators=4)),
    noisy_ensemble(),
    DistilledRegressor(noisy_ensemble()),
]


def test_array_api_checks_are_switched_on():
    assert os.environ.get("SCIPY_ARRAY_API") == "1"


@parametrize_with_checks(ESTIMATORS)
def test_estimator_passes_scikit_learn_check(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_no_check_is_excused(estimator):
    assert not hasattr(estimator, "_xfail_checks")
    assert estimator.__sklearn_tags__()._skip_test is False
