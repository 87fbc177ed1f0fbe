"""Which layout a folder has."""

from pathlib import Path

import numpy as np
import pytest

from dataset.errors import DatasetError
from dataset.layouts.layout import Wanted
from dataset.layouts.recognise import recognise
from dataset.sources.local_folder import LocalFolder
from tests.dataset.coco_folder import CocoFolder
from tests.dataset.layouts.written import dicom, folders, mask, patients, picture, series, volume, volumes, write


def sentence(root: Path, **wanted: object) -> str:
    return recognise(LocalFolder(root), Wanted(**wanted)).sentence


def test_each_layout_is_recognised_and_said_in_a_line(tmp_path):
    volumes(tmp_path / "nifti")
    series(tmp_path / "dicom")
    said = [
        sentence(CocoFolder(tmp_path / "coco").write()),
        sentence(folders(tmp_path / "folders")),
        sentence(patients(tmp_path / "patients")),
        sentence(tmp_path / "nifti", axis=1),
        sentence(tmp_path / "dicom"),
    ]
    assert [line.partition(",")[0] for line in said] == [
        "COCO in the folders train",
        "image and mask files in pairs",
        "image and mask files in pairs",
        "NIfTI volumes and masks in pairs",
        "DICOM series",
    ]
    assert "cut along axis 1" in said[3]
    assert not any("\n" in line for line in said)


def test_no_image_or_mask_is_read_to_recognise(tmp_path, monkeypatch):
    root = patients(tmp_path / "data")
    monkeypatch.setattr(LocalFolder, "open", None)
    monkeypatch.setattr(LocalFolder, "read", None)
    assert sentence(root).startswith("image and mask files")


def test_what_is_not_recognised_is_described_with_the_layouts_that_are_known(tmp_path):
    write(tmp_path / "data" / "pictures" / "a.png", mask())
    (tmp_path / "data" / "table.csv").write_text("a,b")
    with pytest.raises(DatasetError) as caught:
        sentence(tmp_path / "data")
    message = str(caught.value)
    assert "fits no layout that is known; found: pictures/, table.csv (1 .png, 1 .csv)" in message
    assert "masks    images/x.png with masks/x.png, or x.tif with x_mask.tif" in message


def test_series_with_masks_as_volumes_say_what_to_do(tmp_path):
    dicom(tmp_path / "data" / "p1" / "IM0.dcm", picture(0), 0, "1.2.3")
    volume(tmp_path / "data" / "masks" / "p1.nii.gz", np.zeros((24, 24, 1), np.uint8))
    with pytest.raises(DatasetError, match="has DICOM series and no mask files for their slices: convert"):
        sentence(tmp_path / "data")


def test_a_format_that_does_not_fit_is_said(tmp_path):
    with pytest.raises(DatasetError, match=r"fits no layout of data\.format=volumes"):
        sentence(folders(tmp_path / "data"), format="volumes")


def test_coco_in_split_folders_is_coco_whatever_lies_beside(tmp_path):
    root = CocoFolder(tmp_path / "data").write()
    folders(root)
    assert sentence(root).startswith("COCO in the folders")
    assert sentence(root, format="masks").startswith("image and mask files")


def test_masks_whose_images_are_missing_are_recognised_and_named(tmp_path):
    write(tmp_path / "data" / "masks" / "a.png", mask())
    layout = recognise(LocalFolder(tmp_path / "data"), Wanted())
    (part,), _ = layout.read(())
    assert [each.reason.partition(":")[0] for each in part.refused] == ["the mask has no image"]
