"""Where steps run: in this process, or each on a machine of its own, as the active stack's orchestrator has it."""

from __future__ import annotations

import fnmatch
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from pydantic import ValidationError
from zenml.client import Client
from zenml.config.pipeline_run_configuration import PipelineRunConfiguration
from zenml.config.resource_settings import ResourceSettings

from configs.schema import RunConfig
from pipelines.variants import step_names

_KEYS = {"settings", "steps"}
_RESOURCES = "resources"


class SettingsError(ValueError):
    """The settings of the stack's machines are wrong."""


def is_remote() -> bool:
    """Whether steps run elsewhere than in this process."""
    return not Client().active_stack.orchestrator.config.is_local


def placed(config: RunConfig, remote: bool) -> RunConfig:
    """Returns the configuration with the device of every step resolved, which is a part of its cache key.

    On machines of their own the steps that ask for a GPU compute there, and all others on the CPU.

    Raises:
        SettingsError: CUDA is wanted, and no step asks for a GPU.
    """
    if not remote:
        _say_if_unused(config)
        return config.model_copy(update={"device": _device_here(config.device), "gpu_steps": ()})
    asked = gpu_steps(read_settings(config), step_names(config.compression))
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
    return config.model_copy(update={"device": "cpu", "gpu_steps": () if config.device == "cpu" else asked})


def read_settings(config: RunConfig) -> dict[str, Any]:
    """Returns the settings of `run_settings` as options of a pipeline, patterns replaced by the steps they match.

    Raises:
        SettingsError: The file cannot be read, or says what it cannot say.
    """
    if config.run_settings is None:
        return {}
    content = _read(config.run_settings)
    options = {"settings": content.get("settings") or {}}
    if steps := content.get("steps"):
        options["steps"] = _matched(steps, step_names(config.compression), config.run_settings)
    try:
        PipelineRunConfiguration.model_validate(options)
        for part in (options, *options.get("steps", {}).values()):
            ResourceSettings.model_validate((part["settings"] or {}).get(_RESOURCES) or {})
    except ValidationError as error:
        raise SettingsError(f"run_settings {config.run_settings}: {_explain(error)}") from error
    return options


def _say_if_unused(config: RunConfig) -> None:
    """Says that settings were given which nothing here can follow."""
    if config.run_settings is not None:
        name = Client().active_stack_model.name
        print(f"the steps of stack {name} run in this process; run_settings says nothing to them", file=sys.stderr)


def gpu_steps(options: Mapping[str, Any], names: Iterable[str]) -> tuple[str, ...]:
    """Returns those of the steps that ask for a GPU."""
    default = _gpus(options, 0)
    steps = options.get("steps", {})
    return tuple(name for name in names if _gpus(steps.get(name, {}), default))


def _gpus(options: Mapping[str, Any], default: int) -> int:
    resources = (options.get("settings") or {}).get(_RESOURCES) or {}
    return resources.get("gpu_count", default)


def _read(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"run_settings {file} cannot be read: {error}") from error
    unknown = set(content) - _KEYS if isinstance(content, dict) else {str(content)}
    if unknown:
        raise SettingsError(f"run_settings {file}: {', '.join(sorted(unknown))}: it holds settings and steps alone")
    return content


def _matched(steps: Mapping[str, Any], names: Iterable[str], file: Path) -> dict[str, Any]:
    """Returns settings by step; the later of two patterns that match one wins."""
    matched = {}
    for pattern, options in steps.items():
        found = fnmatch.filter(names, pattern)
        if not found:
            raise SettingsError(f"run_settings {file}: there is no step {pattern!r}; there are {', '.join(names)}")
        if not isinstance(options, dict) or set(options) != {"settings"}:
            raise SettingsError(f"run_settings {file}: step {pattern!r} has settings, and nothing else")
        matched |= dict.fromkeys(found, options)
    return matched


def _explain(error: ValidationError) -> str:
    faults = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
    return "; ".join(dict.fromkeys(faults))


def _device_here(wanted: str) -> str:
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        print("CUDA is not available; going on with the CPU", file=sys.stderr)
    return "cuda" if available and wanted != "cpu" else "cpu"
