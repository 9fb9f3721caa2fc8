"""Reader of the published HDF5 files of the DeepSTARR and lentiMPRA experiments."""

from __future__ import annotations

import os
import re
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

__all__ = ["read_hdf5"]

_SPLITS = {
    "train": "train",
    "val": "valid",
    "valid": "valid",
    "validation": "valid",
    "test": "test",
}
_SUFFIX = re.compile(rf"(?P<field>.+)_(?P<split>{'|'.join(_SPLITS)})", re.IGNORECASE)
_MIN_ROWS = 4096  # read at a time

Fields = dict[str, h5py.Dataset]


class _Options(NamedTuple):
    one_hot: bool
    y_transposed: bool | None


def read_hdf5(
    path: str | os.PathLike[str],
    split: str | None = None,
    *,
    one_hot: bool = True,
    y_transposed: bool | None = None,
) -> Bunch:
    """Read training, validation and test sets from one of the three published layouts.

    The layout is told by the names inside the file, never by the file's own name:

    - *hierarchical*: groups ``Train``, ``Val`` and ``Test`` with ``X``, ``y`` and more;
    - *flat*: ``X_Train``, ``y_Train``, ``std_Train``, ... next to ``ensemble_mean``, which
      belongs to the training rows;
    - ``x_train``, ``y_train``, ``x_valid``, ... with y stored as (targets, rows).

    Parameters
    ----------
    path : str or path-like
        HDF5 file.
    split : {"train", "valid", "test"} or None, default=None
        Read only this split and return its Bunch.
    one_hot : bool, default=True
        Store X as uint8 and refuse values other than exact one-hot positions and all-zero
        (unknown) ones. False keeps X as float32, for augmented or noisy inputs.
    y_transposed : bool or None, default=None
        Whether two-dimensional labels are stored as (targets, rows). None tells it from the
        number of rows of X.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        One Bunch per split that the file holds (``data.train``, ``data.valid``, ``data.test``),
        or the Bunch of the one `split`, each with

        X : ndarray of uint8 or float32, shape (n, 4, L)
            Channels in the file's order (ACGT in the published files).
        y : ndarray of float64, shape (n, t), or (n,) if stored so
            Labels as stored. The lentiMPRA files store mean and standard deviation over
            replicates as two columns: only the first is an activity.
        others : ndarray of n rows
            Every other array of the split under its own name in lower case, such as `std`,
            `idx` and `ensemble_mean`.

    Raises
    ------
    ValueError
        If the file has none of the layouts, a split lacks X or y, the numbers of rows differ,
        y could be read either way, or X is not one-hot.

    References
    ----------
    de Almeida et al. (2022), Nature Genetics 54:613, https://zenodo.org/records/5502060;
    Agarwal et al. (2025), Nature 639:411.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import h5py
    >>> import numpy as np
    >>> from sklearn_degu.datasets import read_hdf5
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "activity.h5")
    ...     with h5py.File(path, "w") as file:
    ...         file["Train/X"] = np.eye(4)[[[0, 1, 2], [3, 3, 0], [1, 0, 1]]]  # (3 rows, 3 bp, 4)
    ...         file["Train/y"] = np.zeros((3, 2))
    ...     data = read_hdf5(path)
    >>> data.train.X.shape, data.train.X.dtype, data.train.y.shape
    ((3, 4, 3), dtype('uint8'), (3, 2))
    """
    if split is not None and split not in _SPLITS.values():
        raise ValueError(f"Got split={split!r}, but 'train', 'valid', 'test' or None was expected.")
    options = _Options(one_hot, y_transposed)
    with h5py.File(path, "r") as file:
        found = _find_splits(file)
        if split is None:
            return Bunch(**{name: _read_split(found[name], name, options) for name in found})
        if split not in found:
            raise ValueError(f"{os.fspath(path)} has no split {split!r}. It has {list(found)}.")
        return _read_split(found[split], split, options)


def _find_splits(file: h5py.File) -> dict[str, Fields]:
    """Return {split: {field: dataset}} for the splits that the file holds."""
    splits: dict[str, Fields] = {name: {} for name in ("train", "valid", "test")}
    paths = _dataset_paths(file)
    for path in paths:
        place = _place(path)
        if place is None:
            continue
        split, field = place
        if field in splits[split]:
            raise ValueError(
                f"{field!r} of the split {split!r} occurs twice: as {path!r} and as "
                f"{splits[split][field].name!r}. Remove one of the two."
            )
        splits[split][field] = file[path]
    found = {name: fields for name, fields in splits.items() if fields}
    _check_found(found, paths)
    return found


