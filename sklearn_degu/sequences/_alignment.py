"""Bringing strings of several lengths to one length."""

from collections import Counter

import numpy as np
import numpy.typing as npt

from sklearn_degu.sequences._one_hot import PADDING
from sklearn_degu.sequences._strings import Batch

Lengths = npt.NDArray[np.intp]


def common_length(lengths: Lengths, *, pad: str, trim: str) -> int:
    """Return the length to bring all to: the longest if `pad` is on, the shortest if only `trim`.

    With neither it is the commonest length, so that the error to come names the odd row out.
    """
    if pad != "error":
        return int(lengths.max())
    if trim != "error":
        return int(lengths.min())
    commonest, _ = Counter(map(int, lengths)).most_common(1)[0]
    return commonest


def check_lengths(lengths: Lengths, length: int, *, pad: str, trim: str, first_row: int) -> None:
    """Refuse the first string that is too short to go unpadded or too long to go untrimmed."""
    too_short = (lengths < length) & (pad == "error")
    too_long = (lengths > length) & (trim == "error")
    refused = too_short | too_long
    if not refused.any():
        return
    row = int(refused.argmax())
    remedy = "trim='right' cuts long ones"
    if too_short[row]:
        remedy = "pad='right' fills short ones with zeros"
    raise ValueError(
        f"Row {first_row + row} has {lengths[row]} bases, expected {length}. Give sequences of "
        f"one length, or let SequenceEncoder mend them: {remedy}."
    )


def align(batch: Batch, length: int, *, pad: str, trim: str) -> npt.NDArray[np.uint8]:
    """Return the codes of a batch as (n, length), short strings padded and long ones trimmed."""
    if (batch.lengths == length).all():
        return batch.codes.reshape(-1, length)
    missing = np.maximum(length - batch.lengths, 0)
    surplus = np.maximum(batch.lengths - length, 0)
    kept = batch.lengths - surplus
    read = _stretches(_share_on_the_left(surplus, trim), kept, batch.lengths)
    write = _stretches(_share_on_the_left(missing, pad), kept, np.full_like(kept, length))
    codes = np.full(len(kept) * length, PADDING, dtype=np.uint8)
    codes[write] = batch.codes[read]
    return codes.reshape(-1, length)


def _share_on_the_left(amount: Lengths, side: str) -> Lengths:
    """Return how much of what is added or cut lies on the left; an odd base lies on the right."""
    return {"left": amount, "both": amount // 2}.get(side, np.zeros_like(amount))


def _stretches(skipped: Lengths, kept: Lengths, total: Lengths) -> npt.NDArray[np.bool_]:
    """Mark, in rows of `total` positions laid end to end, the `kept` ones after the `skipped`."""
    runs = np.column_stack((skipped, kept, total - skipped - kept))
    return np.repeat(np.tile([False, True, False], len(total)), runs.ravel())
