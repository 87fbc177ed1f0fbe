"""What several splits share, in manifest and warnings."""

import numpy as np

from dataset.ingest import ingest
from dataset.manifest import Manifest, NearDuplicate, SharedGroup
from tests.dataset.coco_folder import CocoFolder, noise, options, png
from tests.dataset.layouts.written import SIDE, folders, write
from tests.dataset.leaks.test_near_duplicates import picture


def large(coco: CocoFolder, split: str, name: str, image: np.ndarray) -> None:
    coco.annotation(split, coco.image(split, name, png(image), size=image.shape[:2]))


def stored(coco: CocoFolder, out, **how) -> Manifest:
    ingest(coco.write(), out, options(size=(64, 64), **how))
    return Manifest.load(out)


def test_nearly_equal_images_of_two_splits_are_named_and_counted(coco, tmp_path):
    large(coco, "train", "a.png", picture(1))
    large(coco, "test", "b.png", picture(1)[:, ::-1])
    large(coco, "test", "c.png", picture(2))
    manifest = stored(coco, tmp_path / "out")
    (pair,) = manifest.near_duplicates
    assert pair == NearDuplicate(["train/a.png", "test/b.png"], pair.correlation)
    (warning,) = [text for text in manifest.warnings if "nearly equal" in text]
    assert warning.startswith("1 of 3 images of test are nearly equal to one of another split")
    assert "so the test leaks (train/a.png and test/b.png)" in warning


def test_an_image_that_is_like_two_is_counted_once(coco, tmp_path):
    for split, image in (("train", picture(1)), ("valid", picture(1)[::-1]), ("test", picture(1)[:, ::-1])):
        large(coco, split, "a.png", image)
    manifest = stored(coco, tmp_path / "out")
    assert len(manifest.near_duplicates) == 3
    (warning,) = [text for text in manifest.warnings if "nearly equal" in text]
    assert warning.startswith("1 of 2 images of valid and 1 of 2 images of test are")


def test_equal_images_are_told_once(coco, tmp_path):
    large(coco, "train", "a.png", picture(1))
    large(coco, "test", "b.png", picture(1))
    manifest = stored(coco, tmp_path / "out")
    assert len(manifest.duplicates_across_splits) == 1
    assert manifest.near_duplicates == []


def test_images_of_data_that_were_divided_are_called_by_their_own_names(tmp_path):
    root = folders(tmp_path / "data")
    for name in ("0.png", "1.png", "2.png"):
        write(root / "images" / name, np.full((SIDE, SIDE), 7, np.uint8))
    manifest = ingest(root, tmp_path / "out", options(split=(0.34, 0.33, 0.33))).manifest
    (equal,) = manifest.duplicates_across_splits
    (warning,) = [text for text in manifest.warnings if "in more than one split" in text]
    named = [f"{name.partition('/')[2]} of {name.partition('/')[0]}" for name in equal.files[:3]]
    assert warning.startswith("1 image occurs in more than one split, so ")
    assert f"({' and '.join(named)})" in warning


def test_images_of_a_folder_of_another_usual_name_are_called_by_it(coco, tmp_path):
    large(coco, "train", "a.png", picture(1))
    large(coco, "valid", "b.png", picture(1))
    coco.write()
    (coco.root / "valid").rename(coco.root / "val")
    manifest = ingest(coco.root, tmp_path / "out", options(size=(64, 64))).manifest
    assert any("(train/a.png and val/b.png of valid)" in text for text in manifest.warnings)


def named(coco: CocoFolder, split: str, *names: str) -> None:
    for seed, name in enumerate(names):
        coco.annotation(split, coco.image(split, name, png(noise(16, 16, 100 * len(split) + ord(split[-1]) + seed))))


def test_patients_of_two_splits_are_named_and_counted(coco, tmp_path):
    for split in ("train", "valid", "test"):
        coco.content[split] = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "lesion"}]}
    named(coco, "train", "p1_1.png", "p1_2.png", "p2_1.png")
    named(coco, "valid", "p3_1.png")
    named(coco, "test", "p1_3.png", "p4_1.png")
    manifest = stored(coco, tmp_path / "out", group_by=r"p\d+")
    assert [sample.group for sample in manifest.splits["train"].samples] == ["p1", "p1", "p2"]
    assert manifest.shared_groups == [SharedGroup("p1", {"train": 2, "test": 1})]
    (warning,) = [text for text in manifest.warnings if "p1 in" in text]
    assert warning.startswith("1 patient has images in more than one split, so the test leaks (p1 in train and test)")


def test_what_train_and_valid_share_is_no_leak_of_the_test(coco, tmp_path):
    for split in ("train", "valid", "test"):
        coco.content[split] = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "lesion"}]}
    named(coco, "test", "p4_1.png")
    large(coco, "train", "p1_1.png", picture(1))
    large(coco, "valid", "p1_2.png", picture(1)[:, ::-1])
    large(coco, "train", "p2_1.png", picture(2))
    large(coco, "valid", "p3_1.png", picture(2))
    manifest = stored(coco, tmp_path / "out", group_by=r"p\d+")
    told = [text for text in manifest.warnings if "leaks" in text]
    assert len(told) == 3
    assert all("so the choice of the network by valid leaks" in text for text in told)
    assert not any("the test leaks" in text for text in manifest.warnings)


def test_without_a_pattern_no_patient_is_known(coco, tmp_path):
    manifest = stored(coco, tmp_path / "out")
    assert [sample.group for sample in manifest.splits["train"].samples] == [None]
    assert manifest.shared_groups == []
