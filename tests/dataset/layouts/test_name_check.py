"""What names of files tell, before any image or mask is read."""

import json
from pathlib import Path

import pytest

from dataset.errors import DatasetError
from dataset.layout import SPLITS
from dataset.layouts import coco_images
from dataset.layouts.layout import Wanted
from dataset.layouts.name_check import check_names
from dataset.layouts.recognise import recognise
from dataset.sources.local_folder import LocalFolder
from tests.dataset.coco_folder import CocoFolder
from tests.dataset.layouts.written import folders, mask, patients, picture, series, volumes, write

SHARES = (0.7, 0.15, 0.15)


def check(root: Path, pattern: str | None = None, shares=SHARES, skip: bool = False) -> None:
    check_names(recognise(LocalFolder(root), Wanted()), pattern, shares, skip)


def complaint(root: Path, *how, **more) -> str:
    with pytest.raises(DatasetError) as caught:
        check(root, *how, **more)
    return str(caught.value)


def test_data_of_every_layout_pass(tmp_path):
    series(tmp_path / "series")
    volumes(tmp_path / "volumes")
    for root in (
        folders(tmp_path / "pairs"),
        patients(tmp_path / "patients"),
        tmp_path / "series",
        tmp_path / "volumes",
    ):
        check(root)
        check(root, ".+")
    check(CocoFolder(tmp_path / "coco").write(), ".+", None)


def test_all_that_names_tell_is_told_at_once(tmp_path):
    root = patients(tmp_path)
    for number in (1, 2):
        (root / "TCGA_00" / f"TCGA_00_{number}_mask.tif").unlink()
    message = complaint(root, r"TCGA_0[0-4]")
    assert "finds no patient in the file name of 'TCGA_05/TCGA_05_0.tif'" in message
    assert "TCGA_00/TCGA_00_1.tif: the image has no mask" in message
    assert "TCGA_00/TCGA_00_2.tif: the image has no mask" in message


def test_what_is_missing_otherwise_is_not_said_to_be_too_few(tmp_path):
    root = folders(tmp_path, 3)
    (root / "masks" / "0.png").unlink()
    assert "cannot be divided" not in complaint(root)
    assert complaint(root, skip=True) == "2 images cannot be divided into 3 splits: give more images"


def test_a_pattern_sees_names_as_it_does_when_they_are_read(tmp_path):
    """Neither the folder of the split nor the number of a slice."""
    for split in SPLITS:
        write(tmp_path / "given" / split / "a" / "1.png", picture(1))
        write(tmp_path / "given" / split / "a" / "1_mask.png", mask())
    check(tmp_path / "given", "^([a-z])/", None)
    assert complaint(tmp_path / "given", "^train", None).count("finds no patient") == 3


def test_bad_samples_that_are_left_out_need_no_patient(tmp_path):
    root = folders(tmp_path)
    check(root, "[1-7](?=.png)", skip=True)  # 0.png may be one of them
    assert "'images/0.png'" in complaint(root, "[1-7](?=.png)")
    assert "8.png" not in complaint(root, "patient", skip=True)


def test_a_pattern_is_tried_on_the_names_in_annotation_files(tmp_path):
    root = CocoFolder(tmp_path).write()
    check(root, "first", None)
    assert complaint(root, "patient", None).count("finds no patient in the file name of 'first.png'") == 3
    (root / "valid").rename(root / "other")
    assert complaint(root) == "2 images cannot be divided into 3 splits: give more images"
    assert "finds no patient in the file name of 'test/first.png'" in complaint(root, "train")


def test_large_or_faulty_annotation_files_are_left_to_the_reading(tmp_path, monkeypatch):
    root = CocoFolder(tmp_path).write()
    monkeypatch.setattr(coco_images, "_QUICKLY_READ", 10)
    check(root, "patient", None)
    monkeypatch.undo()
    (root / "train" / "_annotations.coco.json").write_text(json.dumps({"images": []}))
    check(root, "patient", None)


def test_no_image_or_mask_is_read(tmp_path, monkeypatch):
    volumes(tmp_path)
    monkeypatch.setattr(LocalFolder, "read", lambda *_: pytest.fail("read"))
    check(tmp_path)
