"""Where steps run: in this process, or each on another machine, depending on the orchestrator of the active stack."""

from __future__ import annotations

import fnmatch
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from zenml.client import Client
from zenml.config.pipeline_run_configuration import PipelineRunConfiguration
from zenml.config.resource_settings import ResourceSettings

from configs.schema import RunConfig
from models.evaluation.latency import this_machine
from pipelines.checks.run_settings import SettingsError, StepSettings, explain_faults, read_settings_file
from pipelines.devices import Devices, local_device
from pipelines.variants import step_names

_RESOURCES = "resources"


def resolve_devices(config: RunConfig, remote: bool) -> Devices:
    """Returns the device of every step, which is a part of its cache key.

    On a remote stack, steps whose settings request a GPU use it, and all others use the CPU.

    Raises:
        SettingsError: The device is CUDA and no step requests a GPU, or a remote stack would need a local file.
    """
    if not remote:
        _warn_if_unused(config)
        device = local_device(config.device)
        return Devices(device, machine=this_machine(device, config.timing.threads))
    asked = gpu_steps(read_settings(config), step_names(config))
    if config.device == "cuda" and not asked:
        raise SettingsError(
            "device is cuda, but no step of this remote stack asks for a GPU: give --run_settings, for example "
            "configs/kubernetes/run.yaml"
        )
    if config.checkpoint is not None:
        raise SettingsError(
            f"checkpoint {config.checkpoint} is a file of this machine, which the steps of a remote stack do not see: "
            "import it on a local stack with the same artifact store, and go on with --reuse_training"
        )
    return Devices("cpu", () if config.device == "cpu" else asked)


def read_settings(config: RunConfig) -> dict[str, Any]:
    """Returns the settings in the file `run_settings` as options of a pipeline, with patterns replaced by step names.

    Raises:
        SettingsError: The file cannot be read, or holds settings that ZenML does not accept.
    """
    if config.run_settings is None:
        return {}
    content = read_settings_file(config.run_settings)
    options: dict[str, Any] = {"settings": content.settings}
    if content.steps:
        options["steps"] = _matched(content.steps, step_names(config), config.run_settings)
    _check(PipelineRunConfiguration, options, config.run_settings)
    steps = {f"steps.{name}.": part for name, part in options.get("steps", {}).items()}
    for place, part in {"": options, **steps}.items():
        resources = (part["settings"] or {}).get(_RESOURCES) or {}
        _check(ResourceSettings, resources, config.run_settings, f"{place}settings.{_RESOURCES}")
    return options


def _check(model: type[BaseModel], content: object, file: Path, within: str = "") -> None:
    """Checks that ZenML accepts a part of a file.

    Raises:
        SettingsError: It does not.
    """
    try:
        model.model_validate(content)
    except ValidationError as error:
        raise SettingsError(f"run_settings {file}: {explain_faults(model, error, within)}") from error


def _warn_if_unused(config: RunConfig) -> None:
    """Prints a warning if settings for other machines were given for a stack without any."""
    if config.run_settings is not None:
        name = Client().active_stack_model.name
        print(f"the steps of stack {name} run in this process; run_settings says nothing to them", file=sys.stderr)


def gpu_steps(options: Mapping[str, Any], names: Sequence[str]) -> tuple[str, ...]:
    """Returns the names of the steps whose settings request a GPU."""
    default = _gpus(options, 0)
    steps = options.get("steps", {})
    return tuple(name for name in names if _gpus(steps.get(name, {}), default))


def _gpus(options: Mapping[str, Any], default: int) -> int:
    resources = (options.get("settings") or {}).get(_RESOURCES) or {}
    return resources.get("gpu_count", default)


def _matched(steps: Mapping[str, StepSettings], names: Sequence[str], file: Path) -> dict[str, Any]:
    """Returns settings by step; if several patterns match a step, the last one holds."""
    matched: dict[str, Any] = {}
    for pattern, options in steps.items():
        found = fnmatch.filter(names, pattern)
        if not found:
            raise SettingsError(f"run_settings {file}: there is no step {pattern!r}; there are {', '.join(names)}")
        matched |= dict.fromkeys(found, options.model_dump())
    return matched
