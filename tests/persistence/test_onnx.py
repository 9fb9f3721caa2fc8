"""An exported model predicts as the estimator does, by another program."""

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

from sklearn_degu import ConformalRegressor, DistilledRegressor, EnsembleRegressor
from sklearn_degu.baselines import EvidentialRegressor, MCDropoutRegressor
from sklearn_degu.modules import MLP
from sklearn_degu.persistence import export_onnx
from sklearn_degu.recipes import deepstarr_net
from tests.toys import tiny_ensemble, tiny_net

pytestmark = pytest.mark.filterwarnings("ignore")


def run(path, X, names):
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == [*names]
    assert [given.name for given in session.get_inputs()] == ["X"]
    return dict(zip(names, session.run(None, {"X": X}), strict=True))


def exported(model, path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    return export_onnx(model, path)


def assert_predicts_alike(model, path, X, rtol):
    names = exported(model, path)
    assert names == ("mean", *model.uncertainty_kinds_)
    for n_rows in (1, 2, len(X)):
        got = run(path, X[:n_rows], names)
        for name, expected in model.predict_components(X[:n_rows]).items():
            assert got[name].shape == (n_rows, model.n_outputs_)
            expected = expected.reshape(got[name].shape)
            np.testing.assert_allclose(got[name], expected, rtol=rtol, atol=rtol, err_msg=name)


TABLES = {
    "student": lambda: DistilledRegressor(
        tiny_ensemble(aleatoric="heteroscedastic"), target="std", random_state=0
    ),
    "ensemble": lambda: tiny_ensemble(aleatoric="heteroscedastic"),
    "evidential": lambda: EvidentialRegressor(tiny_net(), random_state=0),
}


@pytest.mark.parametrize("build", TABLES.values(), ids=TABLES.keys())
def test_exported_models_of_tables_predict_alike(build, table, tmp_path):
    model = build().fit(*table)
    assert_predicts_alike(model, tmp_path / "model.onnx", table[0], rtol=1e-9)


def test_exported_models_of_sequences_predict_alike(tmp_path):
    rng = np.random.default_rng(0)
    X = np.eye(4, dtype=np.uint8)[rng.integers(4, size=(40, 16))].transpose(0, 2, 1)
    y = np.c_[X[:, 0].sum(axis=1), X[:, 1].sum(axis=1)].astype(float)
    net = deepstarr_net(max_epochs=2, module__width=0.05, callbacks=None)
    model = DistilledRegressor(EnsembleRegressor(net, 2), augment=None, random_state=0).fit(X, y)
    assert_predicts_alike(model, tmp_path / "model.onnx", X.astype(np.float32), rtol=1e-4)


def test_exporting_changes_nothing_and_gives_equal_files(table, tmp_path):
    X, y = table
    model = DistilledRegressor(tiny_ensemble(), random_state=0).fit(X, y)
    before = model.predict(X)
    exported(model, tmp_path / "first")
    exported(model, tmp_path / "second")
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    np.testing.assert_array_equal(model.predict(X), before)


class Branching(MLP):
    """A module that is not one graph."""

    def forward(self, x):
        return super().forward(x if x.sum() > 0 else -x)


def test_a_module_that_is_no_graph_is_refused(table, tmp_path):
    pytest.importorskip("onnxscript")
    model = tiny_ensemble(tiny_net(Branching)).fit(*table)
    with pytest.raises(ValueError, match="cannot write it as a graph"):
        export_onnx(model, tmp_path / "model.onnx")


def test_what_cannot_be_exported_is_said(table, tmp_path):
    pytest.importorskip("onnxscript")
    for model in (make_pipeline(tiny_ensemble()), ConformalRegressor(tiny_ensemble())):
        with pytest.raises(TypeError, match=r"model\[-1\].*estimator_"):
            export_onnx(model, tmp_path / "model.onnx")
    dropout = MCDropoutRegressor(tiny_net(module__dropout=0.2)).fit(*table)
    with pytest.raises(TypeError):
        export_onnx(dropout, tmp_path / "model.onnx")
    assert [*tmp_path.iterdir()] == []


def test_a_missing_package_is_said_with_the_extra_that_brings_it(monkeypatch, tmp_path):
    monkeypatch.setattr("sklearn_degu.persistence._onnx.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"sklearn-degu\[onnx\]"):
        export_onnx(tiny_ensemble(), tmp_path / "model.onnx")
