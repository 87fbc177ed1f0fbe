"""Networks as artifacts: safetensors and JSON, never a pickle."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import ClassVar

from zenml.enums import ArtifactType
from zenml.metadata.metadata_types import MetadataType

from materializers.folders import FolderMaterializer
from models.variant import Variant


class VariantMaterializer(FolderMaterializer):
    """Stores a `Variant` as `network.json` and `weights.safetensors`."""

    ASSOCIATED_TYPES: ClassVar = (Variant,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar = ArtifactType.MODEL
    FOLDER: ClassVar = "network"

    def write(self, data: Variant, folder: Path) -> None:
        """Writes both files."""
        data.save(folder)

    def read(self, folder: Path) -> Variant:
        """Rebuilds the network."""
        return Variant.load(folder)

    def compute_content_hash(self, data: Variant) -> str:
        """Returns a digest of structure, weights and origin."""
        return data.digest()

    def extract_metadata(self, data: Variant) -> dict[str, MetadataType]:
        """Returns what the dashboard shows beside the artifact."""
        ranks = [layer.rank for layer in data.layers if layer.rank is not None]
        summary = {"smallest": min(ranks), "median": statistics.median(ranks), "largest": max(ranks)} if ranks else {}
        return {
            "method": data.spec.method,
            "setting": {key: str(value) for key, value in data.spec.parameters().items()},
            "params": data.params,
            "factorized_layers": len(ranks),
            "ranks": summary,
        }
