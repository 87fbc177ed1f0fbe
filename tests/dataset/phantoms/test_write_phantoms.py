import os

import numpy as np
import pytest

from dataset.errors import DatasetError
from dataset.fingerprint import fingerprint
from dataset.ingest import ingest
from dataset.phantoms.brain_slices import draw_slice
from dataset.phantoms.write_phantoms import outline, write_phantoms
from tests.dataset.coco_folder import options

COUNTS = {"train": 12, "valid": 3, "test": 3}


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    return write_phantoms(tmp_path_factory.mktemp("phantoms") / "data", 0, COUNTS, size=64)


def test_same_seed_gives_the_same_bytes(phantoms, tmp_path):
    again = write_phantoms(tmp_path / "again", 0, COUNTS, size=64)
    assert fingerprint(again) == fingerprint(phantoms)


def test_another_seed_gives_other_pictures(phantoms, tmp_path):
    other = write_phantoms(tmp_path / "other", 1, COUNTS, size=64)
    assert (other / "train" / "slice_00000.png").read_bytes() != (phantoms / "train" / "slice_00000.png").read_bytes()


def test_more_images_are_added_at_the_end(phantoms, tmp_path):
    more = write_phantoms(tmp_path / "more", 0, {**COUNTS, "train": 14}, size=64)
    for i in range(12):
        name = f"train/slice_{i:05d}.png"
        assert (more / name).read_bytes() == (phantoms / name).read_bytes()


def test_existing_phantoms_are_kept(phantoms):
    path = phantoms / "train" / "slice_00000.png"
    before = path.stat().st_mtime_ns
    assert write_phantoms(phantoms, 0, COUNTS, size=64) == phantoms
    assert path.stat().st_mtime_ns == before


@pytest.mark.parametrize("change", [{"seed": 5}, {"size": 96}, {"counts": {**COUNTS, "test": 4}}])
def test_other_phantoms_are_not_overwritten(phantoms, change):
    arguments = {"seed": 0, "counts": COUNTS, "size": 64, **change}
    before = fingerprint(phantoms)
    with pytest.raises(DatasetError, match="remove it or choose another"):
        write_phantoms(phantoms, **arguments)
    assert fingerprint(phantoms) == before


def test_other_content_is_not_overwritten(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(DatasetError, match="does not hold the phantoms"):
        write_phantoms(tmp_path, 0, COUNTS)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("content", [b"[" * 100_000, b"", None])
def test_folder_whose_annotation_file_is_damaged_is_not_taken_for_phantoms(tmp_path, content):
    for split in COUNTS:
        (tmp_path / split).mkdir()
        path = tmp_path / split / "_annotations.coco.json"
        os.mkfifo(path) if content is None else path.write_bytes(content)
    with pytest.raises(DatasetError, match="does not hold the phantoms"):
        write_phantoms(tmp_path, 0, COUNTS)


def test_phantoms_are_read_without_refusal_or_warning(phantoms, tmp_path):
    manifest = ingest(phantoms, tmp_path / "stored", options(size=(64, 64))).manifest
    assert {name: split.images for name, split in manifest.splits.items()} == COUNTS
    assert manifest.refused == []
    assert manifest.warnings == []


def test_polygons_give_the_drawn_masks_back(phantoms, tmp_path):
    train = ingest(phantoms, tmp_path / "stored", options(size=(64, 64)))["train"]
    for i in range(len(train)):
        drawn = draw_slice(np.random.default_rng([0, 0, i]), 64)
        expected = np.any([np.zeros((64, 64), bool), *drawn.lesions], axis=0)
        np.testing.assert_array_equal(train.masks[i] > 0, expected)
        np.testing.assert_array_equal(train.images[i, ..., 0], drawn.image)


def test_most_slices_have_one_lesion_some_none_some_two():
    found = np.bincount([len(draw_slice(np.random.default_rng([3, i]), 48).lesions) for i in range(200)], minlength=3)
    assert 0.05 <= found[0] / 200 <= 0.18
    assert 0.08 <= found[2] / 200 <= 0.22


def test_outline_has_a_polygon_for_every_part():
    mask = np.zeros((10, 12), bool)
    mask[0:3, 0:4] = True  # at the border
    mask[6, 7] = True  # a single pixel
    polygons = outline(mask)
    assert len(polygons) == 2
    assert all(len(polygon) >= 6 and len(polygon) % 2 == 0 for polygon in polygons)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"counts": {"train": 1}}, "at least 1 image for each"),
        ({"counts": {**COUNTS, "valid": 0}}, "at least 1 image for each"),
        ({"size": 8}, "size is 8"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_arguments_out_of_range_are_refused(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        write_phantoms(tmp_path / "a", **{"seed": 0, "counts": COUNTS, **arguments})
