"""Where the nets of a file go on this machine."""

from __future__ import annotations

import warnings
from typing import Any

import torch


class Devices:
    """The device of every net that is loaded.

    Parameters
    ----------
    chosen : str, torch.device or None
        For all nets. None takes each net's own, or the CPU with a warning where it is absent.

    Raises
    ------
    ValueError
        If there is no such device here.
    """

    def __init__(self, chosen: str | torch.device | None) -> None:
        if chosen is not None and not _is_here(chosen):
            raise ValueError(
                f"device={str(chosen)!r} is not on this machine, where torch finds "
                f"{torch.cuda.device_count()} CUDA devices. Use device='cpu'."
            )
        self._chosen = chosen
        self._has_warned = False

    def of(self, wanted: Any) -> Any:
        """Return the device of a net that was saved on another."""
        if self._chosen is not None:
            return self._chosen
        if wanted is None or _is_here(wanted):
            return wanted
        if not self._has_warned:
            self._has_warned = True
            warnings.warn(
                f"The model was saved with device={str(wanted)!r}, which is not on this machine: "
                "it is loaded to the CPU. Pass device= to say where it shall be.",
                UserWarning,
                stacklevel=2,
            )
        return "cpu"


def _is_here(device: Any) -> bool:
    try:
        wanted = torch.device(device)
    except (RuntimeError, TypeError, ValueError, OverflowError):
        return False
    if wanted.type == "cuda":
        return (wanted.index or 0) < torch.cuda.device_count()
    return wanted.type == "cpu" or (
        wanted.type == "mps" and bool(torch.backends.mps.is_available())
    )
