"""What is recorded in MLflow, as plain data."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT


@dataclasses.dataclass(frozen=True)
class Data:
    """The data set, as MLflow shows it.

    Attributes:
        name: What it is, in a few words.
        digest: Of its content; at most 36 characters.
        profile: How many images a split, and the like.
    """

    name: str
    digest: str
    profile: dict[str, Any]

    def used_for(self, context: str) -> DatasetInput:
        """Returns it as an input of a run: of `training`, or of `evaluation`."""
        dataset = Dataset(self.name, self.digest, "code", json.dumps({"tags": {}}), profile=json.dumps(self.profile))
        return DatasetInput(dataset, [InputTag(MLFLOW_DATASET_CONTEXT, context)])


@dataclasses.dataclass(frozen=True)
class TrainingRecord:
    """What the parent run says, and all runs below it.

    Attributes:
        key: Digest of the trained network and its data; runs of the same training share it.
        name: Of the parent run.
        description: Of the parent run, Markdown.
        params: The training's configuration, flat.
        tags: What to filter by.
        history: The training's curves, as `History.to_dict`.
        data: What it was trained on.
        files: Files to keep with the run, and the folder to put each into (None is the top).
        networks: Folder that holds the network of each variant, in a folder of its name.
    """

    key: str
    name: str
    description: str
    params: dict[str, Any]
    tags: dict[str, str]
    history: dict[str, Any]
    data: Data
    files: list[tuple[Path, str | None]]
    networks: Path


@dataclasses.dataclass(frozen=True)
class Recorded:
    """Where the records are.

    Attributes:
        runs: Variant to the id of its run.
        view: The place in MLflow's UI that shows this comparison, to be put behind the UI's address.
    """

    runs: dict[str, str]
    view: str
