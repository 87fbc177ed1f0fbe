"""The comparison as an artifact: results as JSON; report and pictures as what the dashboard shows."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import ClassVar

from zenml.enums import ArtifactType, VisualizationType
from zenml.metadata.metadata_types import MetadataType

from materializers.folders import FolderMaterializer
from models.findings import Findings
from models.results import EvaluationResult

_RESULTS, _PAGES = "results.json", "pages"
_KINDS = {".html": VisualizationType.HTML, ".png": VisualizationType.IMAGE}


class FindingsMaterializer(FolderMaterializer):
    """Stores `Findings` as `results.json` and the files of `pages`."""

    ASSOCIATED_TYPES: ClassVar = (Findings,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar = ArtifactType.DATA_ANALYSIS

    def write(self, data: Findings, folder: Path) -> None:
        """Writes results and pages."""
        results = [result.to_dict() for result in data.results]
        content = {"results": results, "pages": list(data.pages), "runs": data.runs, "view": data.view}
        (folder / _RESULTS).write_text(json.dumps(content), encoding="utf-8")
        for name, page in data.pages.items():
            (folder / _PAGES / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / _PAGES / name).write_bytes(page)

    def read(self, folder: Path) -> Findings:
        """Reads all of it."""
        content = json.loads((folder / _RESULTS).read_bytes())
        pages = {name: (folder / _PAGES / name).read_bytes() for name in content["pages"]}
        results = [EvaluationResult.from_dict(result) for result in content["results"]]
        return Findings(results, pages, content["runs"], content["view"])

    def save_visualizations(self, data: Findings) -> dict[str, VisualizationType]:
        """Names the pages that `save` has written."""
        kinds = {name: _KINDS[PurePosixPath(name).suffix] for name in data.pages}
        return {self.place(self.FOLDER, _PAGES, name): kind for name, kind in kinds.items()}

    def extract_metadata(self, data: Findings) -> dict[str, MetadataType]:
        """Dice and parameters of every variant."""
        return {
            "variants": len(data.results),
            "dice": {result.name: result.metrics["dice"] for result in data.results},
            "params": {result.name: result.cost.params for result in data.results},
        }
