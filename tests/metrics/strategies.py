"""Arrays of measurements and predictions for property tests."""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

# Without a deadline, for a busy machine; a few examples find what these properties can break on.
examples = settings(max_examples=25, deadline=None)


def floats(low=-100.0, high=100.0):
    # 32 bits, so that sums and products of a few are far from rounding to nothing.
    return st.floats(np.float32(low), np.float32(high), width=32, allow_subnormal=False)


@st.composite
def gaussians(draw, min_rows=2, max_rows=8, same_std=False):
    """Draw y_true, y_pred and y_std of shape (n,), deviations within a factor of 1,000."""
    n = draw(st.integers(min_rows, max_rows))
    y_true, y_pred = (draw(arrays(np.float64, n, elements=floats())) for _ in range(2))
    values = st.sampled_from([0.5, 1.0, 2.0]) if same_std else floats(0.1, 100.0)
    return y_true, y_pred, draw(arrays(np.float64, n, elements=values))


@st.composite
def intervals(draw, min_rows=2, max_rows=8):
    """Draw y_true, y_lower and y_upper of shape (n,), some bounds infinite."""
    n = draw(st.integers(min_rows, max_rows))
    y_true = draw(arrays(np.float64, n, elements=floats()))
    lower = draw(arrays(np.float64, n, elements=floats() | st.just(-np.inf)))
    width = draw(arrays(np.float64, n, elements=floats(0.0, 50.0) | st.just(np.inf)))
    finite = np.where(np.isinf(lower), 0.0, lower)
    return y_true, lower, finite + width


seeds = st.integers(0, 2**32 - 1)
