"""Several processes on one machine that train together: started, watched, and ended together.

What goes wrong in one of them ends all, within seconds: a process that waits for another in a collective operation
would wait for long.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import signal
import socket
import sys
import threading
from collections.abc import Callable
from logging.handlers import QueueHandler, QueueListener
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from multiprocessing.queues import Queue
from typing import Any, cast

import torch

from models.training.options import TrainingError

_LOG = "models"  # whose lines are shown by the process that started the others
_HERE = "127.0.0.1"
# What is told as a message by the process that started this one; anything else shows its traceback first.
_TOLD = (TrainingError, ValueError, OSError, RuntimeError)


class ProcessLostError(TrainingError):
    """A process ended that others need."""


def run_together(work: Callable[[Any, int], None], job: object, processes: int) -> None:
    """Calls `work(job, rank)` in so many new processes at once, and waits for them.

    Args:
        work: A function of a module. Its processes find each other by the variables that `torch.distributed` reads.
        job: What can be pickled. Each process has a copy, and shares no memory with others.
        processes: How many.

    Raises:
        ProcessLostError: One of them was killed, or ended in a way it does not explain.
        TrainingError: Raised in one of them; so are ValueError, OSError and RuntimeError.
    """
    context = multiprocessing.get_context("spawn")
    errors: Queue = context.Queue()
    lines: Queue = context.Queue()
    # torch would hand tensors over as shared memory, and processes would train one network at once: so plain bytes.
    content = pickle.dumps((work, job))
    threads = max(1, torch.get_num_threads() // processes)
    places = [_place(rank, processes, port) for port in [_free_port()] for rank in range(processes)]
    started = [context.Process(target=_begin, args=(content, place, threads, errors, lines)) for place in places]
    listener = QueueListener(lines, _Relay())
    listener.start()
    try:
        for process in started:
            process.start()
        _watch(started, errors)
    finally:
        for process in started:
            if process.is_alive():
                process.kill()
        for process in started:
            if process.pid is not None:
                process.join()
        listener.stop()


def check_devices(device: str, devices: int) -> None:
    """Checks that there are so many.

    Raises:
        ValueError: There are not, or the device is one of several that was chosen by its number.
    """
    if devices == 1 or device == "cpu":
        return
    if device != "cuda":
        raise ValueError(f"device is {device} and devices {devices}; several are `cpu` or `cuda` without a number")
    if torch.cuda.device_count() < devices:
        raise ValueError(f"devices is {devices} and there are {torch.cuda.device_count()} CUDA devices; give fewer")


def _watch(processes: list[SpawnProcess], errors: Queue) -> None:
    """Waits until all have ended well."""
    running = {process.sentinel: rank for rank, process in enumerate(processes)}
    while running:
        for ended in wait(list(running)):
            rank = running.pop(cast(int, ended))
            processes[rank].join()
            if processes[rank].exitcode != 0:
                raise _explained(processes, rank, errors)


def _explained(processes: list[SpawnProcess], rank: int, errors: Queue) -> Exception:
    """What ended a process: its own error, unless it only noticed that another had been killed."""
    killed = [other for other, process in enumerate(processes) if (process.exitcode or 0) < 0]
    if not killed and not errors.empty():
        return errors.get()
    lost = killed[0] if killed else rank
    status = processes[lost].exitcode or 0
    how = f"was ended by {signal.Signals(-status).name} from outside" if status < 0 else f"ended with status {status}"
    return ProcessLostError(
        f"process {lost + 1} of {len(processes)} that train together {how}; the others were stopped, and the same "
        "command goes on from the last whole epoch"
    )


def _begin(content: bytes, place: dict[str, str], threads: int, errors: Queue, lines: Queue) -> None:
    """Runs in a new process."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # a terminal sends it to all; the process that started this one ends it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.update(place)
    torch.set_num_threads(threads)
    rank = int(place["RANK"])
    if rank == 0:
        logger = logging.getLogger(_LOG)
        logger.setLevel(logging.INFO)
        logger.propagate = False  # or a main module that sets logging up when it is imported would show them twice
        logger.addHandler(QueueHandler(lines))
    work, job = pickle.loads(content)  # noqa: S301 - made by the process that started this one
    try:
        work(job, rank)
    except _TOLD as error:
        errors.put(_portable(error))
        errors.close()
        errors.join_thread()
        sys.exit(1)


def _portable(error: Exception) -> Exception:
    """The error without what it was raised from, as one of the kinds that every process knows."""
    kind = next(kind for kind in _TOLD if isinstance(error, kind))
    return kind(str(error)) if not isinstance(error, OSError) else error


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _place(rank: int, processes: int, port: int) -> dict[str, str]:
    """The variables by which `torch.distributed` and Lightning know who is who."""
    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "MASTER_ADDR": _HERE, "MASTER_PORT": port}
    return {name: str(value) for name, value in names.items()}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HERE, 0))
        return probe.getsockname()[1]


class _Relay(logging.Handler):
    """Gives a record of another process to this process's loggers."""

    def emit(self, record: logging.LogRecord) -> None:
        logger = logging.getLogger(record.name)
        if logger.isEnabledFor(record.levelno):
            logger.handle(record)
