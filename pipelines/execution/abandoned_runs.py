"""Runs that ended without saying so: killed ones stay `running` in ZenML until the next run marks them as failed."""

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

_LATEST = 50  # runs, among them the one looked for, whatever other processes started since
_CLOCK_STEP = 3  # seconds that a process may seem to have begun later or earlier, after the clock was set


def this_process() -> str:
    """Returns what tells this process from all others, those after a restart of the machine included."""
    return _identity(psutil.Process(os.getpid()))


def run_of(process: str) -> PipelineRunResponse | None:
    """Returns the latest run that a process has started; None if it is none of the latest."""
    runs = Client().list_pipeline_runs(sort_by="desc:created", size=_LATEST, hydrate=True).items
    return next((run for run in runs if process_of(run.config.extra) == process), None)


def mark_abandoned(reason: str, *, own: bool = False) -> None:
    """Marks runs as failed that nobody works on.

    Args:
        reason: Why, for the dashboard.
        own: Those of this process, which is about to end; otherwise those of processes of this machine that are gone.
    """
    for run in depaginate(Client().list_pipeline_runs, in_progress=True, hydrate=True):
        process = process_of(run.config.extra)
        if process is not None and (process == this_process() if own else _is_gone(process)):
            _mark(run, reason)


def _identity(process: psutil.Process) -> str:
    return f"{platform.node()}:{process.pid}:{process.create_time():.0f}"


def _is_gone(identity: str) -> bool:
    """Whether a process of this machine has ended; of other machines nothing is known."""
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
