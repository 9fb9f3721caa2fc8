"""Readers, leakage-safe splitters and a simulator for sequence -> activity data.

- :class:`HDF5Array` leaves rows in their file, for data larger than memory.
- :func:`read_table` reads delimited tables, :func:`read_hdf5` the published HDF5 layouts; both
  read a file that the user names and download nothing.
- :func:`fetch_deepstarr`, :func:`fetch_lentimpra`, :func:`fetch_degu_zenodo` and
  :func:`fetch_cagi5` download the published data sets and read them.
- :func:`read_bed` reads places in a genome, :func:`extract_loci` cuts sequences (FASTA) and
  profiles (bigWig) there.
- :class:`KmerGroupKFold` and :func:`kmer_groups` keep sequences that share a stretch of bases
  on one side of a split; :class:`GroupHoldOut` holds out named groups such as chromosomes.
- :func:`make_mpra` simulates a reporter assay whose activity, noise and motifs are known, with
  named distribution shifts.
"""

from .bed import Loci, read_bed
from .hdf5 import read_hdf5
from .hdf5_array import HDF5Array
from .loci import extract_loci
from .published import fetch_cagi5, fetch_deepstarr, fetch_degu_zenodo, fetch_lentimpra
from .simulation import make_mpra
from .splitters import GroupHoldOut, KmerGroupKFold, kmer_groups
from .tables import read_table

__all__ = [
    "GroupHoldOut",
    "HDF5Array",
    "KmerGroupKFold",
    "Loci",
    "extract_loci",
    "fetch_cagi5",
    "fetch_deepstarr",
    "fetch_degu_zenodo",
    "fetch_lentimpra",
    "kmer_groups",
    "make_mpra",
    "read_bed",
    "read_hdf5",
    "read_table",
]
