"""The environment of the rivals: none of them is a dependency of the package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
REQUIREMENTS = (
    "torch==2.13.0",
    "scikit-learn",
    "skorch",
    "numba",
    "torchensemble",
    "tensorflow-cpu",
    "keras",
)


def make_environment(folder: Path) -> Path:
    """Make a virtual environment with the rivals and this package; return its Python."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    install = [str(python), "-m", "pip", "install", *REQUIREMENTS, "--editable", str(REPOSITORY)]
    subprocess.run(install, check=True)
    return python
