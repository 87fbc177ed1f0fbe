"""A data set in a bucket is read as one in a folder, and what is wrong there is told alike."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from zenml.enums import StackComponentType
from zenml.integrations.s3.artifact_stores import S3ArtifactStore
from zenml.integrations.s3.flavors import S3ArtifactStoreConfig

from dataset.errors import DatasetError
from dataset.fingerprint import fingerprint
from dataset.folders import ANNOTATION_FILE
from dataset.ingest import IngestOptions, ingest
from dataset.phantom import write_phantoms
from steps.sources import StoredFolder
from tests.s3_server import Bucket, s3_server

OPTIONS = IngestOptions(image_size=(32, 32), channels=1, multi_class=False, skip_bad_samples=False, num_workers=2)
FIRST = "set/train/slice_00000.png"


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


def test_what_is_stored_is_what_a_folder_gives(endpoint: str, bucket: Bucket, folder: Path, tmp_path: Path) -> None:
    here = ingest(folder, tmp_path / "here", OPTIONS)
    there = ingest(source(endpoint, bucket), tmp_path / "there", OPTIONS)
    files = sorted(path.name for path in (tmp_path / "here").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "there").iterdir())
    assert all((tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes() for name in files)
    assert here.manifest == there.manifest


def test_the_fingerprint_is_that_of_the_folder_and_changes_with_it(endpoint: str, bucket: Bucket, folder: Path) -> None:
    assert fingerprint(source(endpoint, bucket)) == fingerprint(folder)
    bucket.put("set/train/sub/.hidden/file.png", b"hidden")
    bucket.put("set/train/", b"")  # what consoles make to show a folder
    assert fingerprint(source(endpoint, bucket)) == fingerprint(folder)
    seen = {fingerprint(folder)}
    for key, content in {FIRST: b"other", "set/valid/sub/added.png": b"added", "set/train/z.png": b""}.items():
        bucket.put(key, content)
        seen.add(fingerprint(source(endpoint, bucket)))
    bucket.remove("set/test/slice_00000.png")
    seen.add(fingerprint(source(endpoint, bucket)))
    assert len(seen) == 5


def test_faults_name_the_place_in_the_bucket(endpoint: str, bucket: Bucket, tmp_path: Path) -> None:
    bucket.remove(FIRST)
    bucket.put(f"set/valid/{ANNOTATION_FILE}", b"{")
    bucket.put("set/test/slice_00001.png", b"no image")
    message = complaint(endpoint, bucket, tmp_path)
    assert "train/slice_00000.png (image 1): the image file is missing" in message
    assert f"s3://{bucket.name}/set/valid/{ANNOTATION_FILE} is not JSON of use" in message
    assert "test/slice_00001.png (image 2): the image file is" in message


def test_a_place_without_splits_says_what_is_there(endpoint: str, bucket: Bucket, tmp_path: Path) -> None:
    message = complaint(endpoint, bucket, tmp_path, "another")
    assert f"s3://{bucket.name}/another has no folder train, valid, test (found: none)" in message
    assert f"s3://{bucket.name}/none is not a folder" in complaint(endpoint, bucket, tmp_path, "none")


def test_an_image_larger_than_any_allowed_is_not_read_whole(endpoint: str, bucket: Bucket) -> None:
    bucket.put(FIRST, b"x" * 2**20)
    with pytest.raises(OSError, match="it has 0 MB, more than 0 MB"):
        source(endpoint, bucket).read("train/slice_00000.png", 1000)


def test_a_folder_that_may_not_be_listed_stops_the_fingerprint(
    endpoint: str, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Libraries pass over such a folder; its files would be missing in the digest, and their changes unseen."""
    bucket.put("set/train/closed/a.png", b"an image")
    opened = source(endpoint, bucket)
    listing = opened.store.filesystem._lsdir

    async def refuse(path: str, *arguments: object, **options: object) -> object:
        if str(path).endswith("closed"):
            raise PermissionError("Access Denied")
        return await listing(path, *arguments, **options)

    monkeypatch.setattr(opened.store.filesystem, "_lsdir", refuse)
    with pytest.raises(DatasetError, match=r"/set/train cannot be read \(Access Denied\)"):
        fingerprint(opened)


def test_a_server_that_is_not_there_is_told_in_a_sentence(bucket: Bucket, tmp_path: Path) -> None:
    message = complaint("http://127.0.0.1:9", bucket, tmp_path)
    assert message.startswith(f"s3://{bucket.name}/set cannot be read (")
    assert "127.0.0.1:9" in message
    assert "\n" not in message


def test_bytes_do_not_wait_in_memory(endpoint: str, bucket: Bucket) -> None:
    """A file of any size is digested in blocks."""
    bucket.put(FIRST, os.urandom(2**20))
    with source(endpoint, bucket).open("train/slice_00000.png") as file:
        assert len(file.read(1000)) == 1000
