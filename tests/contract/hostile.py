"""What spreadsheets and pipelines produce, made from an array of floats of one or more axes."""

import datetime
import decimal
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse
import torch

ROW = 3
HUGE_INT = 10**400


class Hostile(NamedTuple):
    """An input that no numbers can be read from, and what its error must say."""

    make: object
    message: str


def spoiled(array, value, dtype=object):
    """Return a copy with one entry replaced."""
    array = np.array(array, dtype=dtype)
    array.reshape(len(array), -1)[ROW, 0] = value
    return array


def with_masked_entry(array):
    mask = np.zeros(array.shape, dtype=bool)
    mask.reshape(len(array), -1)[ROW, 0] = True
    return np.ma.array(array, mask=mask)


def as_table(array):
    return pd.DataFrame(array.reshape(len(array), -1)).rename(columns=str)


def as_column(array):
    """Return a Series for one axis, else a table, so that the number of axes is kept."""
    return pd.Series(array) if array.ndim == 1 else as_table(array)


def dates(array):
    return np.datetime64("2026-01-01") + array.astype("timedelta64[D]")


NO_ARRAY = "{name} must be an array, a list or a table .* got an object of type "
NO_NUMBER = "{name} holds .* at index .*but a number was expected .* Convert or drop it"
TIMES = r"{name} holds dates or durations .* Convert them to numbers"
UNREADABLE = r"{name}, of type .* cannot be read as an array: .* Pass a numpy array"

# Not an array of numbers, whatever takes it.
NO_NUMBERS = {
    "generator": Hostile(lambda a: (row for row in a), NO_ARRAY + "generator"),
    "map": Hostile(lambda a: map(list, a), NO_ARRAY + "map"),
    "set": Hostile(lambda a: set(a.ravel().tolist()), NO_ARRAY + "set"),
    "dict": Hostile(lambda a: dict(enumerate(a.tolist())), NO_ARRAY + "dict"),
    "class": Hostile(lambda a: np.ndarray, NO_ARRAY + "type"),
    "object": Hostile(lambda a: object(), NO_ARRAY + "object"),
    "ragged list": Hostile(
        lambda a: [*a.tolist()[:-1], [1.0, 2.0, 3.0, 4.0, 5.0]], "{name} is ragged"
    ),
    "note in a cell": Hostile(lambda a: spoiled(a, "n.d."), NO_NUMBER),
    "unit in a cell": Hostile(lambda a: spoiled(a, "3 nM"), NO_NUMBER),
    "dict in a cell": Hostile(lambda a: spoiled(a, {"value": 3}), NO_NUMBER),
    "integer beyond float64": Hostile(lambda a: spoiled(a, HUGE_INT), NO_NUMBER),
    "decimal commas": Hostile(
        lambda a: as_column(a).astype(str).replace(r"\.", ",", regex=True), NO_NUMBER
    ),
    "dates in cells": Hostile(lambda a: spoiled(a, datetime.date(2026, 1, 1)), NO_NUMBER),
    "periods": Hostile(
        lambda a: pd.Series(pd.period_range("2026", periods=len(a), freq="D")).to_frame(), NO_NUMBER
    ),
    "datetime64": Hostile(dates, TIMES),
    "list of datetime64": Hostile(lambda a: list(dates(a)), TIMES),
    "timedelta64": Hostile(lambda a: a.astype("timedelta64[s]"), TIMES),
    "NaT": Hostile(lambda a: np.full(a.shape, np.datetime64("NaT")), TIMES),
    "pandas datetime": Hostile(
        lambda a: as_table(a).assign(measured=pd.Timestamp("2026-01-01")), TIMES
    ),
    "masked": Hostile(with_masked_entry, r"{name} is a masked array with 1 masked .* Fill them"),
    "complex": Hostile(lambda a: a + 1j, "Complex data not supported: {name} has dtype complex128"),
    "complex tensor": Hostile(
        lambda a: torch.from_numpy(a + 1j), "Complex data not supported: {name} .* Pass {name}.real"
    ),
    "structured": Hostile(
        lambda a: np.zeros(len(a), dtype=[("value", float), ("error", float)]),
        "{name} is a structured array with the fields .'value', 'error'",
    ),
    "sparse": Hostile(
        lambda a: scipy.sparse.csr_array(a.reshape(len(a), -1)), "Sparse data was passed for {name}"
    ),
    "sparse columns": Hostile(
        lambda a: as_table(a).astype(pd.SparseDtype("float")),
        r"{name} has sparse columns.* Pass {name}.sparse.to_dense\(\)",
    ),
    "equal column names": Hostile(
        lambda a: pd.DataFrame({"value": a.reshape(len(a), -1)[:, 0]})[["value", "value"]],
        "{name} has 2 columns of the name 'value'. Give every column a name of its own",
    ),
    "tensor without data": Hostile(lambda a: torch.empty(a.shape, device="meta"), UNREADABLE),
    "sparse tensor": Hostile(lambda a: torch.from_numpy(a.copy()).to_sparse(), UNREADABLE),
    "bfloat16 tensor": Hostile(lambda a: torch.from_numpy(a.copy()).bfloat16(), UNREADABLE),
    "list of tensors with gradients": Hostile(
        lambda a: [torch.tensor(row, requires_grad=True) for row in a], UNREADABLE
    ),
}

