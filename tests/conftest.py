import os
import signal

# Before scikit-learn is imported: without it, its array API checks are skipped.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

import numpy as np
import pytest

from tests.toys import LENGTH


@pytest.fixture(scope="session")
def table():
    """Return X of shape (40, 6) and a y that it explains."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 6))
    return X, X[:, 0] - 2 * X[:, 1] + 0.1 * rng.normal(size=40)


@pytest.fixture(scope="session")
def strings():
    """Return 40 random DNA strings."""
    rng = np.random.default_rng(0)
    return np.array(["".join(rng.choice(list("ACGT"), LENGTH)) for _ in range(40)])


@pytest.fixture(scope="session")
def sequences(strings):
    """Return one-hot X of shape (40, 4, LENGTH) and a y of two targets that it explains."""
    X = (
        strings.astype(f"U{LENGTH}").view("U1").reshape(-1, 1, LENGTH)
        == np.array(list("ACGT"))[:, np.newaxis]
    )
    X = X.astype(np.uint8)
    return X, np.c_[X[:, 0].sum(axis=1) - X[:, 2, 3], X[:, 1].sum(axis=1)].astype(float)


@pytest.fixture(scope="session")
def counts(sequences):
    """Return counts of shape (40, 2, 8) that depend on the base at each position and its target."""
    X, _ = sequences
    rates = np.stack([1 + 4 * X[:, 2, :8], 0.5 + 2 * X[:, 0, :8]], axis=1)
    return np.random.default_rng(1).poisson(rates).astype(float)


@pytest.fixture
def heeds_ctrl_c():
    """Have Ctrl-C raise KeyboardInterrupt, though a shell may run Python in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
