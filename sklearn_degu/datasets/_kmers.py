"""Groups of sequences that share a k-mer, as connected components."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from sklearn_degu._numbers import as_array, is_whole

from ._codes import UNKNOWN, Codes, as_strings, flat_codes, one_hot_codes

Indices = NDArray[np.int64]
Kmers = NDArray[np.uint64]

_BLOCK = 1 << 22  # windows encoded at a time: 64-bit temporaries of 32 MB each


def kmer_groups(
    sequences: ArrayLike,
    k: int = 32,
    *,
    region: slice | None = None,
    max_rows: int | None = None,
) -> Indices:
    """Label sequences so that those with a common k-mer on either strand have one label.

    Two sequences are joined when a stretch of `k` bases of one occurs in the other or in its
    reverse complement; groups are the connected components, so that A and C share a label if
    both are joined to B. A k-mer and its reverse complement are read as the smaller of their two
    64-bit codes, two bits a base: the comparison is exact. Windows with an unknown base join
    nothing. With the labels, ``GroupKFold`` and its like split without leakage.

    Parameters
    ----------
    sequences : array-like of str, shape (n,), or one-hot of shape (n, 4, L) or (n, 4 * L)
        DNA in either case, of any lengths of at least `k` within `region`.
    k : int, default=32
        Length of the shared stretch in bases, 1 to 32. Below about 14 unrelated sequences
        begin to share k-mers by chance.
    region : slice or None, default=None
        Part of every sequence that is compared. Constant adaptors of `k` bases or more join all
        rows: leave them out with, for example, ``slice(15, -15)``.
    max_rows : int or None, default=None
        k-mers that occur in more rows than this join nothing: a way to look past a constant
        insert or an abundant repeat. The rows may then share such a k-mer across a split, so
        that None, which joins them all, is the safe choice. Windows that overlap the repeat in
        part are rarer and still join: for constant adaptors use `region`.

    Returns
    -------
    ndarray of int64, shape (n,)
        Labels 0, 1, ... of the groups.

    Raises
    ------
    TypeError
        If an entry is neither a string nor a number.
    ValueError
        If a parameter is out of range, a sequence is shorter than `k`, or X is not one-hot.

    Warns
    -----
    UserWarning
        If one group holds more than half of the rows; the most widespread k-mer is named.

    Notes
    -----
    Memory is about 45 bytes a base: 0.4 GB for 45,000 sequences of 200 bp, which take some
    seconds.

    Examples
    --------
    >>> from sklearn_degu.datasets import kmer_groups
    >>> kmer_groups(["ACGTTGCA", "GATTTACC", "GGTAAATC", "CCCCTATA"], k=6)
    array([0, 1, 1, 2])
    """
    labels, shared = connect(sequences, k, region=region, max_rows=max_rows)
    warn_if_dominated(labels, 0.5, shared)
    return labels


def connect(
    sequences: ArrayLike, k: int, *, region: slice | None, max_rows: int | None
) -> tuple[Indices, str]:
    """Return the labels of `kmer_groups` and a sentence on the most widespread k-mer."""
    _check_integer("k", k, 1, 32, "A 32-mer fills 64 bits.")
    _check_region(region)
    if max_rows is not None:
        _check_integer("max_rows", max_rows, 1, None, "None sets no limit.")
    codes, lengths = _read(sequences, region)
    _check_lengths(lengths, k, region)
    kmers, rows = _canonical_kmers(codes, np.repeat(np.arange(len(lengths)), lengths + 1), k)
    order = np.argsort(kmers, kind="stable")
    kmers, rows = kmers[order], rows[order]
    spread = _rows_per_kmer(kmers, rows)
    shared = _describe_widest(kmers, spread, k)
    same = kmers[1:] == kmers[:-1]
    if max_rows is not None:
        same &= spread[1:] <= max_rows
    return components(rows[:-1][same], rows[1:][same], len(lengths)), shared


def components(left: Indices, right: Indices, n_nodes: int) -> Indices:
    """Return the component label of each node of the graph with the edges left - right."""
    ones = np.ones(len(left), dtype=bool)
    graph = coo_array((ones, (left, right)), shape=(n_nodes, n_nodes))
    labels: Indices = connected_components(graph, directed=False)[1].astype(np.int64)
    return labels


def warn_if_dominated(labels: Indices, limit: float, shared: str) -> None:
    """Warn if the largest group holds more than the share `limit` of two or more rows."""
    largest = int(np.bincount(labels).max())
    if largest > 1 and largest > limit * len(labels):
        warnings.warn(
            f"One group holds {largest} of the {len(labels)} sequences ({largest / len(labels):.0%}"
            f"), so that no balanced split exists. {shared} Leave out constant adaptors with "
            "region=slice(start, stop), or widespread repeats with max_rows=.",
            UserWarning,
            stacklevel=3,
        )


def _read(sequences: ArrayLike, region: slice | None) -> tuple[Codes, Indices]:
    """Return codes with one UNKNOWN after each sequence, and the lengths without it."""
    X = as_array(sequences, "sequences")
    part = slice(None) if region is None else region
    if X.ndim >= 2 and X.dtype.kind in "biuf":
        codes = one_hot_codes(X)[:, part]
        lengths = np.full(len(codes), codes.shape[1], dtype=np.int64)
        return np.pad(codes, ((0, 0), (0, 1)), constant_values=UNKNOWN).ravel(), lengths
    strings = [entry[part] + "N" for entry in as_strings(X)]
    flat, lengths = flat_codes(strings)
    return flat, lengths - 1


def _canonical_kmers(codes: Codes, rows: Indices, k: int) -> tuple[Kmers, Indices]:
    """Return the canonical k-mer of each window without an unknown base, and its row."""
    valid = np.flatnonzero(_windows_sum(codes == UNKNOWN, k) == 0)
    kmers = np.empty(len(codes) - k + 1, dtype=np.uint64)
    for start in range(0, len(kmers), _BLOCK):
        stop = min(start + _BLOCK, len(kmers))
        kmers[start:stop] = _encode_windows(codes[start : stop + k - 1], k)
    return kmers[valid], rows[valid]


def _windows_sum(flags: NDArray[np.bool_], k: int) -> NDArray[np.int64]:
    total = np.concatenate([[0], np.cumsum(flags, dtype=np.int64)])
    sums: NDArray[np.int64] = total[k:] - total[:-k]
    return sums


def _encode_windows(codes: Codes, k: int) -> Kmers:
    bases = (codes & 3).astype(np.uint64)  # unknown bases too: their windows are dropped
    forward = np.zeros(len(codes) - k + 1, dtype=np.uint64)
    reverse = np.zeros_like(forward)
    for offset in range(k):
        base = bases[offset : offset + len(forward)]
        forward = (forward << np.uint64(2)) | base
        reverse |= (np.uint64(3) - base) << np.uint64(2 * offset)
    return np.minimum(forward, reverse)


def _rows_per_kmer(kmers: Kmers, rows: Indices) -> Indices:
    """Return, for each entry of sorted k-mers, in how many rows its k-mer occurs."""
    new_kmer = np.ones(len(kmers), dtype=bool)
    new_kmer[1:] = kmers[1:] != kmers[:-1]
    new_row = new_kmer.copy()
    new_row[1:] |= rows[1:] != rows[:-1]  # the sort is stable: rows ascend within a k-mer
    kmer_index = np.cumsum(new_kmer) - 1
    spread: Indices = np.bincount(kmer_index[new_row])[kmer_index]
    return spread


def _describe_widest(kmers: Kmers, spread: Indices, k: int) -> str:
    if not len(kmers):
        return f"No {k}-mer is free of unknown bases."
    widest = int(np.argmax(spread))
    code = int(kmers[widest])
    letters = "".join("ACGT"[(code >> (2 * place)) & 3] for place in reversed(range(k)))
    return f"The most widespread {k}-mer, {letters}, occurs in {spread[widest]} of them."


def _check_lengths(lengths: Indices, k: int, region: slice | None) -> None:
    if not len(lengths):
        raise ValueError("Got no sequences, but one or more were expected.")
    if lengths.min() < k:
        row = int(lengths.argmin())
        raise ValueError(
            f"Sequence {row} has {lengths[row]} bp within region={region}, but k={k} needs {k} or "
            "more. Lower k, widen region or drop short sequences."
        )


def _check_region(region: Any) -> None:
    if region is not None and not isinstance(region, slice):
        raise TypeError(
            f"Got region={region!r}, but a slice or None was expected. Write slice(15, -15) to "
            "leave out 15 bp at either end."
        )


def _check_integer(name: str, value: Any, low: int, high: int | None, hint: str) -> None:
    if not is_whole(value) or value < low or (high is not None and value > high):
        bounds = f"from {low} to {high}" if high is not None else f"of {low} or more"
        raise ValueError(f"Got {name}={value!r}, but an integer {bounds} was expected. {hint}")
