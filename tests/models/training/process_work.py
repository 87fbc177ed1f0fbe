"""What processes do in the tests of several processes; apart, as they import this module and not a training."""

from __future__ import annotations

import os
import signal
import time


def sleep(*_):
    time.sleep(600)


def interrupt_parent(_, rank):
    if rank == 0:
        os.kill(os.getppid(), signal.SIGINT)
    time.sleep(600)


def note_and_sleep(folder, rank):
    (folder / f"pid of {rank}").write_text(str(os.getpid()))
    time.sleep(600)


def fail_in_an_unexpected_way(_, rank):
    if rank == 1:
        raise KeyError("name")
    time.sleep(600)
