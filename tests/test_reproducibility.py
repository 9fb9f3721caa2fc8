"""One random_state decides everything, and nothing outside is touched."""

import joblib
import numpy as np
import pytest
import torch
from joblib import Parallel, delayed
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import EarlyStopping
from torch import nn
from torch.utils.data import DataLoader

from sklearn_degu import DistilledRegressor
from sklearn_degu.modules import MLP, Dropout
from sklearn_degu.nets.randomness import (
    Seeds,
    draws_globally,
    global_generator,
    may_draw_globally,
    one_intra_op_thread,
)
from tests.noisy import replicates_of
from tests.toys import GlobalDropout, TinyConv, plain_skorch_net, tiny_ensemble, tiny_net


class OtherLoader(DataLoader):
    """A loader that is not replaced by batches from memory."""


def make_net(name):
    dropping = {"module__dropout": 0.3, "callbacks": [("stop", EarlyStopping(patience=2))]}
    if name in ("ours", "joint"):
        return tiny_net(**dropping)
    if name == "named":
        return [("dropping", tiny_net(**dropping)), ("users", tiny_net(GlobalDropout))]
    if name == "loader":
        return tiny_net(iterator_train=OtherLoader, iterator_train__shuffle=True)
    return {"users": tiny_net, "skorch": plain_skorch_net}[name](GlobalDropout)


NETS = pytest.mark.parametrize("name", ["ours", "joint", "named", "users", "skorch", "loader"])


def ensemble_of(name, **params):
    # Nets as small as ours train in one pass unless they are told otherwise.
    strategy = "threads" if name == "ours" else "auto"
    usual = {"n_estimators": 3, "validation": 0.25, "strategy": strategy}
    return tiny_ensemble(make_net(name), **usual | params)


def members(table, name="ours", **params):
    X, y = table
    return ensemble_of(name, **params).fit(X, y).predict_members(X)


class TestSameResult:
    @NETS
    def test_of_a_second_fit(self, table, name):
        np.testing.assert_array_equal(members(table, name), members(table, name))

    @NETS
    @pytest.mark.parametrize("backend", ["threading", "loky"])
    def test_for_any_number_of_jobs_and_backend(self, table, name, backend):
        with joblib.parallel_config(backend=backend):
            parallel = members(table, name, n_jobs=2)
        np.testing.assert_array_equal(parallel, members(table, name))

    @NETS
    def test_of_the_preferred_backend(self, table, name):
        np.testing.assert_array_equal(members(table, name, n_jobs=2), members(table, name))

    @NETS
    @pytest.mark.parametrize("backend", ["threading", "loky"])
    def test_in_nested_parallelism(self, table, name, backend):
        ways = Parallel(n_jobs=2, backend=backend)(
            delayed(members)(table, name, n_jobs=n_jobs) for n_jobs in (1, 2)
        )
        for way in ways:
            np.testing.assert_array_equal(way, members(table, name))

    def test_in_a_parallel_search(self, table):
        searches = [
            GridSearchCV(ensemble_of("ours", n_jobs=2), {"net__lr": [0.01, 0.1]}, cv=2, n_jobs=jobs)
            for jobs in (1, 2)
        ]
        one, two = (search.fit(*table).cv_results_["mean_test_score"] for search in searches)
        np.testing.assert_array_equal(one, two)

    @pytest.mark.parametrize("n_threads", [1, 2])
    def test_for_any_number_of_threads_of_torch(self, table, n_threads):
        before = torch.get_num_threads()
        torch.set_num_threads(n_threads)
        try:
            trained = ensemble_of("ours").fit(*table)
        finally:
            torch.set_num_threads(before)
        np.testing.assert_array_equal(trained.predict_members(table[0]), members(table))

    @pytest.mark.parametrize("name", ["ours", "users"])
    def test_of_a_student(self, table, name):
        X, y = table
        one, other = (
            DistilledRegressor(ensemble_of(name, n_jobs=n_jobs), random_state=0).fit(X, y)
            for n_jobs in (1, 2)
        )
        np.testing.assert_array_equal(one.predict_uncertainty(X), other.predict_uncertainty(X))

    @pytest.mark.parametrize("aleatoric", ["replicates", "heteroscedastic"])
    @pytest.mark.parametrize("backend", ["threading", "loky"])
    def test_of_the_noise_for_any_number_of_jobs(self, table, aleatoric, backend):
        X, y = table
        given = {"replicates": replicates_of(y)} if aleatoric == "replicates" else {}

        def said(n_jobs):
            teacher = ensemble_of("named", aleatoric=aleatoric, n_jobs=n_jobs)
            degu = DistilledRegressor(teacher, tiny_net(), random_state=0).fit(X, y, **given)
            return [*degu.predict_components(X).values(), degu.teacher_.predict_uncertainty(X)]

        with joblib.parallel_config(backend=backend):
            parallel = said(2)
        np.testing.assert_array_equal(parallel, said(1))

    def test_of_a_random_state_instance_in_the_same_state(self, table):
        one, other = (members(table, random_state=np.random.RandomState(7)) for _ in range(2))
        np.testing.assert_array_equal(one, other)

    def test_whatever_the_global_generators_are_at(self, table):
        torch.manual_seed(1)
        np.random.seed(1)  # noqa: NPY002
        one = members(table, "users")
        torch.manual_seed(2)
        np.random.seed(2)  # noqa: NPY002
        np.testing.assert_array_equal(one, members(table, "users"))


