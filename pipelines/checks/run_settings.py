"""The file `run_settings`: what machines the steps of a remote stack ask for, as it is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, Field, ValidationError

from configs.faults import reason


class SettingsError(ValueError):
    """The settings of a remote stack are wrong."""


class StepSettings(BaseModel, extra="forbid"):
    """The settings of one step, or of the steps that a pattern matches."""

    settings: dict[str, Any]


class SettingsFile(BaseModel, extra="forbid"):
    """The content of a settings file; what ZenML makes of the settings is not known here."""

    settings: dict[str, Any] = Field(default_factory=dict)
    steps: dict[str, StepSettings] = Field(default_factory=dict)


def read_settings_file(file: Path) -> SettingsFile:
    """Reads a settings file.

    Raises:
        SettingsError: It cannot be read, is not YAML, or holds something else.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        return SettingsFile.model_validate({} if content is None else content)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"run_settings {file} cannot be read: {error}") from error
    except ValidationError as error:
        faults = explain_faults(SettingsFile, error)
        raise SettingsError(f"run_settings {file} holds settings and steps alone: {faults}") from error


def explain_faults(model: type[BaseModel], error: ValidationError, within: str = "") -> str:
    """Returns the place of every fault and what is wrong, in one line.

    Args:
        model: What was validated.
        error: What came of it.
        within: Where that lies in what was written, as `settings.resources`.
    """
    faults = []
    for fault in error.errors():
        place = ".".join(str(part) for part in (within, *fault["loc"]) if part != "")
        faults.append(f"{place}: {reason(model, fault)}" if place else reason(model, fault))
    return "; ".join(dict.fromkeys(faults))
