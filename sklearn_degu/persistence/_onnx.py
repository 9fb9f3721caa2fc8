"""Fitted estimators in the ONNX format, for programs without Python."""

from __future__ import annotations

import copy
import warnings
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sklearn_degu._files import write_whole

_NEEDED = ("onnx", "onnxscript")

# torch takes sizes of 0 and 1 in the example for constants.
_N_EXAMPLES = 2


def export_onnx(estimator: Any, path: str | PathLike[str]) -> tuple[str, ...]:
    """Export a fitted estimator to ONNX, with its mean and standard deviations as outputs.

    What the student or the ensemble computes, the decoding to y's units included, becomes one
    graph that any ONNX runtime runs, in any number of rows. It needs the extra ``[onnx]``.

    Parameters
    ----------
    estimator : DistilledRegressor, EnsembleRegressor or EvidentialRegressor
        The fitted estimator. Of a Pipeline, export the last step: what precedes it stays in
        Python, such as the encoding of strings.
    path : str or path-like
        The file; one that is there is replaced, at once or not at all.

    Returns
    -------
    names : tuple of str
        The outputs: ``"mean"`` and the estimator's ``uncertainty_kinds_``, each of shape
        (n_samples, n_outputs_), in y's units. The input is ``"X"``, of shape
        (n_samples, ``*input_shape_``) and of the floating type of the weights: float32 for
        sequences, float64 for tables of float64.

    Raises
    ------
    ImportError
        If the extra ``[onnx]`` is not installed.
    TypeError
        If the estimator is no function of X that torch can express, such as one whose predictions
        are drawn at random.
    ValueError
        If a module of the user's cannot be written as a graph, such as one that branches on its
        input.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from sklearn_degu import DistilledRegressor, EnsembleRegressor
    >>> from sklearn_degu.persistence import export_onnx
    >>> X, y = make_regression(n_samples=100, n_features=5, random_state=0)
    >>> model = DistilledRegressor(EnsembleRegressor(n_estimators=2), random_state=0).fit(X, y)
    >>> export_onnx(model, "student.onnx")  # doctest: +SKIP
    ('mean', 'epistemic')
    """
    _check_installed()
    if not hasattr(estimator, "to_module"):
        raise TypeError(
            "Only estimators of this package that are functions of X can be exported, such as a "
            f"DistilledRegressor; got {type(estimator).__name__}. Of a Pipeline, export the last "
            "step, model[-1]; of a wrapper, its estimator_."
        )
    module = _InOrder(estimator.to_module()).cpu()
    weights = (weight for weight in module.parameters() if weight.is_floating_point())
    dtype = next(weights, torch.zeros(())).dtype
    example = torch.zeros((_N_EXAMPLES, *estimator.input_shape_), dtype=dtype)
    write_whole(Path(path), _exported(module, example))
    return module.names


class _InOrder(nn.Module):
    """Predictions side by side, as ONNX names them, instead of a dict."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.module = copy.deepcopy(module)
        self.names: tuple[str, ...] = tuple(module.names)

    def forward(self, X: Tensor) -> tuple[Tensor, ...]:
        predictions = self.module(X)
        return tuple(predictions[name] for name in self.names)


def _exported(module: _InOrder, example: Tensor) -> bytes:
    try:
        graph = torch.export.export(
            module.eval(),
            (example,),
            dynamic_shapes=({0: torch.export.Dim("n_samples")},),
            strict=False,
        ).run_decompositions({torch.ops.aten.softplus.default: _softplus})
        with warnings.catch_warnings():
            # Of torch's own code, which it tells its users of.
            warnings.simplefilter("ignore")
            program: Any = torch.onnx.export(
                graph,
                input_names=["X"],
                output_names=list(module.names),
                dynamo=True,
                verbose=False,
            )
    except Exception as error:
        raise ValueError(
            "The net's module cannot be exported to ONNX, because torch.export cannot write it "
            f"as a graph: {error}"
        ) from error
    _rename_inner(program.model.graph, module.names)
    exported: bytes = program.model_proto.SerializeToString(deterministic=True)
    return exported


def _softplus(x: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """Compute softplus of operations that ONNX runtimes have in float64 too."""
    scaled = x * beta
    return (torch.log1p(torch.exp(-scaled.abs())) + scaled.clamp(min=0)) / beta


def _rename_inner(graph: Any, names: tuple[str, ...]) -> None:
    """Rename values that torch called like an output, such as the result of a mean."""
    outputs = {id(value) for value in graph.outputs}
    for node in graph:
        for value in node.outputs:
            if value.name in names and id(value) not in outputs:
                value.name = f"{value.name}_inside"


def _check_installed() -> None:
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise ImportError(
            f"export_onnx needs {' and '.join(missing)}: pip install 'sklearn-degu[onnx]'."
        )
