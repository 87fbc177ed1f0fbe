"""Datasets as artifacts: memory-mapped arrays and a manifest."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from zenml.enums import ArtifactType
from zenml.metadata.metadata_types import MetadataType

from dataset.store import Dataset
from materializers.folders import FolderMaterializer

ARRAYS = "arrays"


class DatasetMaterializer(FolderMaterializer):
    """Stores a `Dataset` as its files; on a local store arrays are mapped where they lie, not loaded."""

    ASSOCIATED_TYPES: ClassVar = (Dataset,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar = ArtifactType.DATA
    FOLDER: ClassVar = ARRAYS
    LAZY: ClassVar = True

    def save(self, data: Dataset) -> None:
        """Copies the files, unless they were written into the artifact to begin with."""
        if data.folder != Path(self.place(self.FOLDER)):
            self.upload(data.folder)
        self.seal(data.folder)

    def read(self, folder: Path) -> Dataset:
        """Opens the arrays for reading."""
        return Dataset.open(folder)

    def compute_content_hash(self, data: Dataset) -> str:
        """Returns a digest of arrays and manifest: the same data leaves what follows cached."""
        return data.content_digest()

    def extract_metadata(self, data: Dataset) -> dict[str, MetadataType]:
        """Returns sizes, for the dashboard."""
        return {f"{split}_images": len(data[split]) for split in ("train", "valid", "test")}
