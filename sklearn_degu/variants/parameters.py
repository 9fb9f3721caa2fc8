"""Parameters of the windows, checked against what the model reads."""

from __future__ import annotations

import re
from typing import Any

from sklearn_degu._numbers import is_whole
from sklearn_degu.variants.models import StringModel
from sklearn_degu.variants.windows import Edge, Layout

_ADAPTOR = re.compile("[ACGT]*")


def make_layout(
    model: StringModel, window: Any, adaptors: Any, both_strands: bool, edge: Edge, unknown: str
) -> Layout:
    """Return how windows are cut out.

    Raises
    ------
    ValueError
        If a parameter is out of range, or does not fit the length that the model reads.
    """
    if unknown not in ("encode", "error"):
        raise ValueError(f"unknown must be 'encode' or 'error', got {unknown!r}.")
    left, right = _checked_adaptors(adaptors)
    n_bases = _checked_window(window, model.length, len(left) + len(right))
    allow_unknown = model.allows_unknown and unknown == "encode"
    return Layout(n_bases, (left, right), edge, allow_unknown, bool(both_strands))


def _checked_adaptors(adaptors: Any) -> tuple[str, str]:
    pair = isinstance(adaptors, tuple | list) and len(adaptors) == 2
    if not pair or not all(
        isinstance(one, str) and _ADAPTOR.fullmatch(one.upper()) for one in adaptors
    ):
        raise ValueError(
            "adaptors must be a pair of strings of A, C, G and T, the bases before and after "
            f"every window; got {adaptors!r:.80}."
        )
    left, right = adaptors
    return left.upper(), right.upper()


def _checked_window(window: Any, length: int | None, n_adaptors: int) -> int:
    if window is None and length is None:
        raise ValueError(
            "The estimator does not say how many bases it reads, as a Pipeline with a "
            "SequenceEncoder does: pass window, the number of bases of a window."
        )
    n_bases = length - n_adaptors if length is not None and window is None else window
    if not is_whole(n_bases) or n_bases < 1:
        raise ValueError(
            f"A window must have at least one base, got window={window!r} with adaptors of "
            f"{n_adaptors} bases for an estimator that reads {length}."
        )
    if length is not None and n_bases + n_adaptors != length:
        raise ValueError(
            f"The estimator reads {length} bases, but window={window} and the adaptors' "
            f"{n_adaptors} bases make {n_bases + n_adaptors}. Leave window out."
        )
    return int(n_bases)


def check_batch_size(batch_size: Any) -> None:
    """Refuse a number of variants that is none."""
    if not is_whole(batch_size) or batch_size < 1:
        raise ValueError(f"batch_size must be a positive integer, got {batch_size!r}.")
