import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline

from sklearn_degu import DistilledRegressor
from sklearn_degu.baselines import EvidentialRegressor
from sklearn_degu.modules import DeepSTARR
from sklearn_degu.sequences import SequenceEncoder
from tests.toys import tiny_conv_net, tiny_ensemble, tiny_net, tiny_profile_net


@pytest.fixture(scope="session")
def one_hot(sequences):
    """Return one-hot X of shape (40, 4, LENGTH)."""
    return sequences[0]


@pytest.fixture(scope="session")
def replicates(sequences):
    """Return three measurements of two targets, (40, 2, 3)."""
    rng = np.random.default_rng(5)
    return sequences[1][:, :, np.newaxis] + rng.normal(size=(40, 2, 3))


@pytest.fixture(scope="session")
def ensemble(one_hot, replicates):
    """Return three members with both kinds of uncertainty."""
    ensemble = tiny_ensemble(tiny_conv_net(), 3, aleatoric="replicates")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return ensemble.fit(one_hot, replicates.mean(axis=2), replicates=replicates)


@pytest.fixture(scope="session")
def student(one_hot, replicates):
    teacher = tiny_ensemble(tiny_conv_net(), 3, aleatoric="replicates")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return DistilledRegressor(teacher, random_state=0).fit(
            one_hot, replicates.mean(axis=2), replicates=replicates
        )


@pytest.fixture(scope="session")
def of_profiles(sequences, counts):
    """Return two members that predict two profiles of eight positions."""
    return tiny_ensemble(tiny_profile_net(), 2).fit(sequences[0], counts)


@pytest.fixture(scope="session")
def evidential(sequences):
    return EvidentialRegressor(tiny_conv_net(), random_state=0).fit(*sequences)


@pytest.fixture(scope="session")
def in_float64(one_hot, replicates):
    """Return a student with every head that computes in float64, and sequences."""
    X = one_hot.astype(np.float64)
    X[0, :, 0] += 0.5  # not one-hot, so that it is kept in float64
    teacher = tiny_ensemble(tiny_conv_net(), 3, aleatoric="replicates")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return DistilledRegressor(teacher, random_state=0).fit(
            X, replicates.mean(axis=2), replicates=replicates
        ), X


@pytest.fixture(scope="session")
def pooled(sequences, one_hot):
    """Return an ensemble of DeepSTARR nets, whose first block has tables, and sequences."""
    X = np.tile(one_hot, 2)[:, :, :16]
    net = tiny_net(DeepSTARR, module__width=0.05)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return tiny_ensemble(net, 2).fit(X, sequences[1]), X


@pytest.fixture(scope="session")
def pipeline(strings, sequences):
    """Return an ensemble that reads strings."""
    ensemble = tiny_ensemble(tiny_conv_net(), 3)
    return make_pipeline(SequenceEncoder(), ensemble).fit(strings, sequences[1])
