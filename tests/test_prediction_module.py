import copy
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from sklearn_degu import DistilledRegressor, EnsembleRegressor
from sklearn_degu._noise_map import NoiseMap
from sklearn_degu._prediction_module import (
    DecodedHeads,
    EnsembleReadout,
    PredictionModule,
    StudentReadout,
)
from sklearn_degu.baselines import EvidentialRegressor, MCDropoutRegressor
from sklearn_degu.uncertainty import Head, Heads
from tests.toys import tiny_ensemble, tiny_net, weights


@pytest.fixture(scope="module")
def data(table):
    X, y = table
    rng = np.random.default_rng(1)
    replicates = np.c_[y, -3 * y][:, :, np.newaxis] + rng.normal(size=(len(y), 2, 3))
    return X, replicates.mean(axis=2), replicates


def fitted(estimator, data):
    X, y, replicates = data
    noise = {}
    ensemble = getattr(estimator, "teacher", estimator)
    if getattr(ensemble, "aleatoric", None) == "replicates":
        noise = {"replicates": replicates}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return estimator.fit(X, y, **noise)


def predictions(module, X):
    with torch.no_grad():
        return {name: part.numpy() for name, part in module(torch.as_tensor(X)).items()}


def assert_predicts_alike(estimator, X):
    expected, found = estimator.predict_components(X), predictions(estimator.to_module(), X)
    assert list(found) == ["mean", *estimator.uncertainty_kinds_]
    for name, values in expected.items():
        columns = values.reshape(len(X), -1)
        np.testing.assert_allclose(found[name], columns, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "estimator",
    [
        tiny_ensemble(n_estimators=3),
        tiny_ensemble(n_estimators=1),
        tiny_ensemble(aleatoric="replicates"),
        tiny_ensemble(aleatoric="replicates", noise_of="replicate"),
        tiny_ensemble(aleatoric="heteroscedastic"),
        tiny_ensemble(n_estimators=1, aleatoric="heteroscedastic"),
        EvidentialRegressor(tiny_net(), random_state=0),
        DistilledRegressor(tiny_ensemble(), random_state=0),
        DistilledRegressor(tiny_ensemble(), target="std", random_state=0),
        DistilledRegressor(tiny_ensemble(aleatoric="replicates"), random_state=0),
        DistilledRegressor(tiny_ensemble(aleatoric="replicates"), target="std", random_state=0),
    ],
    ids=str,
)
def test_module_predicts_what_the_estimator_predicts(estimator, data):
    assert_predicts_alike(fitted(estimator, data), data[0])


def test_module_of_one_target_has_one_column(table):
    ensemble = tiny_ensemble().fit(*table)
    assert predictions(ensemble.to_module(), table[0])["mean"].shape == (40, 1)
    assert_predicts_alike(ensemble, table[0])


def test_noise_map_and_factor_of_heads_are_applied(data):
    ensemble = fitted(tiny_ensemble(aleatoric="replicates"), data)
    ensemble._noise_map = NoiseMap(np.array([0.5, 2]), np.array([0.3, -0.4]), np.array([1.5, 1]))
    assert_predicts_alike(ensemble, data[0])
    student = fitted(DistilledRegressor(tiny_ensemble(), random_state=0), data)
    heads = dict(student._heads.heads)
    heads["epistemic"] = Head(
        heads["epistemic"].link,
        heads["epistemic"].loc,
        heads["epistemic"].scale,
        np.array([3.0, 0.2]),
    )
    student._heads = Heads(heads, 2)
    assert_predicts_alike(student, data[0])


def test_ensemble_of_assembled_parts_has_heads_of_its_own_in_every_member(data):
    X, y, _ = data
    parts = [tiny_ensemble(random_state=i).fit(X, (1 + i) * y) for i in range(2)]
    assert_predicts_alike(EnsembleRegressor.from_fitted(parts), X)


def test_noise_of_that_is_set_after_fit_counts(data):
    ensemble = fitted(tiny_ensemble(aleatoric="replicates"), data)
    before = predictions(ensemble.to_module(), data[0])["aleatoric"]
    ensemble.set_params(noise_of="replicate")
    after = predictions(ensemble.to_module(), data[0])["aleatoric"]
    np.testing.assert_allclose(after, np.sqrt(3) * before)


