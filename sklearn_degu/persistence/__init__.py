"""Save and load models without pickle, and export them.

A file holds tensors and a description, never code: classes and functions are named, and looked up
among those that are known to be harmless and those that the user passes.
"""

from sklearn_degu.persistence._files import load, save
from sklearn_degu.persistence._onnx import export_onnx

__all__ = ["export_onnx", "load", "save"]
