"""Tables of variants: one row a variant, checked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ALLELE = re.compile("[ACGT]+")

# How much of a long allele or sequence a message shows.
SHOWN = 20


@dataclass(frozen=True)
class Variants:
    """Variants of named sequences, each replacing ``ref`` by ``alt``.

    Attributes
    ----------
    chrom : ndarray of str (object) of shape (n_variants,)
        Name of the sequence: a chromosome or an element.
    pos : ndarray of int of shape (n_variants,)
        Position of the first base of ``ref``, counted from 1.
    ref, alt : ndarray of str (object) of shape (n_variants,)
        Alleles in upper case; ``alt`` is empty if the whole of ``ref`` is deleted.
    lines : ndarray of int of shape (n_variants,), or None
        Lines of the file that they were read from, counted from 1.
    """

    chrom: NDArray[np.object_]
    pos: NDArray[np.int64]
    ref: NDArray[np.object_]
    alt: NDArray[np.object_]
    lines: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        """Return the number of variants."""
        return len(self.pos)

    def place(self, row: int) -> str:
        """Name a variant in a message: "Row 3 (chr1:1234 A>G)".

        Parameters
        ----------
        row : int
            Its row, counted from 0; of variants from a file its line is named instead.
        """
        alleles = ">".join(shortened(allele) for allele in (self.ref[row], self.alt[row] or "-"))
        return f"{_where(row, self.lines)} ({self.chrom[row]}:{self.pos[row]} {alleles})"


def shortened(text: str) -> str:
    """Return a text as a message shows it."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text)} bases)"


def from_columns(table: Any) -> Variants:
    """Read variants from a table.

    Parameters
    ----------
    table : DataFrame, mapping of columns or structured array
        With the columns ``chrom`` or ``element``, ``pos``, ``ref`` and ``alt``.

    Raises
    ------
    TypeError
        If it is no table.
    ValueError
        If a column is missing, or a row holds no variant; the message names the first.
    """
    if isinstance(table, Variants):
        return table
    names = _column_names(table)
    chrom = [name for name in ("chrom", "element") if name in names]
    missing = [name for name in ("pos", "ref", "alt") if name not in names]
    if len(chrom) != 1 or missing:
        raise ValueError(
            "A table of variants needs the columns 'chrom' (or 'element'), 'pos', 'ref' and "
            f"'alt', and one alone of 'chrom' and 'element'; got {', '.join(names)}."
        )
    columns = [np.asarray(table[name], dtype=object) for name in (*chrom, "pos", "ref", "alt")]
    lengths = {column.shape for column in columns}
    if len(lengths) != 1 or columns[0].ndim != 1:
        raise ValueError(
            "The columns of variants must be vectors of one length, got the shapes "
            f"{', '.join(str(column.shape) for column in columns)}."
        )
    return checked_variants(*columns, deletion="-")


def _column_names(table: Any) -> list[str]:
    if isinstance(table, np.ndarray):
        names: Any = table.dtype.names
    else:
        names = getattr(table, "columns", None)
        names = table.keys() if names is None and hasattr(table, "keys") else names
    if names is None:
        raise TypeError(
            "variants must be a DataFrame, a dict of columns, a structured array or the path of a "
            f"VCF file; got {type(table).__name__}."
        )
    return [str(name) for name in names]


def checked_variants(
    chrom: Any, pos: Any, ref: Any, alt: Any, *, lines: Any = None, deletion: str | None = None
) -> Variants:
    """Return variants after checking every row.

    Parameters
    ----------
    chrom, pos, ref, alt, lines : sequences of n values
        As :class:`Variants` has them.
    deletion : str, optional
        What stands in ``alt`` where the whole of ``ref`` is deleted.

    Raises
    ------
    ValueError
        If there is no variant, or a row holds something else than one; the first is named.
    """
    if not len(pos):
        raise ValueError("There are no variants: got 0 rows.")
    rows = []
    for row, cells in enumerate(zip(chrom, pos, ref, alt, strict=True)):
        try:
            rows.append(_checked_row(*cells, deletion))
        except ValueError as error:
            raise ValueError(f"{_where(row, lines)}: {error}") from None
    names, positions, before, after = zip(*rows, strict=True)
    return Variants(
        np.array(names, dtype=object),
        np.array(positions, dtype=np.int64),
        np.array(before, dtype=object),
        np.array(after, dtype=object),
        None if lines is None else np.array(lines, dtype=np.int64),
    )


def _where(row: int, lines: Any) -> str:
    return f"Row {row}" if lines is None else f"Line {lines[row]}"


def _checked_row(
    chrom: Any, pos: Any, ref: Any, alt: Any, deletion: str | None
) -> tuple[str, int, str, str]:
    """Return name, position and alleles of one variant."""
    name, position = _checked_name(chrom), _checked_position(pos)
    before = _checked_allele("ref", ref)
    deleted = isinstance(alt, str) and alt == deletion
    after = "" if deleted else _checked_allele("alt", alt)
    if before == after:
        raise ValueError(f"ref and alt are the same, {shortened(before)!r}.")
    return name, position, before, after


def _checked_name(chrom: Any) -> str:
    is_name = isinstance(chrom, str | int | np.integer) and not isinstance(chrom, bool)
    if not is_name or str(chrom) == "":
        raise ValueError(f"the name of the sequence is missing, got {chrom!r}.")
    return str(chrom)


def _checked_position(pos: Any) -> int:
    is_number = isinstance(pos, int | float | np.integer | np.floating)
    whole = is_number and not isinstance(pos, bool) and float(pos).is_integer()
    if not whole or pos < 1:
        raise ValueError(
            f"pos must be a whole number of at least 1, the position of the first base "
            f"of ref counted from 1; got {pos!r}. Add 1 to positions that are counted from 0."
        )
    return int(pos)


def _checked_allele(name: str, allele: Any) -> str:
    written = allele.upper() if isinstance(allele, str) else ""
    if not _ALLELE.fullmatch(written):
        raise ValueError(
            f"{name} must be one or more of the letters A, C, G and T, in either case"
            f"{_ALLELE_REMEDIES[name]}; got {allele!r:.60}."
        )
    return written


_ALLELE_REMEDIES = {
    "ref": " (write an insertion with the base before it: ref 'A', alt 'ACC')",
    "alt": ", or '-' where ref is deleted (symbolic alleles, breakends and '*' are not sequences)",
}
