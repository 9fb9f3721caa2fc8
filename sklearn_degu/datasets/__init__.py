"""Readers, leakage-safe splitters and a simulator for sequence -> activity data.

- :func:`read_table` reads delimited tables, :func:`read_hdf5` the published HDF5 layouts; both
  read a file that the user names and download nothing.
- :class:`KmerGroupKFold` and :func:`kmer_groups` keep sequences that share a stretch of bases
  on one side of a split; :class:`GroupHoldOut` holds out named groups such as chromosomes.
- :func:`make_mpra` simulates a reporter assay whose activity, noise and motifs are known, with
  named distribution shifts.
"""

from .hdf5 import read_hdf5
from .simulation import make_mpra
from .splitters import GroupHoldOut, KmerGroupKFold, kmer_groups
from .tables import read_table

__all__ = [
    "GroupHoldOut",
    "KmerGroupKFold",
    "kmer_groups",
    "make_mpra",
    "read_hdf5",
    "read_table",
]
