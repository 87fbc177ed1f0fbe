"""Training in several processes on one machine: `torch.multiprocessing` starts, watches and ends them.

An error in one process ends all of them within seconds. Otherwise the others would wait for it in a collective
operation until that times out, which takes many minutes.
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
import traceback
from collections.abc import Callable, Collection
from logging.handlers import QueueHandler, QueueListener
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from typing import Any

import torch
from torch.multiprocessing.spawn import (
    ProcessContext,
    ProcessExitedException,
    ProcessRaisedException,
    start_processes,
)

from models.networks.imports import search, searched
from models.training.options import TrainingError

_LOGGER = "models"  # the parent process shows what rank 0 logs below this name
_LOCALHOST = "127.0.0.1"
_GRACE_SECONDS = 2  # in which processes may end by themselves after one has failed, and again after SIGTERM
_MAX_TEXT_BYTES = 10_000  # of an error's message, and of its traceback
# Errors that the parent raises as what they are; every other error becomes a RuntimeError.
_KNOWN_ERRORS = (TrainingError, ValueError, OSError)


class ProcessLostError(TrainingError):
    """One of the processes that train together was killed, or ended without an error message."""


def run_together(work: Callable[[Any, int], None], job: object, processes: int) -> None:
    """Calls `work(job, rank)` in several new processes and waits until all have returned.

    Args:
        work: A function at the top level of a module. `torch.distributed` finds the other processes by the environment
            variables that are set for it.
        job: Any object that can be pickled. Each process gets a copy; no memory is shared.
        processes: Number of processes.

    Raises:
        ProcessLostError: A process was killed, or ended without an error message.
        TrainingError: Raised in one of them; ValueError and OSError likewise. Of any other error, a RuntimeError.
    """
    spawn = multiprocessing.get_context("spawn")
    pipes = [spawn.Pipe(duplex=False) for _ in range(processes)]
    receivers, senders = [receiver for receiver, _ in pipes], [sender for _, sender in pipes]
    lines = spawn.Queue()
    # Bytes, because torch would pass tensors on as shared memory, and all processes would train the same weights.
    # Bytes within bytes, because modules of a network that is not ours are found only after `search`.
    content = pickle.dumps((searched(), pickle.dumps((work, job))))
    threads = max(1, torch.get_num_threads() // processes)
    listener = QueueListener(lines, _Relay())
    listener.start()
    others = set(multiprocessing.active_children())
    context = None
    try:
        context = start_processes(_begin, (content, _free_port(), threads, senders, lines), processes, False)
        # Where files of these names exist, torch would unpickle them, from a folder that is open to all users.
        context.error_files = [""] * processes
        for sender in senders:  # so that a receiver ends with its process
            sender.close()
        _wait_for_all(context, receivers)
    finally:  # after an interrupt of this process they still run, those too that were started before it
        _kill(context.processes if context else set(multiprocessing.active_children()) - others)
        listener.stop()


def check_devices(device: str, devices: int) -> None:
    """Checks that there are as many devices as a training is to use.

    Raises:
        ValueError: There are fewer, or `device` names a single one.
    """
    if devices == 1 or device == "cpu":
        return
    if device != "cuda":
        raise ValueError(f"device is {device} and devices {devices}; several are `cpu` or `cuda` without a number")
    if torch.cuda.device_count() < devices:
        raise ValueError(f"devices is {devices} and there are {torch.cuda.device_count()} CUDA devices; give fewer")


def _wait_for_all(context: ProcessContext, receivers: list[Connection]) -> None:
    """Waits until all processes have ended; after the first failure it ends the others and raises the cause."""
    failures: dict[int, tuple[Exception, str] | None] = {}
    unread = {receiver: rank for rank, receiver in enumerate(receivers)}
    while context.sentinels:
        for ready in wait([*context.sentinels, *unread]):
            if isinstance(ready, Connection):  # read at once, as a process cannot end while its pipe is full
                failures[unread.pop(ready)] = _receive(ready)
        # Read before `join`, which ends the others by signals. Where one was killed, the errors of the others say no
        # more than that the connection was lost.
        killed = [rank for rank, process in enumerate(context.processes) if (process.exitcode or 0) < 0]
        try:
            context.join(timeout=0, grace_period=_GRACE_SECONDS)
        except ProcessExitedException as ended:
            rank = killed[0] if killed else ended.error_index
            failure = None if killed else failures.get(rank) or _receive(receivers[rank])
            if failure is None:
                raise _lost(context, rank) from ended
            error, text = failure
            raise error from ProcessRaisedException(text, rank, ended.error_pid)


def _receive(receiver: Connection) -> tuple[Exception, str] | None:
    """Returns the error and the traceback that a process has sent, or None if it ended without."""
    try:
        return receiver.recv() if receiver.poll() else None
    except (EOFError, OSError):  # ended before, or while, it sent them
        return None


def _kill(processes: Collection[BaseProcess]) -> None:
    for process in processes:
        process.kill()
    for process in processes:
        process.join()


def _lost(context: ProcessContext, rank: int) -> ProcessLostError:
    status = context.processes[rank].exitcode
    how = f"was ended by {signal.Signals(-status).name} from outside" if status < 0 else f"ended with status {status}"
    return ProcessLostError(
        f"process {rank + 1} of {len(context.processes)} that train together {how}; the others were stopped, and the "
        "same command goes on from the last whole epoch"
    )


def _begin(rank: int, content: bytes, port: int, threads: int, senders: list[Connection], lines: Queue) -> None:
    """Sets a new process up, does its share of the work, and sends an error of it to the parent."""
    try:
        _set_up(rank, port, threads, senders, lines)
        names, inner = pickle.loads(content)  # noqa: S301 - written by `run_together`
        search(names)
        work, job = pickle.loads(inner)  # noqa: S301 - the same
        work(job, rank)
    except KeyboardInterrupt:  # torch would count this process as one that has finished its work
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - the parent raises it
        try:
            senders[rank].send((_portable(error), _cut("".join(traceback.format_exception(error)))))
        finally:  # whatever happens: of an error that is raised here, torch would write a file and leave it
            sys.exit(1)


def _set_up(rank: int, port: int, threads: int, senders: list[Connection], lines: Queue) -> None:
    # A terminal sends SIGINT to all processes. The parent alone handles it, and ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for sender in senders[:rank] + senders[rank + 1 :]:
        sender.close()
    where = {"MASTER_ADDR": _LOCALHOST, "MASTER_PORT": port}
    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": len(senders), **where}
    os.environ.update({name: str(value) for name, value in names.items()})
    torch.set_num_threads(threads)
    if rank == 0:
        logger = logging.getLogger(_LOGGER)
        logger.setLevel(logging.INFO)
        logger.propagate = False  # lines would appear twice if importing the main module sets up logging
        logger.addHandler(QueueHandler(lines))


def _portable(error: Exception) -> Exception:
    """Returns an error that can be unpickled in the parent: of a known kind, of limited length, without its cause."""
    if isinstance(error, OSError) and error.errno is not None:
        names = [name if name is None else _cut(str(name)) for name in (error.filename, error.filename2)]
        return OSError(error.errno, _cut(str(error.strerror)), names[0], None, names[1])
    kind = next((kind for kind in _KNOWN_ERRORS if isinstance(error, kind)), RuntimeError)
    return kind(_cut(str(error) if isinstance(error, kind) else f"{type(error).__name__}: {error}"))


def _cut(text: str) -> str:
    content = text.encode(errors="backslashreplace")
    if len(content) <= _MAX_TEXT_BYTES:
        return text
    return f"{content[:_MAX_TEXT_BYTES].decode(errors='ignore')} ... ({len(content)} bytes in all)"


def _end_with_parent() -> None:
    """Ends this process with its parent, even during a collective operation, in which no signal handler runs."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_LOCALHOST, 0))
        return probe.getsockname()[1]


class _Relay(logging.Handler):
    """Passes log records of another process on to this process's loggers."""

    def emit(self, record: logging.LogRecord) -> None:
        logger = logging.getLogger(record.name)
        if logger.isEnabledFor(record.levelno):
            logger.handle(record)