class TestOtherResult:
    @NETS
    def test_of_another_seed(self, table, name):
        assert not np.allclose(members(table, name), members(table, name, random_state=1))

    @pytest.mark.parametrize("name", ["ours", "users"])
    def test_of_every_member(self, table, name):
        one, two, three = members(table, name)
        assert not np.allclose(one, two)
        assert not np.allclose(two, three)

    def test_of_a_second_fit_without_random_state(self, table):
        assert not np.allclose(members(table, random_state=None), members(table, random_state=None))


class TestOutside:
    @NETS
    @pytest.mark.parametrize("n_jobs", [1, 2])
    def test_global_generators_stay_as_they_were(self, table, name, n_jobs):
        X, y = table
        before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
        teacher = ensemble_of(name, n_jobs=n_jobs)
        DistilledRegressor(teacher, random_state=0).fit(X, y).predict(X, return_std=True)
        assert torch.equal(torch.random.get_rng_state(), before[0])
        np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002

    @pytest.mark.parametrize("n_jobs", [1, 2])
    def test_threads_of_torch_are_restored(self, table, n_jobs):
        before = torch.get_num_threads()
        torch.set_num_threads(3)
        try:
            members(table, n_jobs=n_jobs)
            assert torch.get_num_threads() == 3
            with pytest.raises(ValueError, match="NaN"):
                members((np.full((40, 6), np.nan), table[1]), n_jobs=n_jobs)
            assert torch.get_num_threads() == 3
        finally:
            torch.set_num_threads(before)

    def test_threads_and_generator_are_restored_after_an_error(self, table, monkeypatch):
        def fail(*args, **kwargs):
            torch.rand(1)
            raise ZeroDivisionError

        monkeypatch.setattr(GlobalDropout, "forward", fail)
        before, threads = torch.random.get_rng_state(), torch.get_num_threads()
        torch.set_num_threads(2)
        try:
            with pytest.raises(ZeroDivisionError):
                members(table, "users")
            assert torch.get_num_threads() == 2
        finally:
            torch.set_num_threads(threads)
        assert torch.equal(torch.random.get_rng_state(), before)

    def test_the_random_state_instance_is_drawn_from(self, table):
        random_state = np.random.RandomState(0)
        one, other = (members(table, random_state=random_state) for _ in range(2))
        assert not np.allclose(one, other)


class TestStreams:
    def test_of_one_seed_are_independent(self):
        seeds = Seeds(3)
        streams = {seeds.weights, seeds.order, seeds.dropout, seeds.augmentation}
        assert len(streams) == 4
        assert vars(Seeds(3)) == vars(seeds) != vars(Seeds(4))

    def test_of_dropout_leaves_weights_and_order_alone(self, table):
        X, y = table
        nets = [tiny_net(lr=1e-12, module__dropout=p) for p in (1e-9, 0.5)]
        one, other = (tiny_ensemble(net, 1).fit(X, y).predict(X) for net in nets)
        np.testing.assert_allclose(one, other, rtol=1e-6)

    def test_within_a_seeded_block_are_those_of_the_seed(self):
        before = torch.random.get_rng_state()
        with global_generator(5):
            drawn = torch.rand(3)
        expected = torch.rand(3, generator=torch.Generator().manual_seed(5))
        assert torch.equal(drawn, expected)
        assert torch.equal(torch.random.get_rng_state(), before)

    def test_threads_are_restored_by_the_last_to_leave(self):
        before = torch.get_num_threads()
        torch.set_num_threads(2)
        try:
            with one_intra_op_thread:
                with one_intra_op_thread:
                    assert torch.get_num_threads() == 1
                assert torch.get_num_threads() == 1
            assert torch.get_num_threads() == 2
        finally:
            torch.set_num_threads(before)


class Declared(nn.Module):
    draws_globally = False

    def __init__(self, layer=None):
        super().__init__()
        self.layer = layer


class Undeclared(nn.Module):
    pass


class TestGlobalGenerator:
    @pytest.mark.parametrize(
        ("module", "expected"),
        [
            (nn.Linear(2, 2), False),
            (MLP(2, 1, dropout=0.5), False),
            (Dropout(0.5), False),
            (nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)), True),
            (nn.LSTM(2, 2), False),
            (nn.LSTM(2, 2, num_layers=2, dropout=0.5), True),
            (nn.MultiheadAttention(2, 1), True),
            (Undeclared(), True),
            (Declared(), False),
            (Declared(nn.Dropout(0.5)), True),
        ],
    )
    def test_is_drawn_from_by_known_and_undeclared_layers(self, module, expected):
        assert draws_globally(module) is expected

    @pytest.mark.parametrize(
        ("module", "expected"), [(MLP, False), (TinyConv, False), (GlobalDropout, True)]
    )
    def test_may_be_drawn_from_by_modules_of_users(self, module, expected):
        assert may_draw_globally(tiny_net(module)) is expected
