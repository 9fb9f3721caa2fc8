"""Shapes, lengths and values that do not fit together are refused before anything is trained."""

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from sklearn_degu import ConformalRegressor, DistilledRegressor, EnsembleRegressor
from sklearn_degu.augmentation import Augment, SequenceEdits
from sklearn_degu.baselines import MCDropoutRegressor
from sklearn_degu.datasets import KmerGroupKFold, kmer_groups, make_mpra
from sklearn_degu.metrics import (
    expected_normalized_calibration_error,
    gaussian_crps_scorer,
    gaussian_nll,
    gaussian_nll_scorer,
    interval_coverage,
    interval_coverage_scorer,
    interval_score,
    pearson_correlation,
)
from sklearn_degu.quantiles import GaussianQuantileRegressor, quantile_estimators
from sklearn_degu.recalibration import RecalibratedRegressor
from sklearn_degu.shift import estimate_likelihood_ratio
from tests.contract.takers import (
    CONFORMAL,
    ENSEMBLE,
    FROZEN,
    LOWER,
    OTHER,
    QUICK,
    RECALIBRATED,
    REPLICATES,
    STD,
    STUDENT,
    UPPER,
    N,
    X,
    Y,
    conformal,
    ensemble,
    from_replicates,
    recalibrated,
    student,
)
from tests.toys import tiny_ensemble

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

DNA = ["ACGTACGTAC", "TTGACCATTG", "GGGACTCATG", "CATGATTACA"]

