"""Reader of the variants in a VCF file: its first five columns, strictly.

A full library such as pysam brings a compiled htslib for what is here the split of a line at its
tabs.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterable, Iterator
from sys import intern
from typing import Any

from sklearn_degu.variants.table import Variants, checked_variants

_GZIP_MAGIC = b"\x1f\x8b"
_COLUMNS = ["#CHROM", "POS", "ID", "REF", "ALT"]


def read_vcf(path: str | os.PathLike[str]) -> Variants:
    r"""Read the variants of a VCF file.

    Parameters
    ----------
    path : str or path-like
        VCF file, plain, gzip or bgzip (told apart by content). Of its columns CHROM, POS, REF
        and ALT are read.

    Returns
    -------
    variants : Variants
        One for every allele in ALT, in the order of the file.

    Raises
    ------
    ValueError
        If the file is no VCF, holds no variants, or a line has an allele that is not spelt out
        in A, C, G and T, such as ``<DEL>``, ``*`` or a breakend. The first such line is named.

    References
    ----------
    The Variant Call Format specification, VCFv4.5, section 1.6: POS is counted from 1.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from sklearn_degu.variants import read_vcf
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "two.vcf")
    ...     columns = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"
    ...     text = f"##fileformat=VCFv4.2\n{columns}\nchr1\t7\t.\tC\tT,CAG\t.\t.\t.\n"
    ...     _ = path.write_text(text)
    ...     variants = read_vcf(path)
    >>> variants.pos, variants.alt
    (array([7, 7]), array(['T', 'CAG'], dtype=object))
    """
    with open(path, "rb") as file:
        open_text: Any = gzip.open if file.read(2) == _GZIP_MAGIC else open
    with open_text(path, "rt", encoding="utf-8") as text:
        rows = list(_records(text, os.fspath(path)))
    if not rows:
        raise ValueError(f"{os.fspath(path)} holds no variants.")
    lines, *columns = zip(*rows, strict=True)
    return checked_variants(*columns, lines=lines)


def _records(text: Iterable[str], path: str) -> Iterator[tuple[int, str, object, str, str]]:
    """Yield line, chrom, pos, ref and alt of every allele."""
    lines = enumerate(text, start=1)
    _skip_header(lines, path)
    for line, content in lines:
        cells = content.rstrip("\r\n").split("\t", 5)
        if len(cells) < len(_COLUMNS):
            raise ValueError(
                f"Line {line} of {path} has {len(cells)} columns separated by tabs, expected at "
                f"least {len(_COLUMNS)}: {' '.join(_COLUMNS)}."
            )
        chrom, pos, _, ref, alleles = cells[:5]
        number = int(pos) if pos.isascii() and pos.isdigit() else pos
        for alt in alleles.split(","):
            yield line, intern(chrom), number, intern(ref), intern(alt)


def _skip_header(lines: Iterator[tuple[int, str]], path: str) -> None:
    """Read up to the line of column names.

    Raises
    ------
    ValueError
        If the file does not begin as a VCF does.
    """
    for line, content in lines:
        if line == 1 and not content.startswith("##fileformat=VCF"):
            break
        if content.startswith("##"):
            continue
        if content.rstrip("\r\n").split("\t")[:5] == _COLUMNS:
            return
        break
    raise ValueError(
        f"{path} is no VCF file: expected a first line '##fileformat=VCF...', lines that begin "
        f"with '##', and then the column names {' '.join(_COLUMNS)}, separated by tabs. Pass "
        "other tables as a DataFrame or a dict of columns."
    )
