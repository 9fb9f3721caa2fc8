"""Files from the places where they were published, kept where scikit-learn keeps its own."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
from pathlib import Path

from sklearn.datasets import get_data_home

from sklearn_degu._files import write_whole

CHECKSUMS = "checksums.json"


def fetched(
    url: str,
    folder: str,
    *,
    data_home: str | os.PathLike[str] | None,
    download_if_missing: bool,
) -> Path:
    """Return the path of a published file, downloaded if it is not there yet.

    Its checksum is recorded when it is first seen, and compared ever after.

    Parameters
    ----------
    url : str
        Where it is published; its last part is the file's name.
    folder : str
        Folder below the data home.
    data_home : path or None
        As scikit-learn's :func:`~sklearn.datasets.get_data_home` takes it.
    download_if_missing : bool
        Whether it may be downloaded.

    Raises
    ------
    OSError
        If it is not there and cannot, or may not, be downloaded; the message says where to put
        it by hand.
    ImportError
        If it has to be downloaded and pooch is not there.
    ValueError
        If it differs from the file that was first seen.
    """
    home = Path(get_data_home(data_home), "sklearn_degu", folder)
    home.mkdir(parents=True, exist_ok=True)
    path = home / url.rpartition("/")[2]
    if not path.exists():
        if not download_if_missing:
            raise OSError(
                f"There is no {path}, and download_if_missing=False. Allow the download from "
                f"{url}, or put the file there by hand."
            )
        _download(url, path)
    _check_checksum(path)
    return path


def member(archive: Path, name: str) -> Path:
    """Return the path of a file of a tar archive, unpacked beside it if it is not there yet.

    Raises
    ------
    ValueError
        If the archive has no such file, in whatever folder.
    """
    path = archive.parent / name
    if path.exists():
        return path
    unfinished = path.with_name(f"{name}.unfinished")
    with tarfile.open(archive) as files:
        inside = next((entry for entry in files if Path(entry.name).name == name), None)
        stored = None if inside is None else files.extractfile(inside)
        if stored is None:
            held = ", ".join(entry.name for entry in files.getmembers()[:20])
            raise ValueError(f"{archive} has no file {name!r}. It has: {held}.")
        with stored, open(unfinished, "wb") as target:
            shutil.copyfileobj(stored, target)
    unfinished.replace(path)
    return path


def _download(url: str, path: Path) -> None:
    try:
        import pooch
    except ImportError as error:
        raise ImportError(
            "Data sets are downloaded by pooch, which comes with the extra [download]: "
            f"pip install 'sklearn-degu[download]'. Or download {url} by hand to {path}."
        ) from error
    try:
        pooch.retrieve(url, known_hash=None, fname=path.name, path=path.parent)
    except OSError as error:
        raise OSError(
            f"{url} could not be downloaded: {error}. Download it on another machine and put it "
            f"at {path}; it is then read from there."
        ) from error


def _check_checksum(path: Path) -> None:
    """Record the checksum of a file that is seen for the first time; else compare it."""
    record = path.parent / CHECKSUMS
    known: dict[str, str] = json.loads(record.read_bytes()) if record.exists() else {}
    with open(path, "rb") as file:
        checksum = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    if known.get(path.name, checksum) != checksum:
        raise ValueError(
            f"{path} has the checksum {checksum}, but had {known[path.name]} when it was first "
            f"seen: it is damaged, or another version. Remove it to download it again, and its "
            f"entry in {record} if the new version is wanted."
        )
    if path.name not in known:
        known[path.name] = checksum
        write_whole(record, json.dumps(known, indent=1, sort_keys=True).encode())
