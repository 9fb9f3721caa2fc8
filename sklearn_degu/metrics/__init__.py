"""Metrics of predictions, of their uncertainty and of prediction intervals, on plain arrays.

All functions speak one language. ``y_true``, ``y_pred``, ``y_std``, ``y_lower`` and ``y_upper``
have one shape, ``(n_samples,)`` or ``(n_samples, n_targets)``, which must agree exactly: nothing is
broadcast. NaN in ``y_true`` is a missing measurement and is left out, target by target; NaN
anywhere else is an error. ``multioutput`` means what it means in scikit-learn.

The scorers at the end are callables for ``scoring=`` in :func:`~sklearn.model_selection.
cross_validate` and :class:`~sklearn.model_selection.GridSearchCV` that see the uncertainty.

Only numpy, scipy and scikit-learn's public interface are needed.
"""

from sklearn_degu.metrics._calibration import (
    expected_normalized_calibration_error,
    sharpness,
    uncertainty_error_correlation,
)
from sklearn_degu.metrics._intervals import (
    coverage_by_bin,
    interval_coverage,
    interval_score,
    interval_width,
)
from sklearn_degu.metrics._point import pearson_correlation, spearman_correlation
from sklearn_degu.metrics._probabilistic import gaussian_crps, gaussian_nll
from sklearn_degu.metrics._rejection import error_rejection_area, error_rejection_curve
from sklearn_degu.metrics._scorers import (
    gaussian_crps_scorer,
    gaussian_nll_scorer,
    interval_coverage_scorer,
    interval_width_scorer,
)

__all__ = [
    "pearson_correlation",
    "spearman_correlation",
    "gaussian_nll",
    "gaussian_crps",
    "expected_normalized_calibration_error",
    "sharpness",
    "uncertainty_error_correlation",
    "error_rejection_curve",
    "error_rejection_area",
    "interval_coverage",
    "interval_width",
    "interval_score",
    "coverage_by_bin",
    "gaussian_nll_scorer",
    "gaussian_crps_scorer",
    "interval_coverage_scorer",
    "interval_width_scorer",
]
