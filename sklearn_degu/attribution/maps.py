"""Attribution maps: what they have in common, whatever the method."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_degu._numbers import as_floats
from sklearn_degu.sequences._one_hot import check_one_hot_shape

Map = NDArray[np.float32]


class CheckedMaps(NamedTuple):
    """Maps with a check of each.

    Attributes
    ----------
    maps : ndarray of float32 of shape (n, 4, length)
        The maps.
    deltas : ndarray of shape (n, n_references)
        What the contributions of the bases of a sequence lack to add up to the difference between
        its output and that of a reference, in y's units; 0 is exact.
    """

    maps: Map
    deltas: NDArray[np.float64]


def corrected(maps: NDArray[Any]) -> NDArray[Any]:
    """Subtract from every position the mean over the four bases [1]_.

    Sequences are one-hot: their channels add up to 1 at every position. A net is free in the
    direction in which all four channels change together, which no sequence goes, so that its
    gradient there is noise.

    Parameters
    ----------
    maps : ndarray of shape (..., 4, length)
        Maps.

    References
    ----------
    .. [1] Majdandzic, Rajesh and Koo, "Correcting gradient-based interpretations of deep neural
       networks for genomics", Genome Biology 24, 2023.
    """
    difference: NDArray[Any] = maps - maps.mean(axis=-2, keepdims=True)
    return difference


def observed_contributions(maps: ArrayLike, X: ArrayLike) -> NDArray[np.float64]:
    """Return the entries of maps at the bases that the sequences have.

    Parameters
    ----------
    maps : array-like of shape (..., n, 4, length)
        Attribution maps.
    X : array-like of shape (n, 4, length)
        The one-hot sequences that they explain.

    Returns
    -------
    contributions : ndarray of shape (..., n, length)
        The sum over the channels of map times sequence; 0 at unknown bases given as zeros.

    Raises
    ------
    ValueError
        If the shapes do not match.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_degu.attribution import observed_contributions
    >>> X = np.eye(4)[None, :, [0, 3]]
    >>> observed_contributions(np.arange(8.0).reshape(1, 4, 2), X)
    array([[0., 7.]])
    """
    values, sequences = as_maps(maps, "maps"), check_one_hot_shape(X)
    if values.shape[-3:] != sequences.shape:
        raise ValueError(
            f"maps of shape {values.shape} do not belong to sequences of shape {sequences.shape}: "
            "the last three axes must be equal."
        )
    contributions: NDArray[np.float64] = (values * sequences).sum(axis=-2)
    return contributions


def as_maps(maps: ArrayLike, name: str, *, at_least: int = 3) -> NDArray[np.float64]:
    """Return maps as an array after checking their shape, (..., 4, length).

    Raises
    ------
    ValueError
        If the shape is another, or a value is NaN or infinite.
    """
    values = as_floats(maps, name)
    if values.ndim < at_least or values.shape[-2] != 4:
        axes = ["n_models", "n_sequences", "4", "length"][-at_least:]
        raise ValueError(f"{name} must have shape ({', '.join(axes)}), got {values.shape}.")
    return values
