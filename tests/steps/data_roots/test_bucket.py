"""What a bucket does otherwise than a folder: it forgets, is read in parts, and does not know sizes."""

import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from s3fs.core import S3File

from dataset.errors import DatasetError
from dataset.fingerprint import fingerprint
from dataset.layout import ANNOTATION_FILE
from steps.data_roots.bucket import StoredFolder
from tests.s3_server import Bucket
from tests.steps.data_roots.stored import FIRST, BrokenError, complaint, source, store


def test_an_image_larger_than_any_allowed_is_not_read(endpoint: str, bucket: Bucket) -> None:
    bucket.put(FIRST, b"x" * 3 * 2**20)
    opened = source(endpoint, bucket)
    opened.store.filesystem.open = lambda *arguments, **options: pytest.fail("opened")
    with pytest.raises(OSError, match="it has 3 MB, more than 1 MB"):
        opened.read("train/slice_00000.png", 2**20)


def test_a_file_is_digested_in_parts(endpoint: str, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.put(FIRST, os.urandom(2**22))
    fetched = []
    fetch = S3File._fetch_range

    def watched(self: S3File, start: int, end: int) -> bytes:
        fetched.append(end - start)
        return fetch(self, start, end)

    monkeypatch.setattr(S3File, "_fetch_range", watched)
    opened = source(endpoint, bucket)
    opened.store.filesystem.default_block_size = 2**18
    with opened.open("train/slice_00000.png") as file:
        assert hashlib.file_digest(file, "sha256").digest()
    assert max(fetched) < 2**20 < sum(fetched)


@pytest.mark.parametrize(
    ("fault", "told"), [(PermissionError("Access Denied"), "Access Denied"), (BrokenError("line cut"), "line cut")]
)
def test_what_fails_while_it_is_read_is_told_as_if_it_lay_here(
    fault: Exception, told: str, endpoint: str, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object that may be listed, or opened, need not be one that can be read."""

    def fail(*arguments: object) -> bytes:
        raise fault

    monkeypatch.setattr(S3File, "_fetch_range", fail)
    with pytest.raises(DatasetError, match=rf"11 problems like this: .* cannot be read \({told}\)") as caught:
        fingerprint(source(endpoint, bucket))
    assert any(f"{FIRST} cannot be read ({told})" in problem for problem in caught.value.problems)
    assert f"{ANNOTATION_FILE} cannot be read ({told})" in complaint(endpoint, bucket, tmp_path)


class Forgetful:
    """A store that passes over a folder that it has named."""

    def walk(self, top: str) -> Iterator[tuple[str, list[str], list[str]]]:
        yield top, ["closed", "sub"], ["a.png"]
        yield f"{top}/sub", [], ["b.png"]


def test_a_folder_that_is_named_and_does_not_come_is_told() -> None:
    unreadable: list[str] = []
    found = list(StoredFolder(Forgetful(), "far://data").files("train", unreadable))  # type: ignore[arg-type]
    assert found == ["train/a.png", "train/sub/b.png"]
    assert unreadable == ["far://data/train/closed cannot be listed: check the permissions"]


def test_what_was_listed_before_is_forgotten(endpoint: str, bucket: Bucket) -> None:
    """Libraries give the same connection again, with all that it remembers."""
    opened = store(endpoint, f"s3://{bucket.name}")
    before = fingerprint(StoredFolder(opened, f"s3://{bucket.name}/set"))
    bucket.put("set/train/added.png", b"added")
    assert fingerprint(StoredFolder(opened, f"s3://{bucket.name}/set")) != before


class Locked:
    """A store whose credentials are gone."""

    @property
    def filesystem(self) -> object:
        raise KeyError("Unable to get secret with name or ID 'bucket'")


def test_credentials_that_are_gone_are_told_with_the_place() -> None:
    with pytest.raises(DatasetError, match=r"^far://data cannot be read \(.*Unable to get secret"):
        StoredFolder(Locked(), "far://data").check()  # type: ignore[arg-type]


class Sizeless:
    """A store that does not know how large a file is."""

    def size(self, place: str) -> None:
        return None

    def open(self, place: str, mode: str) -> io.BytesIO:
        return io.BytesIO(b"x" * 3 * 2**20)


def test_a_file_of_unknown_size_is_read_no_further_than_allowed() -> None:
    opened = StoredFolder(Sizeless(), "far://data")  # type: ignore[arg-type]
    assert len(opened.read("a.png")) == 3 * 2**20
    with pytest.raises(OSError, match="it has more than 1 MB"):
        opened.read("a.png", 2**20)
