"""Covariate shift: notice it, and weigh calibration rows by it.

Conformal prediction guarantees coverage on rows that are exchangeable with the calibration rows.
On others, such as promoters for a model that is calibrated on enhancers, it guarantees nothing.

- :func:`check_exchangeability` tests whether new rows are like the calibration rows, and warns.
- :func:`estimate_likelihood_ratio` learns how much more likely a row is among the new rows: the
  weights of weighted conformal prediction. :func:`effective_sample_size` says what they cost.
- :func:`penultimate_features` shows rows as a fitted network does.
- :func:`shifted_sets` moves test sequences away from the training, step by step.
"""

from sklearn_degu.shift.exchangeability import ExchangeabilityResult, check_exchangeability
from sklearn_degu.shift.likelihood_ratio import (
    LikelihoodRatio,
    effective_sample_size,
    estimate_likelihood_ratio,
)
from sklearn_degu.shift.penultimate import penultimate_features
from sklearn_degu.shift.shifted import shifted_sets

__all__ = [
    "ExchangeabilityResult",
    "LikelihoodRatio",
    "check_exchangeability",
    "effective_sample_size",
    "estimate_likelihood_ratio",
    "penultimate_features",
    "shifted_sets",
]
