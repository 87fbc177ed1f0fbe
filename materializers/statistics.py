"""Statistics as artifacts: one safetensors file, read a layer at a time."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import ClassVar

from zenml.enums import ArtifactType
from zenml.materializers.base_materializer import BaseMaterializer
from zenml.metadata.metadata_types import MetadataType

from materializers.folders import downloaded, upload
from models.moments import Statistics

_FOLDER, _FILE = "statistics", "statistics.safetensors"


class StatisticsMaterializer(BaseMaterializer):
    """Stores `Statistics` as one safetensors file."""

    ASSOCIATED_TYPES: ClassVar = (Statistics,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar = ArtifactType.DATA

    def save(self, data: Statistics) -> None:
        """Writes the file."""
        with tempfile.TemporaryDirectory() as temporary:
            data.save(Path(temporary) / _FILE)
            upload(self, Path(temporary), _FOLDER)

    def load(self, data_type: type[Statistics]) -> Statistics:
        """Opens the file; a damaged one is an error."""
        with downloaded(self, _FOLDER, keep=True) as folder:
            return Statistics.load(folder / _FILE)

    def compute_content_hash(self, data: Statistics) -> str:
        """Digest of all moments."""
        return data.digest()

    def extract_metadata(self, data: Statistics) -> dict[str, MetadataType]:
        """What they were taken from."""
        return {"layers": len(data), "images": data.images, "weighting": data.weighting}
