"""Pictures as artifacts: one PNG file each."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from zenml.enums import ArtifactType
from zenml.metadata.metadata_types import MetadataType

from materializers.folders import FolderMaterializer


class PicturesMaterializer(FolderMaterializer):
    """Stores pictures, name to content, as `<name>.png`; only where a step names this materializer."""

    SKIP_REGISTRATION: ClassVar = True
    ASSOCIATED_TYPES: ClassVar = (dict,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar = ArtifactType.DATA_ANALYSIS

    def write(self, data: dict[str, bytes], folder: Path) -> None:
        """Writes the files."""
        for name, content in data.items():
            (folder / f"{name}.png").write_bytes(content)

    def read(self, folder: Path) -> dict[str, bytes]:
        """Reads the files."""
        return {file.stem: file.read_bytes() for file in sorted(folder.glob("*.png"))}

    def extract_metadata(self, data: dict[str, bytes]) -> dict[str, MetadataType]:
        """Returns what was drawn."""
        return {"pictures": ", ".join(sorted(data))}
