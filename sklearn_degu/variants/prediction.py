"""Prediction of effects, a batch of variants at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sklearn_degu.datasets.sequence_sources import SequenceSource
from sklearn_degu.uncertainty import Array
from sklearn_degu.variants.models import StringModel
from sklearn_degu.variants.results import VariantEffects
from sklearn_degu.variants.table import Variants
from sklearn_degu.variants.windows import Layout, VariantError, Windows

# Rows that a message lists.
_LISTED = 10


class EffectPredictor(NamedTuple):
    """What the effects of any variants are predicted with."""

    model: StringModel
    layout: Layout
    source: SequenceSource
    paired: bool
    batch_size: int

    def check(self, variants: Variants, of: str = "") -> None:
        """Raise if windows of some variants cannot be cut out; the first is explained.

        ``of`` says of which variants the message speaks.
        """
        refused, why = [], ""
        for row in range(len(variants)):
            try:
                self.layout.windows(variants, row, self.source)
            except VariantError as error:
                why = why or f"{of}{variants.place(row)}: {error}"
                refused.append(row)
        if refused:
            raise ValueError(why + _others(refused, variants))

    def check_calibration(self, variants: Variants, shape: tuple[int, ...]) -> None:
        """Raise if intervals cannot be calibrated on these variants."""
        if not shape or shape[0] != len(variants):
            raise ValueError(
                f"The calibration has {len(variants)} variants, but measured effects of shape "
                f"{shape}; expected one row a variant."
            )
        self.check(variants, of="Calibration: ")
        n_seen = sum(
            self.model.seen([self.layout.as_read(pair.alt)[0] for pair in pairs]).sum()
            for pairs in self._batches(variants)
        )
        if n_seen:
            raise ValueError(
                f"The estimator was trained or stopped on the alternative of {n_seen} of the "
                f"{len(variants)} calibration variants (on either strand), so that its errors are "
                "smaller there than on new variants, and intervals would be too narrow. Leave "
                "them out of the calibration."
            )

    def effects(self, variants: Variants) -> VariantEffects:
        """Predict the effects of variants, and with paired members their deviation."""
        parts = [self._of_batch(pairs) for pairs in self._batches(variants)]
        ref, alt, effect, *std = (np.concatenate(part) for part in zip(*parts, strict=True))
        return VariantEffects(effect, ref, alt, std[0] if std else None, None, None, variants)

    def _batches(self, variants: Variants) -> Iterator[list[Windows]]:
        for start in range(0, len(variants), self.batch_size):
            rows = range(start, min(start + self.batch_size, len(variants)))
            yield [self.layout.windows(variants, row, self.source) for row in rows]

    def _of_batch(self, pairs: list[Windows]) -> list[Array]:
        """Return reference, alternative, effect and, with paired members, its deviation."""
        read = [one for pair in pairs for allele in pair for one in self.layout.as_read(allele)]
        distinct, places = _distinct(read)
        predict = self.model.predict_members if self.paired else self.model.predict
        predicted = predict(distinct)[:, places]
        shape = (len(predicted), len(pairs), 2, self.layout.n_strands, *predicted.shape[2:])
        alleles = predicted.reshape(shape).mean(axis=3)
        ref, alt = alleles[:, :, 0], alleles[:, :, 1]
        effect = alt - ref
        means = [values.mean(axis=0) for values in (ref, alt, effect)]
        return [*means, effect.std(axis=0)] if self.paired else means


def _distinct(strings: list[str]) -> tuple[list[str], NDArray[np.intp]]:
    """Return the different strings, and of every string its place among them."""
    places: dict[str, int] = {}
    index = [places.setdefault(string, len(places)) for string in strings]
    return [*places], np.array(index, dtype=np.intp)


def _others(refused: list[int], variants: Variants) -> str:
    """Name the other variants that were refused."""
    if len(refused) == 1:
        return ""
    numbers = refused if variants.lines is None else variants.lines[refused].tolist()
    rest = f" and {len(numbers) - _LISTED} more" if len(numbers) > _LISTED else ""
    kind = "rows" if variants.lines is None else "lines"
    listed = ", ".join(map(str, numbers[:_LISTED]))
    return f" Of {len(variants)} variants {len(numbers)} are refused: {kind} {listed}{rest}."
