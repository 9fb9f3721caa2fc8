"""How well attribution maps agree.

Root mean square errors reward maps that are shrunken towards zero; look at :func:`map_cosine` too,
which does not know the size of a map.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from sklearn_degu._numbers import is_whole
from sklearn_degu.attribution.maps import as_maps

Array = NDArray[np.float64]
Metric = Callable[[Array, Array], Array]


def map_rmse(maps: ArrayLike, reference: ArrayLike) -> Array:
    r"""Return the root mean square difference of maps, sequence by sequence.

    .. math:: \sqrt{\frac{1}{4L} \sum_{c,l} (a_{c,l} - b_{c,l})^2}

    Parameters
    ----------
    maps, reference : array-like of shape (..., 4, length)
        Maps, of shapes that broadcast.

    Returns
    -------
    rmse : ndarray of shape (...)
        In the units of the maps.

    Raises
    ------
    ValueError
        If shapes do not match, or a value is NaN or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_degu.attribution import map_rmse
    >>> map_rmse(np.ones((2, 4, 10)), np.zeros((2, 4, 10)))
    array([1., 1.])
    """
    a, b = _pair(maps, reference)
    rmse: Array = np.sqrt(((a - b) ** 2).mean(axis=(-2, -1)))
    return rmse


def map_cosine(maps: ArrayLike, reference: ArrayLike) -> Array:
    r"""Return the cosine between maps as vectors, sequence by sequence.

    .. math:: \frac{\sum_{c,l} a_{c,l} b_{c,l}}
        {\sqrt{\sum_{c,l} a_{c,l}^2 \sum_{c,l} b_{c,l}^2}}

    Parameters
    ----------
    maps, reference : array-like of shape (..., 4, length)
        Maps, of shapes that broadcast.

    Returns
    -------
    cosine : ndarray of shape (...)
        From -1 to 1.

    Raises
    ------
    ValueError
        If shapes do not match, or a map is zero everywhere, so that it has no direction.
    """
    a, b = _pair(maps, reference)
    lengths = np.linalg.norm(a, axis=(-2, -1)) * np.linalg.norm(b, axis=(-2, -1))
    if (lengths == 0).any():
        raise ValueError(
            f"{int((lengths == 0).sum())} of {lengths.size} pairs of maps have one that is zero "
            "everywhere and has no direction: a net that does not look at its input? Leave them "
            "out."
        )
    cosine: Array = (a * b).sum(axis=(-2, -1)) / lengths
    return cosine


def map_spearman(maps: ArrayLike, reference: ArrayLike) -> Array:
    """Return the rank correlation of the importance of positions, sequence by sequence.

    The importance of a position is the Euclidean norm of its four values.

    Parameters
    ----------
    maps, reference : array-like of shape (..., 4, length)
        Maps, of shapes that broadcast.

    Returns
    -------
    correlation : ndarray of shape (...)
        From -1 to 1.

    Raises
    ------
    ValueError
        If shapes do not match, or all positions of a map are equally important.
    """
    a, b = (rankdata(_importance(values), axis=-1) for values in _pair(maps, reference))
    a, b = (ranks - ranks.mean(axis=-1, keepdims=True) for ranks in (a, b))
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    if (lengths == 0).any():
        raise ValueError("All positions of a map are equally important: there is no rank.")
    correlation: Array = (a * b).sum(axis=-1) / lengths
    return correlation


def top_overlap(maps: ArrayLike, reference: ArrayLike, *, k: int = 20) -> Array:
    """Return which fraction of the k most important positions two maps share.

    The importance of a position is the Euclidean norm of its four values; of equally important
    ones the first come first.

    Parameters
    ----------
    maps, reference : array-like of shape (..., 4, length)
        Maps, of shapes that broadcast.
    k : int, default=20
        Number of positions. Two unrelated maps share ``k / length`` of them.

    Returns
    -------
    overlap : ndarray of shape (...)
        From 0 to 1.

    Raises
    ------
    ValueError
        If shapes do not match, or k is not from 1 to length.
    """
    a, b = _pair(maps, reference)
    if not is_whole(k) or not 1 <= k <= a.shape[-1]:
        raise ValueError(f"k must be an integer from 1 to the length {a.shape[-1]}, got {k!r}.")
    overlap: Array = (_is_top(a, k) & _is_top(b, k)).sum(axis=-1) / k
    return overlap


def leave_one_out(member_maps: ArrayLike, metric: Metric = map_rmse) -> Array:
    """Compare the map of every member with the mean map of the others.

    Against the mean of all a member would be compared with itself in part, and look better than
    a student, which is no part of it.

    Parameters
    ----------
    member_maps : array-like of shape (n_members, n_sequences, 4, length)
        Maps of the members.
    metric : callable, default=map_rmse
        ``metric(maps, reference)``, such as :func:`map_rmse` or :func:`map_cosine`.

    Returns
    -------
    values : ndarray of shape (n_members, n_sequences)
        What the metric gives.

    Raises
    ------
    ValueError
        If the shape is another or there are fewer than two members.
    """
    maps = as_maps(member_maps, "member_maps", at_least=4)
    if len(maps) < 2:
        raise ValueError(f"There must be at least two members to compare, got {len(maps)}.")
    total = maps.sum(axis=0)
    return np.stack([metric(one, (total - one) / (len(maps) - 1)) for one in maps])


def map_variability(model_maps: ArrayLike) -> Array:
    r"""Return how far the maps of several models are apart, sequence by sequence.

    .. math:: \sqrt{\sum_{c,l} \mathrm{Var}_m(a^{(m)}_{c,l})}

    Parameters
    ----------
    model_maps : array-like of shape (n_models, n_sequences, 4, length)
        Maps of replicated models, such as students of one teacher or members of an ensemble.

    Returns
    -------
    variability : ndarray of shape (n_sequences,)
        In the units of the maps; variances have ddof 0.

    Raises
    ------
    ValueError
        If the shape is another or there are fewer than two models.
    """
    maps = as_maps(model_maps, "model_maps", at_least=4)
    if len(maps) < 2:
        raise ValueError(f"There must be at least two models to compare, got {len(maps)}.")
    variability: Array = np.sqrt(maps.var(axis=0).sum(axis=(-2, -1)))
    return variability


def _pair(maps: ArrayLike, reference: ArrayLike) -> tuple[Array, Array]:
    a, b = as_maps(maps, "maps", at_least=2), as_maps(reference, "reference", at_least=2)
    try:
        shape = np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        shape = ()
    if shape[-2:] != a.shape[-2:] or a.shape[-2:] != b.shape[-2:]:
        raise ValueError(f"Maps of shapes {a.shape} and {b.shape} cannot be compared.")
    return np.broadcast_to(a, shape), np.broadcast_to(b, shape)


def _importance(maps: Array) -> Array:
    importance: Array = np.linalg.norm(maps, axis=-2)
    return importance


def _is_top(maps: Array, k: int) -> NDArray[np.bool_]:
    importance = _importance(maps)
    top = np.argsort(-importance, axis=-1, kind="stable")[..., :k]
    mask = np.zeros(importance.shape, dtype=bool)
    np.put_along_axis(mask, top, True, axis=-1)
    return mask
