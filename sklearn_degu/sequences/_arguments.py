"""Arguments that the edits of one-hot arrays share: `region` and `random_state`."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from sklearn_degu._numbers import as_array, is_whole

Region: TypeAlias = slice | npt.NDArray[np.bool_] | list[bool] | None
RandomState: TypeAlias = int | np.random.RandomState | np.random.Generator | None


def region_positions(region: Region, length: int) -> npt.NDArray[np.intp]:
    """Return the positions that a slice or a mask selects, in ascending order.

    Raises
    ------
    TypeError
        If `region` is neither None nor a slice nor a boolean mask.
    ValueError
        If a mask has another length than the sequences, or nothing is selected.
    """
    region = slice(None) if region is None else region
    mask = region if isinstance(region, slice) else _as_mask(region, length)
    try:
        positions = np.sort(np.arange(length)[mask])
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"region={region!r} is no slice of positions: expected integers or None, and a step "
            f"other than 0 ({error})."
        ) from error
    if positions.size == 0:
        raise ValueError(f"region={region!r} selects none of the {length} positions.")
    return positions


def _as_mask(region: npt.ArrayLike, length: int) -> npt.NDArray[np.bool_]:
    """Check that a region which is no slice is a boolean mask of the positions."""
    mask = as_array(region, "region") if not np.isscalar(region) else np.asarray(region)
    if mask.dtype != np.bool_:
        raise TypeError(
            "region must be None, a slice or a boolean mask of the positions, got "
            f"{type(region).__name__}. For the bases from 15 to 200: region=slice(15, 200)."
        )
    if mask.shape != (length,):
        raise ValueError(
            f"A mask given as region must have shape ({length},), one entry a position, got "
            f"shape {mask.shape}."
        )
    return mask


def contiguous_region(region: Region, length: int) -> slice:
    """Return the unbroken stretch of positions that a slice or a mask selects.

    Raises
    ------
    TypeError, ValueError
        As for `region_positions`, and if the positions selected have gaps.
    """
    positions = region_positions(region, length)
    start, stop = int(positions[0]), int(positions[-1]) + 1
    if stop - start != len(positions):
        raise ValueError(
            f"region must be one unbroken stretch here, got {len(positions)} positions between "
            f"{start} and {stop}."
        )
    return slice(start, stop)


def as_generator(random_state: RandomState) -> np.random.Generator:
    """Return a generator to draw from; None gives a fresh one, never the global one.

    Raises
    ------
    ValueError
        If `random_state` is none of the kinds allowed.
    """
    if isinstance(random_state, np.random.Generator):
        return random_state
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**32, size=4, dtype=np.uint32))
    if random_state is None:
        return np.random.default_rng()
    if not is_whole(random_state) or random_state < 0:
        raise ValueError(
            "random_state must be a non-negative int, a numpy RandomState or Generator, or None, "
            f"got {random_state!r}."
        )
    return np.random.default_rng(int(random_state))
