"""Everything public that takes an array of numbers: a call of one array, a good one, its name."""

from typing import NamedTuple

import numpy as np
from sklearn.frozen import FrozenEstimator

from sklearn_degu import ConformalRegressor, DistilledRegressor
from sklearn_degu.baselines import EvidentialRegressor, MCDropoutRegressor
from sklearn_degu.metrics import (
    coverage_by_bin,
    error_rejection_area,
    error_rejection_curve,
    expected_normalized_calibration_error,
    gaussian_crps,
    gaussian_crps_scorer,
    gaussian_nll,
    gaussian_nll_scorer,
    interval_coverage,
    interval_coverage_scorer,
    interval_score,
    interval_width,
    pearson_correlation,
    sharpness,
    spearman_correlation,
    uncertainty_error_correlation,
)
from sklearn_degu.quantiles import GaussianQuantileRegressor
from sklearn_degu.recalibration import RecalibratedRegressor
from sklearn_degu.shift import (
    check_exchangeability,
    effective_sample_size,
    estimate_likelihood_ratio,
    penultimate_features,
)
from tests.toys import tiny_ensemble, tiny_net

RNG = np.random.default_rng(0)
N = 40
X, OTHER = RNG.normal(size=(2, N, 6))
Y = X[:, 0] - X[:, 1] + 0.1 * RNG.normal(size=N)
STD = 0.5 + np.abs(Y)
REPLICATES = Y[:, np.newaxis] + 0.1 * RNG.normal(size=(N, 3))
LOWER, UPPER = Y - STD, Y + STD

QUICK = tiny_net(max_epochs=1)
DROPOUT = tiny_net(max_epochs=1, module__dropout=0.1)
ENSEMBLE = tiny_ensemble(QUICK).fit(X, Y)
STUDENT = DistilledRegressor(FrozenEstimator(ENSEMBLE), QUICK, random_state=0).fit(X, Y)
FROZEN = FrozenEstimator(ENSEMBLE)
CONFORMAL = ConformalRegressor(FROZEN, confidence_level=0.5, random_state=0).fit(OTHER, Y)
RECALIBRATED = RecalibratedRegressor(FROZEN, random_state=0).fit(np.r_[OTHER, -OTHER], np.r_[Y, Y])


class Taker(NamedTuple):
    """A call with one array left open, a good array for it, and the name in its errors."""

    call: object
    good: np.ndarray
    name: str


def ensemble():
    return tiny_ensemble(QUICK, 1)


def student():
    return DistilledRegressor(tiny_ensemble(QUICK), random_state=0)


def from_replicates():
    return tiny_ensemble(QUICK, 1, aleatoric="replicates")


def conformal():
    return ConformalRegressor(FROZEN, confidence_level=0.5, random_state=0)


def recalibrated():
    return RecalibratedRegressor(FROZEN, random_state=0)


def given(**validation):
    """Fit with validation rows, of which one part is hostile."""
    return ensemble().fit(X, Y, **{"X_val": OTHER, "y_val": Y, **validation}).predict(OTHER)


# Samples.
OF_X = {
    "EnsembleRegressor.fit": Taker(lambda a: ensemble().fit(a, Y).predict(OTHER), X, "X"),
    "EnsembleRegressor.predict": Taker(ENSEMBLE.predict, OTHER, "X"),
    "EnsembleRegressor.predict_members": Taker(ENSEMBLE.predict_members, OTHER, "X"),
    "EnsembleRegressor.predict_uncertainty": Taker(ENSEMBLE.predict_uncertainty, OTHER, "X"),
    "EnsembleRegressor.predict_components": Taker(
        lambda a: ENSEMBLE.predict_components(a)["epistemic"], OTHER, "X"
    ),
    "EnsembleRegressor.seen": Taker(ENSEMBLE.seen, X, "X"),
    "EnsembleRegressor.score": Taker(lambda a: ENSEMBLE.score(a, Y), OTHER, "X"),
    "X_val": Taker(lambda a: given(X_val=a), OTHER, "X"),
    "DistilledRegressor.fit": Taker(lambda a: student().fit(a, Y).predict(OTHER), X, "X"),
    "DistilledRegressor.predict": Taker(STUDENT.predict, OTHER, "X"),
    "X_unlabeled": Taker(lambda a: student().fit(X, Y, X_unlabeled=a).predict(OTHER), OTHER, "X"),
    "MCDropoutRegressor.fit": Taker(
        lambda a: MCDropoutRegressor(DROPOUT, n_samples=2, random_state=0).fit(a, Y).predict(OTHER),
        X,
        "X",
    ),
    "EvidentialRegressor.fit": Taker(
        lambda a: EvidentialRegressor(QUICK, random_state=0).fit(a, Y).predict(OTHER), X, "X"
    ),
    "ConformalRegressor.predict_interval": Taker(CONFORMAL.predict_interval, OTHER, "X"),
    "ConformalRegressor.conformalize": Taker(
        lambda a: conformal().fit(OTHER, Y).conformalize(a, Y).quantiles_, OTHER, "X"
    ),
    "RecalibratedRegressor.predict": Taker(
        lambda a: RECALIBRATED.predict(a, return_std=True)[1], OTHER, "X"
    ),
    "GaussianQuantileRegressor.predict": Taker(
        GaussianQuantileRegressor(ENSEMBLE, 0.9).fit().predict, OTHER, "X"
    ),
    "penultimate_features": Taker(lambda a: penultimate_features(ENSEMBLE, a), OTHER, "X"),
}

