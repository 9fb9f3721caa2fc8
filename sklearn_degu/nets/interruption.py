"""Tell a user's Ctrl-C from the KeyboardInterrupt by which skorch's callbacks stop a training."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class _CtrlC:
    """Whether Ctrl-C was pressed while nets train.

    Python tells the main thread alone of it, so that in any other thread a KeyboardInterrupt is a
    callback's.
    """

    def __init__(self) -> None:
        self._pressed = False

    @property
    def pressed(self) -> bool:
        """Whether it was pressed in this thread, since it is watched."""
        return self._pressed and _in_main_thread()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Notice Ctrl-C within the block, and handle it as before."""
        handler = signal.getsignal(signal.SIGINT)
        if not _in_main_thread() or not callable(handler):
            yield
            return

        def notice(number: int, frame: FrameType | None) -> None:
            self._pressed = True
            handler(number, frame)

        self._pressed = False
        signal.signal(signal.SIGINT, notice)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, handler)
            self._pressed = False


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


ctrl_c = _CtrlC()
