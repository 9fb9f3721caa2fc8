"""Fixtures of the dataset tests."""

import os
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def real_data():
    """Return a function from file name to path that skips where the file is missing."""
    folder = Path(PROJECT, os.environ.get("SKLEARN_DEGU_DATA", "../shared/data"))

    def find(name: str) -> Path:
        path = folder / name
        if not path.exists():
            pytest.skip(f"{path} is missing; SKLEARN_DEGU_DATA names the folder of real data")
        return path

    return find
