"""Reader of BED files: places in a genome."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sklearn_degu._numbers import is_whole

__all__ = ["Loci", "read_bed"]

_GZIP_MAGIC = b"\x1f\x8b"
_STRANDS = ("+", "-", ".")
_NOT_LOCI = ("track", "browser")


class Loci(NamedTuple):
    """Places in a genome, counted from 0 and half open, as BED has them.

    Attributes
    ----------
    chrom : ndarray of str of shape (n,)
        Sequence that each is on.
    start, end : ndarray of int64 of shape (n,)
        First base, and the base behind the last.
    strand : ndarray of str of shape (n,)
        "+", "-", or "." where none was given.
    name : ndarray of str of shape (n,)
        "." where none was given.
    """

    chrom: NDArray[np.str_]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    strand: NDArray[np.str_]
    name: NDArray[np.str_]

    def take(self, rows: Any) -> Loci:
        """Return some of the loci, by indices, a mask or a slice."""
        return Loci(*(column[rows] for column in self))

    def centred(self, width: int) -> Loci:
        """Return loci of one width around the same centres.

        Parameters
        ----------
        width : int
            Bases of every locus. Of a locus and a width that are not both even or odd, the centre
            is between two bases, and the left one is taken.

        Raises
        ------
        ValueError
            If the width is not a positive integer.
        """
        if not is_whole(width) or width < 1:
            raise ValueError(f"width must be a positive integer of bases, got {width!r}.")
        start = (self.start + self.end - width) // 2
        return self._replace(start=start, end=start + width)


def read_bed(path: str | os.PathLike[str]) -> Loci:
    r"""Read the loci of a BED file.

    Parameters
    ----------
    path : str or path-like
        Text file with three columns or more, separated by tabs (or, without a tab in the line, by
        blanks), plain or gzip. Chromosome, start, end, name and strand (columns 1-4 and 6) are
        read, as narrowPeak has them too; further columns, comments, and lines of ``track`` and
        ``browser`` are not.

    Returns
    -------
    loci : Loci
        In the order of the file.

    Raises
    ------
    ValueError
        If a line is no locus (naming the line), or there are none.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from sklearn_degu.datasets import read_bed
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "peaks.bed")
    ...     _ = path.write_text("chrI\t100\t200\tpeak1\t7\t-\nchrII\t5\t8\n")
    ...     loci = read_bed(path)
    >>> print(loci.chrom, loci.start, loci.end, loci.strand)
    ['chrI' 'chrII'] [100   5] [200   8] ['-' '.']
    >>> print(loci.centred(10).start)
    [145   1]
    """
    with _open_text(path) as file:
        rows = [_locus(cells, number, path) for number, cells in _cells(file)]
    if not rows:
        raise ValueError(f"{os.fspath(path)} holds no loci.")
    chrom, start, end, strand, name = zip(*rows, strict=True)
    starts, ends = np.array(start, dtype=np.int64), np.array(end, dtype=np.int64)
    return Loci(np.array(chrom), starts, ends, np.array(strand), np.array(name))


def _open_text(path: str | os.PathLike[str]) -> io.TextIOBase:
    with open(path, "rb") as file:
        compressed = file.read(2) == _GZIP_MAGIC
    return gzip.open(path, "rt", encoding="utf-8") if compressed else open(path, encoding="utf-8")


def _cells(file: io.TextIOBase) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of every line of a locus."""
    for number, line in enumerate(file, start=1):
        text = line.rstrip("\r\n")
        words = text.split()
        if words and words[0] not in _NOT_LOCI and not text.startswith("#"):
            yield number, text.split("\t") if "\t" in text else words


def _locus(
    cells: list[str], number: int, path: str | os.PathLike[str]
) -> tuple[str, int, int, str, str]:
    where = f"{os.fspath(path)}, line {number}"
    if len(cells) < 3:
        raise ValueError(
            f"{where} has {len(cells)} columns, but at least chromosome, start and end were "
            f"expected: {cells}."
        )
    try:
        start, end = int(cells[1]), int(cells[2])
    except ValueError as error:
        raise ValueError(
            f"{where} has start {cells[1]!r} and end {cells[2]!r}, but integers were expected."
        ) from error
    if not 0 <= start < end:
        raise ValueError(
            f"{where} goes from {start} to {end}, but 0 <= start < end was expected: BED counts "
            "from 0, and the end is the base behind the last."
        )
    strand = cells[5] if len(cells) > 5 and cells[5] else "."
    if strand not in _STRANDS:
        raise ValueError(f"{where} has the strand {strand!r}, but one of {_STRANDS} was expected.")
    name = cells[3] if len(cells) > 3 and cells[3] else "."
    return cells[0], start, end, strand, name
