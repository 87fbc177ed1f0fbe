"""Damaged results in the artifact store: the steps that made them run again."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

from zenml.client import Client
from zenml.enums import ExecutionStatus
from zenml.models import ArtifactVersionResponse, StepRunUpdate
from zenml.utils.time_utils import utc_now

from materializers.folders import DamagedArtifactError, check_artifact
from pipelines.execution.abandoned_runs import run_of, this_process

T = TypeVar("T")


def invalidate_damaged(error: DamagedArtifactError) -> list[str]:
    """Takes damaged results out of the cache: the one that was found, and all others that the run took from the cache.

    Args:
        error: The error of this process's last run.

    Returns:
        Names of the artifacts; none if the damaged artifact is not one that a step of this run would make again.
    """
    run, found = run_of(this_process()), []
    for step in run.steps.values() if run is not None else ():
        if step.status == ExecutionStatus.CACHED:
            found += [artifact for outputs in step.outputs.values() for artifact in outputs if _is_damaged(artifact)]
    if error.uri not in {artifact.uri for artifact in found}:
        return []
    for artifact in found:
        if artifact.producer_step_run_id is None:
            raise RuntimeError(f"artifact {artifact.name} was made by no step, and so by none that can run again")
        Client().zen_store.update_run_step(artifact.producer_step_run_id, StepRunUpdate(cache_expires_at=utc_now()))
    return [artifact.name for artifact in found]


def repaired(start: Callable[[], T], failures: list[tuple[str, BaseException]]) -> T:
    """Starts a run, and again where it fails because stored results are damaged, which another run makes again.

    Args:
        start: Starts it, and returns its outcome.
        failures: The errors of its steps, as they come; cleared before it is started again.
    """
    known: set[str] = set()
    while True:
        try:
            return start()
        except RuntimeError:
            damaged = [cause for _, cause in failures if isinstance(cause, DamagedArtifactError)]
            if not damaged or damaged[0].uri in known or not (names := invalidate_damaged(damaged[0])):
                raise
            known.add(damaged[0].uri)
            print(f"damaged in the store, and made again: {', '.join(names)}", file=sys.stderr)
            failures.clear()


def _is_damaged(artifact: ArtifactVersionResponse) -> bool:
    try:
        check_artifact(Client().active_stack.artifact_store, artifact.uri)
    except DamagedArtifactError:
        return True
    return False
