"""Simulated massively parallel reporter assays with a known truth."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch, check_random_state

from sklearn_degu._numbers import is_whole

from ._codes import Codes, to_strings
from ._grammar import MAX_WIDTH, MPRATruth, count_sites, draw_truth, find_sites, gc_content

__all__ = ["make_mpra"]

SHIFTS = ("unseen_motif", "motif_dose", "gc")
_MIN_LENGTH = 5 * MAX_WIDTH
_MAX_MOTIFS = 40  # more and distinct short motifs run out
_MAX_DOSE = 2  # sites of one motif in an unshifted sequence
_MAX_GC = 0.6  # of an unshifted sequence
_CALIBRATION_ROWS = 10_000
_MAX_ROUNDS = 1000


class _Recipe(NamedTuple):
    truth: MPRATruth
    seq_len: int
    shift: str | None


def make_mpra(
    n_samples: int = 1000,
    seq_len: int = 150,
    n_targets: int = 1,
    n_replicates: int = 3,
    *,
    n_motifs: int = 6,
    r2: float = 0.8,
    noise_ratio: float = 4.0,
    shift: str | None = None,
    task_seed: int = 0,
    random_state: int | np.random.RandomState | None = None,
) -> Bunch:
    r"""Simulate a reporter assay: sequences, replicate measurements, and their truth.

    The truth (motifs, weights, noise level) is fixed by `task_seed` together with `seq_len`,
    `n_targets`, `n_replicates`, `n_motifs`, `r2` and `noise_ratio`; `random_state` and `shift`
    only decide which sequences are drawn from it and the noise of their measurements. A model
    can thus be trained on unshifted data and tested on shifted data of the same truth.

    **Sequences** are a random background, whose GC content varies from sequence to sequence
    (0.35 to 0.55 in expectation), with motif instances planted at random places without
    overlap, on either strand. **Activity** is a function of the sequence alone, of planted and
    chance sites alike: with :math:`c_m` sites of motif *m*, the leftmost at :math:`s_m`,

    .. math::

        g(s) = \sum_m w_m \log_2(1 + c_m)
        + \sum_{(a, b)} v_{ab} [c_a c_b > 0]
        + \sum_{(a, b)} u_{ab} [s_a < s_b] e^{-(s_b - s_a) / 25}
        + 10 \beta (\mathrm{GC}(s) - 0.45)

    with :math:`|w| \sim U(0.5, 1.5)` (positive with probability 0.7),
    :math:`v \sim N(0, 1)` for the pairs (0, 1), (2, 3), ...,
    :math:`u \sim N(0, 4)` for the pairs (1, 2), (3, 4), ..., and :math:`\beta \sim N(0, 0.09)`,
    for each target anew. `mean` is *g* standardised to mean 0 and variance 1 over unshifted
    sequences. **Noise** is independent between replicates and Gaussian, with the deviation

    .. math:: \sigma(s) = \sigma_0 \rho^{\min(c_{noise}, 2) / 2}

    driven by a motif without any effect on the mean, where :math:`\rho` is `noise_ratio`.
    :math:`\sigma_0` solves ``r2 = 1 / (1 + E[sigma**2] / n_replicates)``, so that no model can
    reach a higher expected R² of `y` than `r2` on unshifted data.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of sequences, n.
    seq_len : int, default=150
        Length L of each sequence in bp, at least 55.
    n_targets : int, default=1
        Number of tasks, t; they share motifs and noise level but no weights.
    n_replicates : int, default=3
        Number of measurements of each sequence, r.
    n_motifs : int, default=6
        Number of motifs with an effect, 1 to 40. The noise motif and the motif that only
        ``shift="unseen_motif"`` shows come on top.
    r2 : float, default=0.8
        Best reachable R² of `y` on unshifted data, in (0, 1]; 1 means no noise.
    noise_ratio : float, default=4.0
        Largest over smallest noise deviation, at least 1; 1 means equal noise everywhere.
    shift : {"unseen_motif", "motif_dose", "gc"} or None, default=None
        Draw from a region of sequence space that is empty in unshifted data: sequences with a
        motif that never occurs there; with three sites or more of an active motif (at most two
        there); or with a GC content above 0.6 (at most 0.6 there). Nothing else changes: each
        shift keeps the other two limits.
    task_seed : int, default=0
        Seed of the truth.
    random_state : int, RandomState instance or None, default=None
        Seed of the sample.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        sequences : ndarray of str, shape (n,)
        y : ndarray of float64, shape (n,) for one target, else (n, t)
            Mean over the replicates.
        replicates : ndarray of float64, shape (n, r) or (n, t, r)
        mean : ndarray of float64, shape of y
            True expected activity.
        noise_std : ndarray of float64, shape of y
            True standard deviation of *one* replicate; that of `y` is
            ``noise_std / sqrt(n_replicates)``.
        sites : structured ndarray with the fields row, start, stop, motif, strand
            Every occurrence of every motif, sorted by row and start; `motif` indexes `motifs`.
        motifs : list of ndarray, each of shape (4, width)
            Base probabilities in the order ACGT.
        motif_names : list of str
            "motif0", ..., then "noise" and "unseen".
        consensus : list of str
            The most probable instance of each motif.
        truth : callable
            ``truth(sequences)`` returns `mean` and `noise_std` of any sequences of one length,
            for example of variants.

    Raises
    ------
    ValueError
        If a parameter is out of range.
    RuntimeError
        If next to no random sequence is admitted, as with very many motifs and shift="gc".

    Examples
    --------
    >>> from sklearn_degu.datasets import make_mpra
    >>> train = make_mpra(500, random_state=0)
    >>> novel = make_mpra(100, shift="unseen_motif", random_state=1)  # the same truth
    >>> train.sequences.shape, train.y.shape, train.replicates.shape
    ((500,), (500,), (500, 3))
    >>> bool((train.sites["motif"] == 7).any()), train.motif_names[7]
    (False, 'unseen')
    >>> mean, noise_std = novel.truth(novel.sequences)
    >>> bool((mean == novel.mean).all())
    True
    """
    _check_counts(n_samples, seq_len, n_targets, n_replicates, n_motifs, task_seed)
    _check_ranges(r2, noise_ratio, shift)
    truth = _draw_calibrated_truth(
        task_seed, seq_len, n_targets, n_motifs, n_replicates * (1 / r2 - 1), noise_ratio
    )
    rng = np.random.default_rng(check_random_state(random_state).randint(2**31 - 1))
    codes = _draw_sequences(n_samples, _Recipe(truth, seq_len, shift), rng)
    sites = find_sites(codes, truth.motifs)
    mean, noise_std = truth.evaluate(codes, sites)
    noise = rng.standard_normal((*mean.shape, n_replicates))
    replicates = mean[..., None] + noise_std[..., None] * noise
    motifs = [motif.copy() for motif in truth.motifs]
    return Bunch(
        sequences=to_strings(codes),
        y=replicates.mean(axis=-1),
        replicates=replicates,
        mean=mean,
        noise_std=noise_std,
        sites=sites,
        motifs=motifs,
        motif_names=[*(f"motif{i}" for i in range(n_motifs)), "noise", "unseen"],
        consensus=["".join("ACGT"[base] for base in motif.argmax(axis=0)) for motif in motifs],
        truth=truth,
    )


@lru_cache(maxsize=32)  # a truth serves many samples; its arrays are read-only
def _draw_calibrated_truth(
    task_seed: int,
    seq_len: int,
    n_targets: int,
    n_motifs: int,
    noise_variance: float,
    noise_ratio: float,
) -> MPRATruth:
    """Draw a truth with unit variance of the mean and the given mean variance of the noise."""
    truth = draw_truth(n_motifs, n_targets, noise_ratio, np.random.default_rng(task_seed))
    # Another stream than that of the truth: its size must not change the sequences drawn.
    rng = np.random.default_rng([task_seed, 1])
    codes = _draw_sequences(_CALIBRATION_ROWS, _Recipe(truth, seq_len, None), rng)
    raw = truth.raw(codes, find_sites(codes, truth.motifs))
    truth = replace(truth, offset=raw.mean(axis=0), scale=raw.std(axis=0), noise_floor=1.0)
    relative_variance = np.mean(truth.evaluate(codes)[1] ** 2)
    return replace(truth, noise_floor=float(np.sqrt(noise_variance / relative_variance)))


def _draw_sequences(n_rows: int, recipe: _Recipe, rng: np.random.Generator) -> Codes:
    """Draw sequences and redraw those outside the region that the shift (or none) admits."""
    codes = np.empty((n_rows, recipe.seq_len), dtype=np.uint8)
    open_rows = np.arange(n_rows)
    for _ in range(_MAX_ROUNDS):
        codes[open_rows] = _propose(len(open_rows), recipe, rng)
        open_rows = open_rows[~_is_admitted(codes[open_rows], recipe)]
        if not len(open_rows):
            return codes
    raise RuntimeError(
        f"{len(open_rows)} of {n_rows} sequences were still not admitted after {_MAX_ROUNDS} "
        f"rounds with {len(recipe.truth.motifs) - 2} motifs, seq_len={recipe.seq_len} and "
        f"shift={recipe.shift!r}. Use fewer motifs."
    )


def _is_admitted(codes: Codes, recipe: _Recipe) -> NDArray[np.bool_]:
    motifs = recipe.truth.motifs
    counts = count_sites(find_sites(codes, motifs), len(codes), len(motifs))
    outside = {
        "unseen_motif": counts[:, -1] > 0,
        "motif_dose": (counts[:, :-2] > _MAX_DOSE).any(axis=1),
        "gc": gc_content(codes) > _MAX_GC,
    }
    admitted: NDArray[np.bool_] = np.all(counts[:, -2:] <= _MAX_DOSE, axis=1)
    for name, is_outside in outside.items():
        np.logical_and(admitted, is_outside == (name == recipe.shift), out=admitted)
    return admitted


def _propose(n_rows: int, recipe: _Recipe, rng: np.random.Generator) -> Codes:
    """Return background sequences with planted motif instances."""
    codes = _background(n_rows, recipe, rng)
    planted, starts = _place(_draw_contents(n_rows, recipe, rng), recipe, rng)
    for index, motif in enumerate(recipe.truth.motifs):
        rows, slots = np.nonzero(planted == index)
        instances = _draw_instances(motif, len(rows), rng)
        columns = starts[rows, slots][:, None] + np.arange(motif.shape[1])
        codes[rows[:, None], columns] = instances
    return codes


def _background(n_rows: int, recipe: _Recipe, rng: np.random.Generator) -> Codes:
    low, high = (0.75, 0.9) if recipe.shift == "gc" else (0.35, 0.55)
    gc = rng.uniform(low, high, size=(n_rows, 1))
    shape = (n_rows, recipe.seq_len)
    strong = rng.random(shape, dtype=np.float32) < gc
    either = rng.random(shape, dtype=np.float32) < 0.5
    # C or G is 1 or 2, A or T is 0 or 3.
    return np.where(strong, 1 + either, 3 * either).astype(np.uint8)


def _draw_contents(n_rows: int, recipe: _Recipe, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the motifs of each row in random order, -1 for none, shape (n_rows, n_slots)."""
    n_motifs, n_slots = len(recipe.truth.motifs), recipe.seq_len // MAX_WIDTH
    chance = np.full((n_rows, n_motifs), min(0.25, 0.25 * n_slots / n_motifs))
    chance[:, -2] = 0.5
    chance[:, -1] = 0.0
    owner = np.tile(np.arange(n_motifs), _MAX_DOSE)
    chosen = rng.random((n_rows, len(owner))) < chance[:, owner]
    extra = _extra_sites(n_rows, n_motifs, recipe.shift, rng)
    contents = np.concatenate([np.where(chosen, owner, -1), extra], axis=1)
    # What the shift demands comes first, then a random choice of the rest: slots are few.
    urgency = rng.random(contents.shape) + (contents < 0)
    urgency[:, contents.shape[1] - extra.shape[1] :] -= 1.0
    kept = np.take_along_axis(contents, np.argsort(urgency, axis=1)[:, :n_slots], axis=1)
    shuffled: NDArray[np.int64] = rng.permuted(kept, axis=1)
    return shuffled