# Numbers of which no finite result could come.
NOT_FINITE = {
    "inf": Hostile(lambda a: spoiled(a, np.inf, float), "Input {name} contains infinity"),
    "-inf": Hostile(lambda a: spoiled(a, -np.inf, float), "Input {name} contains infinity"),
    "longdouble beyond float64": Hostile(
        lambda a: spoiled(a, np.longdouble("1e4000"), np.longdouble), "Input {name} contains infin"
    ),
    "1e300": Hostile(
        lambda a: spoiled(a, 1e300, float), r"{name} holds 1e\+300 at index .* placeholders of miss"
    ),
}

MISSING = {
    "NaN": lambda a: spoiled(a, np.nan, float),
    "None": lambda a: spoiled(a, None),
    "pandas NA": lambda a: as_column(a).astype("Float64").mask(as_column(a) == a.ravel()[0]),
}


def read_only(array):
    array = array.copy()
    array.setflags(write=False)
    return array


def odd_index(array):
    index = np.random.default_rng(0).permutation(len(array)) * 10**6 - 3
    return as_column(array).set_axis(index, axis=0)


# The same values in another container: the result must be that of the plain array.
HARMLESS = {
    "list": lambda a: a.tolist(),
    "tuple": lambda a: tuple(a.tolist()),
    "Fortran order": np.asfortranarray,
    "read-only": read_only,
    "every other row of a larger array": lambda a: np.repeat(a, 2, axis=0)[::2],
    "negative strides": lambda a: a[::-1].copy()[::-1],
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    "object": lambda a: a.astype(object),
    "longdouble": lambda a: a.astype(np.longdouble),
    "numbers as text": lambda a: a.astype(str),
    "numbers as bytes": lambda a: a.astype("S32"),
    "decimals": lambda a: np.vectorize(decimal.Decimal, otypes=[object])(a),
    "masked array without a mask": np.ma.array,
    "memory view": memoryview,
    "tensor": lambda a: torch.from_numpy(a.copy()),
    "list of tensors": lambda a: [torch.tensor(row) for row in a],
    "table or series": as_column,
    "odd index of millions": odd_index,
    "index of equal labels": lambda a: as_column(a).set_axis([7] * len(a), axis=0),
    "index of several levels": lambda a: as_column(a).set_axis(
        pd.MultiIndex.from_arrays([["x"] * len(a), range(len(a))]), axis=0
    ),
    "nullable floats": lambda a: as_column(a).astype("Float64"),
    "string dtype": lambda a: as_column(a).astype("string"),
    "categories": lambda a: as_column(a).astype("category"),
}
