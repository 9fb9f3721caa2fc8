"""Attribution by every member of an ensemble: mean map, deviation, and what is significant."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from sklearn_degu.attribution._explained import inner_model
from sklearn_degu.attribution.maps import Map
from sklearn_degu.ensemble import EnsembleRegressor
from sklearn_degu.nets.randomness import MAX_SEED


class EnsembleMaps(NamedTuple):
    """What the members of an ensemble attribute.

    Attributes
    ----------
    mean : ndarray of float32 of shape (n, 4, length)
        Mean of the members' maps.
    std : ndarray of float32 of shape (n, 4, length)
        Their standard deviation (ddof 0): how far from the mean a member's map is.
    n_members : int
        Number of members.
    """

    mean: Map
    std: Map
    n_members: int

    def significant(self, z: float = 3.0) -> NDArray[np.bool_]:
        r"""Return where the mean map differs from zero by more than z standard errors.

        .. math:: |\bar a| > z \, \frac{s}{\sqrt{M - 1}}

        with :math:`s` the standard deviation of :math:`M` members (ddof 0), so that the right
        side is z times the standard error of :math:`\bar a`. The members are taken for a sample
        of all that training with other seeds would give: where the mask is True, the mean map of
        infinitely many members very probably has this sign. It does not say that the assay would
        agree, nor is it corrected for the number of positions; with few members choose a z from
        Student's distribution of :math:`M - 1` degrees of freedom.

        Parameters
        ----------
        z : float, default=3.0
            Number of standard errors.

        Returns
        -------
        mask : ndarray of bool of shape (n, 4, length)
            Where the mean map is significant.

        Raises
        ------
        ValueError
            If z is negative.
        """
        if not z >= 0:
            raise ValueError(f"z must be a number of standard errors, 0 or more; got {z!r}.")
        mask: NDArray[np.bool_] = np.abs(self.mean) > z * self.std / np.sqrt(self.n_members - 1)
        return mask


def ensemble_attribution(
    method: Callable[..., Map],
    ensemble: Any,
    X: ArrayLike,
    *,
    random_state: Any = None,
    verbose: int = 0,
    **params: Any,
) -> EnsembleMaps:
    """Explain every member of an ensemble, and return mean and deviation of their maps.

    Parameters
    ----------
    method : callable
        A method of this package, such as :func:`saliency` or :func:`deep_lift_shap`, or one that
        is called alike.
    ensemble : EnsembleRegressor, Pipeline or sequence
        A fitted ensemble, a Pipeline that ends in one, or a sequence of fitted estimators or
        modules, such as replicated students.
    X : array-like of shape (n_sequences, 4, length) or (n_sequences,)
        Sequences, as the ensemble reads them.
    random_state : int, RandomState instance or None, default=None
        Decides what the method draws, which is the same for all members.
    verbose : int, default=0
        Whether to print, every few seconds, how far each member is.
    **params : dict
        Further parameters of the method. Of an ensemble, ``head`` is what an ensemble of one
        member has: ``"mean"`` or ``"aleatoric"``.

    Returns
    -------
    maps : EnsembleMaps
        NamedTuple of ``mean``, ``std`` and ``n_members``, with the method ``significant``.

    Raises
    ------
    TypeError
        If there are no members to explain.
    ValueError
        If there are fewer than two, or X or a parameter is not usable.

    Notes
    -----
    Members are explained one after another, each on all cores, and their maps are summed up as
    they come: memory does not grow with their number. (One batched pass over stacked weights is
    many times slower on a CPU.)

    For the head ``"mean"``, the mean of the members' gradients is the gradient of the ensemble's
    mean. That does not hold for the deviation between members: ``saliency(ensemble, X,
    head="epistemic")`` explains it.
    """
    members, sequences = _members(ensemble, X)
    if len(members) < 2:
        raise ValueError(f"A deviation between members needs at least two, got {len(members)}.")
    if "random_state" in inspect.signature(method).parameters:
        # References that differed between members would count as disagreement.
        params["random_state"] = int(check_random_state(random_state).randint(MAX_SEED))
    mean: Any = np.float32(0)
    squares: Any = np.float32(0)
    for count, member in enumerate(members, start=1):
        maps = method(member, sequences, verbose=verbose, **params)
        deviation = maps - mean
        mean = mean + deviation / np.float32(count)
        squares = squares + deviation * (maps - mean)
    return EnsembleMaps(mean, np.sqrt(squares / np.float32(len(members))), len(members))


def _members(ensemble: Any, X: ArrayLike) -> tuple[Sequence[Any], Any]:
    """Return what is explained one by one, and the sequences as it reads them."""
    if isinstance(ensemble, (list, tuple)):
        return ensemble, X
    model, sequences = inner_model(ensemble, X)
    if isinstance(model, EnsembleRegressor):
        return model.member_modules(), sequences
    hint = " Pass its teacher_." if hasattr(model, "teacher_") else ""
    raise TypeError(
        "ensemble must be a fitted EnsembleRegressor, a Pipeline that ends in one, or a list of "
        f"fitted estimators or modules; got {type(model).__name__}.{hint}"
    )
