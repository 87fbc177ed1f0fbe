"""What a person sees of a run: a line a step and a line an epoch; everything with `--verbose`."""

from __future__ import annotations

import logging
import re
import sys

from zenml.logger import ZenMLConsoleHandler

_PASSED_ON = ("models.", "dataset.")
_FINISHED = re.compile(r"Step `(?P<step>.+)` has finished in `(?P<time>.+)`")
_CACHED = re.compile(r"Using cached version of step `(?P<step>.+)`")
_FAILED = "Step %s failed."


class StepMessages(logging.Handler):
    """Turns ZenML's log into short lines on standard error, and keeps the errors that steps raised.

    Attributes:
        failures: Step name and exception, in the order of failing.
    """

    def __init__(self, verbose: bool) -> None:
        super().__init__(logging.INFO)
        self.failures: list[tuple[str, BaseException]] = []
        self._verbose = verbose

    def attach(self) -> None:
        """Starts to listen; ZenML's own console output stops unless everything is wanted."""
        root = logging.getLogger()
        root.setLevel(logging.INFO)
        root.addHandler(self)
        for handler in root.handlers:
            if isinstance(handler, ZenMLConsoleHandler) and not self._verbose:
                handler.setLevel(logging.CRITICAL + 1)

    def emit(self, record: logging.LogRecord) -> None:
        """Handles one message."""
        if record.msg == _FAILED and record.exc_info and record.exc_info[1] is not None:
            self.failures.append((str(record.args[0]) if isinstance(record.args, tuple) else "", record.exc_info[1]))
        elif not self._verbose:
            line = self._line(record)
            if line is not None:
                print(line, file=sys.stderr, flush=True)

    def _line(self, record: logging.LogRecord) -> str | None:
        text = record.getMessage()
        if record.name.startswith("zenml"):
            if found := _FINISHED.match(text):
                return f"{found['step']:<28} {found['time']}"
            if found := _CACHED.match(text):
                return f"{found['step']:<28} cached"
            return None
        return text if record.name.startswith(_PASSED_ON) or record.levelno >= logging.ERROR else None