# Samples of functions that read any table.
OF_TABLES = {
    "check_exchangeability": Taker(
        lambda a: (
            check_exchangeability(
                None, X, a, features=None, n_permutations=19, random_state=0
            ).statistic
        ),
        OTHER,
        "X_new",
    ),
    "estimate_likelihood_ratio": Taker(
        lambda a: estimate_likelihood_ratio(X, a, features=None, random_state=0)(X),
        OTHER,
        "X_target",
    ),
}

# Measurements, in which NaN is a missing one.
OF_Y = {
    "EnsembleRegressor.fit": Taker(lambda a: ensemble().fit(X, a).predict(OTHER), Y, "y"),
    "EnsembleRegressor.score": Taker(lambda a: ENSEMBLE.score(X, a), Y, "y"),
    "y_val": Taker(lambda a: given(y_val=a), Y, "y"),
    "DistilledRegressor.fit": Taker(lambda a: student().fit(X, a).predict(OTHER), Y, "y"),
    "MCDropoutRegressor.fit": Taker(
        lambda a: MCDropoutRegressor(DROPOUT, n_samples=2, random_state=0).fit(X, a).predict(OTHER),
        Y,
        "y",
    ),
    "EvidentialRegressor.fit": Taker(
        lambda a: EvidentialRegressor(QUICK, random_state=0).fit(X, a).predict(OTHER), Y, "y"
    ),
    "ConformalRegressor.fit": Taker(lambda a: conformal().fit(OTHER, a).quantiles_, Y, "y"),
    "ConformalRegressor.conformalize": Taker(
        lambda a: conformal().fit(OTHER, Y).conformalize(OTHER, a).quantiles_, Y, "y"
    ),
    "RecalibratedRegressor.fit": Taker(
        lambda a: recalibrated().fit(OTHER, a).predict_uncertainty(X), Y, "y"
    ),
    "replicates": Taker(
        lambda a: from_replicates().fit(X, Y, replicates=a).predict(OTHER), REPLICATES, "replicates"
    ),
    "gaussian_nll": Taker(lambda a: gaussian_nll(a, Y, STD), Y, "y_true"),
    "gaussian_crps": Taker(lambda a: gaussian_crps(a, Y, STD), Y, "y_true"),
    "gaussian_nll_scorer": Taker(lambda a: gaussian_nll_scorer()(ENSEMBLE, X, a), Y, "y_true"),
    "gaussian_crps_scorer": Taker(lambda a: gaussian_crps_scorer()(ENSEMBLE, X, a), Y, "y_true"),
    "interval_coverage_scorer": Taker(
        lambda a: interval_coverage_scorer(CONFORMAL, X, a), Y, "y_true"
    ),
    "pearson_correlation": Taker(lambda a: pearson_correlation(a, STD), Y, "y_true"),
    "spearman_correlation": Taker(lambda a: spearman_correlation(a, STD), Y, "y_true"),
    "expected_normalized_calibration_error": Taker(
        lambda a: expected_normalized_calibration_error(a, -Y, STD, n_bins=4), Y, "y_true"
    ),
    "uncertainty_error_correlation": Taker(
        lambda a: uncertainty_error_correlation(a, -Y, STD), Y, "y_true"
    ),
    "error_rejection_curve": Taker(
        lambda a: error_rejection_curve(a, -Y, STD)[1][:30], Y, "y_true"
    ),
    "error_rejection_area": Taker(lambda a: error_rejection_area(a, -Y, STD), Y, "y_true"),
    "interval_coverage": Taker(lambda a: interval_coverage(a, LOWER, UPPER), Y, "y_true"),
    "interval_score": Taker(
        lambda a: interval_score(a, LOWER, UPPER, confidence_level=0.9), Y, "y_true"
    ),
    "coverage_by_bin": Taker(
        lambda a: coverage_by_bin(a, LOWER, UPPER, by=STD, n_bins=3), Y, "y_true"
    ),
}

# What a model predicted: finite, and as many as there are measurements.
OF_PREDICTIONS = {
    "gaussian_nll mean": Taker(lambda a: gaussian_nll(Y, a, STD), OTHER[:, 0], "y_pred"),
    "gaussian_nll std": Taker(lambda a: gaussian_nll(Y, -Y, a), STD, "y_std"),
    "gaussian_crps std": Taker(lambda a: gaussian_crps(Y, -Y, a), STD, "y_std"),
    "sharpness": Taker(sharpness, STD, "y_std"),
    "spearman_correlation": Taker(lambda a: spearman_correlation(Y, a), STD, "y_pred"),
    "error_rejection_area": Taker(lambda a: error_rejection_area(Y, -Y, a), STD, "y_std"),
    "gaussian_nll weight": Taker(
        lambda a: gaussian_nll(Y, -Y, STD, sample_weight=a), STD, "sample_weight"
    ),
}

# Numbers in which infinite ones are spoken of in other words.
OF_OTHERS = {
    "sample_weight of fit": Taker(
        lambda a: ensemble().fit(X, Y, sample_weight=a).predict(OTHER), STD, "sample_weight"
    ),
    "sample_weight of score": Taker(
        lambda a: ENSEMBLE.score(X, Y, sample_weight=a), STD, "sample_weight"
    ),
    "sample_weight_val": Taker(lambda a: given(sample_weight_val=a), STD, "sample_weight"),
    "interval_width": Taker(lambda a: interval_width(LOWER, a), UPPER, "y_upper"),
    "interval_coverage": Taker(lambda a: interval_coverage(Y, a, UPPER), LOWER, "y_lower"),
    "coverage_by_bin": Taker(lambda a: coverage_by_bin(Y, LOWER, UPPER, by=a, n_bins=3), STD, "by"),
    "effective_sample_size": Taker(effective_sample_size, STD, "weights"),
}
