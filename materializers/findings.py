"""The comparison as an artifact: results as JSON; report and pictures as what the dashboard shows."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import ClassVar

from zenml.enums import ArtifactType, VisualizationType
from zenml.metadata.metadata_types import MetadataType

from analysis.findings import Findings
from materializers.folders import FolderMaterializer
from models.evaluation.results import EvaluationResult

_RESULTS, _PAGES, _TABLES = "results.json", "pages", "tables"
_KINDS = {".html": VisualizationType.HTML, ".png": VisualizationType.IMAGE}


class FindingsMaterializer(FolderMaterializer):
    """Stores `Findings` as `results.json` and the files of `pages` and `tables`."""

    ASSOCIATED_TYPES: ClassVar = (Findings,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar = ArtifactType.DATA_ANALYSIS

    def write(self, data: Findings, folder: Path) -> None:
        """Writes results, pages and tables."""
        results = [result.to_dict() for result in data.results]
        names = {_PAGES: list(data.pages), _TABLES: list(data.tables)}
        content = {"results": results, **names, "runs": data.runs, "view": data.view}
        (folder / _RESULTS).write_text(json.dumps(content), encoding="utf-8")
        for place, files in ((_PAGES, data.pages), (_TABLES, data.tables)):
            for name, file in files.items():
                (folder / place / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / place / name).write_bytes(file)

    def read(self, folder: Path) -> Findings:
        """Reads all of it."""
        content = json.loads((folder / _RESULTS).read_bytes())
        pages, tables = (
            {name: (folder / place / name).read_bytes() for name in content[place]} for place in (_PAGES, _TABLES)
        )
        results = [EvaluationResult.from_dict(result) for result in content["results"]]
        return Findings(results, pages, tables, content["runs"], content["view"])

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
