"""Runs the pipeline `predict` for a configuration: the network first, then ZenML, then a table on the screen."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from configs.schema import RunConfig
from configs.sections import ReadingConfig
from materializers.variant import networks_in_extra
from models.network_files import NetworkFilesError
from models.networks.code_digest import code_digest
from models.networks.recipe import absolute
from models.prediction import check_runs, read_as
from models.variant import Variant
from pipelines.checks.prediction_places import is_model_uri
from pipelines.checks.run_settings import SettingsError, explain_faults
from pipelines.devices import is_remote, local_device
from pipelines.execution.abandoned_runs import mark_abandoned, this_process
from pipelines.execution.console import StepMessages
from pipelines.execution.failures import explained
from pipelines.execution.output_folder import output_folder
from pipelines.execution.repair import repaired
from pipelines.labels import label, run_name
from pipelines.predict import predict
from pipelines.prediction.outcome import print_outcome
from reporting.prediction_folder import Predictions
from steps.caching import fix_sources
from steps.runtime import Runtime, short_data_name
from torch_lowrank.io import StorageError
from tracking.addresses import lock_of
from tracking.connectivity import check_mlflow
from tracking.model_files import network_of_model
from tracking.stack import tracking_uri


def run(config: RunConfig, root: Path, command: str) -> None:
    """Predicts the masks that the configuration asks for, and prints how many have a finding.

    Args:
        config: The run.
        root: The repository.
        command: The command line.

    Raises:
        InputError: Images, network or settings are wrong.
        RunFailedError: A step failed; the message says why.
    """
    fix_sources()
    messages = StepMessages(config.verbose)
    messages.attach()
    with explained(messages.failures), output_folder(config.out_dir), _network_folder(config, root) as folder:
        if is_remote():
            raise SettingsError(
                "--predict reads images and a network of this machine, which the steps of a remote stack do not see: "
                "use a local stack (zenml stack set)"
            )
        variant, reading = _variant(folder, config)
        options = _options(variant, folder, config, command)
        mark_abandoned("its process ended before it did")
        device = local_device(config.device)
        run = repaired(lambda: predict.with_options(**options)(reading, device), messages.failures)
        if run is not None:
            label(run, None)
    print_outcome(Predictions(config.out_dir), variant.classes)


@contextlib.contextmanager
def _network_folder(config: RunConfig, root: Path) -> Iterator[Path]:
    """Yields the network's folder; the files of a model in MLflow are copied to one that is removed afterwards."""
    network = config.prediction.network or ""
    if not is_model_uri(network):
        yield Path(network).absolute()
        return
    uri = tracking_uri(root)
    check_mlflow(uri, lock_of(uri, root))
    with tempfile.TemporaryDirectory(prefix="network-") as folder:
        yield network_of_model(network, uri, Path(folder))


def _variant(folder: Path, config: RunConfig) -> tuple[Variant, ReadingConfig]:
    """Returns the network, and how it reads images; says so, and tries it on one.

    Raises:
        NetworkFilesError: Its folder is damaged.
        NetworkError: It is made by a constructor that was not allowed, or cannot be run.
        VariantError: How it reads images is not known, or contradicted.
    """
    data, named = config.data, config.model.network
    try:
        variant = Variant.load(folder, [absolute(named)] if named is not None else [])
    except StorageError as error:
        raise NetworkFilesError(str(error)) from error
    size, channels, interpolation = (
        getattr(data, name) if name in data.model_fields_set else None
        for name in ("image_size", "channels", "interpolation")
    )
    how = read_as(variant, size, channels, interpolation).preprocessing
    used = {"image_size": how.image_size, "channels": how.channels, "interpolation": how.interpolation}
    others = {"exif": data.exif, "skip_bad_samples": data.skip_bad_samples, "batch_size": config.training.batch_size}
    try:
        reading = ReadingConfig.model_validate(used | others)
    except ValidationError as error:
        faults = explain_faults(ReadingConfig, error)
        raise NetworkFilesError(f"{folder}: how its images are read is damaged: {faults}") from error
    colour = "gray" if reading.channels == 1 else "colour"
    print(
        f"{variant.name}: {variant.params:,} parameters; it sees images as {'x'.join(map(str, reading.image_size))}, "
        f"{colour}, resized by {reading.interpolation}",
        file=sys.stderr,
    )
    check_runs(variant, reading.image_size, reading.channels)
    return variant, reading


def _options(variant: Variant, folder: Path, config: RunConfig, command: str) -> dict[str, Any]:
    """Returns the options of the pipeline: where things are, and the code of a network that is not ours."""
    code = None
    if variant.recipe is not None:
        code = code_digest(variant.recipe, variant.recipe.build())
    runtime = Runtime(
        data_root=str((config.prediction.images or Path()).absolute()),
        out_dir=str(config.out_dir.absolute()),
        num_workers=config.num_workers,
        resume=False,
        command=command,
        process=this_process(),
        network=str(folder),
        network_code=code,
    )
    name = run_name("predict", short_data_name(runtime.to_extra()), variant.name)
    options: dict[str, Any] = {"extra": runtime.to_extra(), "enable_cache": not config.no_cache, "run_name": name}
    if variant.recipe is not None:
        options["extra"] |= networks_in_extra([variant.recipe.place], str(code))
        options["steps"] = {"predict_images": {"environment": {"NETWORK_CODE": code}}}
    return options
