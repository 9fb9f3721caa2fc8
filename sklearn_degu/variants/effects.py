"""The effects of variants: what a model predicts of the alternative less of the reference."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from sklearn_degu.datasets.sequence_sources import opened
from sklearn_degu.variants.intervals import check_asked, check_measured, effect_intervals
from sklearn_degu.variants.models import StringModel
from sklearn_degu.variants.parameters import check_batch_size, make_layout
from sklearn_degu.variants.prediction import EffectPredictor
from sklearn_degu.variants.results import VariantEffects
from sklearn_degu.variants.table import Variants, from_columns
from sklearn_degu.variants.vcf import read_vcf
from sklearn_degu.variants.windows import Edge

# Variants whose windows are in memory at a time.
BATCH_SIZE = 2048


def variant_effect(
    estimator: Any,
    variants: Any,
    sequences: Any,
    *,
    window: int | None = None,
    adaptors: tuple[str, str] = ("", ""),
    both_strands: bool = False,
    edge: Edge = "error",
    unknown: Literal["encode", "error"] = "encode",
    return_std: bool = False,
    calibration: tuple[Any, ArrayLike] | None = None,
    confidence_level: float | Sequence[float] | None = None,
    conformity_score: Literal["absolute", "normalized"] = "absolute",
    batch_size: int = BATCH_SIZE,
) -> VariantEffects:
    r"""Predict the effects of variants: the alternative's prediction less the reference's.

    Around each variant a window is cut out of its sequence, of the length that the estimator
    reads, once with the reference allele and once with the alternative:

    .. math:: \Delta = f(s_\mathrm{alt}) - f(s_\mathrm{ref})

    With ``return_std=True`` members are paired: with :math:`\Delta_m` the effect that member m of
    an ensemble predicts, the deviation is that of :math:`\Delta_1, \dots, \Delta_M` over the
    members (``ddof=0``). What a member over- or underestimates in both alleles cancels out, which
    the deviations of the two activities do not tell.

    Parameters
    ----------
    estimator : regressor
        A fitted estimator of this package, or a Pipeline that ends in one and reads DNA strings.
        Of a :class:`~sklearn_degu.ConformalRegressor` the predictions are used alone: its
        intervals are those of activities.
    variants : DataFrame, dict of columns, structured array, Variants, or path of a VCF file
        A table has the columns ``chrom`` or ``element`` (name of the sequence), ``pos`` (position
        of the first base of ``ref``, **counted from 1** as in a VCF), ``ref`` and ``alt``: bases
        in either case, or in ``alt`` "-" where ``ref`` is deleted. VCF files are read by
        :func:`read_vcf`.
    sequences : dict of str to str, Series, or path of a FASTA file
        Sequences by name, of their forward strand. A FASTA file needs the extra ``[genomics]``;
        its index, ``.fai``, is written beside it if it is not there.
    window : int, default=None
        Number of bases of a window, without adaptors. None takes the length that the estimator
        reads less the adaptors; it needs to be given only for a Pipeline without a SequenceEncoder.
    adaptors : tuple of (str, str), default=("", "")
        Bases that go before and after every window, such as those of a reporter plasmid that the
        estimator was trained with.
    both_strands : bool, default=False
        Whether to average predictions over the window and its reverse complement (between the
        same adaptors).
    edge : {"error", "pad", "shift"}, default="error"
        What happens where a window would leave its sequence: it is refused, filled up with N, or
        moved inwards as far as needed, so that the variant is not in its middle.
    unknown : {"encode", "error"}, default="encode"
        Whether N in a window is left to the encoder (all zeros, unless the SequenceEncoder of the
        Pipeline says otherwise) or refused. Other letters are always refused.
    return_std : bool, default=False
        Whether to return the epistemic deviation of the effects, of an ensemble of at least two.
    calibration : tuple of (variants, effects), default=None
        Variants of the same ``sequences`` and their measured effects, an array of shape
        (n_variants,) or (n_variants, n_targets) with NaN where missing, to calibrate intervals on.
        They must be exchangeable with the new variants, such as a random part of those measured.
    confidence_level : float or sequence of float, default=None
        Probability with which the intervals cover measured effects; with ``calibration`` None is
        0.9.
    conformity_score : {"absolute", "normalized"}, default="absolute"
        Whether all intervals are equally wide, or as wide as the paired deviation says, for which
        an ensemble is needed.
    batch_size : int, default=2048
        Number of variants whose windows are in memory at a time.

    Returns
    -------
    effects : VariantEffects
        A tuple of ``effect``, ``ref``, ``alt``, ``std``, ``lower``, ``upper`` and ``variants``;
        what was not asked for is None.

    Raises
    ------
    TypeError
        If the estimator, the variants or the sequences are of no known kind.
    ValueError
        If a variant cannot be read, ``ref`` is not what the sequence has, a window holds letters
        that are not allowed or leaves its sequence with ``edge="error"``; the message names the
        row, and no prediction is made before all rows are checked. If a deviation is asked of an
        estimator that does not know it, or intervals without a calibration. If the estimator was
        trained or stopped on alternatives of the calibration.
    ImportError
        If a FASTA file is given without the extra.

    Warns
    -----
    UserWarning
        If the calibration has too few variants for a level, whose bounds are then infinite.

    See Also
    --------
    sklearn_degu.ConformalRegressor : The machinery of the intervals.

    Notes
    -----
    A window of L bases begins :math:`\lfloor (L - 1) / 2 \rfloor` before the first base of
    ``ref``. Both windows share this left flank; an insertion or a deletion shifts the right
    flank, and bases further right fill up what a deletion leaves, or fall out of the window for
    an insertion. An indel thus changes the right end of the window too.

    Why a student has no deviation of an effect: with :math:`\sigma_r` and :math:`\sigma_a` its
    deviations of the two activities, that of the difference is
    :math:`\sqrt{\sigma_r^2 + \sigma_a^2 - 2 \rho \sigma_r \sigma_a}`, and no head of it tells the
    correlation :math:`\rho` between members, which is near one for windows that differ in one base.

    Predictions of windows that occur repeatedly in a batch, such as the reference of all
    alternatives at one position, are made once. Memory grows with the number of variants only by
    the variants and their effects.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_degu import EnsembleRegressor
    >>> from sklearn_degu.datasets import make_mpra
    >>> from sklearn_degu.sequences import SequenceEncoder
    >>> from sklearn_degu.variants import variant_effect
    >>> train = make_mpra(100, seq_len=60, random_state=0)
    >>> model = make_pipeline(SequenceEncoder(), EnsembleRegressor(n_estimators=2, random_state=0))
    >>> _ = model.fit(train.sequences, train.y)
    >>> elements = {"promoter": "ACGTTGCA" * 20}
    >>> variants = {"element": ["promoter"] * 2, "pos": [80, 81], "ref": ["A", "A"]}
    >>> variants["alt"] = ["T", "AGG"]
    >>> effects = variant_effect(model, variants, elements, return_std=True)
    >>> effects.effect.shape, bool((effects.std > 0).all())
    ((2,), True)
    """
    model = StringModel.of(estimator)
    layout = make_layout(model, window, adaptors, both_strands, edge, unknown)
    asked = check_asked(calibration, confidence_level, conformity_score)
    paired = return_std or (asked is not None and conformity_score == "normalized")
    if paired:
        model.check_members()
    check_batch_size(batch_size)
    table = _read(variants)
    lower = upper = None
    with opened(sequences) as source:
        predictor = EffectPredictor(model, layout, source, paired, int(batch_size))
        predictor.check(table)
        if asked is not None:
            known = _read(asked[0])
            predictor.check_calibration(known, np.shape(asked[1]))
            of_known = predictor.effects(known)
            measured = check_measured(asked[1], of_known.effect)
        effects = predictor.effects(table)
    if asked is not None:
        _, lower, upper = effect_intervals(
            of_known, measured, effects, confidence_level, conformity_score
        )
    std = effects.std if return_std else None
    return effects._replace(std=std, lower=lower, upper=upper)


def _read(variants: Any) -> Variants:
    is_path = isinstance(variants, str | os.PathLike)
    return read_vcf(variants) if is_path else from_columns(variants)
