"""DICOM series with a mask file a slice."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataset.errors import DatasetError
from dataset.images.decode import DecodeRequest
from dataset.images.volume_intensity import scale_together
from dataset.ingest import ingest
from dataset.layout import SPLITS
from dataset.layouts.dicom import DicomSeries
from dataset.layouts.pairing import pair_names
from dataset.layouts.units import FileError
from dataset.sources.local_folder import LocalFolder
from tests.dataset.coco_folder import options
from tests.dataset.layouts.written import SIDE, SPLIT, dicom, mask, picture, series, write


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "stored"


def rows(dataset):
    return {
        entry.file_name: (dataset[split].images[i, ..., 0], dataset[split].masks[i], entry.group)
        for split in SPLITS
        for i, entry in enumerate(dataset.manifest.splits[split].samples)
    }


def complaint(root: Path, out: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        ingest(root, out, options(split=SPLIT))
    assert not out.exists()
    return str(caught.value)


@pytest.mark.parametrize("inverted", [False, True])
def test_slices_are_rescaled_and_scaled_a_series(tmp_path, out, inverted):
    tags = {"PhotometricInterpretation": "MONOCHROME1"} if inverted else {}
    written = series(tmp_path / "data", **tags)
    stored = rows(ingest(tmp_path / "data", out, options(size=(SIDE, SIDE), split=SPLIT)))
    assert {*stored} == {*written}
    for name, (image, drawn, group) in stored.items():
        assert group == name.partition("/")[0]
        own = [f"{group}/IM{j}.dcm" for j in range(3)]
        scaled = scale_together([2.0 * written[each] - 1024 for each in own])[own.index(name)]
        np.testing.assert_array_equal(image, 255 - scaled if inverted else scaled)
        np.testing.assert_array_equal(drawn, mask(1, wide=4 + int(name[-5])))


def test_slices_follow_their_place_in_space(tmp_path, out):
    series(tmp_path / "data")
    manifest = ingest(tmp_path / "data", out, options(split=SPLIT)).manifest
    names = [entry.file_name for split in SPLITS for entry in manifest.splits[split].samples]
    assert [name[-5] for name in names] == ["2", "1", "0"] * 4  # they were written from the last to the first
    assert "4 series in folders of 4 patients, without splits" in manifest.layout


def test_slices_without_a_place_follow_their_numbers(tmp_path, out):
    for i in range(3):
        for j in range(3):
            path = tmp_path / "data" / f"s{i}" / f"{j}.dcm"
            dicom(path, picture(j), 0, "1.2.3", InstanceNumber=9 - j, ImageOrientationPatient=None)
            write(path.with_name(f"{j}_mask.png"), mask())
    manifest = ingest(tmp_path / "data", out, options(split=SPLIT)).manifest
    assert [entry.file_name[-5] for entry in manifest.splits["train"].samples] == ["2", "1", "0"]


def test_masks_may_be_dicom_themselves(tmp_path, out):
    for i in range(3):
        dicom(tmp_path / "data" / "images" / f"s{i}" / "0.dcm", picture(i), 0, "1.2.3")
        dicom(tmp_path / "data" / "masks" / f"s{i}" / "0.dcm", mask(3), 0, "1.2.3")
    for _, drawn, _ in rows(ingest(tmp_path / "data", out, options(size=(SIDE, SIDE), split=SPLIT))).values():
        np.testing.assert_array_equal(drawn, mask(1))


def test_faults_are_told_at_once_by_the_names_of_files(tmp_path, out):
    root = tmp_path / "data"
    series(root, 9)
    damaged = root / "patient_0" / "IM1.dcm"
    damaged.write_bytes(damaged.read_bytes()[:-100])
    (root / "patient_1" / "IM1.dcm").write_bytes(b"no DICOM")
    write(root / "masks" / "patient_2" / "IM1.png", mask(side=SIDE + 1))
    (root / "masks" / "patient_3" / "IM1.png").write_bytes(b"no mask")
    dicom(root / "patient_4" / "IM1.dcm", picture(1), 0, "1.2.3")
    dicom(root / "patient_5" / "IM1.dcm", picture(1), 0, "1.2.3", NumberOfFrames=2)
    (root / "masks" / "patient_6" / "IM1.png").unlink()
    message = complaint(root, out)
    assert "has 7 problems" in message
    for line in (
        "patient_0/IM1.dcm: the image's pixels cannot be decoded",
        "patient_1/IM1.dcm: the image file is no DICOM image",
        f"patient_2/IM1.dcm: the image is {SIDE} x {SIDE}, its mask masks/patient_2/IM1.png is",
        "masks/patient_3/IM1.png: the mask file is",
        "patient_4/IM0.dcm: its folder holds several series",
        "patient_5/IM1.dcm: the image has 2 frames",
        "patient_6/IM1.dcm: the image has no mask",
    ):
        assert f"\n  {line}" in message
    assert "all 3 slices of patient_0 are left out" in message
    stored = ingest(root, out, options(split=SPLIT, skip=True))
    assert len(rows(stored)) == 27 - 3 * 4 - 3  # four series, and single slices of three
    assert len(stored.manifest.refused) == 7


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(place=st.integers(0, 900), content=st.binary(min_size=1, max_size=8))
def test_any_damage_is_read_or_refused(tmp_path, place, content):
    image = dicom(tmp_path / "whole.dcm", picture(0, 8), 0, "1.2.3")
    data = bytearray(image.read_bytes())
    data[place : place + len(content)] = content
    write(tmp_path / "damaged" / "x_mask.png", mask(side=8))
    (tmp_path / "damaged" / "x.dcm").write_bytes(data)
    kind, source = DicomSeries(), LocalFolder(tmp_path / "damaged")
    (unit,) = kind.units(pair_names(["x.dcm", "x_mask.png"], kind.images, kind.masks))
    with contextlib.suppress(FileError):
        kind.labels(source, unit)
        for found in kind.pictures(source, unit, [(0, DecodeRequest(8, 8, 1))]):
            assert isinstance(found, FileError) or found[0].pixels.shape == (8, 8, 1)


def test_segmentations_in_one_object_say_what_to_do(tmp_path, out):
    series(tmp_path / "data")
    uid = "1.2.840.10008.5.1.4.1.1.66.4"
    (tmp_path / "data" / "masks" / "patient_0" / "IM0.png").unlink()
    dicom(tmp_path / "data" / "masks" / "patient_0" / "IM0.dcm", mask(), 0, "1.2.3", SOPClassUID=uid)
    assert "this is DICOM-SEG: convert it" in complaint(tmp_path / "data", out)
