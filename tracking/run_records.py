"""What is recorded of a run in MLflow, and where it is then, as plain data."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mlflow.data.schema import TensorDatasetSchema
from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.types import Schema, TensorSpec
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

from tracking.addresses import without_password

REPORT = "report.html"  # at the top of a training's files
_UINT8 = np.dtype(np.uint8)


@dataclasses.dataclass(frozen=True)
class Data:
    """The data set, as MLflow shows it.

    Attributes:
        name: A few words, for example `phantoms: 760 images 64x64 gray`.
        digest: Digest of its content, at most 36 characters.
        profile: JSON-like description, for example the number of images in each split.
        place: Folder or URI that it was read from.
        image_shape: Height, width and channels of its images.
    """

    name: str
    digest: str
    profile: dict[str, Any]
    place: str
    image_shape: tuple[int, int, int]

    def entity(self) -> Dataset:
        """Returns the data set with its place and schema, as MLflow stores it; passwords are left out."""
        scheme, colon, _ = self.place.partition("://")
        kind = scheme if colon and scheme != "file" else "local"  # names of MLflow's own kinds of sources
        images = TensorSpec(_UINT8, (-1, *self.image_shape), "images")
        masks = TensorSpec(_UINT8, (-1, *self.image_shape[:2]), "masks")
        return Dataset(
            self.name,
            self.digest,
            kind,
            json.dumps({"uri": without_password(self.place)}),
            schema=json.dumps(TensorDatasetSchema(Schema([images]), Schema([masks])).to_dict()),
            profile=json.dumps(self.profile),
        )


def used_for(dataset: Dataset, context: str) -> DatasetInput:
    """Returns a data set as an input of a run; the context is `training` or `evaluation`."""
    return DatasetInput(dataset, [InputTag(MLFLOW_DATASET_CONTEXT, context)])


@dataclasses.dataclass(frozen=True)
class Serving:
    """What makes the networks of a training MLflow models: the same for all of them.

    Attributes:
        loader: The module that opens a network's folder, by its function `_load_pyfunc`.
        code: Place in the model's folder of code to content; `loader` is among them.
        requirements: Packages that the code needs, as pip reads them.
        config: What a user may choose when the model is opened, with its defaults.
        channels: Channels of an image, its last axis.
        classes: Channels of the prediction, its second axis.
        example_size: Height and width of the example of an input.
    """

    loader: str
    code: Mapping[str, bytes]
    requirements: tuple[str, ...]
    config: Mapping[str, Any]
    channels: int
    classes: int
    example_size: tuple[int, int]

    def digest(self) -> str:
        """Returns a digest of what decides how a network is opened; not of the packages' versions."""
        about = [self.loader, dict(self.config), self.channels, self.classes, self.example_size]
        content = hashlib.sha256(json.dumps(about).encode())
        for place, source in sorted(self.code.items()):
            content.update(f"{place} {len(source)} ".encode() + source)
        return content.hexdigest()


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
        serving: What makes the networks MLflow models.
        files: Files to keep with the parent run, and the sub-folder to put each into (None is the top).
        networks: Folder that holds a sub-folder for the network of each variant, named as the variant.
        training: Which training of the comparison this is, as its variants' `VariantSpec.training` says.
        machine_load: What the training took of its machine, as `MachineLoad.columns`.
    """

    key: str
    name: str
    description: str
    params: dict[str, Any]
    tags: dict[str, str]
    history: Mapping[str, Any]
    data: Data
    serving: Serving
    files: list[tuple[Path, str | None]]
    networks: Path
    training: str = ""
    machine_load: Mapping[str, Sequence[float]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Recorded:
    """Where the records of a comparison are.

    Attributes:
        runs: Variant to the id of its run.
        view: The view of the comparison in MLflow's UI, to be appended to the UI's address.
    """

    runs: dict[str, str]
    view: str
