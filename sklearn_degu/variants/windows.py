"""The two windows of a variant: equally long stretches with the reference and the alternative."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from sklearn_degu.datasets.sequence_sources import SequenceSource
from sklearn_degu.variants.table import Variants, shortened

Edge = Literal["error", "pad", "shift"]

_COMPLEMENT = str.maketrans("ACGTN", "TGCAN")
_UNREADABLE = {True: re.compile("[^ACGTN]"), False: re.compile("[^ACGT]")}

_SHIFT_REMEDY = " For an indel near the end of a sequence set edge='pad'."


class Windows(NamedTuple):
    """The windows of a variant, of equal length."""

    ref: str
    alt: str


class VariantError(ValueError):
    """What is wrong with one variant, for a caller that knows its row."""


@dataclass(frozen=True)
class Layout:
    """How windows are cut out and what the model reads of them.

    Attributes
    ----------
    window : int
        Number of bases of a window, without adaptors.
    adaptors : tuple of str
        Bases before and after every window.
    edge : {"error", "pad", "shift"}
        What happens where a window would leave its sequence.
    allow_unknown : bool
        Whether windows may hold N.
    both_strands : bool
        Whether the model reads the window of the other strand too.
    """

    window: int
    adaptors: tuple[str, str]
    edge: Edge
    allow_unknown: bool
    both_strands: bool

    def __post_init__(self) -> None:
        """Check the edge policy."""
        if self.edge not in get_args(Edge):
            raise ValueError(f"edge must be one of {get_args(Edge)}, got {self.edge!r}.")

    @property
    def n_strands(self) -> int:
        """Number of sequences that the model reads of a window."""
        return 2 if self.both_strands else 1

    def as_read(self, window: str) -> list[str]:
        """Return what the model reads: the window between the adaptors, on one or both strands."""
        turned = [window.translate(_COMPLEMENT)[::-1]] if self.both_strands else []
        left, right = self.adaptors
        return [f"{left}{one}{right}" for one in (window, *turned)]

    def windows(self, variants: Variants, row: int, source: SequenceSource) -> Windows:
        """Cut out the windows of a variant.

        Raises
        ------
        VariantError
            If they cannot be, or the sequence has another base than ``ref``.
        """
        name, position = variants.chrom[row], int(variants.pos[row]) - 1
        ref, alt = variants.ref[row], variants.alt[row]
        length = _length_of(source, name)
        if position + len(ref) > length:
            raise VariantError(f"it lies outside the {length} bases of {name!r}.")
        # Enough for the alternative too, whose right flank fills up what a deletion leaves.
        n_bases = self.window + max(0, len(ref) - len(alt))
        start = self._start(position, n_bases, length)
        before = position - start
        if before + max(len(ref), len(alt)) > self.window:
            raise VariantError(
                f"an allele does not fit into the window of {self.window} bases, of which {before} "
                f"lie before it.{_SHIFT_REMEDY if self.edge == 'shift' else ''}"
            )
        stretch = _read_padded(source, name, start, start + n_bases, length)
        _check_reference(stretch[before : before + len(ref)], ref)
        changed = stretch[:before] + alt + stretch[before + len(ref) :]
        return self._checked(Windows(stretch[: self.window], changed[: self.window]))

    def _start(self, position: int, n_bases: int, length: int) -> int:
        """Return where the windows begin, which may lie outside the sequence with edge="pad"."""
        centred = position - (self.window - 1) // 2
        fits = centred >= 0 and centred + n_bases <= length
        if fits or self.edge == "pad":
            return centred
        if self.edge == "error":
            raise VariantError(
                f"its windows need the bases {centred + 1} to {centred + n_bases}, but the "
                f"sequence has {length}. Set edge='shift' to move the window inwards, or "
                "edge='pad' to fill it up with N."
            )
        if n_bases > length:
            raise VariantError(
                f"its windows need {n_bases} bases, but the sequence has {length}: no shift helps. "
                "Set edge='pad' to fill them up with N, or pass sequences with their flanks."
            )
        return min(max(centred, 0), length - n_bases)

    def _checked(self, windows: Windows) -> Windows:
        """Refuse letters that the model cannot read."""
        for window in windows:
            found = _UNREADABLE[self.allow_unknown].search(window)
            if found:
                allowed = "A, C, G, T and N" if self.allow_unknown else "A, C, G and T"
                raise VariantError(
                    f"its window holds the letter {found[0]!r}; allowed are {allowed}, in either "
                    "case."
                )
        return windows


def _length_of(source: SequenceSource, name: str) -> int:
    length = source.length(name)
    if length is not None:
        return length
    names = source.names()
    other = name.removeprefix("chr") if name.startswith("chr") else f"chr{name}"
    hint = f" There is one named {other!r}: rename." if other in names else ""
    shown = ", ".join(map(repr, names[:5])) + (", ..." if len(names) > 5 else "")
    raise VariantError(f"there is no sequence named {name!r} among {shown}.{hint}")


def _read_padded(source: SequenceSource, name: str, start: int, stop: int, length: int) -> str:
    """Return a stretch in upper case, with N where it lies outside the sequence."""
    inside = source.read(name, max(start, 0), min(stop, length)).upper()
    return "N" * max(0, -start) + inside + "N" * max(0, stop - length)


def _check_reference(found: str, ref: str) -> None:
    if found != ref:
        raise VariantError(
            f"ref is {shortened(ref)!r}, but the sequence has {shortened(found)!r} there. Check "
            "that the positions are counted from 1 and belong to this version of the sequence, "
            "and that alleles are those of its forward strand."
        )
