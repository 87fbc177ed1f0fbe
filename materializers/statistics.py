"""Statistics as artifacts: one safetensors file, read a layer at a time."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from zenml.enums import ArtifactType
from zenml.metadata.metadata_types import MetadataType

from materializers.folders import FolderMaterializer
from torch_lowrank.curvature.moments import Statistics

_FILE = "statistics.safetensors"


class StatisticsMaterializer(FolderMaterializer):
    """Stores `Statistics` as one safetensors file."""

    ASSOCIATED_TYPES: ClassVar = (Statistics,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar = ArtifactType.DATA
    LAZY: ClassVar = True

    def write(self, data: Statistics, folder: Path) -> None:
        """Writes the file."""
        data.save(folder / _FILE)

    def read(self, folder: Path) -> Statistics:
        """Opens the file."""
        return Statistics.load(folder / _FILE)

    def compute_content_hash(self, data: Statistics) -> str:
        """Returns a digest of all moments."""
        return data.digest()

    def extract_metadata(self, data: Statistics) -> dict[str, MetadataType]:
        """Returns what they were taken from."""
        return {"layers": len(data), "images": data.images, "weighting": data.weighting}
