"""How many positions the profiles have that nets predict."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from skorch import NeuralNet

from sklearn_degu._numbers import is_whole


def takes_positions(net: NeuralNet) -> bool:
    """Whether the net's module predicts profiles, of as many positions as it is told."""
    return "n_positions" in inspect.signature(net.module).parameters


def count_positions(shape: tuple[int, ...], nets: Sequence[NeuralNet]) -> int | None:
    """Return the number of positions of profiles, or None if the targets are none.

    Parameters
    ----------
    shape : tuple of int
        Shape of y: (n, t, P), or (n, t * P) for nets that say their number of positions.
    nets : sequence of skorch.NeuralNet
        Those that are to predict them.

    Raises
    ------
    ValueError
        If nets cannot predict profiles, or not these.
    """
    said = _said_by(nets)
    if len(shape) == 3:
        _check_nets(shape, nets, said)
        return shape[2]
    n_columns = shape[1] if len(shape) == 2 else 1
    if said is not None and n_columns % said:
        raise ValueError(
            f"y has {n_columns} columns, but the net predicts profiles of "
            f"module__n_positions={said}: pass y of shape (n_samples, n_targets, {said}), or "
            "flattened to two axes."
        )
    return said


def _said_by(nets: Sequence[NeuralNet]) -> int | None:
    """Return the n_positions that the nets set, on which they must agree."""
    given = (net.get_params_for("module").get("n_positions") for net in nets)
    said = sorted({_checked(positions) for positions in given if positions is not None})
    if len(said) > 1:
        raise ValueError(
            "The nets must predict profiles of equally many positions, but they set "
            f"module__n_positions to {', '.join(map(str, said))}."
        )
    return said[0] if said else None


def _checked(n_positions: object) -> int:
    if not is_whole(n_positions) or int(n_positions) < 1:  # type: ignore[call-overload]
        raise ValueError(f"module__n_positions must be a positive integer, got {n_positions!r}.")
    return int(n_positions)  # type: ignore[call-overload, no-any-return]


def _check_nets(shape: tuple[int, ...], nets: Sequence[NeuralNet], said: int | None) -> None:
    for net in nets:
        if not takes_positions(net):
            name = getattr(net.module, "__name__", repr(net.module))
            raise ValueError(
                f"y has shape {shape}, profiles of {shape[2]} positions, but the module {name} "
                "takes no n_positions. Use recipes.profile_net(), or a module that takes "
                "n_outputs and n_positions and returns (n_samples, n_outputs, n_positions); a "
                "module for plain targets needs y of shape (n_samples, n_targets)."
            )
    if said not in (None, shape[2]):
        raise ValueError(
            f"The net sets module__n_positions={said}, but y has shape {shape}, profiles of "
            f"{shape[2]} positions. Leave module__n_positions out: the estimator sets it at fit."
        )
