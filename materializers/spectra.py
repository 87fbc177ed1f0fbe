"""Spectra as artifacts: one safetensors file."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import ClassVar

from zenml.enums import ArtifactType
from zenml.materializers.base_materializer import BaseMaterializer
from zenml.metadata.metadata_types import MetadataType

from materializers.folders import downloaded, upload
from models.spectra import Spectra

_FOLDER, _FILE = "spectra", "spectra.safetensors"


class SpectraMaterializer(BaseMaterializer):
    """Stores `Spectra` as one safetensors file."""

    ASSOCIATED_TYPES: ClassVar = (Spectra,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar = ArtifactType.DATA

    def save(self, data: Spectra) -> None:
        """Writes the file."""
        with tempfile.TemporaryDirectory() as temporary:
            data.save(Path(temporary) / _FILE)
            upload(self, Path(temporary), _FOLDER)

    def load(self, data_type: type[Spectra]) -> Spectra:
        """Reads the file; a damaged one is an error."""
        with downloaded(self, _FOLDER) as folder:
            return Spectra.load(folder / _FILE)

    def compute_content_hash(self, data: Spectra) -> str:
        """Digest of all factors."""
        return data.digest()

    def extract_metadata(self, data: Spectra) -> dict[str, MetadataType]:
        """How many layers were decomposed, and how many left alone."""
        return {"layers": len(data.layers), "skipped_layers": len(data.skipped)}
