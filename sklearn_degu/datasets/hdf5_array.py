"""Rows of an HDF5 dataset that stay on disk."""

from __future__ import annotations

import os
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from sklearn_degu._numbers import is_whole
from sklearn_degu._stored_rows import StoredRows

__all__ = ["HDF5Array"]

_CHUNK_CACHE = 2**25  # bytes of unpacked chunks that HDF5 keeps

# A read of fewer bytes takes about as long as one of so many.
_CHEAP_READ = 2**18


class HDF5Array(StoredRows):
    """Array-like over a dataset in an HDF5 file, for data larger than memory.

    The estimators fit, validate and predict it some rows at a time. Rows taken from it
    (``X[rows]``, and so :func:`~sklearn.model_selection.train_test_split` and cross-validation)
    are such an array again and are not read; ``X[3]`` is one row, and ``np.asarray(X)`` reads all
    of them into memory, as other estimators and transformers do.

    A training reads blocks of neighbouring rows in random order, and shuffles the rows within as
    many blocks as fit `buffer_size`. Rows that are sorted in the file, by target or chromosome,
    are mixed as well as there are many blocks in a buffer. Data that fit one buffer are read
    into memory once, and trained like an array.

    Parameters
    ----------
    path : str or path-like
        The file. It must not change while it is in use.
    name : str
        The dataset in it, such as ``"Train/X"``, of shape (n, n_features) or
        (n, channels, length).
    channels_last : bool, default=False
        Whether the dataset is stored as (n, length, channels), as the published files are; it is
        served as (n, channels, length).
    buffer_size : int, default=2**26
        Bytes of rows that a training shuffles at a time; it takes about four times as many.

    Attributes
    ----------
    shape : tuple of int
        Number of rows, and the shape of each.
    dtype : dtype
        As stored.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it has no such dataset, or one that does not hold numbers in two or three axes.

    See Also
    --------
    read_hdf5 : Read the published files into memory.

    Notes
    -----
    Every process opens the file for itself, when it first reads: pickles and joblib's workers
    are given the path. Chunks of some hundred rows serve best; a chunk much larger than the
    buffer would be the unit of shuffling.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import h5py
    >>> import numpy as np
    >>> from sklearn_degu import EnsembleRegressor
    >>> from sklearn_degu.datasets import HDF5Array
    >>> table = np.random.default_rng(0).normal(size=(60, 3))
    >>> y = table.sum(axis=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "table.h5")
    ...     with h5py.File(path, "w") as file:
    ...         file["X"] = table
    ...     X = HDF5Array(path, "X")
    ...     model = EnsembleRegressor(n_estimators=2, random_state=0).fit(X[:50], y[:50])
    ...     model.predict(X[50:]).shape
    (10,)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        name: str,
        *,
        channels_last: bool = False,
        buffer_size: int = 2**26,
    ) -> None:
        if not is_whole(buffer_size) or buffer_size < 1:
            raise ValueError(
                f"buffer_size must be a positive number of bytes, got {buffer_size!r}."
            )
        self._source = _Source(os.path.abspath(path), name)
        self._channels_last = channels_last
        dataset = self._source.dataset()
        shape: tuple[int, ...] = dataset.shape
        if channels_last:
            if len(shape) != 3:
                raise ValueError(
                    f"channels_last=True needs a dataset of shape (n, length, channels), but "
                    f"{name!r} has the shape {shape}."
                )
            shape = shape[0], shape[2], shape[1]
        super().__init__(shape, dataset.dtype, _block_rows(dataset), int(buffer_size))

    @property
    def path(self) -> str:
        """The absolute path of the file."""
        return self._source.path

    @property
    def name(self) -> str:
        """The dataset in the file."""
        return self._source.name

    def __repr__(self) -> str:
        """Say what is where."""
        return (
            f"HDF5Array({os.path.basename(self.path)!r}, {self.name!r}, shape={self.shape}, "
            f"dtype={self.dtype})"
        )

    def _read_stored(self, start: int, stop: int) -> NDArray[Any]:
        rows: NDArray[Any] = self._source.dataset()[start:stop]
        return rows.transpose(0, 2, 1) if self._channels_last else rows


class _Source:
    """A dataset in a file, opened by every process that reads it."""

    def __init__(self, path: str, name: str) -> None:
        self.path = path
        self.name = name
        status = os.stat(path)
        # Part of every hash of the rows, so that what was computed from another file of this name
        # is not taken for theirs.
        self._version = (status.st_size, status.st_mtime_ns)
        self._opened: tuple[int, h5py.Dataset] | None = None
        dataset = self.dataset()
        self._layout = dataset.shape, dataset.dtype.str

    def dataset(self) -> h5py.Dataset:
        """Return the dataset, opened in this process."""
        # Not what a parent process opened before a fork: HDF5 is not safe across one.
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = os.getpid(), self._open()
        return self._opened[1]

    def _open(self) -> h5py.Dataset:
        file = h5py.File(self.path, "r", rdcc_nbytes=_CHUNK_CACHE)
        dataset = file.get(self.name)
        _check_dataset(dataset, self.name, file)
        known = getattr(self, "_layout", None)
        if known not in (None, (dataset.shape, dataset.dtype.str)):
            raise ValueError(
                f"{self.name!r} in {self.path} has changed: it had shape and type {known}, and now "
                f"has {dataset.shape} and {dataset.dtype.str}. Make a new HDF5Array."
            )
        return dataset

    def __getstate__(self) -> dict[str, Any]:
        """Leave the open file out: it belongs to this process."""
        return {**vars(self), "_opened": None}


def _check_dataset(dataset: Any, name: str, file: h5py.File) -> None:
    if not isinstance(dataset, h5py.Dataset):
        names: list[str] = []
        file.visititems(
            lambda path, item: names.append(path) if isinstance(item, h5py.Dataset) else None
        )
        raise ValueError(
            f"{file.filename} has no dataset {name!r}. It has: {', '.join(names[:20]) or 'none'}."
        )
    if dataset.dtype.kind not in "biuf" or dataset.ndim not in (2, 3):
        raise ValueError(
            f"{name!r} is of type {dataset.dtype} and shape {dataset.shape}, but numbers of shape "
            "(n, n_features) or (n, channels, length) were expected."
        )


def _block_rows(dataset: h5py.Dataset) -> int:
    """Return how many rows to read together: whole chunks, because HDF5 unpacks whole ones."""
    row_bytes = max(1, dataset.dtype.itemsize * int(np.prod(dataset.shape[1:])))
    cheap = max(1, _CHEAP_READ // row_bytes)
    chunk = dataset.chunks[0] if dataset.chunks else 1
    return int(-(-cheap // chunk) * chunk)
