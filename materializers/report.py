"""The report bundle as an artifact: results as JSON, and its files; the dashboard shows report and pictures."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import ClassVar

from zenml.enums import ArtifactType, VisualizationType
from zenml.metadata.metadata_types import MetadataType

from materializers.folders import FolderMaterializer
from models.deployment.records import Exports
from models.evaluation.results import EvaluationResult
from reporting.bundle import ReportBundle

_RESULTS, _FILES = "results.json", "files"
_KINDS = {".html": VisualizationType.HTML, ".png": VisualizationType.IMAGE}


class ReportMaterializer(FolderMaterializer):
    """Stores a `ReportBundle` as `results.json` and a folder of files."""

    ASSOCIATED_TYPES: ClassVar = (ReportBundle,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar = ArtifactType.DATA_ANALYSIS

    def write(self, data: ReportBundle, folder: Path) -> None:
        """Writes results and files."""
        results = [result.to_dict() for result in data.results]
        content = {"results": results, "files": list(data.files), "runs": data.runs, "view": data.view}
        content["exports"] = None if data.exports is None else data.exports.to_dict()
        (folder / _RESULTS).write_text(json.dumps(content), encoding="utf-8")
        for name, file in data.files.items():
            (folder / _FILES / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / _FILES / name).write_bytes(file)

    def read(self, folder: Path) -> ReportBundle:
        """Reads all of it."""
        content = json.loads((folder / _RESULTS).read_bytes())
        results = [EvaluationResult.from_dict(result) for result in content["results"]]
        files = {name: (folder / _FILES / name).read_bytes() for name in content["files"]}
        exports = Exports.from_dict(content["exports"]) if content.get("exports") else None
        return ReportBundle(results, files, content["runs"], content["view"], exports)

    def save_visualizations(self, data: ReportBundle) -> dict[str, VisualizationType]:
        """Returns where `save` has written the files that people look at."""
        return {self.place(self.FOLDER, _FILES, name): _KINDS[PurePosixPath(name).suffix] for name in data.pages()}

    def extract_metadata(self, data: ReportBundle) -> dict[str, MetadataType]:
        """Returns Dice and parameters of every variant."""
        return {
            "variants": len(data.results),
            "dice": {result.name: result.metrics["dice"] for result in data.results},
            "params": {result.name: result.cost.params for result in data.results},
        }
