"""The published data sets, downloaded and read for ``fit``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from sklearn_degu._rows import row_hashes
from sklearn_degu.datasets._downloads import fetched, member
from sklearn_degu.datasets.hdf5 import read_hdf5
from sklearn_degu.datasets.tables import read_table

__all__ = ["fetch_cagi5", "fetch_deepstarr", "fetch_degu_zenodo", "fetch_lentimpra"]

DEEPSTARR = "https://data.starklab.org/almeida/DeepSTARR/Tutorial"
ZENODO = "https://zenodo.org/records/14145284/files"
CAGI5 = (
    "https://raw.githubusercontent.com/kircherlab/MPRA_SaturationMutagenesis/"
    "05d2ffb965090d3f5dd27dfb038cec493a15ab35/data"
)

Cell = Literal["HepG2", "K562"]
Home = str | os.PathLike[str] | None

# From the rows that a model learns from to those that nothing may learn from.
SPLITS = ("train", "valid", "test")
_COMPLEMENT = str.maketrans("ACGT", "TGCA")


def fetch_deepstarr(
    *,
    subset: bool = False,
    data_home: Home = None,
    download_if_missing: bool = True,
    base_url: str = DEEPSTARR,
) -> Bunch:
    """Load the STARR-seq data of DeepSTARR: fly sequences of 249 bp and two enhancer activities.

    Parameters
    ----------
    subset : bool, default=False
        Load the table with fewer training rows that was published beside the whole one.
    data_home : path or None, default=None
        Folder of scikit-learn's data sets, by default that of
        :func:`~sklearn.datasets.get_data_home`.
    download_if_missing : bool, default=True
        Whether to download a file that is not there; else that is an error.
    base_url : str, optional
        Where to download from: the published place, or a mirror.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        sequences : ndarray of str of shape (n,)
        y : ndarray of float64 of shape (n, 2)
            log2 enrichment with a developmental and a housekeeping promoter.
        split : ndarray of str of shape (n,)
            "train", "valid" or "test": as published, but of a sequence and its reverse complement
            (known by their bases) that were put on different sides both are on the later one.
        published_split : ndarray of str of shape (n,)
            As published.
        groups : ndarray of int64 of shape (n,)
            Equal for a sequence and its reverse complement, for splitters.
        columns : dict of str to ndarray of shape (n,)
            Other columns: seqnames, start, end, ID.
        target_names : list of str

    Raises
    ------
    OSError
        If the file is not there and cannot be downloaded; the message says where to put it.
    ImportError
        If pooch, of the extra [download], is needed and not there.
    ValueError
        If the file is not what was published.

    References
    ----------
    de Almeida et al. (2022), Nature Genetics 54:613.
    """
    name = "Sequences_activity_subset.txt" if subset else "Sequences_activity_all.txt"
    path = fetched(
        f"{base_url}/{name}",
        "deepstarr",
        data_home=data_home,
        download_if_missing=download_if_missing,
    )
    table = read_table(
        path,
        sequence="Sequence",
        targets=["Dev_log2_enrichment", "Hk_log2_enrichment"],
        split="set",
        columns=["seqnames", "start", "end", "ID"],
    )
    groups = _strand_groups(table.sequences)
    published = _split_names(table.split)
    return Bunch(
        sequences=table.sequences,
        y=table.y,
        split=_together(published, groups),
        published_split=published,
        groups=groups,
        columns=table.columns,
        target_names=["Dev", "Hk"],
    )


def fetch_degu_zenodo(
    name: str,
    *,
    data_home: Home = None,
    download_if_missing: bool = True,
    base_url: str = ZENODO,
) -> Bunch:
    """Load an HDF5 file of the archive that was published with DEGU.

    Parameters
    ----------
    name : str
        File in the archive, such as ``"DeepSTARR_distillation_data.h5"`` or
        ``"lentiMPRA_K562_activity_and_aleatoric_data.h5"``.
    data_home, download_if_missing, base_url
        As for :func:`fetch_deepstarr`. The archive, data.tar.gz, has about 1.7 GB.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        A Bunch for every split, as :func:`read_hdf5` returns it, and ``path``, the file, of which
        :class:`HDF5Array` serves datasets without loading them.

    Raises
    ------
    OSError, ImportError
        As :func:`fetch_deepstarr`.
    ValueError
        If the archive has no such file, or the file is of no published layout.

    References
    ----------
    https://doi.org/10.5281/zenodo.14145284
    """
    archive = fetched(
        f"{base_url}/data.tar.gz",
        "degu",
        data_home=data_home,
        download_if_missing=download_if_missing,
    )
    path = member(archive, name)
    return Bunch(**read_hdf5(path), path=path)


def fetch_lentimpra(
    cell: Cell,
    *,
    data_home: Home = None,
    download_if_missing: bool = True,
    base_url: str = ZENODO,
) -> Bunch:
    """Load the lentiMPRA data of a cell line, as they were published with DEGU.

    Parameters
    ----------
    cell : {"HepG2", "K562"}
        Cell line.
    data_home, download_if_missing, base_url
        As for :func:`fetch_degu_zenodo`.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        X : ndarray of uint8 of shape (n, 4, 230)
        y : ndarray of float64 of shape (n,)
            Activity, log2 RNA/DNA, the mean over three replicates.
        replicate_std : ndarray of float64 of shape (n,)
            Deviation over the replicates, which were not published one by one.
        split, published_split, groups
            As for :func:`fetch_deepstarr`. The published split paired strands by name, which
            leaves some pairs on different sides; `split` has them together.
        target_names : list of str

    Raises
    ------
    OSError, ImportError, ValueError
        As :func:`fetch_degu_zenodo`, and if there is no such cell line.

    References
    ----------
    Agarwal et al. (2025), Nature 639:411; https://doi.org/10.5281/zenodo.14145284
    """
    if cell not in get_args(Cell):
        raise ValueError(f"cell must be one of {get_args(Cell)}, got {cell!r}.")
    data = fetch_degu_zenodo(
        f"lentiMPRA_{cell}_activity_and_aleatoric_data.h5",
        data_home=data_home,
        download_if_missing=download_if_missing,
        base_url=base_url,
    )
    parts = [(name, data[name]) for name in SPLITS]
    X = np.concatenate([part.X for _, part in parts])
    y = np.concatenate([part.y for _, part in parts])
    published = np.repeat([name for name, _ in parts], [len(part.X) for _, part in parts])
    groups = np.unique(row_hashes(X), return_inverse=True)[1]
    return Bunch(
        X=X,
        y=y[:, 0],
        replicate_std=y[:, 1],
        split=_together(published, groups),
        published_split=published,
        groups=groups,
        target_names=[cell],
    )


def fetch_cagi5(
    *,
    release: Literal["GRCh37", "GRCh38"] = "GRCh38",
    elements: Sequence[str] | None = None,
    data_home: Home = None,
    download_if_missing: bool = True,
    base_url: str = CAGI5,
) -> Bunch:
    """Load the saturation mutagenesis of regulatory elements that CAGI5 was held on.

    Parameters
    ----------
    release : {"GRCh37", "GRCh38"}, default="GRCh38"
        Genome that positions count in.
    elements : list of str or None, default=None
        Load only these experiments, such as ``["F9", "LDLR"]``.
    data_home, download_if_missing, base_url
        As for :func:`fetch_deepstarr`.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        variants : dict of str to ndarray of shape (n,)
            chrom, pos (counted from 1), ref and alt ("-" for a deletion), as
            :func:`~sklearn_degu.variants.variant_effect` reads them together with a genome. The
            chromosomes are named as in the file, without "chr".
        y : ndarray of float64 of shape (n,)
            Measured effects, log2; variants without one are left out.
        element : ndarray of str of shape (n,)
        barcodes, p_value : ndarray of float64 of shape (n,)

    Raises
    ------
    OSError, ImportError
        As :func:`fetch_deepstarr`.
    ValueError
        If there is no such release or element, or the file is not what was published.

    References
    ----------
    Kircher et al. (2019), Nature Communications 10:3583.
    """
    path = fetched(
        f"{base_url}/elements.tsv.gz",
        "cagi5",
        data_home=data_home,
        download_if_missing=download_if_missing,
    )
    places = ["Chrom", "Pos", "Alt", "Element", "Release"]
    table = read_table(
        path,
        sequence="Ref",
        targets=["Coefficient", "Barcodes", "pValue"],
        columns=places,
    )
    kept = _is_chosen("release", table.columns["Release"], [release])
    kept &= ~np.isnan(table.y[:, 0])
    if elements is not None:
        kept &= _is_chosen("elements", table.columns["Element"], elements)
    chrom, pos, alt, element = (table.columns[name][kept] for name in places[:4])
    coefficient, barcodes, p_value = table.y[kept].T
    return Bunch(
        variants={"chrom": chrom.astype(str), "pos": pos, "ref": table.sequences[kept], "alt": alt},
        y=coefficient,
        element=element,
        barcodes=barcodes,
        p_value=p_value,
    )


def _is_chosen(what: str, labels: NDArray[Any], wanted: Sequence[str]) -> NDArray[np.bool_]:
    absent = [label for label in wanted if label not in set(labels.tolist())]
    if absent:
        raise ValueError(
            f"{what} names {absent}, which the file does not have. It has: "
            f"{', '.join(map(str, np.unique(labels)))}."
        )
    return np.isin(labels, wanted)


def _strand_groups(sequences: NDArray[np.str_]) -> NDArray[np.int64]:
    """Return a label a sequence that its reverse complement has too."""
    forward = [sequence.upper() for sequence in sequences.tolist()]
    either = [min(bases, bases.translate(_COMPLEMENT)[::-1]) for bases in forward]
    return np.unique(either, return_inverse=True)[1]


def _split_names(labels: NDArray[Any]) -> NDArray[np.str_]:
    names = {"train": "train", "val": "valid", "valid": "valid", "test": "test"}
    unknown = sorted({str(label) for label in labels} - {*names, *map(str.capitalize, names)})
    if unknown:
        raise ValueError(f"The split has {unknown}, but Train, Val and Test were expected.")
    return np.array([names[str(label).lower()] for label in labels])


def _together(split: NDArray[np.str_], groups: NDArray[np.int64]) -> NDArray[np.str_]:
    """Return the split with every group on one side: the one that is the least learned from."""
    ranks = np.array([SPLITS.index(name) for name in split.tolist()])
    last = np.zeros(groups.max() + 1, dtype=np.int64)
    np.maximum.at(last, groups, ranks)
    return np.array(SPLITS)[last[groups]]
