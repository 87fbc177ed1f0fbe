"""SIGINT and SIGTERM end a run within seconds, also while libraries handle or swallow them.

ZenML and Lightning install handlers of their own, which call the previous ones and turn an interrupt into other
exceptions, and some code catches it. So the signal is remembered, and a timer ends the process if nothing else does.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

_SECONDS_TO_END = 10  # before the timer ends the process
_SECONDS_TO_CLEAN_UP = 5


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop. Not an `Exception`, so that no code handles it as the failure of a step."""


class Interrupts:
    """Listens for the signals that end a run.

    Attributes:
        signal: The first one received, or None.
        clean_up: Called once before the process ends.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self.clean_up: Callable[[], None] = lambda: None

    @property
    def status(self) -> int:
        """The exit status by convention: 130 after SIGINT, 143 after SIGTERM."""
        return 128 + (self.signal or signal.SIGINT)

    def __enter__(self) -> Interrupts:
        """Installs the handlers; works in the main thread only."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> bool:
        """After a signal, suppresses whatever exception it has become; other exceptions propagate."""
        return self.signal is not None

    def end(self) -> int:
        """Cleans up within a limited time, prints that the run was interrupted, and returns the exit status."""
        cleaning = threading.Thread(target=self.clean_up, daemon=True)
        cleaning.start()
        cleaning.join(_SECONDS_TO_CLEAN_UP)
        print("error: interrupted; finished steps are kept, and the same command goes on from them", file=sys.stderr)
        return self.status

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            return  # the run is ending already
        self.signal = number
        timer = threading.Timer(_SECONDS_TO_END, self._leave)
        timer.daemon = True
        timer.start()
        raise Interrupted

    def _leave(self) -> None:
        """Ends the process from the timer's thread, as the main thread has not stopped."""
        status = self.end()
        sys.stderr.flush()
        os._exit(status)
