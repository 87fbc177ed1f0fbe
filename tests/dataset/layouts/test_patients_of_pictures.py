"""Whose image and mask files are: by folders, or by a pattern."""

from pathlib import Path

import numpy as np
import pytest

from dataset.ingest import ingest
from dataset.layout import SPLITS
from dataset.store import Dataset
from tests.dataset.coco_folder import options
from tests.dataset.layouts.written import SIDE, SPLIT, folders, mask, patients, picture, write


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "stored"


def rows(dataset: Dataset) -> dict[str, tuple[np.ndarray, np.ndarray, str | None]]:
    """Image, mask and group by the name of the file."""
    return {
        entry.file_name: (np.array(dataset[split].images[i]), np.array(dataset[split].masks[i]), entry.group)
        for split in SPLITS
        for i, entry in enumerate(dataset.manifest.splits[split].samples)
    }


def test_folders_of_patients_are_read_and_never_divided(tmp_path, out):
    stored = ingest(patients(tmp_path / "data"), out, options(size=(SIDE, SIDE), split=SPLIT))
    groups = {split: {entry.group for entry in stored.manifest.splits[split].samples} for split in SPLITS}
    assert set.union(*groups.values()) == {f"TCGA_{i:02d}" for i in range(6)}
    assert sum(map(len, groups.values())) == 6
    for name, (image, drawn, group) in rows(stored).items():
        patient, number = int(group[-2:]), int(Path(name).stem[-1])
        np.testing.assert_array_equal(image[..., 0], picture(100 * patient + number))
        np.testing.assert_array_equal(drawn, mask(1) if number else mask(0))
    assert sum(part.images_without_annotation for part in stored.manifest.splits.values()) == 6
    assert "18 images in 6 folders that look like patients, without splits" in stored.manifest.layout
    assert any(stored.manifest.layout in note for note in stored.manifest.notes)


def test_images_outside_the_folders_of_patients_are_told(tmp_path, out):
    root = patients(tmp_path / "data")
    assert not any("patients" in told for told in ingest(root, out, options(split=SPLIT)).manifest.warnings)
    write(root / "loose.tif", picture(7))
    write(root / "loose_mask.tif", mask())
    manifest = ingest(root, tmp_path / "other", options(split=SPLIT)).manifest
    (told,) = [warning for warning in manifest.warnings if "patients" in warning]
    assert told.startswith("the patients of 1 of 19 images are not known (the first: loose.tif): ")
    assert "--group_by" in told
    named = ingest(root, tmp_path / "named", options(split=SPLIT, group_by="TCGA_[0-9]+|loose")).manifest
    assert not any("patients" in warning for warning in named.warnings)


def test_folders_of_years_are_no_patients_where_a_pattern_says_who_is(tmp_path, out):
    for number in range(12):
        write(tmp_path / "data" / f"{2019 + number % 4}" / f"p{number // 2}_{number}.tif", picture(number))
        write(tmp_path / "data" / f"{2019 + number % 4}" / f"p{number // 2}_{number}_mask.tif", mask())
    stored = ingest(tmp_path / "data", out, options(split=SPLIT, group_by="/(p[0-9])_"))
    assert {group for _, _, group in rows(stored).values()} == {f"p{number}" for number in range(6)}


def test_a_pattern_names_patients_in_the_place_of_folders(tmp_path, out):
    stored = ingest(folders(tmp_path / "data"), out, options(split=SPLIT, group_by=r"images/(\d)"))
    assert {group for _, _, group in rows(stored).values()} == set("01234567")


def test_a_pattern_does_not_see_the_folder_of_the_split(tmp_path, out):
    for split in SPLITS:
        for patient in "ab":
            write(tmp_path / "data" / split / patient / "images" / "1.png", picture(ord(patient) + len(split)))
            write(tmp_path / "data" / split / patient / "masks" / "1.png", mask())
    stored = ingest(tmp_path / "data", out, options(group_by="^([a-z]+)/"))
    for split in SPLITS:
        assert [entry.group for entry in stored.manifest.splits[split].samples] == ["a", "b"]
