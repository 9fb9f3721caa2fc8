"""Reader of delimited tables: one row a sequence, one column a measurement."""

from __future__ import annotations

import csv
import difflib
import gzip
import io
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

__all__ = ["read_table"]

MISSING = frozenset({"", "NA", "N/A", "NaN", "nan", "NULL", "null", "None"})
_GZIP_MAGIC = b"\x1f\x8b"
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")  # 18 digits fit int64; "007" stays a name

Replicates = Sequence[str] | Sequence[Sequence[str]] | Mapping[str, Sequence[str]]


class _Cells(NamedTuple):
    columns: dict[str, tuple[str, ...]]
    lines: list[int]  # line number in the file of each row


def read_table(
    path: str | os.PathLike[str],
    *,
    sequence: str,
    targets: str | Sequence[str] | None = None,
    replicates: Replicates | None = None,
    split: str | None = None,
    columns: Sequence[str] = (),
    delimiter: str | None = None,
) -> Bunch:
    r"""Read sequences and their measured activities from a delimited text file.

    Parameters
    ----------
    path : str or path-like
        Text file with a header line, plain or gzip (told apart by content).
    sequence : str
        Column of the DNA sequences.
    targets : str, list of str or None, default=None
        Columns of the activities, one per task. With None, `y` is the mean over the replicates
        that were measured.
    replicates : list of str, list of lists, mapping or None, default=None
        Columns of the replicate measurements: a list for one task; for several a list of lists
        in the order of `targets`, or a mapping from target to list. Lists may differ in length.
    split : str or None, default=None
        Column that tells the published fold or set.
    columns : sequence of str, default=()
        Further columns to keep, for example chromosomes or weights.
    delimiter : str or None, default=None
        Separator; None takes the most frequent of tab, comma and semicolon in the header.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        sequences : ndarray of str, shape (n,)
            As written in the file.
        y : ndarray of float64, shape (n,) or (n, t)
            In the file's units, NaN where missing; (n,) for one target.
        replicates : ndarray of float64, shape (n, r) or (n, t, r), or None
            NaN where missing; (n, r) for one target.
        split : ndarray of shape (n,) or None
        columns : dict of str to ndarray of shape (n,)
        target_names : list of str, length t

        The values of `split` and `columns` are int64, float64 (missing: NaN) or bool where every
        value reads as such, and str otherwise.

    Raises
    ------
    ValueError
        If a column is missing or occurs twice, a number or sequence is missing or unreadable
        (naming the line), a row has another number of cells than the header, the table is
        empty, or the replicates do not fit the targets.

    Notes
    -----
    Empty cells, NA, N/A, NaN, NULL and None are missing values. A row whose targets are all
    missing is kept.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from sklearn_degu.datasets import read_table
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "mpra.tsv")
    ...     text = "seq\trep1\trep2\tchrom\nACGT\t1.0\t2.0\tchr1\nGGCC\t3.0\tNA\tchr2\n"
    ...     _ = path.write_text(text)
    ...     data = read_table(path, sequence="seq", replicates=["rep1", "rep2"], split="chrom")
    >>> data.y
    array([1.5, 3. ])
    >>> data.replicates
    array([[ 1.,  2.],
           [ 3., nan]])
    >>> print(data.split)
    ['chr1' 'chr2']
    """
    names, replicate_names = _resolve_targets(targets, replicates)
    wanted = [sequence, *columns, *([] if split is None else [split])]
    wanted += [] if targets is None else names
    wanted += [name for task in replicate_names or [] for name in task]
    table = _read_cells(path, wanted, delimiter)
    measured = None if replicate_names is None else _replicate_array(table, replicate_names)
    one = len(names) == 1
    y = _mean(measured) if targets is None else _numbers(table, names)
    return Bunch(
        sequences=_sequences(table, sequence),
        y=y[:, 0] if one else y,
        replicates=measured[:, 0] if measured is not None and one else measured,
        split=None if split is None else _typed(table.columns[split]),
        columns={name: _typed(table.columns[name]) for name in columns},
        target_names=names,
    )


def _resolve_targets(
    targets: str | Sequence[str] | None, replicates: Replicates | None
) -> tuple[list[str], list[list[str]] | None]:
    """Return the target names, and the replicate columns of each target."""
    names = [targets] if isinstance(targets, str) else list(targets or ())
    if replicates is None:
        if not names:
            raise ValueError(
                "Got neither targets nor replicates, but at least one was expected. Name the "
                "columns of the measured activities."
            )
        return names, None
    if isinstance(replicates, str):
        raise ValueError(f"Got replicates={replicates!r}, but a list of columns was expected.")
    if isinstance(replicates, Mapping):
        names = names or list(replicates)
        if set(names) != set(replicates):
            raise ValueError(
                f"The keys of replicates are {sorted(replicates)}, but the targets {names} were "
                "expected: one entry per target."
            )
        return names, [list(replicates[name]) for name in names]
    return _match_lists(names, list(replicates))


