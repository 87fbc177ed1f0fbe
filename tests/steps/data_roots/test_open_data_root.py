"""A data set in a bucket is read like one in a folder, and its faults are reported in the same way."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest

from dataset.errors import DatasetError
from dataset.fingerprint import fingerprint
from dataset.ingest import ingest
from dataset.layout import ANNOTATION_FILE
from steps.data_roots.bucket import StoredFolder
from steps.data_roots.open_data_root import _repair, open_data_root, store_containing
from tests.dataset.layouts.written import SPLIT, patients
from tests.s3_server import Bucket
from tests.steps.data_roots.stored import FIRST, OPTIONS, BrokenError, complaint, source, store


def test_what_is_stored_is_what_a_folder_gives(endpoint: str, bucket: Bucket, folder: Path, tmp_path: Path) -> None:
    here = ingest(folder, tmp_path / "here", OPTIONS)
    there = ingest(source(endpoint, bucket), tmp_path / "there", OPTIONS)
    files = sorted(path.name for path in (tmp_path / "here").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "there").iterdir())
    assert all((tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes() for name in files)
    assert here.manifest == there.manifest


def test_other_layouts_are_recognised_and_read_in_a_bucket(endpoint: str, tmp_path: Path) -> None:
    root = patients(tmp_path / "pairs")
    made = Bucket(endpoint, f"bucket-{uuid4().hex}")
    made.upload(root, "set")
    divided = replace(OPTIONS, split=SPLIT)
    here = ingest(root, tmp_path / "here", divided)
    there = ingest(source(endpoint, made), tmp_path / "there", divided)
    assert here.content_digest() == there.content_digest()
    assert fingerprint(source(endpoint, made)) == fingerprint(root)


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
    assert f"s3://{bucket.name}/another fits no layout that is known; found: file (1 no ending)" in message
    assert f"nothing lies at s3://{bucket.name}/none: check" in complaint(endpoint, bucket, tmp_path, "none")
    gone = StoredFolder(store(endpoint, "s3://no-such-bucket"), "s3://no-such-bucket/set")
    with pytest.raises(DatasetError, match="nothing lies at s3://no-such-bucket/set: check"):
        gone.check()


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
    with pytest.raises(DatasetError, match=r"/set/train/closed cannot be read \(Access Denied\)"):
        fingerprint(opened)


def test_a_server_that_is_not_there_is_told_in_a_sentence(bucket: Bucket, tmp_path: Path) -> None:
    message = complaint("http://127.0.0.1:9", bucket, tmp_path)
    assert message.startswith(f"s3://{bucket.name}/set cannot be read (")
    assert "127.0.0.1:9" in message
    assert "\n" not in message


@pytest.mark.parametrize("path", ["", "/set", "/set/"])
@pytest.mark.parametrize("place", ["set", "set/"])
def test_a_store_may_hold_the_data_alone(endpoint: str, bucket: Bucket, folder: Path, path: str, place: str) -> None:
    opened = store(endpoint, f"s3://{bucket.name}{path}")
    assert fingerprint(StoredFolder(opened, f"s3://{bucket.name}/{place}")) == fingerprint(folder)


def test_a_store_is_closed_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    recording = SimpleNamespace(cleanup=lambda: closed.append(True))
    monkeypatch.setattr("steps.data_roots.open_data_root._component_of", lambda uri: None)
    monkeypatch.setattr("steps.data_roots.open_data_root._open_store", lambda component, uri: recording)
    with pytest.raises(BrokenError), open_data_root("far://data"):
        raise BrokenError
    assert closed == [True]


@pytest.mark.parametrize(
    ("uri", "chosen"),
    [
        ("s3://data", "s3://data"),
        ("s3://data/ct", "s3://data"),
        ("s3://data/mri/brain", "s3://data/mri/"),
        ("s3://data/mri/", "s3://data/mri/"),
        ("s3://database/mri", None),
        ("gs://data/mri", None),
    ],
)
def test_the_store_is_the_one_whose_path_says_most(uri: str, chosen: str | None) -> None:
    assert store_containing(uri, ["", "s3://data", "s3://data/mri/", "s3://data/mri2"]) == chosen
    assert store_containing(uri, []) is None


@pytest.mark.parametrize(
    ("uri", "repair"),
    [
        ("s3://data/mri", "`zenml artifact-store register data --flavor=s3 --path=s3://data`"),
        ("gs://data/mri", "`zenml artifact-store register data --flavor=gcp --path=gs://data`"),
        ("https://data/mri", "register one that reads https://, or give a folder"),
    ],
)
def test_what_no_store_holds_is_told_with_a_command_that_exists(uri: str, repair: str) -> None:
    assert repair in _repair(uri)


def test_near_names_and_usual_split_names_are_found_as_in_a_folder(endpoint: str, folder: Path, tmp_path: Path) -> None:
    (folder / "train" / "images").mkdir()
    (folder / "train" / "slice_00000.png").rename(folder / "train" / "images" / "SLICE_00000.png")
    (folder / "valid").rename(folder / "val")
    made = Bucket(endpoint, f"bucket-{uuid4().hex}")
    made.upload(folder, "set")
    there = ingest(source(endpoint, made), tmp_path / "there", OPTIONS)
    assert there.content_digest() == ingest(folder, tmp_path / "here", OPTIONS).content_digest()
    assert there["train"].file_names[0] == "images/SLICE_00000.png"
    assert fingerprint(source(endpoint, made)) == fingerprint(folder)
