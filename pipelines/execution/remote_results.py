"""Results and errors of steps that ran on other machines: copied to the folder of results, shown on the screen."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from zenml.client import Client
from zenml.enums import ExecutionStatus
from zenml.models import PipelineRunResponse, StepRunResponse

from materializers.exports import ExportsMaterializer
from materializers.variant import VariantMaterializer
from models.deployment.layout import EXPORTS
from models.deployment.records import Exports
from models.variant import Variant
from pipelines.execution.abandoned_runs import run_of
from pipelines.execution.failures import INPUT_ERRORS, InputError, RunFailedError
from reporting.bundle import ReportBundle, remove_stale_networks, write_files
from reporting.exports import write_exports

_LAST_STEP = "compare"


def copy_results(run: PipelineRunResponse, bundle: ReportBundle, folder: Path, networks: Sequence[str]) -> None:
    """Writes the files that the step `compare` has written on its machine to the local folder of results.

    Args:
        run: The finished run.
        bundle: The output of `compare`.
        folder: The folder of results, `out_dir`.
        networks: Constructors that may be imported for the networks of the run.
    """
    store = Client().active_stack.artifact_store
    write_files(bundle.files, folder)
    inputs = run.steps[_LAST_STEP].inputs
    for artifact in (*inputs["baseline"], *inputs.get("compressed", ())):
        variant = VariantMaterializer(artifact.uri, store).allow(networks).load(Variant)
        variant.save(folder / "networks" / variant.name)
    remove_stale_networks(folder / "networks", [result.name for result in bundle.results])
    exported = [ExportsMaterializer(artifact.uri, store).load(Exports) for artifact in inputs.get("exports", ())]
    write_exports(next(iter(exported), None), folder / EXPORTS)


def check_finished(run: PipelineRunResponse) -> None:
    """Checks that a run on other machines has finished successfully.

    Raises:
        InputError: It failed because its input is wrong.
        RunFailedError: It failed otherwise, or the orchestrator did not wait for it.
    """
    if not run.status.is_finished:
        raise RunFailedError(
            f"run {run.name} was started, and its orchestrator does not wait for it: set `synchronous: true` in "
            "run_settings, or look at `zenml pipeline runs list`"
        )
    if not run.status.is_successful:
        raise error_of_run(run)


@contextlib.contextmanager
def remote_errors(process: str) -> Iterator[None]:
    """Replaces the orchestrator's error, which says only that a step failed, by the error of that step."""
    try:
        yield
    except RuntimeError as error:
        run = run_of(process)
        if run is None:
            raise
        raise error_of_run(run) from error


def error_of_run(run: PipelineRunResponse) -> InputError | RunFailedError:
    """Returns the error of the first step that failed, as recorded by ZenML."""
    failed = [step for step in run.steps.values() if step.status == ExecutionStatus.FAILED]
    if not failed:
        return RunFailedError(f"run {run.name} is {run.status}; its steps say nothing of it: see the stack's logs")
    return _error_of_step(min(failed, key=lambda step: step.end_time or step.created))


def _error_of_step(step: StepRunResponse) -> InputError | RunFailedError:
    recorded = step.exception_info
    if recorded is None:
        return RunFailedError(f"step {step.name} failed without a message: its machine has ended it, see its logs")
    kind = (recorded.source or "").rpartition(".")[2]
    if kind in {error.__name__ for error in INPUT_ERRORS}:
        return InputError(recorded.message or kind)
    return RunFailedError(f"step {step.name} failed: {kind}: {recorded.message}")
