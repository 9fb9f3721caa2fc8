import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")

from matplotlib import pyplot


@pytest.fixture(autouse=True)
def no_figure_left_open():
    yield
    pyplot.close("all")


@pytest.fixture(scope="session")
def calibrated():
    """Return y_true, y_pred and the deviations that y_true was drawn with, for 600 rows."""
    rng = np.random.default_rng(0)
    y_pred, y_std = rng.normal(size=600), rng.uniform(0.2, 1.0, size=600)
    return rng.normal(y_pred, y_std), y_pred, y_std
