import json

import cv2
import numpy as np
import pytest

from dataset.errors import DatasetError
from dataset.ingest import ingest
from dataset.manifest import MANIFEST_FILE, Manifest
from tests.dataset.coco_folder import TRIANGLE, noise, options, png


@pytest.fixture
def out(tmp_path):
    return tmp_path / "stored"


def describe(coco, out, **arguments) -> Manifest:
    return ingest(coco.write(), out, options(**arguments)).manifest


def test_manifest_survives_its_file(coco, out):
    coco.image("train", "missing.png", None)
    manifest = describe(coco, out, skip=True)
    assert Manifest.load(out) == manifest
    assert json.loads((out / MANIFEST_FILE).read_text())["splits"]["train"]["samples"] == [
        {"file_name": "first.png", "image_id": 1, "group": None}
    ]


def test_counts_are_those_of_the_stored_samples(coco, out):
    coco.image("train", "empty.png", png(noise(16, 16, 5)))
    coco.annotation("train", 1, [TRIANGLE], iscrowd=1)
    coco.annotation("train", 1, [[3.1, 3.1, 3.2, 3.1, 3.2, 3.2]])
    coco.annotation("train", coco.image("train", "bad.png", b""))
    train = describe(coco, out, skip=True).splits["train"]
    assert (train.images, train.images_without_annotation) == (2, 1)
    assert (train.annotations, train.crowd_annotations, train.empty_annotations) == (3, 1, 1)
    assert train.rectangle_share == pytest.approx(1 / 3)


def test_crowds_are_object_pixels(coco, out):
    coco.content["train"]["annotations"][0]["iscrowd"] = 1
    assert ingest(coco.write(), out, options())["train"].masks.sum() == 36


def test_mask_area_is_a_percentage_over_images_with_a_mask(coco, out):
    coco.image("train", "empty.png", png(noise(16, 16, 5)))
    area = describe(coco, out).splits["train"].mask_area_percent
    assert area == dict.fromkeys(["5", "25", "50", "75", "95"], round(100 * 36 / 256, 4))


def test_original_sizes_are_counted_most_frequent_first(coco, out):
    for i in range(2):
        coco.image("train", f"wide{i}.png", png(noise(10, 20, i)), size=(10, 20))
    for i in range(15):
        coco.image("train", f"other{i}.png", png(noise(30 + i, 20, i)), size=(30 + i, 20))
    sizes = describe(coco, out).splits["train"].original_sizes
    assert (sizes[0].height, sizes[0].width, sizes[0].images) == (10, 20, 2)
    assert len(sizes) == 10


def test_same_picture_in_two_splits_is_a_duplicate_whatever_its_file(coco, out):
    picture = noise(16, 16, 77)
    coco.image("train", "a.png", png(picture))
    coco.image("train", "again.png", png(picture))
    coco.image("test", "b.tiff", cv2.imencode(".tiff", picture)[1].tobytes())
    manifest = describe(coco, out)
    assert [entry.files for entry in manifest.duplicates_across_splits] == [
        ["train/a.png", "train/again.png", "test/b.tiff"]
    ]
    assert any("more than one split" in warning for warning in manifest.warnings)


def test_same_picture_twice_in_one_split_does_not_leak(coco, out):
    for name in ("a.png", "b.png"):
        coco.image("train", name, png(noise(16, 16, 77)))
    assert describe(coco, out).duplicates_across_splits == []


def test_what_matters_before_training_is_said(coco, out):
    for split in coco.content:
        coco.content[split]["categories"].append({"id": 5, "name": "never"})
    coco.content["valid"]["annotations"] = []
    coco.image("train", "deep.png", png(np.arange(256, dtype=np.uint16).reshape(16, 16) * 100))
    manifest = describe(coco, out)
    assert manifest.warnings == [
        "split valid: no image has a mask",
        "100.0 % of annotations are plain axis-aligned rectangles: Dice can only be as good as a guess of the "
        "rectangle",
        "category 5 ('never') is never used",
        "1 image is not 8 bit: each was scaled by its own minimum and maximum",
    ]
    assert manifest.splits["valid"].rectangle_share is None
    assert manifest.splits["valid"].mask_area_percent == {}


def test_ordinary_data_gives_no_warning(coco, out):
    for split in coco.content:
        coco.content[split]["annotations"][0]["segmentation"] = [TRIANGLE]
    assert describe(coco, out).warnings == []


DAMAGED = ["", "[]", "{}", "null", "[" * 100_000, '{"version": 1}', '{"version": 1, "image_size": [4]}']
DAMAGED += ['{"version": 1, "image_size": [Infinity, 4]}']


@pytest.mark.parametrize("text", DAMAGED, ids=lambda text: text[:30])
def test_damaged_manifest_is_named(tmp_path, text):
    (tmp_path / MANIFEST_FILE).write_text(text)
    with pytest.raises(DatasetError, match=r"manifest\.json is damaged"):
        Manifest.load(tmp_path)


def test_manifest_of_another_version_is_refused(tmp_path):
    (tmp_path / MANIFEST_FILE).write_text('{"version": 999}')
    with pytest.raises(DatasetError, match="has version 999"):
        Manifest.load(tmp_path)
