"""Spectra as artifacts: one safetensors file."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from zenml.enums import ArtifactType
from zenml.metadata.metadata_types import MetadataType

from materializers.folders import FolderMaterializer
from torch_lowrank.decomposition.spectra import Spectra

_FILE = "spectra.safetensors"


class SpectraMaterializer(FolderMaterializer):
    """Stores `Spectra` as one safetensors file."""

    ASSOCIATED_TYPES: ClassVar = (Spectra,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar = ArtifactType.DATA

    def write(self, data: Spectra, folder: Path) -> None:
        """Writes the file."""
        data.save(folder / _FILE)

    def read(self, folder: Path) -> Spectra:
        """Reads the file."""
        return Spectra.load(folder / _FILE)

    def compute_content_hash(self, data: Spectra) -> str:
        """Returns a digest of all factors."""
        return data.digest()

    def extract_metadata(self, data: Spectra) -> dict[str, MetadataType]:
        """Returns how many layers were decomposed, and how many were skipped."""
        return {"layers": len(data.layers), "skipped_layers": len(data.skipped)}
