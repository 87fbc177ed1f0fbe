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


def refuse(*_):
    raise LookupError("no such data")


class Unreadable:
    """A job that can be pickled but not unpickled."""

    def __reduce__(self):
        return refuse, ()


class OwnError(OSError):
    """An error that can neither be pickled nor be built from its arguments."""

    def __init__(self, *, name):
        super().__init__(5, f"the disk of {name} is gone", "images.npy")
        self.work = lambda: name


def fail_with_a_long_text(*_):
    raise ValueError("too long " * 20_000)


def fail_with_an_own_error(*_):
    raise OwnError(name="images")


def end_without_a_word(*_):
    os._exit(3)
