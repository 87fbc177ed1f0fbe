"""Predicted masks as artifacts: their run-length code, read one by one."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from zenml.enums import ArtifactType
from zenml.metadata.metadata_types import MetadataType

from materializers.folders import FolderMaterializer
from models.evaluation.coded_masks import CodedMasks


class MasksMaterializer(FolderMaterializer):
    """Stores `CodedMasks` as arrays; on a local store they are mapped where they lie, not loaded."""

    ASSOCIATED_TYPES: ClassVar = (CodedMasks,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar = ArtifactType.DATA
    LAZY: ClassVar = True

    def write(self, data: CodedMasks, folder: Path) -> None:
        """Writes the files."""
        data.save(folder)

    def read(self, folder: Path) -> CodedMasks:
        """Opens the files."""
        return CodedMasks.open(folder)

    def compute_content_hash(self, data: CodedMasks) -> str:
        """Returns a digest of all masks."""
        return data.digest()

    def extract_metadata(self, data: CodedMasks) -> dict[str, MetadataType]:
        """Returns how many there are, and their bytes."""
        return {"images": len(data), "labels": data.labels, "bytes": int(data.runs.nbytes)}
