"""What is known of exported files, as plain data that any part of the project may read."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from models.evaluation.results import Latency, Machine


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a file achieves in its own runtime on the test images, beside the network in PyTorch.

    Attributes:
        max_difference: The largest difference of probabilities, of any pixel of any test image; infinite where the file
            gives something that is no finite number.
        changed_pixels: The share of pixels that get another label.
        metrics: `dice` and, where there are images with a lesion, `dice_lesion`; see `metrics.Metrics`.
        latency: The time of one image, divided by that of the network in PyTorch, prepared for inference.
    """

    max_difference: float
    changed_pixels: float
    metrics: dict[str, float]
    latency: Latency


@dataclasses.dataclass(frozen=True)
class ExportedFile:
    """One format of an exported network.

    Attributes:
        format: One of `options.FORMATS`.
        file: The file, or of a bundle the folder, in the variant's folder of exports.
        size_bytes: Bytes of all of its files; None where none was made.
        takes: Which images it takes, in words; None where none was made.
        measured: What it achieves; None where that could not be measured.
        fault: Why there is no such file; None where there is.
    """

    format: str
    file: str
    size_bytes: int | None = None
    takes: str | None = None
    measured: Measured | None = None
    fault: str | None = None


@dataclasses.dataclass(frozen=True)
class Exports:
    """The files of one variant.

    Attributes:
        variant: Its name; None where nothing was exported, as no variant is recommended.
        metrics: Of the network in PyTorch, on the same images as the files: `dice` and `dice_lesion`.
        latency: Of the network in PyTorch, whose ratio is 1.
        formats: One entry a format that was asked for.
        files: File name, relative to the variant's folder of exports, to content.
    """

    variant: str | None
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    latency: Latency | None = None
    formats: list[ExportedFile] = dataclasses.field(default_factory=list)
    files: dict[str, bytes] = dataclasses.field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Returns all but the files' content as data of strict JSON: None for what is no finite number."""
        return _finite(dataclasses.asdict(dataclasses.replace(self, files={})))

    @classmethod
    def from_dict(cls, data: dict[str, Any], files: dict[str, bytes] | None = None) -> Exports:
        """Rebuilds exports from `to_dict` and the content of the files."""
        formats = [
            ExportedFile(**{**entry, "measured": _measured(entry["measured"]) if entry["measured"] else None})
            for entry in data["formats"]
        ]
        latency = _latency(data["latency"]) if data["latency"] else None
        return cls(data["variant"], _numbers(data["metrics"]), latency, formats, files or {})


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _measured(data: dict[str, Any]) -> Measured:
    difference = math.inf if data["max_difference"] is None else data["max_difference"]
    known = {"max_difference": difference, "metrics": _numbers(data["metrics"]), "latency": _latency(data["latency"])}
    return Measured(**{**data, **known})


def _numbers(data: dict[str, float | None]) -> dict[str, float]:
    return {name: math.nan if value is None else value for name, value in data.items()}


def _latency(data: dict[str, Any]) -> Latency:
    return Latency(**{**data, "machine": Machine(**data["machine"])})
