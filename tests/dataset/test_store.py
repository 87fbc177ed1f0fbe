import dataclasses
import json
import pickle
import shutil

import numpy as np
import pytest

from dataset.errors import DatasetError
from dataset.ingest import ingest
from dataset.manifest import MANIFEST_FILE
from dataset.store import Dataset, RowWriter
from tests.dataset.coco_folder import noise, options, png


@pytest.fixture
def stored(coco, tmp_path) -> Dataset:
    coco.image("train", "second.png", png(noise(16, 16, 50)))
    return ingest(coco.write(), tmp_path / "stored", options())


def test_arrays_are_memory_mapped_and_read_only(stored):
    train = stored["train"]
    assert isinstance(train.images, np.memmap)
    assert isinstance(train.masks, np.memmap)
    assert len(train) == 2
    with pytest.raises(ValueError, match="read-only"):
        train.images[0] = 0


def test_opened_data_set_equals_the_written_one(stored):
    again = Dataset.open(stored.folder)
    assert again.manifest == stored.manifest
    assert again.content_digest() == stored.content_digest()
    np.testing.assert_array_equal(again["test"].masks, stored["test"].masks)


def test_unknown_split_is_named(stored):
    with pytest.raises(KeyError, match="no split 'val': choose from train, valid, test"):
        stored["val"]


def test_copied_data_set_has_the_same_digest(stored, tmp_path):
    shutil.copytree(stored.folder, tmp_path / "copy")
    assert Dataset.open(tmp_path / "copy").content_digest() == stored.content_digest()


@pytest.mark.parametrize("name", ["train_images.npy", "test_masks.npy"])
def test_changed_pixel_changes_the_digest(stored, name):
    before = stored.content_digest()
    array = np.load(stored.folder / name, mmap_mode="r+")
    array[(0,) * array.ndim] ^= 1
    array.flush()
    assert stored.content_digest() != before


def test_changed_manifest_changes_the_digest(stored):
    before = stored.content_digest()
    path = stored.folder / MANIFEST_FILE
    path.write_text(path.read_text().replace("second.png", "another.png"))
    assert stored.content_digest() != before


def test_pickled_split_carries_its_place_not_its_pixels(coco, tmp_path):
    for i in range(50):
        coco.image("train", f"{i}.png", png(noise(16, 16, i)))
    split = ingest(coco.write(), tmp_path / "stored", options(size=(128, 128)))["train"]
    data = pickle.dumps(split)
    assert len(data) < split.images.nbytes // 20
    again = pickle.loads(data)
    assert isinstance(again.images, np.memmap)
    np.testing.assert_array_equal(again.images, split.images)


def test_missing_folder_is_no_data_set(tmp_path):
    with pytest.raises(DatasetError, match=r"has no manifest\.json"):
        Dataset.open(tmp_path / "none")


def test_missing_array_is_named(stored):
    (stored.folder / "valid_masks.npy").unlink()
    with pytest.raises(DatasetError, match=r"valid_masks\.npy is missing or damaged"):
        Dataset.open(stored.folder)


@pytest.mark.parametrize("kept", [0, 50, 200])
def test_truncated_array_is_named(stored, kept):
    path = stored.folder / "train_images.npy"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DatasetError, match=r"train_images\.npy is missing or damaged"):
        Dataset.open(stored.folder)


@pytest.mark.parametrize(
    ("old", "new"), [(b"{", b"("), (b"(2,", b"(02"), (b"}", b" "), (b"|u1", b"|O8"), (b"u1", b"\xff\0")]
)
def test_array_with_a_damaged_header_is_named(stored, old, new):
    path = stored.folder / "train_images.npy"
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    with pytest.raises(DatasetError, match=r"train_images\.npy is missing or damaged"):
        Dataset.open(stored.folder)


def test_array_of_another_shape_is_refused(stored):
    np.save(stored.folder / "train_masks.npy", np.zeros((2, 16, 15), np.uint8))
    with pytest.raises(DatasetError, match=r"its manifest says uint8 \(2, 16, 16\)"):
        Dataset.open(stored.folder)


def test_manifest_without_a_split_is_refused(stored):
    path = stored.folder / MANIFEST_FILE
    content = json.loads(path.read_text())
    del content["splits"]["test"]
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match="lacks the split test"):
        Dataset.open(stored.folder)


@pytest.mark.parametrize("rows", [0, 1, 12, 1000])
def test_rows_make_a_plain_numpy_file(tmp_path, rows):
    expected = np.random.default_rng(0).integers(0, 256, (rows, 3, 2), dtype=np.uint8)
    with RowWriter(tmp_path / "a.npy", (3, 2)) as writer:
        for row in expected:
            writer.append(row)
    np.save(tmp_path / "b.npy", expected)
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


def test_row_of_another_shape_is_refused(tmp_path):
    with RowWriter(tmp_path / "a.npy", (3, 2)) as writer, pytest.raises(ValueError, match=r"holds uint8 \(3, 2\)"):
        writer.append(np.zeros((2, 3), np.uint8))


@pytest.mark.parametrize(("pattern", "expected"), [("(f)irst", ["f"]), (None, [])])
def test_a_split_knows_the_patient_of_each_row(coco, tmp_path, pattern, expected):
    stored = ingest(coco.write(), tmp_path / "stored", options(group_by=pattern))
    assert [stored[split].groups for split in ("train", "valid", "test")] == [expected] * 3


def test_where_the_patient_of_one_row_is_not_known_there_are_none(coco, tmp_path):
    coco.image("test", "second.png", png(noise(16, 16, 9)))
    stored = ingest(coco.write(), tmp_path / "stored", options(group_by="(first|second)"))
    test = stored.manifest.splits["test"]
    nameless = dataclasses.replace(test, samples=[test.samples[0], dataclasses.replace(test.samples[1], group=None)])
    manifest = dataclasses.replace(stored.manifest, splits={**stored.manifest.splits, "test": nameless})
    assert Dataset(stored.folder, manifest)["test"].groups == []