SHAPES = {
    "X of one axis": (lambda: ensemble().fit(Y, Y), "Expected 2D array, got 1D array"),
    "X of four axes": (lambda: ensemble().fit(X.reshape(N, 1, 2, 3), Y), r"got \(40, 1, 2, 3\)"),
    "X a scalar": (lambda: ensemble().fit(3.0, Y), "X must be an array.* type float"),
    "X a path": (lambda: ensemble().fit("data.csv", Y), "X holds strings"),
    "X nothing": (lambda: ensemble().fit(None, Y), "X must be an array.* type NoneType"),
    "X no rows": (lambda: ENSEMBLE.predict(X[:0]), r"0 sample\(s\)"),
    "X no columns": (lambda: ensemble().fit(X[:, :0], Y), r"0 feature\(s\)"),
    "X empty list": (lambda: ENSEMBLE.predict([]), "Expected 2D array"),
    "X a series": (lambda: ENSEMBLE.predict(pd.Series(Y)), "Expected a? ?2.*[dD]"),
    "X of fewer columns": (lambda: ENSEMBLE.predict(X[:, 1:]), "5 features.* expecting 6"),
    "X of three axes for a table": (
        lambda: ENSEMBLE.predict(X.reshape(N, 2, 3)),
        r"samples of shape \(2, 3\).* fitted on samples of shape \(6,\)",
    ),
    "X with names of two types": (
        lambda: ensemble().fit(pd.DataFrame(X, columns=[0, 1, 2, "a", "b", "c"]), Y),
        "only supported if all input features have string names",
    ),
    "X with a column of names": (
        lambda: ensemble().fit(pd.DataFrame(X).rename(columns=str).assign(chromosome="chr1"), Y),
        "X holds 'chr1' at index",
    ),
    "y nothing": (lambda: ensemble().fit(X, None), "y to be passed, but the target y is None"),
    "y a scalar": (lambda: ensemble().fit(X, 3.0), "y must be an array.* type float"),
    "y longer than X": (lambda: ensemble().fit(X, np.r_[Y, Y]), "inconsistent numbers of samples"),
    "y shorter than X": (lambda: ensemble().fit(X, Y[1:]), "inconsistent numbers of samples"),
    "y of three axes": (
        lambda: ensemble().fit(X, Y.reshape(N, 1, 1)),
        r"y has shape \(40, 1, 1\), profiles .* MLP takes no n_positions. Use",
    ),
    "y of four axes": (lambda: ensemble().fit(X, Y.reshape(N, 1, 1, 1)), r"got \(40, 1, 1, 1\)"),
    "y of no positions": (lambda: ensemble().fit(X, np.ones((N, 1, 0))), "it holds no target"),
    "y empty": (lambda: ensemble().fit(X, []), r"0 sample\(s\)"),
    "y all missing": (lambda: ensemble().fit(X, [None] * N), "40 rows without any measurement"),
    "y of a target without measurement": (
        lambda: ensemble().fit(X, np.c_[Y, np.full(N, np.nan)]),
        "Target 1 of y has no measurement",
    ),
    "y of the student": (lambda: student().fit(X, Y[1:]), "inconsistent numbers of samples"),
    "y of three axes, conformal": (
        lambda: conformal().fit(OTHER, Y.reshape(N, 1, 1)),
        r"y has shape \(40, 1, 1\), but the estimator predicts \(40,\)",
    ),
    "y of three axes, recalibrated": (
        lambda: recalibrated().fit(OTHER, Y.reshape(N, 1, 1)),
        r"y has shape \(40, 1, 1\), but the estimator predicts \(40,\)",
    ),
    "y of four axes, conformal": (
        lambda: conformal().fit(OTHER, Y.reshape(N, 1, 1, 1)),
        r"y must have shape .* got \(40, 1, 1, 1\)",
    ),
    "y of two targets, conformal": (
        lambda: conformal().fit(OTHER, np.c_[Y, Y]),
        r"y has shape \(40, 2\), but the estimator predicts \(40,\)",
    ),
    "y of other rows, conformalize": (
        lambda: CONFORMAL.conformalize(OTHER, Y[1:]),
        "inconsistent numbers of samples",
    ),
    "y of score, longer": (lambda: ENSEMBLE.score(X, np.r_[Y, Y]), r"shape \(80,\), but the pred"),
    "y of score, all missing": (lambda: ENSEMBLE.score(X, Y * np.nan), "holds no measurement"),
    "weights negative": (lambda: ensemble().fit(X, Y, -STD), "not negative, but 40 of 40"),
    "weights NaN": (lambda: ensemble().fit(X, Y, np.r_[np.nan, STD[1:]]), "first is nan at row 0"),
    "weights infinite": (lambda: ensemble().fit(X, Y, np.r_[STD[1:], np.inf]), "inf at row 39"),
    "weights zero": (lambda: ensemble().fit(X, Y, 0 * STD), "zero for every sample"),
    "weights of three axes": (lambda: ensemble().fit(X, Y, STD.reshape(N, 1, 1)), r"\(40, 1, 1\)"),
    "weights too few": (lambda: ensemble().fit(X, Y, STD[1:]), r"\(39,\), expected \(40,\)"),
    "weights of score too few": (lambda: ENSEMBLE.score(X, Y, STD[1:]), r"\(39,\), expected \(40"),
    "weights of score negative": (lambda: ENSEMBLE.score(X, Y, -STD), "not negative"),
    "weights of score of two axes": (lambda: ENSEMBLE.score(X, Y, STD[:, None]), r"\(40, 1\)"),
    "replicates transposed": (
        lambda: from_replicates().fit(X, Y, replicates=REPLICATES.T),
        r"replicates has shape \(3, 40\), but y.* needs \(40, n_replicates\)",
    ),
    "replicates of one axis": (
        lambda: from_replicates().fit(X, Y, replicates=Y),
        r"replicates has shape \(40,\)",
    ),
    "validation of another width": (
        lambda: ensemble().fit(X, Y, X_val=X[:, 1:], y_val=Y),
        "X_val cannot be used with the training rows: X has 5 features",
    ),
    "validation of other targets": (
        lambda: ensemble().fit(X, Y, X_val=X, y_val=np.c_[Y, Y]),
        "y_val has 2 targets, but y has 1",
    ),
    "unlabelled of another width": (
        lambda: student().fit(X, Y, X_unlabeled=X[:, 1:]),
        "X_unlabeled cannot be used with the training rows",
    ),
    "unlabelled strings": (
        lambda: student().fit(X, Y, X_unlabeled=DNA),
        "X_unlabeled cannot .* transform_input",
    ),
    "predictions shorter": (lambda: gaussian_nll(Y, Y[1:], STD), "Expected one shape"),
    "predictions that would broadcast": (
        lambda: gaussian_nll(Y, Y[:, np.newaxis], STD),
        r"y_true \(40,\), y_pred \(40, 1\). Nothing is broadcast",
    ),
    "correlation of one row": (lambda: pearson_correlation([1.0], [2.0]), "expected at least 2"),
    "correlation of none": (lambda: pearson_correlation([], []), r"0 sample\(s\)"),
    "more bins than rows": (
        lambda: expected_normalized_calibration_error(Y, Y, STD, n_bins=99),
        "too few measurements for n_bins=99",
    ),
    "bounds exchanged": (lambda: interval_coverage(Y, UPPER, LOWER), "y_lower must not be greater"),
    "ratio of other columns": (
        lambda: estimate_likelihood_ratio(X, OTHER[:, 1:], features=None),
        "[Cc]olumns|dimension|features",
    ),
}

