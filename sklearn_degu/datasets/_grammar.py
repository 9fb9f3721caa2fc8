"""The ground truth of the simulator: motifs, and the activity and noise of any sequence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._codes import UNKNOWN, Codes, as_strings, flat_codes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Sites = NDArray[np.void]

SITE_DTYPE = np.dtype(
    [(name, np.int64) for name in ("row", "start", "stop", "motif")] + [("strand", "U1")]
)
MAX_WIDTH = 11
_MIN_WIDTH = 8
_SEED_LENGTH = 6
_PREFERENCE = 0.7  # of the preferred base at a position that allows two
_DECAY = 25.0  # bp over which the effect of an ordered pair falls to 1/e
_TYPICAL_GC = 0.45


@dataclass(frozen=True)
class MPRATruth:
    """Activity and noise as deterministic functions of a sequence; see `make_mpra`.

    Parameters
    ----------
    motifs : tuple of ndarray, each of shape (4, width)
        Base probabilities; the last two motifs are the noise motif and the novel motif.
    dose, pair, order : ndarray of shape (n_motifs + 2, t), (n_pairs, t), (n_orders, t)
        Weights of the three kinds of terms.
    gc : ndarray of shape (t,)
        Weight of the GC content.
    offset, scale : ndarray of shape (t,)
        Mean and standard deviation of the raw activity of unshifted sequences.
    noise_floor : float
        Smallest standard deviation of one replicate.
    noise_ratio : float
        Largest over smallest standard deviation.
    """

    motifs: tuple[Floats, ...]
    dose: Floats
    pair: Floats
    order: Floats
    gc: Floats
    offset: Floats
    scale: Floats
    noise_floor: float
    noise_ratio: float

    def __post_init__(self) -> None:
        """Lock the arrays: one truth is shared by all samples drawn from it."""
        weights = (self.dose, self.pair, self.order, self.gc, self.offset, self.scale)
        for array in (*self.motifs, *weights):
            array.setflags(write=False)

    def __call__(self, sequences: ArrayLike) -> tuple[Floats, Floats]:
        """Return the true activity and noise of new sequences, such as variants.

        Parameters
        ----------
        sequences : array-like of str, shape (n,)
            DNA of one common length.

        Returns
        -------
        mean, noise_std : ndarray of float64, shape (n,) or (n, t)
            As in the data: unit variance over unshifted sequences; deviation of one replicate.

        Raises
        ------
        ValueError
            If the sequences differ in length.
        """
        codes, lengths = flat_codes(as_strings(sequences))
        if not len(lengths) or (lengths != lengths[0]).any():
            raise ValueError(
                f"Got {len(lengths)} sequences of lengths {np.unique(lengths).tolist()}, but one "
                "or more of a common length were expected."
            )
        return self.evaluate(codes.reshape(len(lengths), -1))

    def evaluate(self, codes: Codes, sites: Sites | None = None) -> tuple[Floats, Floats]:
        """Return mean and noise of codes, (n,) for a single task and else (n, t)."""
        sites = find_sites(codes, self.motifs) if sites is None else sites
        mean = (self.raw(codes, sites) - self.offset) / self.scale
        level = np.minimum(count_sites(sites, len(codes), len(self.motifs))[:, -2], 2) / 2
        std = np.repeat(self.noise_floor * self.noise_ratio ** level[:, None], mean.shape[1], 1)
        return (mean[:, 0], std[:, 0]) if mean.shape[1] == 1 else (mean, std)

    def raw(self, codes: Codes, sites: Sites) -> Floats:
        """Return the activity before standardisation, shape (n, t)."""
        counts = count_sites(sites, len(codes), len(self.motifs))
        present = (counts > 0).astype(np.float64)
        first, second = _partners(len(self.pair), start=0)
        upstream, downstream = _partners(len(self.order), start=1)
        leftmost = _leftmost(sites, len(codes), len(self.motifs))
        # With a motif absent (inf) the gap is inf or NaN, which np.where turns into no effect.
        with np.errstate(invalid="ignore"):
            gap = leftmost[:, downstream] - leftmost[:, upstream]
        ordered = np.where(gap > 0, np.exp(-np.maximum(gap, 0) / _DECAY), 0.0)
        activity: Floats = (
            np.log2(1 + counts) @ self.dose
            + (present[:, first] * present[:, second]) @ self.pair
            + ordered @ self.order
            + 10 * (gc_content(codes)[:, None] - _TYPICAL_GC) * self.gc
        )
        return activity


def draw_truth(
    n_motifs: int, n_targets: int, noise_ratio: float, rng: np.random.Generator
) -> MPRATruth:
    """Draw motifs and weights; offset, scale and noise are set by `calibrate` afterwards."""
    sign = rng.choice([-1.0, 1.0], size=(n_motifs + 2, n_targets), p=[0.3, 0.7])
    dose = sign * rng.uniform(0.5, 1.5, size=sign.shape)
    dose[-2] = 0.0  # the noise motif leaves the mean alone
    return MPRATruth(
        motifs=_draw_motifs(n_motifs + 2, rng),
        dose=dose,
        pair=rng.normal(0.0, 1.0, size=(n_motifs // 2, n_targets)),
        order=rng.normal(0.0, 2.0, size=((n_motifs - 1) // 2, n_targets)),
        gc=rng.normal(0.0, 0.3, size=n_targets),
        offset=np.zeros(n_targets),
        scale=np.ones(n_targets),
        noise_floor=0.0,
        noise_ratio=noise_ratio,
    )


def _draw_motifs(n_motifs: int, rng: np.random.Generator) -> tuple[Floats, ...]:
    """Draw motifs none of which looks like another, or like itself on the other strand."""
    motifs: list[Floats] = []
    taken: set[tuple[int, ...]] = set()
    while len(motifs) < n_motifs:
        consensus = rng.integers(4, size=rng.integers(_MIN_WIDTH, MAX_WIDTH + 1))
        words = _words(consensus) + _words(3 - consensus[::-1])
        if len(set(words)) == len(words) and taken.isdisjoint(words):
            taken.update(words)
            motifs.append(_soften(consensus, rng))
    return tuple(motifs)


def _words(consensus: Ints) -> list[tuple[int, ...]]:
    windows = np.lib.stride_tricks.sliding_window_view(consensus, _SEED_LENGTH)
    return [tuple(word) for word in windows.tolist()]


def _soften(consensus: Ints, rng: np.random.Generator) -> Floats:
    """Return the probabilities of a motif with two positions that allow a second base."""
    motif = np.zeros((4, len(consensus)))
    motif[consensus, np.arange(len(consensus))] = 1.0
    for position in rng.choice(len(consensus), size=2, replace=False):
        second = (consensus[position] + rng.integers(1, 4)) % 4
        motif[consensus[position], position] = _PREFERENCE
        motif[second, position] = 1 - _PREFERENCE
    return motif


def _partners(n_pairs: int, start: int) -> tuple[Ints, Ints]:
    first = start + 2 * np.arange(n_pairs)
    return first, first + 1


def find_sites(codes: Codes, motifs: tuple[Floats, ...]) -> Sites:
    """Return every occurrence of every motif, on both strands, sorted by row and start.

    A site is a stretch in which each base has a positive probability in the motif.

    Parameters
    ----------
    codes : ndarray of uint8, shape (n, L)
    motifs : tuple of ndarray, each of shape (4, width)

    Returns
    -------
    structured ndarray with the fields row, start, stop, motif, strand
    """
    bits = np.where(codes == UNKNOWN, 0, 1 << (codes & 3)).astype(np.uint8)
    found = []
    for index, motif in enumerate(motifs):
        # Reversing both axes complements (ACGT -> TGCA) and reverses the motif.
        for strand, oriented in (("+", motif), ("-", motif[::-1, ::-1])):
            rows, starts = np.nonzero(_matches(bits, oriented > 0))
            sites = np.empty(len(rows), dtype=SITE_DTYPE)
            sites["row"], sites["start"] = rows, starts
            sites["stop"] = starts + motif.shape[1]
            sites["motif"], sites["strand"] = index, strand
            found.append(sites)
    joined = np.concatenate(found)
    return joined[np.lexsort((joined["start"], joined["row"]))]


def _matches(bits: Codes, allowed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    masks = (allowed * np.array([[1], [2], [4], [8]])).sum(axis=0).astype(np.uint8)
    width = bits.shape[1] - len(masks) + 1
    match = np.ones((len(bits), max(width, 0)), dtype=bool)
    for offset, mask in enumerate(masks):
        match &= (bits[:, offset : offset + match.shape[1]] & mask) != 0
    return match


def count_sites(sites: Sites, n_rows: int, n_motifs: int) -> Ints:
    """Return the number of sites of each motif in each row, shape (n_rows, n_motifs)."""
    flat = sites["row"] * n_motifs + sites["motif"]
    return np.bincount(flat, minlength=n_rows * n_motifs).reshape(n_rows, n_motifs)


def _leftmost(sites: Sites, n_rows: int, n_motifs: int) -> Floats:
    starts = np.full((n_rows, n_motifs), np.inf)
    np.minimum.at(starts, (sites["row"], sites["motif"]), sites["start"])
    return starts


def gc_content(codes: Codes) -> Floats:
    """Return the fraction of G and C in each row of codes, shape (n,)."""
    fraction: Floats = ((codes == 1) | (codes == 2)).mean(axis=1)
    return fraction
