"""Results of steps that ran on machines of their own, brought to the folder where people look for them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from zenml.enums import ExecutionStatus
from zenml.models import PipelineRunResponse, StepRunResponse

from pipelines.execution.abandoned_runs import run_of
from pipelines.execution.failures import INPUT_ERRORS, InputError, RunFailedError
from reporting.bundle import ReportBundle, remove_stale_networks, write_files

_LAST_STEP = "compare"


def bring_home(run: PipelineRunResponse, bundle: ReportBundle, folder: Path) -> None:
    """Writes to the folder of results what `compare` has written on its own machine.

    Args:
        run: The finished run.
        bundle: What `compare` returned.
        folder: `out_dir`.
    """
    write_files(bundle.files, folder)
    inputs = run.steps[_LAST_STEP].inputs
    for artifact in (*inputs["baseline"], *inputs.get("compressed", ())):
        variant = artifact.load()
        variant.save(folder / "networks" / variant.name)
    remove_stale_networks(folder / "networks", [result.name for result in bundle.results])


def check_finished(run: PipelineRunResponse) -> None:
    """Checks that a run on other machines is over, and done.

    Raises:
        InputError: What the run was given is wrong.
        RunFailedError: It failed, or was not waited for.
    """
    if not run.status.is_finished:
        raise RunFailedError(
            f"run {run.name} was started, and its orchestrator does not wait for it: set `synchronous: true` in "
            "run_settings, or look at `zenml pipeline runs list`"
        )
    if not run.status.is_successful:
        raise failure_of(run)


@contextlib.contextmanager
def told_by_its_machine(process: str) -> Iterator[None]:
    """Turns the error of an orchestrator, which knows no more than that a step failed, into what the step has told."""
    try:
        yield
    except RuntimeError as error:
        run = run_of(process)
        if run is None:
            raise
        raise failure_of(run) from error


def failure_of(run: PipelineRunResponse) -> InputError | RunFailedError:
    """Returns what went wrong in the first step that failed, as its machine has told ZenML."""
    failed = [step for step in run.steps.values() if step.status == ExecutionStatus.FAILED]
    if not failed:
        return RunFailedError(f"run {run.name} is {run.status}; its steps say nothing of it: see the stack's logs")
    return _failure_of_step(min(failed, key=lambda step: step.end_time or step.created))


def _failure_of_step(step: StepRunResponse) -> InputError | RunFailedError:
    told = step.exception_info
    if told is None:
        return RunFailedError(f"step {step.name} failed without a message: its machine has ended it, see its logs")
    kind = (told.source or "").rpartition(".")[2]
    if kind in {error.__name__ for error in INPUT_ERRORS}:
        return InputError(told.message or kind)
    return RunFailedError(f"step {step.name} failed: {kind}: {told.message}")