def _dataset_paths(file: h5py.File) -> list[str]:
    paths: list[str] = []
    file.visititems(lambda name, item: paths.append(name) if _is_dataset(item) else None)
    return paths


def _is_dataset(item: Any) -> bool:
    return isinstance(item, h5py.Dataset)


def _place(path: str) -> tuple[str, str] | None:
    """Return the split and the field that the path of a dataset names, or None."""
    group, _, name = path.rpartition("/")
    if group.lower() in _SPLITS:
        return _SPLITS[group.lower()], name.lower()
    match = _SUFFIX.fullmatch(path)
    if match and not group:
        return _SPLITS[match["split"].lower()], match["field"].lower()
    return ("train", "ensemble_mean") if path == "ensemble_mean" else None


def _check_found(found: dict[str, Fields], paths: list[str]) -> None:
    held = ", ".join(paths[:20]) or "no datasets"
    if not found:
        raise ValueError(
            f"The file holds {held}, but groups Train, Val and Test with X and y, or datasets "
            "X_Train, y_Train, ... or x_train, y_train, ... were expected."
        )
    for split, fields in found.items():
        lacking = [field for field in ("x", "y") if field not in fields]
        if lacking:
            raise ValueError(
                f"The split {split!r} lacks {' and '.join(lacking)}: the file holds {held}."
            )


def _read_split(fields: Fields, split: str, options: _Options) -> Bunch:
    X = _read_sequences(fields["x"], options.one_hot)
    data = Bunch(X=X)
    for field, dataset in fields.items():
        if field != "x":
            values = _rows_first(_values(dataset), len(X), dataset.name, options.y_transposed)
            data[field] = values.astype(np.float64) if field == "y" else values
    return data


def _values(dataset: h5py.Dataset) -> NDArray[Any]:
    if h5py.check_string_dtype(dataset.dtype) is not None:
        return np.asarray(dataset.asstr()[()], dtype=np.str_)
    return np.asarray(dataset[()])


def _rows_first(
    values: NDArray[Any], n_rows: int, name: str, transposed: bool | None
) -> NDArray[Any]:
    """Return labels with rows along the first axis."""
    if values.ndim == 2:
        if transposed is None:
            transposed = _is_transposed(values, n_rows, name)
        values = np.ascontiguousarray(values.T) if transposed else values
    if values.ndim == 0 or len(values) != n_rows:
        raise ValueError(
            f"{name} has the shape {values.shape}, but X of this split has {n_rows} rows."
        )
    return values


def _is_transposed(values: NDArray[Any], n_rows: int, name: str) -> bool:
    if values.shape == (n_rows, n_rows):
        raise ValueError(
            f"{name} has the shape {values.shape} for {n_rows} rows of X: rows and targets cannot "
            "be told apart. Pass y_transposed=True for (targets, rows) or False for "
            "(rows, targets)."
        )
    return bool(values.shape[0] != n_rows and values.shape[1] == n_rows)


def _read_sequences(dataset: h5py.Dataset, one_hot: bool) -> NDArray[Any]:
    """Return (n, 4, L) from (n, L, 4), some thousand rows at a time."""
    if dataset.ndim != 3 or dataset.shape[2] != 4:
        raise ValueError(
            f"{dataset.name} has the shape {dataset.shape}, but one-hot sequences (n, L, 4) were "
            "expected."
        )
    n_rows, length, _ = dataset.shape
    X = np.empty((n_rows, 4, length), dtype=np.uint8 if one_hot else np.float32)
    step = _block_rows(dataset)
    for start in range(0, n_rows, step):
        block = dataset[start : start + step].transpose(0, 2, 1)
        if one_hot:
            _check_one_hot(block, start, dataset.name)
        X[start : start + step] = block
    return X


def _block_rows(dataset: h5py.Dataset) -> int:
    # Whole stored chunks: a compressed chunk that is read in two parts is unpacked twice.
    chunk = dataset.chunks[0] if dataset.chunks else 1
    return int(chunk * -(-_MIN_ROWS // chunk))


def _check_one_hot(block: NDArray[Any], start: int, name: str) -> None:
    bad = ((block != 0) & (block != 1)).any(axis=1) | (block.sum(axis=1) > 1)
    if bad.any():
        row, position = np.argwhere(bad)[0]
        raise ValueError(
            f"{name} is not one-hot in row {start + row} at position {position}: it holds "
            f"{block[row, :, position].tolist()}, but a single 1 or only zeros were expected. "
            "Pass one_hot=False to keep such values as float32."
        )
