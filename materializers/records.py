"""Results and training histories as artifacts: JSON."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any, ClassVar

from zenml.enums import ArtifactType
from zenml.metadata.metadata_types import MetadataType

from materializers.folders import FolderMaterializer
from models.evaluation.results import EvaluationResult, Latencies

_FILE = "record.json"
_BEST = ("best_epoch", "best_valid_dice_lesion", "best_valid_dice")


class HistoryMaterializer(FolderMaterializer):
    """Stores a training's history, as `History.to_dict` returns it; only where a step names this materializer."""

    SKIP_REGISTRATION: ClassVar = True
    ASSOCIATED_TYPES: ClassVar = (dict,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar = ArtifactType.DATA

    def write(self, data: dict[str, Any], folder: Path) -> None:
        """Writes the file."""
        (folder / _FILE).write_text(json.dumps(data), encoding="utf-8")

    def read(self, folder: Path) -> dict[str, Any]:
        """Reads the file."""
        return json.loads((folder / _FILE).read_bytes())

    def compute_content_hash(self, data: dict[str, Any]) -> str:
        """Returns a digest of all values."""
        return _digest(data)

    def extract_metadata(self, data: dict[str, Any]) -> dict[str, MetadataType]:
        """Returns its best epoch, for the dashboard."""
        return {key: data[key] for key in _BEST if data.get(key) is not None}


class _RecordMaterializer(FolderMaterializer):
    """Stores what turns into JSON-like data and back, by `to_dict` and `from_dict`."""

    SKIP_REGISTRATION: ClassVar = True
    ASSOCIATED_ARTIFACT_TYPE: ClassVar = ArtifactType.DATA
    KIND: ClassVar[type[EvaluationResult] | type[Latencies]]

    def write(self, data: EvaluationResult | Latencies, folder: Path) -> None:
        """Writes the file."""
        (folder / _FILE).write_text(json.dumps(data.to_dict()), encoding="utf-8")

    def read(self, folder: Path) -> EvaluationResult | Latencies:
        """Reads the file."""
        return self.KIND.from_dict(json.loads((folder / _FILE).read_bytes()))

    def compute_content_hash(self, data: EvaluationResult | Latencies) -> str:
        """Returns a digest of all values."""
        return _digest(data.to_dict())


class ResultMaterializer(_RecordMaterializer):
    """Stores an `EvaluationResult`."""

    ASSOCIATED_TYPES: ClassVar = (EvaluationResult,)
    KIND: ClassVar = EvaluationResult

    def extract_metadata(self, data: EvaluationResult) -> dict[str, MetadataType]:
        """Returns its metrics and costs, for the dashboard."""
        return {**data.metrics, **dataclasses.asdict(data.cost)}


class LatenciesMaterializer(_RecordMaterializer):
    """Stores `Latencies`."""

    ASSOCIATED_TYPES: ClassVar = (Latencies,)
    KIND: ClassVar = Latencies

    def extract_metadata(self, data: Latencies) -> dict[str, MetadataType]:
        """Returns each network's time relative to the baseline's, for the dashboard."""
        return {"ratio": {name: latency.ratio for name, latency in data.networks.items()}}


def _digest(data: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
