"""A bucket that holds a data set."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from dataset.phantoms.write_phantoms import write_phantoms
from tests.s3_server import Bucket, s3_server


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_phantoms(tmp_path / "data", 1, {"train": 4, "valid": 2, "test": 2}, 64)


@pytest.fixture
def bucket(endpoint: str, folder: Path) -> Bucket:
    """One that holds the folder's files, and something beside them."""
    made = Bucket(endpoint, f"bucket-{uuid4().hex}")
    made.upload(folder, "set")
    made.put("another/file", b"not of the data set")
    return made
