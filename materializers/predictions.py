"""Predicted masks as artifacts: their files."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from zenml.enums import ArtifactType
from zenml.metadata.metadata_types import MetadataType

from materializers.folders import FolderMaterializer
from reporting.prediction_folder import Predictions

FILES = "files"


class PredictionsMaterializer(FolderMaterializer):
    """Stores `Predictions` as its files, of which none is read that nobody asks for."""

    ASSOCIATED_TYPES: ClassVar = (Predictions,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar = ArtifactType.DATA
    FOLDER: ClassVar = FILES
    LAZY: ClassVar = True

    def save(self, data: Predictions) -> None:
        """Copies the files, unless they were written into the artifact to begin with."""
        if data.folder != Path(self.place(self.FOLDER)):
            self.upload(data.folder)
        self.seal(data.folder)

    def read(self, folder: Path) -> Predictions:
        """Returns where the files lie."""
        return Predictions(folder)

    def extract_metadata(self, data: Predictions) -> dict[str, MetadataType]:
        """Returns how many masks there are, for the dashboard."""
        return {"images": sum(1 for _ in data.rows()), "left_out": len(data.left_out())}
