"""Save a model to a file, and load it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import torch

from sklearn_degu._files import write_whole
from sklearn_degu.exceptions import ModelFileError
from sklearn_degu.persistence._container import Content, from_bytes, read, to_bytes
from sklearn_degu.persistence._devices import Devices
from sklearn_degu.persistence._encoder import Encoder
from sklearn_degu.persistence._names import Names
from sklearn_degu.persistence._version_1 import read_version_1

# The version that save writes.
VERSION = 1

# The reader of every version since the first.
_READERS: dict[int, Callable[[Content, Names, Devices], Any]] = {1: read_version_1}


def save(obj: Any, path: str | PathLike[str], *, teacher: bool = True) -> list[str]:
    """Save an estimator, or a Pipeline or wrapper around some, without pickle.

    The file is in the safetensors format, with the description of the model in its metadata.
    Equal models give equal bytes. The file is written beside its place and renamed, so that at any
    moment there is the old one or the new one, whole.

    Parameters
    ----------
    obj : estimator or skorch.NeuralNet
        What to save, fitted or not. Of its nets, the parameters, the weights and the history of
        the epochs are kept, and not what only a training needs: optimiser, state of callbacks,
        losses of single batches. Folders of this machine (``checkpoint_dir``, ``memory``) are left
        out.
    path : str or path-like
        The file; one that is there is replaced.
    teacher : bool, default=True
        Whether to save the fitted teacher of a :class:`DistilledRegressor` too. The student
        predicts without it, from a file of about an eleventh of the size for ten members. The
        teacher's parameters are kept in any case; in place of a frozen teacher stands its unfitted
        clone, which a later ``fit`` would train.

    Returns
    -------
    unlisted : list of str
        Classes and functions that are not on the list of this package, such as your own modules:
        what :func:`load` must be told to trust. Empty for most models.

    Raises
    ------
    ModelFileError
        If a part cannot be saved, such as a lambda, a module instance or NaN weights; the message
        says which part and what to do.
    OSError
        If the file cannot be written.

    See Also
    --------
    load : Load it.

    Examples
    --------
    >>> import os, tempfile
    >>> from sklearn.datasets import make_regression
    >>> from sklearn_degu import EnsembleRegressor, load, save
    >>> X, y = make_regression(n_samples=100, n_features=5, random_state=0)
    >>> ensemble = EnsembleRegressor(n_estimators=2, random_state=0).fit(X, y)
    >>> path = os.path.join(tempfile.mkdtemp(), "ensemble.safetensors")
    >>> save(ensemble, path)
    []
    >>> bool((load(path).predict(X) == ensemble.predict(X)).all())
    True
    """
    encoder = Encoder(with_teacher=teacher)
    write_whole(Path(path), to_bytes(encoder.content(obj, VERSION)))
    return encoder.unlisted


def load(
    path: str | PathLike[str],
    *,
    trusted: Iterable[Any] | Mapping[str, Any] = (),
    device: str | torch.device | None = None,
) -> Any:
    """Load what :func:`save` saved.

    A file cannot run code: it names classes and functions, which are looked up among those of this
    package, those of scikit-learn, skorch and torch that it knows to be harmless, and ``trusted``.
    Sizes are compared with those of the file before memory is taken. What a loaded model predicts
    is another question: a stranger's model can be as wrong as its maker likes.

    Parameters
    ----------
    path : str or path-like
        The file.
    trusted : iterable of classes and functions, or mapping of str to them
        What the file may name beyond the list, as :func:`save` returned it: your own modules, the
        ``mondrian`` function of a :class:`ConformalRegressor`. Their code will run. A mapping says
        which class stands for which name in the file, if it has moved:
        ``{"__main__.MyModule": MyModule}``.
    device : str or torch.device, optional
        Where all nets go, such as ``"cpu"``. By default each goes where it was; to the CPU, with a
        warning, if that device is not on this machine.

    Returns
    -------
    obj : object
        What was saved.

    Raises
    ------
    ModelFileError
        If the file is damaged, of a newer version, no model, or names what is not trusted.
    OSError
        If the file cannot be read.
    ValueError
        If ``device`` is not on this machine.

    See Also
    --------
    save : Save it.
    """
    names, devices = Names(trusted), Devices(device)
    try:
        content = from_bytes(read(path))
        return _reader(content.document.get("version"))(content, names, devices)
    except (OSError, Warning):
        raise
    except ModelFileError as error:
        raise ModelFileError(f"{fspath(path)}: {error}") from None
    except Exception as error:
        # Whatever a file makes another library say of it: the file is to blame.
        raise ModelFileError(
            f"{fspath(path)}: the file is malformed ({type(error).__name__}: {error})."
        ) from None


def _reader(version: Any) -> Callable[[Content, Names, Devices], Any]:
    if type(version) is not int or version < 1:
        raise ModelFileError(f"The version of the format must be 1 or more, not {version!r}.")
    if version not in _READERS:
        raise ModelFileError(
            f"The file is of version {version} of the format, but this sklearn-degu reads versions "
            f"up to {max(_READERS)}. Upgrade sklearn-degu."
        )
    return _READERS[version]
