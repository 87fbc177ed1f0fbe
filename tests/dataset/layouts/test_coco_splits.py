"""COCO in split folders of which some are not there."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from dataset.annotations.annotation_file import ANNOTATION_FILE
from dataset.errors import DatasetError
from dataset.ingest import ingest
from dataset.layout import SPLITS
from tests.dataset.coco_folder import CocoFolder, noise, options, png
from tests.dataset.layouts.written import SPLIT


def names(dataset) -> list[str]:
    return sorted(entry.file_name for split in SPLITS for entry in dataset.manifest.splits[split].samples)


def written_alone(coco: CocoFolder) -> CocoFolder:
    coco.write()
    for split in ("valid", "test"):
        shutil.rmtree(coco.root / split)
    return coco


@pytest.fixture
def only_train(coco: CocoFolder) -> CocoFolder:
    for seed in range(7):
        coco.annotation("train", coco.image("train", f"{seed}.png", png(noise(16, 16, seed + 10))))
    return written_alone(coco)


def test_an_export_of_training_images_alone_says_what_is_there_and_both_ways_out(only_train, tmp_path):
    with pytest.raises(DatasetError) as caught:
        ingest(only_train.root, tmp_path / "out", options())
    told = str(caught.value)
    assert "has only the split train (" in told
    assert "with no folder valid, test (found: train)" in told
    assert 'give --split "0.7,0.15,0.15" to divide all its images, or add the folder valid and test' in told


def test_an_export_of_training_images_alone_can_be_divided(only_train, tmp_path):
    stored = ingest(only_train.root, tmp_path / "out", options(split=SPLIT))
    assert [len(stored[split]) for split in SPLITS] == [4, 2, 2]
    assert names(stored) == sorted(["train/first.png", *(f"train/{seed}.png" for seed in range(7))])
    pixels = {f"train/{seed}.png": noise(16, 16, seed + 10) for seed in range(7)} | {
        "train/first.png": noise(16, 16, 0)
    }
    for split in SPLITS:
        for row, name in enumerate(stored[split].file_names):
            np.testing.assert_array_equal(stored[split].images[row, ..., 0], pixels[name])
            assert np.count_nonzero(stored[split].masks[row]) == 36
    assert "COCO in split folders (train, each" in stored.manifest.layout


def test_two_of_three_splits_are_divided_together_though_their_ids_are_the_same(coco, tmp_path):
    coco.annotation("train", coco.image("train", "second.png", png(noise(16, 16, 8))))
    shutil.move(coco.write() / "valid", coco.root / "val")
    shutil.rmtree(coco.root / "test")
    stored = ingest(coco.root, tmp_path / "out", options(split=SPLIT))
    assert names(stored) == ["train/first.png", "train/second.png", "val/first.png"]
    assert any("the folder of a split has another usual name" in note for note in stored.manifest.notes)


def test_faults_are_named_by_folder_and_file_and_can_be_skipped(only_train, tmp_path):
    only_train.content["train"]["annotations"][2]["segmentation"] = [[1, 2]]
    only_train.content["train"]["annotations"].append({"id": 99, "image_id": 77})
    (written_alone(only_train).root / "train" / "3.png").unlink()
    with pytest.raises(DatasetError) as caught:
        ingest(only_train.root, tmp_path / "out", options(split=SPLIT))
    told = str(caught.value)
    assert "has 3 problems" in told
    assert f"\n  train/{ANNOTATION_FILE} (image 77, annotation 99): the annotation belongs to" in told
    assert "\n  train/1.png (image 3, annotation 3): " in told
    assert "train/3.png (image 5): the image file is missing" in told
    assert len(names(ingest(only_train.root, tmp_path / "skipped", options(split=SPLIT, skip=True)))) == 6


def test_categories_that_contradict_each_other_cannot_be_joined(coco, tmp_path):
    coco.content["valid"]["categories"] = [{"id": 1, "name": "edema"}]
    shutil.rmtree(coco.write() / "test")
    with pytest.raises(DatasetError, match="category 1 is 'lesion' in train and 'edema' in valid: give"):
        ingest(coco.root, tmp_path / "out", options(split=SPLIT))


def test_a_folder_without_an_annotation_file_is_not_left_out_silently(only_train: CocoFolder, tmp_path: Path):
    (only_train.root / "test").mkdir()
    with pytest.raises(DatasetError, match=f"test.*{ANNOTATION_FILE}"):
        ingest(only_train.root, tmp_path / "out", options(split=SPLIT))
