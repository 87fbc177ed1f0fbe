"""Data in a bucket, and what is said of them."""

from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from zenml.enums import StackComponentType
from zenml.integrations.s3.artifact_stores import S3ArtifactStore
from zenml.integrations.s3.flavors import S3ArtifactStoreConfig

from dataset.errors import DatasetError
from dataset.ingest import IngestOptions, ingest
from steps.data_roots.bucket import StoredFolder
from tests.s3_server import Bucket

OPTIONS = IngestOptions(image_size=(32, 32), channels=1, multi_class=False, skip_bad_samples=False, num_workers=2)
FIRST = "set/train/slice_00000.png"


class BrokenError(Exception):
    """What a library raises that knows no OSError."""


def store(endpoint: str, path: str) -> S3ArtifactStore:
    config = S3ArtifactStoreConfig(
        path=path,
        key="a-key",
        secret="a-secret",
        client_kwargs={"endpoint_url": endpoint, "region_name": "us-east-1"},
        config_kwargs={"retries": {"total_max_attempts": 1}, "connect_timeout": 2, "read_timeout": 5},
    )
    now = datetime.now(UTC)
    return S3ArtifactStore(
        name="data",
        id=uuid4(),
        config=config,
        flavor="s3",
        type=StackComponentType.ARTIFACT_STORE,
        user=None,
        created=now,
        updated=now,
    )


def source(endpoint: str, bucket: Bucket, place: str = "set") -> StoredFolder:
    return StoredFolder(store(endpoint, f"s3://{bucket.name}"), f"s3://{bucket.name}/{place}")


def complaint(endpoint: str, bucket: Bucket, tmp_path: Path, place: str = "set") -> str:
    with pytest.raises(DatasetError) as caught:
        ingest(source(endpoint, bucket, place), tmp_path / "stored", OPTIONS)
    assert not (tmp_path / "stored").exists()
    return str(caught.value)
