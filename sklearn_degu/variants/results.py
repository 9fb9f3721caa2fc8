"""What is said of variants: effects, their deviations and their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from sklearn_degu.uncertainty import Array
from sklearn_degu.variants.table import Variants


class VariantEffects(NamedTuple):
    """Effects of variants, in the units of y.

    Attributes
    ----------
    effect : ndarray of shape (n_variants,) or (n_variants, n_targets)
        Prediction of the alternative less that of the reference.
    ref, alt : ndarray of the shape of ``effect``
        Predictions of the reference and of the alternative.
    std : ndarray of the shape of ``effect``, or None
        Epistemic standard deviation of the effect: that of the members' effects (``ddof=0``).
    lower, upper : ndarray of the shape of ``effect``, or of this shape + (n_levels,), or None
        Bounds of the conformal intervals of the measured effect.
    variants : Variants
        The variants, in the order of the rows; of a VCF file one for every alternative allele.
    """

    effect: Array
    ref: Array
    alt: Array
    std: Array | None
    lower: Array | None
    upper: Array | None
    variants: Variants

    def to_frame(self, targets: Sequence[str] | None = None) -> Any:
        """Return a table of variants and effects.

        Parameters
        ----------
        targets : sequence of str, optional
            Names of the targets, by default "0", "1" and so on. None for a y of one axis.

        Returns
        -------
        frame : pandas.DataFrame
            One row a variant, with the columns ``chrom``, ``pos``, ``ref`` and ``alt`` ("-" where
            ``ref`` is deleted), and with
            ``effect``, ``effect_ref``, ``effect_alt`` and, where they are known, ``effect_std``,
            ``effect_lower`` and ``effect_upper``; behind these follow the name of the target, as
            in ``effect_HepG2``, and the number of the level, if there are several.

        Raises
        ------
        ImportError
            If pandas is not installed.
        ValueError
            If the number of names is not that of the targets.
        """
        try:
            from pandas import DataFrame
        except ImportError as error:
            raise ImportError("to_frame makes a pandas.DataFrame: pip install pandas") from error
        n_targets = self.effect[0].size if self.effect.ndim > 1 else 0
        names = [str(name) for name in (range(n_targets) if targets is None else targets)]
        if len(names) != n_targets:
            raise ValueError(f"The effects have {n_targets} targets to name, got names {names}.")
        columns = {name: getattr(self.variants, name) for name in ("chrom", "pos", "ref")}
        columns["alt"] = np.array([alt or "-" for alt in self.variants.alt], dtype=object)
        named = ("", "_ref", "_alt", "_std", "_lower", "_upper")
        for suffix, values in zip(named, self[:6], strict=True):
            columns |= _columns(f"effect{suffix}", values, names)
        return DataFrame(columns)


def _columns(name: str, values: Array | None, targets: list[str]) -> dict[str, Array]:
    """Return the columns of values of shape (n, n_targets, n_levels) or of fewer axes."""
    if values is None:
        return {}
    columns = {}
    for place in np.ndindex(values.shape[1:]):
        numbers = [*place]
        labels = [targets[numbers.pop(0)]] if targets else []
        labels += map(str, numbers)
        columns["_".join([name, *labels])] = values[(slice(None), *place)]
    return columns