def _extra_sites(
    n_rows: int, n_motifs: int, shift: str | None, rng: np.random.Generator
) -> NDArray[np.int64]:
    if shift == "unseen_motif":
        second = np.where(rng.random(n_rows) < 0.3, n_motifs - 1, -1)
        return np.column_stack([np.full(n_rows, n_motifs - 1), second])
    if shift == "motif_dose":
        dosed = rng.integers(n_motifs - 2, size=(n_rows, 1))
        return np.repeat(dosed, _MAX_DOSE + 1, axis=1)
    return np.empty((n_rows, 0), dtype=np.int64)


def _place(
    contents: NDArray[np.int64], recipe: _Recipe, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the contents and a start for each such that no two overlap."""
    widths = np.array([*(motif.shape[1] for motif in recipe.truth.motifs), 0])[contents]
    free = recipe.seq_len - widths.sum(axis=1, keepdims=True)
    gaps = np.sort(rng.integers(0, free + 1, size=contents.shape), axis=1)
    return contents, gaps + np.cumsum(widths, axis=1) - widths


def _draw_instances(motif: NDArray[np.float64], n: int, rng: np.random.Generator) -> Codes:
    """Draw n instances of a motif, each on a random strand, shape (n, width)."""
    edges = motif.cumsum(axis=0)[:3, :, None]
    draws: Codes = (rng.random((motif.shape[1], n)) > edges).sum(axis=0).T.astype(np.uint8)
    reverse = rng.random(n) < 0.5
    draws[reverse] = 3 - draws[reverse, ::-1]
    return draws


def _check_counts(
    n_samples: int,
    seq_len: int,
    n_targets: int,
    n_replicates: int,
    n_motifs: int,
    task_seed: int,
) -> None:
    _check_count("n_samples", n_samples, 1)
    _check_count("seq_len", seq_len, _MIN_LENGTH)
    _check_count("n_targets", n_targets, 1)
    _check_count("n_replicates", n_replicates, 1)
    _check_count("n_motifs", n_motifs, 1, _MAX_MOTIFS)
    _check_count("task_seed", task_seed, 0)


def _check_count(name: str, value: Any, low: int, high: int | None = None) -> None:
    if not is_whole(value) or value < low or (high is not None and value > high):
        bounds = f"from {low} to {high}" if high is not None else f"of {low} or more"
        raise ValueError(f"Got {name}={value!r}, but an integer {bounds} was expected.")


def _check_ranges(r2: float, noise_ratio: float, shift: str | None) -> None:
    if not 0 < r2 <= 1:
        raise ValueError(f"Got r2={r2!r}, but a number above 0 and at most 1 was expected.")
    if not 1 <= noise_ratio < np.inf:
        raise ValueError(
            f"Got noise_ratio={noise_ratio!r}, but a finite number of 1 or more was expected."
        )
    if shift is not None and shift not in SHIFTS:
        raise ValueError(f"Got shift={shift!r}, but None or one of {SHIFTS} was expected.")
