"""Runs whose process was killed: ZenML shows them as `running` until the next run marks them as failed."""

from __future__ import annotations

import os
import platform

import psutil
from zenml.client import Client
from zenml.enums import ExecutionStatus
from zenml.models import PipelineRunResponse, PipelineRunUpdate, StepRunUpdate
from zenml.utils.pagination_utils import depaginate
from zenml.utils.time_utils import utc_now

from steps.runtime import process_of

_LATEST = 50  # number of runs searched; other processes may have started some since
_CLOCK_STEP = 3  # seconds by which the start of a process seems to move when the clock is set


def this_process() -> str:
    """Returns an identifier of this process, unique also after a restart of the machine."""
    return _identity(psutil.Process(os.getpid()))


def run_of(process: str) -> PipelineRunResponse | None:
    """Returns the latest run that a process has started, or None if it is not among the latest of all."""
    runs = Client().list_pipeline_runs(sort_by="desc:created", size=_LATEST, hydrate=True).items
    return next((run for run in runs if process_of(run.config.extra) == process), None)


def mark_abandoned(reason: str, *, own: bool = False) -> None:
    """Marks runs as failed whose process does not exist any more.

    Args:
        reason: The reason, for the dashboard.
        own: Mark the runs of this process instead, which is about to end.
    """
    for run in depaginate(Client().list_pipeline_runs, in_progress=True, hydrate=True):
        process = process_of(run.config.extra)
        if process is not None and (process == this_process() if own else _is_gone(process)):
            _mark(run, reason)


def mark_interrupted() -> None:
    """Marks the run of this process as failed, after an interrupt."""
    mark_abandoned("interrupted", own=True)


def _identity(process: psutil.Process) -> str:
    return f"{platform.node()}:{process.pid}:{process.create_time():.0f}"


def _is_gone(identity: str) -> bool:
    """Whether a process of this machine has ended; False for processes of other machines, which cannot be seen."""
    node, pid, created = identity.rsplit(":", 2)
    if node != platform.node():
        return False
    try:
        return abs(psutil.Process(int(pid)).create_time() - float(created)) > _CLOCK_STEP
    except psutil.NoSuchProcess:
        return True


def _mark(run: PipelineRunResponse, reason: str) -> None:
    store = Client().zen_store
    for step in run.steps.values():
        if not step.status.is_finished:
            store.update_run_step(step.id, StepRunUpdate(status=ExecutionStatus.FAILED, end_time=utc_now()))
    store.update_run(run.id, PipelineRunUpdate(status=ExecutionStatus.FAILED, status_reason=reason))
