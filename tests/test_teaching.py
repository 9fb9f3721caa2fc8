"""What a teacher says of rows: all members, or random ones."""

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator

from sklearn_degu import DistilledRegressor
from sklearn_degu._checkpoint_folder import CheckpointFolder
from sklearn_degu._teaching import EnsembleTeaching
from tests.noisy import replicates_of
from tests.toys import tiny_ensemble, tiny_net, weights

N_MEMBERS = 5


@pytest.fixture(scope="module")
def curve():
    """Return X, y, and a teacher with all heads that was fitted to them."""
    X = np.linspace(-1, 1, 90)[:, np.newaxis] * np.ones(3)
    y = np.c_[X[:, 0] ** 2, X[:, 0]]
    teacher = tiny_ensemble(tiny_net(max_epochs=15), N_MEMBERS, aleatoric="replicates")
    return X, y, teacher.fit(X, y, replicates=replicates_of(y, np.exp(X[:, :1])))


def said(curve, n_sampled, seed):
    X, _, teacher = curve
    teaching = EnsembleTeaching(teacher, CheckpointFolder(None, []), n_sampled)
    return teaching(X, 0, np.random.default_rng(seed))


def average(curve, n_sampled, head, power):
    """Return what sampled members say on average, over many draws."""
    return np.mean([said(curve, n_sampled, seed)[head] ** power for seed in range(400)], axis=0)


@pytest.mark.parametrize("n_sampled", [None, N_MEMBERS])
def test_all_members_say_what_the_ensemble_says(curve, n_sampled):
    X, _, teacher = curve
    labels, whole = said(curve, n_sampled, seed=0), teacher.predict_components(X)
    assert list(labels) == ["mean", "epistemic", "aleatoric"]
    for head, values in labels.items():
        np.testing.assert_allclose(values, whole[head])


@pytest.mark.parametrize("n_sampled", [1, 2, 3])
def test_some_members_say_the_same_on_average(curve, n_sampled):
    X, _, teacher = curve
    whole = teacher.predict_components(X)
    mean = average(curve, n_sampled, "mean", 1)
    # 400 draws leave a twentieth of a member's deviation.
    assert (np.abs(mean - whole["mean"]) < 0.25 * whole["epistemic"]).all()
    if n_sampled > 1:
        variance = average(curve, n_sampled, "epistemic", 2)
        np.testing.assert_allclose(variance, whole["epistemic"] ** 2, rtol=0.3)
        assert variance.mean() == pytest.approx((whole["epistemic"] ** 2).mean(), rel=0.01)


def test_each_row_has_members_of_its_own(curve):
    X, _, teacher = curve
    members = teacher.predict_members(X)
    who = np.abs(members - said(curve, 1, seed=0)["mean"]).sum(axis=2).argmin(axis=0)
    assert set(who) == set(range(N_MEMBERS))


def test_one_member_alone_disagrees_with_nobody(curve):
    assert (said(curve, 1, seed=0)["epistemic"] == 0).all()


def test_only_labels_of_use_are_kept(curve, tmp_path):
    X, _, teacher = curve
    teaching = EnsembleTeaching(teacher, CheckpointFolder(tmp_path, []))
    for copy in range(4):
        teaching(X + copy, copy)
    teaching(X, "valid")
    kept = {path.name.split(".")[0] for path in tmp_path.iterdir()}
    assert kept == {"labels-0", "labels-3", "labels-valid"}


def student(curve, X_unlabeled=None, **params):
    X, y, teacher = curve
    net = tiny_net(max_epochs=150, module__hidden=(32,), lr=0.02)
    degu = DistilledRegressor(
        FrozenEstimator(teacher), net, **{"random_state": 0, "copy_epochs": 1, **params}
    )
    return degu.fit(X, y, X_unlabeled=X_unlabeled)


class TestStudentOfSampledMembers:
    @pytest.mark.parametrize("n_sampled_members", [1, 2, 4])
    def test_learns_what_all_members_say(self, curve, n_sampled_members):
        X, _, teacher = curve
        degu = student(curve, np.tile(X, (5, 1)), n_sampled_members=n_sampled_members)
        learned, whole = degu.predict_components(X), teacher.predict_components(X)
        for head, least in (("mean", 0.99), ("epistemic", 0.75), ("aleatoric", 0.95)):
            for target in range(2):
                pair = learned[head][:, target], whole[head][:, target]
                assert np.corrcoef(*pair)[0, 1] > least
        ratio = learned["epistemic"].mean(axis=0) / whole["epistemic"].mean(axis=0)
        np.testing.assert_allclose(ratio, 1, atol=0.1)

    def test_is_the_same_where_the_fit_goes_on(self, curve, tmp_path, monkeypatch):
        X, y, teacher = curve
        params = {"n_sampled_members": 2, "random_state": 0, "copy_epochs": 1}
        net = tiny_net(max_epochs=6)

        def fitted(**more):
            return DistilledRegressor(FrozenEstimator(teacher), net, **params, **more).fit(X, y)

        whole = fitted()
        said_before = EnsembleTeaching.__call__

        def cut_off(self, X, name, generator=None):
            if name == 4:
                raise RuntimeError("cut off")
            return said_before(self, X, name, generator)

        with monkeypatch.context() as patch:
            patch.setattr(EnsembleTeaching, "__call__", cut_off)
            with pytest.raises(RuntimeError, match="cut off"):
                fitted(checkpoint_dir=tmp_path)
        gone_on = fitted(checkpoint_dir=tmp_path)
        np.testing.assert_array_equal(weights(gone_on.student_), weights(whole.student_))
        np.testing.assert_array_equal(gone_on.predict_uncertainty(X), whole.predict_uncertainty(X))

    def test_is_stopped_on_what_all_members_say(self, curve):
        X, y, teacher = curve
        degu = DistilledRegressor(
            FrozenEstimator(teacher), tiny_net(), n_sampled_members=1, random_state=0
        )
        degu.fit(X, y, X_val=X[:30], y_val=y[:30])
        assert np.isfinite(degu.history_["valid_loss"]).all()
        ratio = degu.predict_uncertainty(X[:30], "epistemic").mean(axis=0)
        expected = teacher.predict_uncertainty(X[:30], "epistemic").mean(axis=0)
        np.testing.assert_allclose(ratio, expected)

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"n_sampled_members": 0}, "n_sampled_members must be a positive integer, got 0"),
            ({"n_sampled_members": 2.0}, "n_sampled_members must be a positive integer"),
            ({"n_sampled_members": True}, "n_sampled_members must be a positive integer"),
            ({"n_sampled_members": 6}, "6 members cannot be drawn from n_estimators=5"),
            ({"n_sampled_members": 2, "target": "std"}, "set target='log_var', not 'std'"),
            ({"copy_epochs": 0}, "copy_epochs must be a positive integer, got 0"),
            ({"keep_originals": "yes"}, "keep_originals must be True or False, got 'yes'"),
        ],
    )
    def test_is_refused_where_it_cannot_be(self, curve, params, message):
        with pytest.raises(ValueError, match=message):
            student(curve, **params)

    def test_needs_members_that_disagree(self, table):
        degu = DistilledRegressor(tiny_ensemble(n_estimators=1), n_sampled_members=1)
        with pytest.raises(ValueError, match="of which there must be at least two"):
            degu.fit(*table)