def _match_lists(names: list[str], replicates: list[Any]) -> tuple[list[str], list[list[str]]]:
    flat = all(isinstance(entry, str) for entry in replicates)
    tasks = [replicates] if flat else [list(entry) for entry in replicates]
    if not names:
        names = ["activity"] if flat else [f"activity{i}" for i in range(len(tasks))]
    if len(tasks) != len(names) or not all(tasks):
        raise ValueError(
            f"Got replicate columns for {len(tasks)} target(s), {tasks}, but one list of columns "
            f"per target was expected, for {names}."
        )
    return names, tasks


def _read_cells(
    path: str | os.PathLike[str], wanted: Iterable[str], delimiter: str | None
) -> _Cells:
    wanted = list(dict.fromkeys(wanted))
    with _open_text(path) as file:
        first = file.readline()
        separator = _sniff(first, path) if delimiter is None else delimiter
        header = next(csv.reader([first], delimiter=separator), [])
        places = [_find_column(name, header) for name in wanted]
        rows = list(_rows(csv.reader(file, delimiter=separator), len(header), places))
    if not rows:
        raise ValueError(f"{os.fspath(path)} has a header but no rows.")
    lines, *cells = zip(*rows, strict=True)
    return _Cells(dict(zip(wanted, cells, strict=True)), list(lines))


def _open_text(path: str | os.PathLike[str]) -> io.TextIOBase:
    with open(path, "rb") as file:
        compressed = file.read(2) == _GZIP_MAGIC
    # utf-8-sig drops the byte order mark that spreadsheet programs write.
    if compressed:
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return open(path, encoding="utf-8-sig", newline="")


def _sniff(header: str, path: str | os.PathLike[str]) -> str:
    if not header.strip():
        raise ValueError(f"{os.fspath(path)} is empty, but a header line was expected.")
    separator = max("\t,;", key=header.count)
    if separator not in header:
        raise ValueError(
            f"No tab, comma or semicolon separates the columns in the header {header.strip()!r}. "
            "Pass delimiter=."
        )
    return separator


def _find_column(name: str, header: list[str]) -> int:
    if header.count(name) == 1:
        return header.index(name)
    if name in header:
        raise ValueError(f"The column {name!r} occurs {header.count(name)} times in the header.")
    close = difflib.get_close_matches(name, header, n=1)
    folded = [column for column in header if column.lower() == name.lower()]
    hint = f" Did you mean {(folded or close)[0]!r}?" if folded or close else ""
    raise ValueError(f"There is no column {name!r}.{hint} The columns are: {', '.join(header)}.")


def _rows(reader: Any, width: int, places: list[int]) -> Iterator[tuple[Any, ...]]:
    """Yield (line number, cell, cell, ...) of each row that is not blank."""
    for row in reader:
        if len(row) == width:
            # The reader began behind the header, which is line 1.
            yield (reader.line_num + 1, *[row[place] for place in places])
        elif row:
            raise ValueError(
                f"Line {reader.line_num + 1} has {len(row)} cells, but the header has {width}. "
                "Mend the line, or pass the right delimiter=."
            )


def _sequences(table: _Cells, name: str) -> NDArray[np.str_]:
    cells = [cell.strip() for cell in table.columns[name]]
    for cell, line in zip(cells, table.lines, strict=True):
        if cell in MISSING:
            raise ValueError(
                f"The sequence in column {name!r}, line {line}, is {cell!r}, but DNA was "
                "expected. Remove rows without a sequence."
            )
    return np.array(cells, dtype=np.str_)


def _numbers(table: _Cells, names: Sequence[str]) -> NDArray[np.float64]:
    """Return the columns as floats of shape (n, len(names))."""
    return np.column_stack([_number_column(table, name) for name in names])


def _number_column(table: _Cells, name: str) -> NDArray[np.float64]:
    cells = ["nan" if cell.strip() in MISSING else cell for cell in table.columns[name]]
    values = np.fromiter((_to_float(cell) for cell in cells), np.float64, len(cells))
    unreadable = np.isinf(values)
    if unreadable.any():
        row = int(unreadable.argmax())
        raise ValueError(
            f"Column {name!r}, line {table.lines[row]}, holds {cells[row]!r}, but a finite number "
            "was expected. Write NA for a missing measurement."
        )
    return values


def _to_float(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return np.inf  # reported together with infinite numbers, which are as unusable


def _replicate_array(table: _Cells, names: list[list[str]]) -> NDArray[np.float64]:
    """Return the replicates as (n, t, r), padded with NaN to the longest list."""
    values = np.full((len(table.lines), len(names), max(map(len, names))), np.nan)
    for task, columns in enumerate(names):
        values[:, task, : len(columns)] = _numbers(table, columns)
    return values


def _mean(replicates: NDArray[np.float64] | None) -> NDArray[np.float64]:
    with warnings.catch_warnings():
        # A row without any replicate has the mean NaN: missing, and nothing to warn of.
        warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
        means: NDArray[np.float64] = np.nanmean(np.asarray(replicates), axis=-1)
    return means


def _typed(cells: tuple[str, ...]) -> NDArray[Any]:
    if all(map(_INTEGER.fullmatch, cells)):
        return np.array(cells).astype(np.int64)
    if set(cells) <= {"True", "False", "TRUE", "FALSE", "true", "false"}:
        return np.array([cell.lower() == "true" for cell in cells])
    try:
        return np.array([np.nan if cell in MISSING else float(cell) for cell in cells])
    except ValueError:
        return np.array(cells, dtype=np.str_)
