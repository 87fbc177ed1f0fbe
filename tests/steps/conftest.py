"""A small data set, which steps that train or evaluate are given."""

import pytest

from dataset.ingest import IngestOptions, ingest
from dataset.phantoms.write_phantoms import write_phantoms
from dataset.store import Dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("dataset")
    write_phantoms(folder / "coco", 1, {"train": 9, "valid": 3, "test": 3}, 64)
    options = IngestOptions((32, 32), channels=1, multi_class=False, skip_bad_samples=False, num_workers=1)
    return ingest(folder / "coco", folder / "stored", options)
