"""What is recorded of a run in MLflow, and where it is then, as plain data."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT


@dataclasses.dataclass(frozen=True)
class Data:
    """The data set, as MLflow shows it.

    Attributes:
        name: A few words, for example `760 images 64x64 gray`.
        digest: Digest of its content, at most 36 characters.
        profile: JSON-like description, for example the number of images in each split.
    """

    name: str
    digest: str
    profile: dict[str, Any]

    def used_for(self, context: str) -> DatasetInput:
        """Returns the data set as an input of a run; the context is `training` or `evaluation`."""
        dataset = Dataset(self.name, self.digest, "code", json.dumps({"tags": {}}), profile=json.dumps(self.profile))
        return DatasetInput(dataset, [InputTag(MLFLOW_DATASET_CONTEXT, context)])


@dataclasses.dataclass(frozen=True)
class TrainingRecord:
    """The content of the parent run, and what all runs below it share.

    Attributes:
        key: Digest of the trained network and its data; runs of the same training share it.
        name: Name of the parent run.
        description: Description of the parent run, in Markdown.
        params: The training's configuration, flat.
        tags: Tags of all runs, to filter by.
        history: The training's curves, as `History.to_dict`.
        data: The data set that the network was trained on.
        files: Files to keep with the parent run, and the sub-folder to put each into (None is the top).
        networks: Folder that holds a sub-folder for the network of each variant, named as the variant.
    """

    key: str
    name: str
    description: str
    params: dict[str, Any]
    tags: dict[str, str]
    history: Mapping[str, Any]
    data: Data
    files: list[tuple[Path, str | None]]
    networks: Path


@dataclasses.dataclass(frozen=True)
class Recorded:
    """Where the records of a comparison are.

    Attributes:
        runs: Variant to the id of its run.
        view: The view of the comparison in MLflow's UI, to be appended to the UI's address.
    """

    runs: dict[str, str]
    view: str