VALUES = {
    "level above 1": (
        lambda: interval_score(Y, LOWER, UPPER, confidence_level=90),
        "confidence_level == 90, must be < 1",
    ),
    "level of conformal": (
        lambda: ConformalRegressor(FROZEN, confidence_level=90).fit(OTHER, Y),
        "strictly between 0 and 1, such as 0.9",
    ),
    "level as text": (
        lambda: ConformalRegressor(FROZEN, confidence_level="90%").fit(OTHER, Y),
        "strictly between 0 and 1",
    ),
    "level NaN": (
        lambda: ConformalRegressor(FROZEN, confidence_level=np.nan).fit(OTHER, Y),
        "strictly between 0 and 1",
    ),
    "quantile above 1": (lambda: quantile_estimators(ENSEMBLE, 95), "between 0 and 1"),
    "quantile as text": (
        lambda: GaussianQuantileRegressor(ENSEMBLE, "median").predict(X),
        "quantile must be a number between 0 and 1",
    ),
    "kind unknown": (lambda: ENSEMBLE.predict(X, True, kind="both"), "no 'both' uncertainty"),
    "kind a list": (lambda: ENSEMBLE.predict(X, True, kind=["epistemic"]), "uncertainty"),
    "kind without std": (lambda: STUDENT.predict(X, kind="both"), "no 'both' uncertainty"),
    "deviation of zero": (lambda: gaussian_nll(Y, Y, 0 * STD), "put a floor under deviations"),
    "deviation of 1e-300": (
        lambda: expected_normalized_calibration_error(Y, Y, 1e-300 * STD),
        "put a floor under deviations",
    ),
    "deviation negative": (lambda: gaussian_nll(Y, Y, -STD), "y_std must be positive"),
    "1e300 to a net in single precision": (
        lambda: ensemble().fit(X.astype(np.float32), Y).predict(1e300 * X),
        r"predictions of 40 of 40 samples.* up to .*e\+300 in magnitude, overflow in the net",
    ),
    "n_estimators as text": (
        lambda: EnsembleRegressor(QUICK, "ten").fit(X, Y),
        "n_estimators must be a positive integer, got 'ten'",
    ),
    "augment that is no module": (
        lambda: EnsembleRegressor(QUICK, 1, augment=SequenceEdits()).fit(X, Y),
        "augment must be None or a torch module",
    ),
    "augment for other rows": (
        lambda: EnsembleRegressor(QUICK, 1, augment=Augment()).fit(X, Y),
        "X must have shape .n, 4, length.",
    ),
    "fine_tune_epochs below 0": (
        lambda: EnsembleRegressor(QUICK, 1, augment=Augment(), fine_tune_epochs=-1).fit(X, Y),
        "fine_tune_epochs must be a whole number that is not negative, got -1",
    ),
    "fine_tune_lr NaN": (
        lambda: EnsembleRegressor(QUICK, 1, augment=Augment(), fine_tune_lr=np.nan).fit(X, Y),
        "fine_tune_lr must be None or a positive number, got nan",
    ),
    "fine_tune_epochs alone": (
        lambda: EnsembleRegressor(QUICK, 1, fine_tune_epochs=3).fit(X, Y),
        "augment edits none",
    ),
    "validation above 1": (
        lambda: EnsembleRegressor(QUICK, 1, validation=20).fit(X, Y),
        "validation must be None, a fraction between 0 and 1",
    ),
    "calibration above 1": (
        lambda: ConformalRegressor(tiny_ensemble(QUICK), calibration=20).fit(X, Y),
        "calibration must be a fraction between 0 and 1",
    ),
    "passes": (lambda: MCDropoutRegressor(n_samples=1).fit(X, Y), "n_samples must be an integer"),
    "an estimator that is a class": (
        lambda: ConformalRegressor(EnsembleRegressor).fit(X, Y),
        "needs an estimator instance",
    ),
    "an estimator that is None": (lambda: RecalibratedRegressor(None).fit(X, Y), "got None"),
    "a teacher that is none": (lambda: DistilledRegressor("teacher").fit(X, Y), "teacher"),
    "scorer of None": (lambda: gaussian_nll_scorer()(None, X, Y), "fitted estimator with predict"),
    "scorer of a class": (
        lambda: gaussian_crps_scorer()(EnsembleRegressor, X, Y),
        "The scorer needs predict",
    ),
    "scorer without intervals": (
        lambda: interval_coverage_scorer(ENSEMBLE, X, Y),
        "wrap it in a ConformalRegressor",
    ),
    "rows seen in training": (lambda: CONFORMAL.conformalize(X, Y), "Leave these rows out"),
    "mpra of text": (lambda: make_mpra("many"), "n_samples='many'.* integer"),
    "mpra of NaN": (lambda: make_mpra(10, r2=np.nan), "r2=nan"),
    "mpra of no rows": (lambda: make_mpra(0), "n_samples=0"),
    "k of a float": (lambda: kmer_groups(DNA, k=4.0), "k=4.0, but an integer"),
    "k of more than the sequences": (lambda: kmer_groups(DNA, k=32), "k=32 needs 32 or more"),
    "folds of text": (lambda: next(KmerGroupKFold("5").split(DNA)), "n_splits='5'"),
}


