"""The comparison as an artifact: results as JSON; report and pictures as what the dashboard shows."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import ClassVar

from zenml.enums import ArtifactType, VisualizationType
from zenml.materializers.base_materializer import BaseMaterializer
from zenml.metadata.metadata_types import MetadataType

from models.findings import Findings
from models.results import EvaluationResult

_RESULTS, _PAGES = "results.json", "pages"
_KINDS = {".html": VisualizationType.HTML, ".png": VisualizationType.IMAGE}


class FindingsMaterializer(BaseMaterializer):
    """Stores `Findings` as `results.json` and the files of `pages`."""

    ASSOCIATED_TYPES: ClassVar = (Findings,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar = ArtifactType.DATA_ANALYSIS

    def save(self, data: Findings) -> None:
        """Writes results and pages."""
        results = [result.to_dict() for result in data.results]
        content = {"results": results, "pages": list(data.pages), "runs": data.runs, "view": data.view}
        with self.artifact_store.open(self._place(_RESULTS), "w") as file:
            json.dump(content, file)
        for name, page in data.pages.items():
            self.artifact_store.makedirs(str(PurePosixPath(self._place(_PAGES, name)).parent))
            with self.artifact_store.open(self._place(_PAGES, name), "wb") as file:
                file.write(page)

    def load(self, data_type: type[Findings]) -> Findings:
        """Reads all of it."""
        with self.artifact_store.open(self._place(_RESULTS), "r") as file:
            content = json.load(file)
        pages = {}
        for name in content["pages"]:
            with self.artifact_store.open(self._place(_PAGES, name), "rb") as file:
                pages[name] = file.read()
        results = [EvaluationResult.from_dict(result) for result in content["results"]]
        return Findings(results, pages, content["runs"], content["view"])

    def save_visualizations(self, data: Findings) -> dict[str, VisualizationType]:
        """Names the pages that `save` has written."""
        kinds = {name: _KINDS[PurePosixPath(name).suffix] for name in data.pages}
        return {self._place(_PAGES, name): kind for name, kind in kinds.items()}

    def extract_metadata(self, data: Findings) -> dict[str, MetadataType]:
        """Dice and parameters of every variant."""
        return {
            "variants": len(data.results),
            "dice": {result.name: result.metrics["dice"] for result in data.results},
            "params": {result.name: result.cost.params for result in data.results},
        }

    def _place(self, *parts: str) -> str:
        return str(PurePosixPath(self.uri, *parts))
