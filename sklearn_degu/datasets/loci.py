"""Sequences and base-resolution profiles at loci of a genome."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from sklearn_degu.datasets.bed import Loci
from sklearn_degu.datasets.sequence_sources import SequenceSource, opened

__all__ = ["extract_loci"]

Edges = Literal["raise", "drop", "pad"]
Unknown = Literal["raise", "drop", "keep"]
Path = str | os.PathLike[str]

_UNKNOWN = re.compile("[^ACGT]")
_COMPLEMENT = str.maketrans("ACGT", "TGCA")


def extract_loci(
    loci: Loci,
    sequences: Any,
    tracks: Path | Sequence[Path] | None = None,
    *,
    width: int | None = None,
    edges: Edges = "raise",
    unknown: Unknown = "raise",
    missing: float = 0.0,
) -> Bunch:
    """Cut sequences from a genome, and profiles from bigWig tracks, at loci of one width.

    What lies on the minus strand is read along it: the sequence is reverse-complemented and the
    profiles are reversed.

    Parameters
    ----------
    loci : Loci
        Where, as :func:`read_bed` returns it.
    sequences : path of a FASTA file, or mapping of str to str
        The genome. A FASTA file is indexed beside it (``.fai``), is not compressed or by bgzip.
    tracks : path or sequence of paths or None, default=None
        bigWig files, one per target.
    width : int or None, default=None
        Bases of every window, around the centre of its locus. None takes the loci as they are.
    edges : {"raise", "drop", "pad"}, default="raise"
        What becomes of windows that reach over an end of their chromosome: an error; left out; or
        filled up, the sequence with N and the profiles with NaN, which is a missing measurement.
    unknown : {"raise", "drop", "keep"}, default="raise"
        What becomes of windows in which the genome has other letters than A, C, G and T: an
        error; left out; or kept, each such letter as N.
    missing : float, default=0.0
        Value of bases that a track says nothing of. Tracks of counts leave out zeros; NaN says
        that the base was not measured.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        sequences : ndarray of str of shape (n,)
            In upper case, of `width` letters each.
        profiles : ndarray of float32 of shape (n, t, width), or None without tracks
            In the tracks' units.
        loci : Loci
            The windows that were kept.
        indices : ndarray of int64 of shape (n,)
            Where they stand among the loci that were passed.

    Raises
    ------
    ImportError
        If pyfaidx or pyBigWig is needed and not there; both come with the extra [genomics].
    FileNotFoundError
        If a file is not there.
    ValueError
        If loci differ in width, lie on a chromosome that a file lacks, or cannot be kept by the
        policies, or a track is of another assembly than the genome.

    Notes
    -----
    Chromosomes whose lengths in a track and in the genome differ are of different assemblies.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_degu.datasets import Loci, extract_loci
    >>> chrom, strand = np.array(["chrI", "chrI"]), np.array(["+", "-"])
    >>> loci = Loci(chrom, np.array([2, 4]), np.array([6, 8]), strand, np.array([".", "."]))
    >>> extract_loci(loci, {"chrI": "AACCGGTTA"}).sequences
    array(['CCGG', 'AACC'], dtype='<U4')
    """
    _check_policies(edges, unknown)
    windows = loci if width is None else loci.centred(width)
    _check_one_width(windows)
    paths = [tracks] if isinstance(tracks, str | os.PathLike) else list(tracks or ())
    with opened(sequences) as genome, ExitStack() as files:
        lengths = _lengths(windows, genome)
        readers = [files.enter_context(_bigwig(os.fspath(path), lengths)) for path in paths]
        rows = _within(windows, lengths, edges)
        texts = [_read(genome, _Window.of(windows, i, lengths)) for i in rows]
        known = _known(texts, windows.take(rows), unknown)
        rows = rows[known]
        cut = [_Window.of(windows, i, lengths) for i in rows]
        profiles = [[_profile(reader, window, missing) for reader in readers] for window in cut]
    return Bunch(
        sequences=np.array([w.sequence(texts[i]) for w, i in zip(cut, known, strict=True)], str),
        profiles=np.array(profiles, dtype=np.float32) if readers else None,
        loci=windows.take(rows),
        indices=rows,
    )


class _Window(NamedTuple):
    """Where a window is, and which part of it is on its chromosome."""

    chrom: str
    first: int
    last: int
    left: int  # bases in front of the chromosome
    right: int  # bases behind it
    is_reversed: bool

    @classmethod
    def of(cls, loci: Loci, row: int, lengths: dict[str, int]) -> _Window:
        """Return a row's window."""
        chrom, start, end = str(loci.chrom[row]), int(loci.start[row]), int(loci.end[row])
        first, last = max(start, 0), min(end, lengths[chrom])
        return cls(chrom, first, last, first - start, end - last, bool(loci.strand[row] == "-"))

    def sequence(self, text: str) -> str:
        """Return what was read, filled up and along the window's strand."""
        padded = "N" * self.left + _UNKNOWN.sub("N", text) + "N" * self.right
        return padded.translate(_COMPLEMENT)[::-1] if self.is_reversed else padded

    def profile(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return values filled up and along the window's strand."""
        padded = np.pad(values, (self.left, self.right), constant_values=np.nan)
        return padded[::-1] if self.is_reversed else padded


def _check_policies(edges: str, unknown: str) -> None:
    for name, value, allowed in (("edges", edges, Edges), ("unknown", unknown, Unknown)):
        if value not in get_args(allowed):
            raise ValueError(f"{name} must be one of {get_args(allowed)}, got {value!r}.")


def _check_one_width(windows: Loci) -> None:
    widths = np.unique(windows.end - windows.start)
    if not len(widths):
        raise ValueError("There are no loci to cut at.")
    if len(widths) > 1 or widths[0] < 1:
        raise ValueError(
            f"The loci are {widths[0]} to {widths[-1]} bases wide, but one width of at least 1 was "
            "expected. Pass width= to cut windows around their centres."
        )


def _lengths(windows: Loci, genome: SequenceSource) -> dict[str, int]:
    """Return the lengths of the chromosomes that there are windows on."""
    lengths: dict[str, int] = {}
    for chrom in map(str, np.unique(windows.chrom)):
        length = genome.length(chrom)
        if length is None:
            raise ValueError(
                f"There are loci on {chrom!r}, but the genome has no such sequence. It has: "
                f"{', '.join(genome.names()[:10])}. Mind that 'chr1' and '1' differ."
            )
        lengths[chrom] = length
    return lengths


def _within(windows: Loci, lengths: dict[str, int], edges: Edges) -> NDArray[np.int64]:
    """Return the rows whose windows are on their chromosomes, as far as they have to be."""
    length = np.array([lengths[str(chrom)] for chrom in windows.chrom])
    absent = (windows.start >= length) | (windows.end <= 0)
    if absent.any():
        raise ValueError(
            f"{_named(windows, absent)} no base of its chromosome, which has "
            f"{length[absent.argmax()]}: are the loci of another assembly?"
        )
    over = (windows.start < 0) | (windows.end > length)
    if edges == "raise" and over.any():
        raise ValueError(
            f"{_named(windows, over)} bases beyond the ends of its chromosome, which has "
            f"{length[over.argmax()]}. Set edges='drop' or edges='pad', or a smaller width."
        )
    return np.flatnonzero(~over) if edges == "drop" else np.arange(len(length))


def _read(genome: SequenceSource, window: _Window) -> str:
    return genome.read(window.chrom, window.first, window.last).upper()


def _known(texts: list[str], windows: Loci, unknown: Unknown) -> NDArray[np.int64]:
    """Return which windows are kept for their letters."""
    has_unknown = np.array([bool(_UNKNOWN.search(text)) for text in texts], dtype=bool)
    if unknown == "raise" and has_unknown.any():
        raise ValueError(
            f"{_named(windows, has_unknown)} letters other than A, C, G and T. Set unknown='drop' "
            "or unknown='keep'."
        )
    return np.flatnonzero(~has_unknown) if unknown == "drop" else np.arange(len(texts))


def _named(windows: Loci, chosen: NDArray[np.bool_]) -> str:
    """Begin a sentence about the first of some windows."""
    chrom, start, end = (column[chosen.argmax()] for column in windows[:3])
    return f"Of {len(chosen)} windows {chosen.sum()}, the first at {chrom}:{start}-{end}, has"


@contextmanager
def _bigwig(path: str, lengths: dict[str, int]) -> Iterator[Any]:
    """Open a track, and check that it is of the genome's assembly."""
    try:
        import pyBigWig
    except ImportError as error:
        raise ImportError(
            "A bigWig file is read by pyBigWig, which comes with the extra [genomics]: "
            "pip install 'sklearn-degu[genomics]'"
        ) from error
    if not os.path.exists(path):
        raise FileNotFoundError(f"There is no bigWig file {path!r}.")
    track = pyBigWig.open(path)
    try:
        _check_assembly(path, track.chroms(), lengths)
        yield track
    finally:
        track.close()


def _check_assembly(path: str, in_track: dict[str, int], lengths: dict[str, int]) -> None:
    for chrom, length in lengths.items():
        if chrom not in in_track:
            raise ValueError(
                f"There are loci on {chrom!r}, of which the track {path} has nothing. It has: "
                f"{', '.join([*in_track][:10])}. Leave these loci out, or mend the names."
            )
        if in_track[chrom] != length:
            raise ValueError(
                f"{chrom!r} has {length} bases in the genome and {in_track[chrom]} in the track "
                f"{path}: they are of different assemblies."
            )


def _profile(track: Any, window: _Window, missing: float) -> NDArray[Any]:
    values = np.array(track.values(window.chrom, window.first, window.last), dtype=np.float32)
    return window.profile(np.where(np.isnan(values), np.float32(missing), values))
