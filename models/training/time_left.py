"""Says within long epochs how much of the training is left, where no progress bar does."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl

_SECONDS = 60.0  # between two lines, at least
_LINES = 10  # of an epoch, at most

_log = logging.getLogger(__name__)


class TimeLeft(pl.Callback):
    """Logs a line from time to time: how many batches are done, and what is left of the epoch and of the training.

    A log of short epochs has no such line; of long ones it has one a minute, ten an epoch at most. On a terminal there
    is a bar instead, and of several processes the first one speaks. Time for validation is not known before the first
    epoch ends, and not counted.

    Args:
        seconds: Between two lines, at least.
        clock: What tells the time, in seconds.
    """

    def __init__(self, seconds: float = _SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._start = self._said = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts to measure the time of the epoch."""
        self._start = self._said = self._clock()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Logs a line, if it is time for one."""
        done, batches, now = batch_idx + 1, int(trainer.num_training_batches), self._clock()
        if sys.stderr.isatty() or not trainer.is_global_zero or done >= batches:
            return
        an_epoch = (now - self._start) / done * batches
        if now - self._said < max(self._seconds, an_epoch / _LINES):
            return
        self._said = now
        left, epoch, epochs = an_epoch - (now - self._start), trainer.current_epoch + 1, trainer.max_epochs or 0
        _log.info(
            "epoch %d/%d: %d of %d batches, about %s left of it, %s of the training",
            *(epoch, epochs, done, batches, rough(left), rough(left + an_epoch * max(0, epochs - epoch))),
        )


def rough(seconds: float) -> str:
    """Returns a duration in words, as exact as an estimate is: `40 s`, `12 min`, `3 h 20 min`, `30 h`."""
    if round(seconds) < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(round(minutes, -1), 60)
    return f"{hours} h {rest} min" if rest and hours < 10 else f"{round(seconds / 3600)} h"
