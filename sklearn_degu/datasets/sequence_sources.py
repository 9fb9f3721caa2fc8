"""Where the sequences of a genome come from: named strings, or a FASTA file."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any


class SequenceSource(ABC):
    """Named sequences of which stretches can be read."""

    @abstractmethod
    def names(self) -> list[str]:
        """Return the names of the sequences."""

    @abstractmethod
    def length(self, name: str) -> int | None:
        """Return the number of bases of a sequence, or None if there is none of this name."""

    @abstractmethod
    def read(self, name: str, start: int, stop: int) -> str:
        """Return the bases from ``start`` to before ``stop``, counted from 0, all of them there."""


class NamedStrings(SequenceSource):
    """Sequences in memory.

    Parameters
    ----------
    sequences : mapping of str to str, or Series
        Sequences by name.

    Raises
    ------
    TypeError
        If a sequence is no string.
    ValueError
        If two have one name, or there is none.
    """

    def __init__(self, sequences: Any) -> None:
        self._sequences = {str(name): sequence for name, sequence in sequences.items()}
        if len(self._sequences) != len(sequences):
            raise ValueError("Two sequences have the same name, so that it means none of them.")
        if not self._sequences:
            raise ValueError("There are no sequences: got an empty mapping.")
        for name, sequence in self._sequences.items():
            if not isinstance(sequence, str):
                raise TypeError(f"Sequence {name!r} must be a str, got {type(sequence).__name__}.")

    def names(self) -> list[str]:
        """Return the names of the sequences."""
        return [*self._sequences]

    def length(self, name: str) -> int | None:
        """Return the number of bases of a sequence, or None."""
        return len(self._sequences[name]) if name in self._sequences else None

    def read(self, name: str, start: int, stop: int) -> str:
        """Return a stretch of a sequence."""
        return str(self._sequences[name][start:stop])


class IndexedFasta(SequenceSource):
    """Sequences of a FASTA file, read by pyfaidx.

    Parameters
    ----------
    fasta : pyfaidx.Fasta
        Opened with ``as_raw=True``.
    """

    def __init__(self, fasta: Any) -> None:
        self._fasta = fasta

    def names(self) -> list[str]:
        """Return the names of the sequences."""
        return [*self._fasta.keys()]

    def length(self, name: str) -> int | None:
        """Return the number of bases of a sequence, or None."""
        return len(self._fasta[name]) if name in self._fasta else None

    def read(self, name: str, start: int, stop: int) -> str:
        """Return a stretch of a sequence."""
        return str(self._fasta[name][start:stop])


@contextmanager
def opened(sequences: Any) -> Iterator[SequenceSource]:
    """Open sequences for the time of a ``with`` block.

    Parameters
    ----------
    sequences : mapping of str to str, Series, or path of a FASTA file
        As the user passed them.

    Raises
    ------
    TypeError
        If they are something else.
    ImportError
        If a FASTA file is to be read without pyfaidx.
    FileNotFoundError
        If there is no such file.
    """
    if isinstance(sequences, str | os.PathLike):
        with _open_fasta(os.fspath(sequences)) as fasta:
            yield IndexedFasta(fasta)
    elif isinstance(sequences, Mapping) or hasattr(sequences, "items"):
        yield NamedStrings(sequences)
    else:
        raise TypeError(
            "sequences must be a dict or Series of strings by name, or the path of a FASTA file; "
            f"got {type(sequences).__name__}."
        )


def _open_fasta(path: str) -> Any:
    try:
        from pyfaidx import Fasta
    except ImportError as error:
        raise ImportError(
            "A FASTA file is read by pyfaidx, which comes with the extra [genomics]: "
            "pip install 'sklearn-degu[genomics]'"
        ) from error
    if not os.path.exists(path):
        raise FileNotFoundError(
            f"There is no FASTA file {path!r:.80}. Pass sequences themselves as a dict of names "
            "and strings."
        )
    return Fasta(path, as_raw=True)