def test_member_modules_predict_what_the_members_predict(data):
    ensemble = fitted(tiny_ensemble(n_estimators=3, aleatoric="heteroscedastic"), data)
    modules = ensemble.member_modules()
    means = np.stack([predictions(module, data[0])["mean"] for module in modules])
    np.testing.assert_allclose(means, ensemble.predict_members(data[0]), rtol=1e-9)
    noise = [predictions(module, data[0])["aleatoric"] ** 2 for module in modules]
    together = ensemble.predict_components(data[0])["aleatoric"] ** 2
    np.testing.assert_allclose(np.mean(noise, axis=0), together)


def test_module_shares_weights_and_nothing_else(data):
    student = fitted(DistilledRegressor(tiny_ensemble(), random_state=0), data)
    net, before = student.student_, weights(student.student_)
    net.module_.train()
    module = student.to_module()
    assert not module.training
    assert net.module_.training
    module.float().requires_grad_(False).register_forward_hook(print)
    assert {p.dtype for p in net.module_.parameters()} == {torch.float64}
    assert all(p.requires_grad for p in net.module_.parameters())
    np.testing.assert_array_equal(weights(net), before)
    next(student.to_module().nets.parameters()).data.add_(1.0)
    assert not np.array_equal(weights(net), before)


def test_module_is_differentiable_where_members_agree_exactly(table):
    ensemble = tiny_ensemble().fit(*table)
    twice = EnsembleRegressor.from_fitted([ensemble, ensemble])
    twice.estimators_ = [ensemble.estimators_[0]] * 4
    twice._heads = [ensemble._heads[0]] * 4
    X = torch.as_tensor(table[0]).requires_grad_()
    (gradient,) = torch.autograd.grad(twice.to_module()(X)["epistemic"].sum(), X)
    assert (gradient == 0).all()


def test_module_works_under_functional_transforms(data):
    student = fitted(DistilledRegressor(tiny_ensemble(), random_state=0), data)
    module, X = student.to_module(), torch.as_tensor(data[0][:5])

    def epistemic(x):
        return module(x.unsqueeze(0))["epistemic"][0, 0]

    each = torch.func.vmap(torch.func.grad(epistemic))(X)
    X.requires_grad_()
    (expected,) = torch.autograd.grad(module(X)["epistemic"][:, 0].sum(), X)
    torch.testing.assert_close(each, expected)


def test_members_of_different_types_are_brought_together():
    heads = Heads.unscaled_mean(1)
    readout = EnsembleReadout([heads] * 2, ("mean",), NoiseMap.identity(1), [1.0])
    nets = [nn.Linear(2, 1), nn.Linear(2, 1).double()]
    module = PredictionModule(nets, readout, ("mean",), 1)
    assert {p.dtype for p in module.parameters()} == {torch.float32}
    assert nets[1].weight.dtype == torch.float64


def test_module_can_be_copied(data):
    module = fitted(tiny_ensemble(), data).to_module()
    again = copy.deepcopy(module)
    np.testing.assert_array_equal(
        predictions(again, data[0])["mean"], predictions(module, data[0])["mean"]
    )


def test_sampled_predictions_have_no_module(table):
    sampler = MCDropoutRegressor(tiny_net(module__dropout=0.5), random_state=0).fit(*table)
    with pytest.raises(TypeError, match="sampling dropout masks"):
        sampler.to_module()


def test_unfitted_estimator_has_no_module():
    with pytest.raises(ValueError, match="not fitted"):
        tiny_ensemble().to_module()
    with pytest.raises(ValueError, match="not fitted"):
        tiny_ensemble().member_modules()


def test_a_link_without_a_counterpart_is_named():
    head = Head("cubic", np.zeros(1), np.ones(1))
    with pytest.raises(TypeError, match="'cubic' has no counterpart"):
        DecodedHeads(Heads({"mean": head}, 1))


def test_large_outputs_of_softplus_stay_exact(data):
    student = fitted(DistilledRegressor(tiny_ensemble(), target="std", random_state=0), data)
    outputs = np.random.default_rng(0).normal(size=(200, 4), scale=40)
    found = StudentReadout(student._heads, ("epistemic",))(torch.as_tensor(outputs)).numpy()
    np.testing.assert_allclose(found, student._heads.decode(outputs)["epistemic"], rtol=1e-12)
