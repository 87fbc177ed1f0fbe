"""What is printed during a run: a line a step, a line an epoch with its step; all log messages with `--verbose`."""

from __future__ import annotations

import logging
import re
import sys

from zenml.logger import ZenMLConsoleHandler

_SHOWN_LOGGERS = ("models.", "dataset.")
_TRAINING = "models.training."  # what it logs does not say which of a run's trainings it is
_STARTED = re.compile(r"Step `(?P<step>.+)` has started")
_FINISHED = re.compile(r"Step `(?P<step>.+)` has finished in `(?P<time>.+)`")
_CACHED = re.compile(r"Using cached version of step `(?P<step>.+)`")
_FAILED = "Step %s failed."


class StepMessages(logging.Handler):
    """Turns ZenML's log messages into short lines on standard error, and collects the errors of steps.

    Attributes:
        failures: Name of the step and exception, in the order in which steps failed.
    """

    def __init__(self, verbose: bool) -> None:
        super().__init__(logging.INFO)
        self.failures: list[tuple[str, BaseException]] = []
        self._verbose = verbose
        self._step = ""  # that runs; messages of several processes come from a thread that has no step's context

    def attach(self) -> None:
        """Adds this handler to the root logger, and silences ZenML's own console output unless verbose."""
        root = logging.getLogger()
        root.setLevel(logging.INFO)
        root.addHandler(self)
        for handler in root.handlers:
            if isinstance(handler, ZenMLConsoleHandler) and not self._verbose:
                handler.setLevel(logging.CRITICAL + 1)

    def emit(self, record: logging.LogRecord) -> None:
        """Prints a message, or collects its error."""
        if record.msg == _FAILED and record.exc_info and record.exc_info[1] is not None:
            self.failures.append((str(record.args[0]) if isinstance(record.args, tuple) else "", record.exc_info[1]))
        elif not self._verbose:
            line = self._line(record)
            if line is not None:
                print(line, file=sys.stderr, flush=True)

    def _line(self, record: logging.LogRecord) -> str | None:
        text = record.getMessage()
        if record.name.startswith("zenml"):
            if found := _STARTED.match(text):
                self._step = found["step"]
            if found := _FINISHED.match(text):
                return f"{found['step']:<28} {found['time']}"
            if found := _CACHED.match(text):
                return f"{found['step']:<28} cached"
            return None
        if record.name.startswith(_TRAINING):
            return f"{self._step:<28} {text}".strip()
        return text if record.name.startswith(_SHOWN_LOGGERS) or record.levelno >= logging.ERROR else None
