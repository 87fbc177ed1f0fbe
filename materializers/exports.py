"""Exported files as artifacts: what is known of them as JSON, and the files as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

from zenml.enums import ArtifactType
from zenml.metadata.metadata_types import MetadataType

from materializers.folders import FolderMaterializer
from models.deployment.layout import RECORD
from models.deployment.records import Exports

_FILES = "files"


class ExportsMaterializer(FolderMaterializer):
    """Stores `Exports` as `export.json` and a folder of files."""

    ASSOCIATED_TYPES: ClassVar = (Exports,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar = ArtifactType.MODEL

    def write(self, data: Exports, folder: Path) -> None:
        """Writes the record and the files."""
        (folder / RECORD).write_text(json.dumps(data.to_dict(), allow_nan=False), encoding="utf-8")
        for name, content in data.files.items():
            (folder / _FILES / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / _FILES / name).write_bytes(content)

    def read(self, folder: Path) -> Exports:
        """Reads all of it."""
        files = {
            file.relative_to(folder / _FILES).as_posix(): file.read_bytes()
            for file in sorted((folder / _FILES).rglob("*"))
            if file.is_file()
        }
        return Exports.from_dict(json.loads((folder / RECORD).read_bytes()), files)

    def extract_metadata(self, data: Exports) -> dict[str, MetadataType]:
        """Returns what was made, for the dashboard."""
        sizes = {entry.format: entry.size_bytes for entry in data.formats if entry.size_bytes is not None}
        return {"variant": data.variant or "none", "size_bytes": sizes}
