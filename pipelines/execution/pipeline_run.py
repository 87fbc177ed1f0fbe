"""Starts the pipeline that a configuration asks for on the active ZenML stack, and fetches its bundle."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

from zenml.models import PipelineRunResponse

from configs.schema import RunConfig
from pipelines.comparison import comparison
from pipelines.devices import Devices
from pipelines.execution.placement import is_remote, read_settings
from pipelines.execution.remote_results import check_finished, copy_results, remote_errors
from pipelines.execution.reuse_training import find_training
from pipelines.execution.runtime_values import runtime_of
from pipelines.recompress import recompress, recompress_checkpoint
from reporting.bundle import ReportBundle


def run_on_stack(config: RunConfig, devices: Devices, root: Path, command: str, remote: bool) -> ReportBundle:
    """Runs the pipeline; from a remote stack, copies the results to the folder of results.

    Args:
        config: The run.
        devices: Where each step computes.
        root: The repository.
        command: The command line, for the report.
        remote: Whether each step runs on a machine of its own.
    """
    runtime = dataclasses.replace(runtime_of(config, root, command, remote), gpu_steps=devices.gpu_steps)
    options = {"extra": runtime.to_extra(), "enable_cache": not config.no_cache}
    if not remote:
        return _bundle_of(_finished_run(config, devices, options))
    with remote_errors(runtime.process):
        run = _finished_run(config, devices, options | read_settings(config))
    check_finished(run)
    bundle = _bundle_of(run)
    copy_results(run, bundle, config.out_dir)
    return bundle


def _finished_run(config: RunConfig, devices: Devices, options: dict[str, Any]) -> PipelineRunResponse:
    """Runs the pipeline `comparison` or `recompress`, and waits for it if the stack's orchestrator does."""
    if config.reuse_training is not None:
        training = find_training(config.reuse_training)
        print(training.describe(config), file=sys.stderr)
        training.origin.check_same_data(training.network, config, is_remote())
        ids = (training.dataset_id, training.network_id, training.history_id)
        run = recompress.with_options(**options)(training.configure(config), devices, *ids)
    elif config.checkpoint is not None:
        run = recompress_checkpoint.with_options(**options)(config, devices)
    else:
        run = comparison.with_options(**options)(config, devices)
    if run is None:
        raise RuntimeError("ZenML started no run: the pipeline is one that it only prepares")
    return run


def _bundle_of(run: PipelineRunResponse) -> ReportBundle:
    return run.steps["compare"].outputs["comparison"][0].load()
