"""SIGINT and SIGTERM end a run within seconds, whatever the libraries in between make of them.

ZenML and Lightning have handlers of their own, which call the one they found, and turn an interrupt into other
exceptions; some code swallows it. So the signal is remembered, and a clock ends the process if nothing else does.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

_SECONDS = 10  # that a run has to end by itself
_SECONDS_TO_TIDY = 5


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop; no failed step, and so nothing that catches an `Exception` takes it for one."""


class Interrupts:
    """Listens for the signals that end a run.

    Attributes:
        signal: The first one received, or None.
        tidy: Called once before the process ends.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self.tidy: Callable[[], None] = lambda: None

    @property
    def status(self) -> int:
        """The exit status that shells expect: 130 after SIGINT, 143 after SIGTERM."""
        return 128 + (self.signal or signal.SIGINT)

    def __enter__(self) -> Interrupts:
        """Replaces the handlers; of the main thread only."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> bool:
        """Ends the block quietly after a signal, whatever libraries made of it; every other exception goes on."""
        return self.signal is not None

    def end(self) -> int:
        """Tidies up, for a limited time, says what happened, and returns the exit status."""
        tidying = threading.Thread(target=self.tidy, daemon=True)
        tidying.start()
        tidying.join(_SECONDS_TO_TIDY)
        print("error: interrupted; finished steps are kept, and the same command goes on from them", file=sys.stderr)
        return self.status

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            return  # it ends already
        self.signal = number
        clock = threading.Timer(_SECONDS, self._leave)
        clock.daemon = True
        clock.start()
        raise Interrupted

    def _leave(self) -> None:
        """Ends the process from beside the main thread, which did not stop."""
        status = self.end()
        sys.stderr.flush()
        os._exit(status)
