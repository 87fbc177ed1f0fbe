"""What a comparison shows besides its results, as plain data that any part of the project may read."""

from __future__ import annotations

import dataclasses
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from models.evaluation.results import EvaluationResult


@dataclasses.dataclass(frozen=True)
class SingularValues:
    """The spectrum of one layer.

    Attributes:
        scheme: How the weight was unfolded.
        values: Singular values, descending.
    """

    scheme: str
    values: list[float]


@dataclasses.dataclass(frozen=True)
class Examples:
    """Predictions of some variants on a few images.

    Attributes:
        rows: Which image of the split each is.
        kinds: Why each image was chosen, for example `best`.
        file_names: File name of each image.
        images: uint8 (n, H, W, C).
        truth: Labels uint8 (n, H, W).
        predictions: Variant to its predicted labels uint8 (n, H, W).
    """

    rows: list[int]
    kinds: list[str]
    file_names: list[str]
    images: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    predictions: dict[str, NDArray[np.uint8]]


@dataclasses.dataclass(frozen=True)
class Findings:
    """What one comparison found, and how it shows it.

    Attributes:
        results: All variants, the baseline among them.
        pages: File name to content: the report, and the pictures.
        tables: File name to content: the other files of the folder of results.
        runs: Variant to the id of its run in MLflow.
        view: The place in MLflow's UI that shows them, to be put behind the UI's address.
    """

    results: list[EvaluationResult]
    pages: dict[str, bytes]
    tables: dict[str, bytes]
    runs: dict[str, str]
    view: str


def is_page(name: str) -> bool:
    """Whether a file is a page of the comparison, which people look at."""
    return PurePosixPath(name).suffix in (".html", ".png")
