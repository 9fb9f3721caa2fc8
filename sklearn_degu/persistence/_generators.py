"""numpy's random generators, as parameters hold them."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_degu.exceptions import ModelFileError
from sklearn_degu.persistence._devices import Devices

State = dict[str, Any]

_WORDS = 624


def state_of_random_state(generator: np.random.RandomState, place: str) -> State:
    """Return the state of a RandomState.

    Raises
    ------
    ModelFileError
        If it draws by another algorithm than numpy's own.
    """
    state: Any = generator.get_state(legacy=False)
    _check_algorithm(state, "MT19937", place)
    words = {"key": state["state"]["key"], "pos": int(state["state"]["pos"])}
    return {**words, "has_gauss": int(state["has_gauss"]), "gauss": float(state["gauss"])}


def random_state_from(cls: Any, state: State, devices: Devices) -> np.random.RandomState:
    """Return a RandomState.

    Raises
    ------
    ModelFileError
        If the state is none.
    """
    key: Any = state.get("key")
    pos: Any = state.get("pos")
    is_state = (
        state.keys() == {"key", "pos", "has_gauss", "gauss"}
        and isinstance(key, np.ndarray)
        and (key.shape, key.dtype) == ((_WORDS,), np.uint32)
        # numpy does not check where it reads its next word.
        and type(pos) is int
        and 0 <= pos <= _WORDS
        and state["has_gauss"] in (0, 1)
        and isinstance(state["gauss"], float)
    )
    if not is_state:
        raise ModelFileError("A RandomState of the file has a malformed state.")
    generator = np.random.RandomState(0)
    generator.set_state(("MT19937", key, pos, state["has_gauss"], state["gauss"]))
    return generator


def state_of_generator(generator: np.random.Generator, place: str) -> State:
    """Return the state of a Generator.

    Raises
    ------
    ModelFileError
        If it draws by another algorithm than numpy's default.
    """
    state: Any = generator.bit_generator.state
    _check_algorithm(state, "PCG64", place)
    return {**state["state"], "has_uint32": state["has_uint32"], "uinteger": state["uinteger"]}


def generator_from(cls: Any, state: State, devices: Devices) -> np.random.Generator:
    """Return a Generator.

    Raises
    ------
    ModelFileError
        If the state is none.
    """
    sizes = {"state": 128, "inc": 128, "has_uint32": 1, "uinteger": 32}
    if state.keys() != sizes.keys() or not all(
        type(state[name]) is int and 0 <= state[name] < 2**bits for name, bits in sizes.items()
    ):
        raise ModelFileError("A Generator of the file has a malformed state.")
    generator = np.random.default_rng(0)
    generator.bit_generator.state = {
        "bit_generator": "PCG64",
        "state": {"state": state["state"], "inc": state["inc"]},
        "has_uint32": state["has_uint32"],
        "uinteger": state["uinteger"],
    }
    return generator


def _check_algorithm(state: State, expected: str, place: str) -> None:
    if state["bit_generator"] != expected:
        raise ModelFileError(
            f"{place} draws by {state['bit_generator']}, which cannot be saved. Use numpy's "
            f"default, {expected}, or an integer."
        )
