"""Starts the pipeline that a configuration asks for on the active ZenML stack, and fetches its bundle."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

from zenml.models import PipelineRunResponse

from configs.schema import RunConfig
from materializers.variant import networks_in_extra
from pipelines.comparison import comparison
from pipelines.devices import Devices
from pipelines.execution.network_check import NamedNetwork, check_weights_fit, reused_network, without_place
from pipelines.execution.placement import read_settings
from pipelines.execution.remote_results import check_finished, copy_results, remote_errors
from pipelines.execution.reuse_training import Training, find_training
from pipelines.execution.runtime_values import runtime_of
from pipelines.labels import label, labelled
from pipelines.recompress import recompress, recompress_checkpoint
from pipelines.variants import step_names
from reporting.bundle import ReportBundle
from steps.runtime import short_data_name

_NO_NETWORK = ("fingerprint_dataset", "fingerprint_checkpoint", "ingest_coco", "compare")  # steps that run none


def run_on_stack(
    config: RunConfig, devices: Devices, root: Path, command: str, remote: bool, network: NamedNetwork | None
) -> ReportBundle:
    """Runs the pipeline; from a remote stack, copies the results to the folder of results.

    Args:
        config: The run.
        devices: Where each step computes.
        root: The repository.
        command: The command line, for the report.
        remote: Whether each step runs on a machine of its own.
        network: The run's network, if it is not ours; of an earlier training it is found here.
    """
    training = find_training(config.reuse_training) if config.reuse_training is not None else None
    if training is not None:
        print(training.describe(without_place(config)), file=sys.stderr)
        training.origin.check_same_data(training.network, config, remote)
        wanted, config = config.model.network, training.configure(config)
        network = reused_network(config, training.networks, wanted)
        if network is not None and network.code != training.network_code:
            check_weights_fit(network, training.stored(), training.network)
    changed = _changed(training, network)
    runtime = dataclasses.replace(
        runtime_of(config, root, command, remote),
        gpu_steps=devices.gpu_steps,
        network_code=network.code if network is not None else None,
        network_changed=changed,
        data_name=training.origin.short_data if training is not None else None,
    )
    options = {"extra": runtime.to_extra(), "enable_cache": not config.no_cache}
    config = without_place(config)
    if not remote:
        run = _finished_run(config, devices, _with_network(options, network, config), training)
        bundle = _bundle_of(run)
        label(run, config)
        return bundle
    with remote_errors(runtime.process):
        there = network.within(root) if network is not None else None
        options = _with_network(options | read_settings(config), there, config)
        run = _finished_run(config, devices, options, training)
    check_finished(run)
    bundle = _bundle_of(run)
    copy_results(run, bundle, config.out_dir, [network.place] if network is not None else [])
    label(run, config)
    return bundle


def _changed(training: Training | None, network: NamedNetwork | None) -> bool:
    """Returns, and says, whether a network's code is another than that with which it was trained."""
    if training is None or network is None or training.network_code in (None, network.code):
        return False
    print(
        f"note: the code of {network.place}, or the version of its package, is not the one that {training.network} was "
        "trained with: its weights are run by the code of today; to train with that, leave out --reuse_training",
        file=sys.stderr,
    )
    return True


def _with_network(options: dict[str, Any], network: NamedNetwork | None, config: RunConfig) -> dict[str, Any]:
    """Returns options of a pipeline that let its steps import the network, and have its code in their cache keys."""
    if network is None:
        return options
    steps = {name: dict(options.get("steps", {}).get(name, {})) for name in step_names(config)}
    for name, step in steps.items():
        if name not in _NO_NETWORK:
            step["environment"] = {"NETWORK_CODE": network.code}
    extra = options["extra"] | networks_in_extra([network.place], network.code)
    return options | {"extra": extra, "steps": {name: step for name, step in steps.items() if step}}


def _finished_run(
    config: RunConfig, devices: Devices, options: dict[str, Any], training: Training | None
) -> PipelineRunResponse:
    """Runs the pipeline `comparison` or `recompress`, and waits for it if the stack's orchestrator does."""
    made = "comparison" if training is None and config.checkpoint is None else "recompress"
    options = labelled(options, made, config, short_data_name(options["extra"]))
    if training is not None:
        ids = (training.dataset_id, training.network_id, training.history_id)
        run = recompress.with_options(**options)(config, devices, *ids)
    elif config.checkpoint is not None:
        run = recompress_checkpoint.with_options(**options)(config, devices)
    else:
        run = comparison.with_options(**options)(config, devices)
    if run is None:
        raise RuntimeError("ZenML started no run: the pipeline is one that it only prepares")
    return run


def _bundle_of(run: PipelineRunResponse) -> ReportBundle:
    return run.steps["compare"].outputs["comparison"][0].load()
