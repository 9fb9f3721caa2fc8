"""Pictures of predictions, of their uncertainty and of prediction intervals.

Display classes in scikit-learn's form: ``from_estimator(estimator, X, y)`` asks a fitted estimator,
``from_predictions(y_true, y_pred, y_std)`` takes arrays, ``from_intervals`` takes the bounds of
intervals, and ``plot`` draws on given axes or on new ones. What was drawn is in the attributes
``ax_`` and ``figure_``, and the numbers behind it in the others.

A panel shows one target: for y of several, ``target`` says which. A row of panels is a loop::

    _, axes = pyplot.subplots(1, y.shape[1], layout="constrained")
    for target, ax in enumerate(axes):
        ReliabilityDisplay.from_predictions(y, y_pred, y_std, target=target, ax=ax)

NaN in y is a missing measurement and is left out. Drawing needs matplotlib, which the extra
``[plots]`` brings: ``pip install 'sklearn-degu[plots]'``.

Only numpy, scipy, scikit-learn's public interface and :mod:`sklearn_degu.metrics` are needed
otherwise; estimators are asked by their public methods.
"""

from sklearn_degu.displays.coverage import CoverageDisplay
from sklearn_degu.displays.group_coverage import GroupCoverageDisplay
from sklearn_degu.displays.prediction_interval import PredictionIntervalDisplay
from sklearn_degu.displays.rejection_curve import RejectionCurveDisplay
from sklearn_degu.displays.reliability import ReliabilityDisplay

__all__ = [
    "PredictionIntervalDisplay",
    "ReliabilityDisplay",
    "CoverageDisplay",
    "GroupCoverageDisplay",
    "RejectionCurveDisplay",
]
