"""Files that are whole or not there: written beside their place, renamed, with a checksum."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

# What the names of files end in that are being written.
UNFINISHED = ".tmp"

_MAGIC = b"sklearn-degu checkpoint 1\n"
_DIGEST = hashlib.sha256


class DamagedFileError(Exception):
    """The content of a file is not what was written into it."""


def write_checked(path: Path, content: bytes) -> None:
    """Write a file with its checksum, as :func:`write_whole` does."""
    write_whole(path, _MAGIC + _DIGEST(content).digest() + content)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that at any moment there is the old one or the new, whole.

    Raises
    ------
    OSError
        If it cannot be written. Nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}{UNFINISHED}")
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _flush_names(path.parent)


def _flush_names(folder: Path) -> None:
    """Have the disk know a new name, where folders can be opened for that."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_checked(path: Path) -> bytes:
    """Return what :func:`write_checked` wrote.

    Raises
    ------
    DamagedFileError
        If the file holds something else.
    """
    content = path.read_bytes()
    start = len(_MAGIC) + _DIGEST().digest_size
    body = content[start:]
    if content[:start] != _MAGIC + _DIGEST(body).digest():
        raise DamagedFileError
    return body
