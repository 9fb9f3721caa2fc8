"""Replicates whose noise is known."""

import numpy as np


def replicates_of(y, deviation=1.0, n_replicates=3, seed=0):
    """Return Gaussian replicates of shape (*y.shape, n_replicates) whose mean is y."""
    shape = (*np.shape(y), n_replicates)
    noise = np.broadcast_to(deviation, np.shape(y))[..., np.newaxis] * np.random.default_rng(
        seed
    ).normal(size=shape)
    return y[..., np.newaxis] + noise - noise.mean(axis=-1, keepdims=True)