def by_name(table):
    return pytest.mark.parametrize(("call", "message"), table.values(), ids=table.keys())


class TestRefused:
    @by_name(SHAPES)
    def test_shapes(self, call, message):
        with pytest.raises((TypeError, ValueError), match=message):
            call()

    @by_name(VALUES)
    def test_values(self, call, message):
        with pytest.raises((TypeError, ValueError), match=message):
            call()

    @pytest.mark.parametrize(
        "call",
        [
            lambda: EnsembleRegressor().predict(X),
            lambda: DistilledRegressor().predict_components(X),
            lambda: ConformalRegressor(EnsembleRegressor()).predict_interval(X),
            lambda: ConformalRegressor(EnsembleRegressor()).conformalize(X, Y),
            lambda: RecalibratedRegressor(EnsembleRegressor()).predict(X),
            lambda: quantile_estimators(EnsembleRegressor()),
            lambda: gaussian_nll_scorer()(EnsembleRegressor(), X, Y),
        ],
    )
    def test_what_is_not_fitted(self, call):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            call()


class TestAccepted:
    """Data that are poor, but no error."""

    def test_one_row(self):
        assert RECALIBRATED.predict(X[:1]).shape == (1,)
        mean, lower, upper = CONFORMAL.predict_interval(X[:1])
        assert lower <= mean <= upper
        assert np.isfinite(ensemble().fit(X[:1], Y[:1]).predict(X)).all()

    def test_rows_that_are_all_equal(self):
        mean, std = tiny_ensemble(QUICK).fit(np.tile(X[:1], (N, 1)), Y).predict(X, return_std=True)
        assert np.isfinite(mean).all()
        assert (std >= 0).all()

    @pytest.mark.parametrize("level", [0.0, 5.0, 1e-300, 1e100])
    def test_targets_that_are_constant(self, level):
        predicted = tiny_ensemble(QUICK).fit(X, np.full(N, level)).predict(X)
        np.testing.assert_allclose(predicted, level, atol=10 * (level + 1))

    @pytest.mark.parametrize("dtype", [bool, np.uint64, np.int8, np.float16])
    def test_numbers_of_other_types(self, dtype):
        """Of 64 bits too, which float64 rounds as it does everywhere."""
        large = 2**63 if dtype is np.uint64 else 0
        values = (X > 0).astype(dtype) + dtype(large)
        expected = ENSEMBLE.predict(values.astype(np.float64))
        np.testing.assert_allclose(ENSEMBLE.predict(values), expected, rtol=1e-5)

    def test_a_weight_for_all_rows(self):
        one = ensemble().fit(X, Y, sample_weight=1.0).predict(X)
        np.testing.assert_array_equal(one, ensemble().fit(X, Y, np.ones(N)).predict(X))
