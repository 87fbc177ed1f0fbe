"""Runs a pipeline for a configuration: checks first, then ZenML, then the table on the screen."""

from __future__ import annotations

import sys
from pathlib import Path

from analysis.comparison import Comparison
from configs.loading import network_title, stored_as
from configs.schema import RunConfig
from models.checkpoint import load_checkpoint
from models.checkpoint_description import Description
from models.checkpoint_file import CheckpointError
from models.unet import UNet
from pipelines.described_checkpoint import as_described
from pipelines.devices import is_remote
from pipelines.execution.abandoned_runs import mark_abandoned
from pipelines.execution.console import StepMessages
from pipelines.execution.failures import RunFailedError, explained
from pipelines.execution.final_output import print_results
from pipelines.execution.network_check import check_network
from pipelines.execution.output_folder import output_folder, reported_removals
from pipelines.execution.pipeline_run import run_on_stack
from pipelines.execution.placement import resolve_devices
from pipelines.execution.registration import register_chosen
from pipelines.execution.repair import repaired
from reporting.bundle import ReportBundle
from reporting.exports import export_faults
from steps.caching import fix_sources
from tracking.addresses import lock_of
from tracking.connectivity import check_mlflow
from tracking.registry import RegistrationError
from tracking.stack import tracking_uri

_CHANNELS = (1, 3)


def run(config: RunConfig, root: Path, command: str) -> None:
    """Runs the pipeline that the configuration asks for and prints the comparison.

    Args:
        config: The run.
        root: The repository.
        command: The command line, for the report.

    Raises:
        InputError: Data, checkpoint or the run to reuse is wrong.
        RunFailedError: A step failed; the message says why.
    """
    fix_sources()
    messages = StepMessages(config.verbose)
    messages.attach()
    with explained(messages.failures), output_folder(config.out_dir), reported_removals(config.out_dir):
        bundle = _prepare_and_run(config, root, command, messages)
    comparison = Comparison(bundle.results, imported=config.checkpoint is not None)
    print_results(config, root, comparison, bundle.view, bundle.exports)
    faults = export_faults(bundle.exports)
    try:
        register_chosen(config.registration, comparison, bundle.runs, tracking_uri(root))
    except RegistrationError as error:
        faults.append(str(error))
    if faults:
        raise RunFailedError("\n".join(faults))


def _prepare_and_run(config: RunConfig, root: Path, command: str, messages: StepMessages) -> ReportBundle:
    remote = is_remote()
    devices = resolve_devices(config, remote)
    config = config.model_copy(update={"device": devices.default})  # as the report shows it
    config, described = as_described(config)
    if config.checkpoint is not None and config.model.network is None:
        config = _with_architecture_of(load_checkpoint(config.checkpoint), config)
    network = check_network(config) if config.reuse_training is None else None
    if config.checkpoint is not None:
        print(f"{config.checkpoint}: {_read_as(config, described)}", file=sys.stderr)
    check_mlflow(tracking_uri(root), lock_of(tracking_uri(root), root))
    mark_abandoned("its process ended before it did")
    return repaired(lambda: run_on_stack(config, devices, root, command, remote, network), messages.failures)


def _with_architecture_of(network: UNet, config: RunConfig) -> RunConfig:
    """Returns the configuration with the architecture of a network, and with its channels unless they were chosen.

    Raises:
        CheckpointError: The network takes images of another kind than can be read, or has another architecture than
            was asked for.
    """
    arguments = network.arguments
    if arguments["in_channels"] not in _CHANNELS:
        raise CheckpointError(
            f"{config.checkpoint} takes {arguments['in_channels']} channels, and images are read as gray (1) or colour "
            "(3): use a network that was trained on one of these"
        )
    for name in ("base_filters", "bilinear"):
        if name in config.model.model_fields_set and getattr(config.model, name) != arguments[name]:
            raise CheckpointError(
                f"model.{name}={getattr(config.model, name)} contradicts {config.checkpoint}, whose network has "
                f"{arguments[name]}: leave it out, as the weights tell it"
            )
    model = config.model.model_copy(update={key: arguments[key] for key in ("base_filters", "bilinear", "dropout")})
    if "channels" in config.data.model_fields_set:
        return config.model_copy(update={"model": model})
    data = config.data.model_copy(update={"channels": arguments["in_channels"]})
    return config.model_copy(update={"model": model, "data": data})


def _read_as(config: RunConfig, described: Description | None) -> str:
    """Returns in a line what a state dict does not tell, and how it is told."""
    data, inputs = config.data, config.input
    normalised = f"(x / 255 - {inputs.mean:g}) / {inputs.std:g}"
    read = f"{network_title(config.model)}, given images as {stored_as(data)}, resized by {data.interpolation}"
    if described is not None and described.preprocessing is not None:
        return f"{read}, {normalised}, as {described.file.name} beside it says"
    return (
        f"{read}, {normalised}; a checkpoint does not say: if it was trained otherwise, set "
        "--image_size, --channels, --interpolation, input.mean and input.std"
    )
