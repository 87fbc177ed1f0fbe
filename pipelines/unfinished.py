"""Runs that ended without saying so: killed ones stay `running` in ZenML until the next run marks them as failed."""

from __future__ import annotations

import os
import platform

import psutil
from zenml.client import Client
from zenml.enums import ExecutionStatus
from zenml.models import PipelineRunResponse, PipelineRunUpdate, StepRunUpdate
from zenml.utils.time_utils import utc_now

from steps.runtime import process_of


def this_process() -> str:
    """Returns what tells this process from all others, those after a restart of the machine included."""
    return _identity(psutil.Process(os.getpid()))


def mark_abandoned(reason: str, *, own: bool = False) -> None:
    """Marks runs as failed that nobody works on.

    Args:
        reason: Why, for the dashboard.
        own: Those of this process, which is about to end; otherwise those of processes of this machine that are gone.
    """
    for run in Client().list_pipeline_runs(in_progress=True, hydrate=True).items:
        process = process_of(run.config.extra)
        if process is not None and (process == this_process() if own else _is_gone(process)):
            _mark(run, reason)


def _identity(process: psutil.Process) -> str:
    return f"{platform.node()}:{process.pid}:{process.create_time():.0f}"


def _is_gone(identity: str) -> bool:
    """Whether a process of this machine has ended; of other machines nothing is known."""
    node, pid, _ = identity.rsplit(":", 2)
    if node != platform.node():
        return False
    try:
        return _identity(psutil.Process(int(pid))) != identity
    except psutil.NoSuchProcess:
        return True


def _mark(run: PipelineRunResponse, reason: str) -> None:
    store = Client().zen_store
    for step in run.steps.values():
        if not step.status.is_finished:
            store.update_run_step(step.id, StepRunUpdate(status=ExecutionStatus.FAILED, end_time=utc_now()))
    store.update_run(run.id, PipelineRunUpdate(status=ExecutionStatus.FAILED, status_reason=reason))
