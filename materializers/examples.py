"""Pictured predictions as artifacts: one safetensors file."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import ClassVar

from safetensors import safe_open
from safetensors.numpy import save_file
from zenml.enums import ArtifactType
from zenml.materializers.base_materializer import BaseMaterializer
from zenml.metadata.metadata_types import MetadataType

from materializers.folders import downloaded, upload
from models.findings import Examples

_FOLDER, _FILE = "examples", "examples.safetensors"
_IMAGES, _TRUTH, _PREDICTION = "images", "truth", "prediction "


class ExamplesMaterializer(BaseMaterializer):
    """Stores `Examples` as one safetensors file, the names in its metadata."""

    ASSOCIATED_TYPES: ClassVar = (Examples,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar = ArtifactType.DATA

    def save(self, data: Examples) -> None:
        """Writes the file."""
        arrays = {_PREDICTION + name: labels for name, labels in data.predictions.items()}
        about = {"kinds": data.kinds, "file_names": data.file_names, "variants": list(data.predictions)}
        metadata = {key: json.dumps(value) for key, value in about.items()}
        with tempfile.TemporaryDirectory() as temporary:
            save_file({_IMAGES: data.images, _TRUTH: data.truth, **arrays}, Path(temporary) / _FILE, metadata)
            upload(self, Path(temporary), _FOLDER)

    def load(self, data_type: type[Examples]) -> Examples:
        """Reads the file; a damaged one is an error."""
        with downloaded(self, _FOLDER) as folder, safe_open(folder / _FILE, "numpy") as file:
            about = {key: json.loads(value) for key, value in file.metadata().items()}
            return Examples(
                kinds=about["kinds"],
                file_names=about["file_names"],
                images=file.get_tensor(_IMAGES),
                truth=file.get_tensor(_TRUTH),
                predictions={name: file.get_tensor(_PREDICTION + name) for name in about["variants"]},
            )

    def extract_metadata(self, data: Examples) -> dict[str, MetadataType]:
        """Which images, and of which variants."""
        return {"images": data.file_names, "variants": list(data.predictions)}
