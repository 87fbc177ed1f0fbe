"""DICOM series with a mask file a slice."""

import contextlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataset.errors import DatasetError
from dataset.images.decode import DecodeRequest
from dataset.images.volume_intensity import scale_together
from dataset.ingest import ingest
from dataset.layout import SPLITS
from dataset.layouts import units
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


def complaint(root: Path, out: Path, **how: object) -> str:
    with pytest.raises(DatasetError) as caught:
        ingest(root, out, options(split=SPLIT, **how))
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
    assert "4 series in 4 folders that look like patients, without splits" in manifest.layout


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


TRANSFER = ("ExplicitVRLittleEndian", "ImplicitVRLittleEndian", "RLELossless", "DeflatedExplicitVRLittleEndian")


def in_transfer_syntax(path: Path, name: str) -> bytes:
    """A whole slice, encoded in one of the ways of DICOM."""
    header = pydicom.dcmread(dicom(path, picture(0, 8), 0, "1.2.3"))
    syntax = getattr(pydicom.uid, name)
    if name == "RLELossless":
        header.compress(syntax)
    header.file_meta.TransferSyntaxUID = syntax
    header.save_as(path, implicit_vr=name.startswith("Implicit"), little_endian=True)
    return path.read_bytes()


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """One of many kinds of damage, mostly where the tags are."""
    broken = bytearray(data)
    for _ in range(rng.integers(1, 6)):
        place = int(rng.integers(128, len(broken) - 1))
        kind = rng.integers(5)
        if kind == 0:
            broken[place] = rng.integers(256)
        elif kind == 1:
            broken[place : place + 8] = rng.bytes(8)
        elif kind == 2:
            del broken[place : place + int(rng.integers(1, 9))]
        elif kind == 3:  # another kind of value
            broken[place : place + 2] = [b"UN", b"SQ", b"DS", b"IS", b"US", b"FD", b"UT", b"ZZ"][rng.integers(8)]
        else:
            broken[place:place] = rng.bytes(int(rng.integers(1, 9)))
    return bytes(broken[: rng.integers(140, len(broken))] if rng.random() < 0.1 else broken)


@pytest.mark.filterwarnings("ignore")  # pydicom's, of values that are not as they should be
@pytest.mark.parametrize("transfer", TRANSFER)
def test_hundreds_of_damaged_files_are_read_or_refused_by_name(tmp_path, transfer):
    whole = in_transfer_syntax(tmp_path / "whole.dcm", transfer)
    root = tmp_path / "damaged"
    rng = np.random.default_rng(TRANSFER.index(transfer))
    write(root / "x_mask.png", mask(side=8))
    kind, source = DicomSeries(), LocalFolder(root)
    (unit,) = kind.units(pair_names(["x.dcm", "x_mask.png"], kind.images, kind.masks))
    refused = 0
    for _ in range(150):
        (root / "x.dcm").write_bytes(damaged(whole, rng))
        try:
            kind.labels(source, unit)
            found = [*kind.pictures(source, unit, [(0, DecodeRequest(8, 8, 1))])]
            assert all(isinstance(each, FileError) or each[0].pixels.shape == (8, 8, 1) for each in found)
        except FileError as error:
            refused += 1
            assert error.file in ("x.dcm", "x")
    assert refused > 10


def test_values_that_cannot_be_converted_are_told_with_the_others(tmp_path, out):
    root = tmp_path / "data"
    series(root, 7)
    slope, rows_tag = b"\x28\x00\x53\x10", b"\x28\x00\x10\x00"
    for number, (right, wrong) in enumerate([(slope + b"DS", slope + b"ZZ"), (rows_tag + b"US", rows_tag + b"FD")]):
        file = root / f"patient_{number}" / "IM1.dcm"
        data = file.read_bytes()
        assert right in data
        file.write_bytes(data.replace(right, wrong))
    (root / "patient_2" / "IM1.dcm").write_bytes(in_transfer_syntax(tmp_path / "x.dcm", TRANSFER[-1]))
    message = complaint(root, out)
    assert "has 3 problems" in message
    assert "patient_0/IM1.dcm: the image" in message
    assert "patient_1/IM1.dcm: the image" in message
    assert "patient_2/IM1.dcm: the image file is deflated as a whole, which is not read: save it" in message


def test_what_is_not_gray_is_refused(tmp_path, out):
    series(tmp_path / "data", PhotometricInterpretation="PALETTE COLOR")
    message = complaint(tmp_path / "data", out)
    assert "the image's PhotometricInterpretation is 'PALETTE COLOR': export it as gray (MONOCHROME2)" in message


def test_a_series_that_is_too_large_is_told_with_the_limit(tmp_path, out, monkeypatch):
    monkeypatch.setattr(units, "MAX_BYTES", 2 * SIDE * SIDE * 4)
    series(tmp_path / "data")
    message = complaint(tmp_path / "data", out)
    assert "patient_0/IM0.dcm: the series has 0 million voxels: at most 0 million are read (0 MB" in message


def test_a_pattern_that_divides_a_series_is_refused_with_its_name(tmp_path, out):
    series(tmp_path / "data")
    message = complaint(tmp_path / "data", out, group_by="_[0-9]/IM[0-9]")
    assert "group_by '_[0-9]/IM[0-9]' divides what is one volume or series" in message
    assert "patient_0/IM2.dcm is of '_0/IM2', patient_0/IM1.dcm of '_0/IM1'" in message
    stored = ingest(tmp_path / "data", out, options(split=SPLIT, group_by="_([0-9])/"))
    assert {group for _, _, group in rows(stored).values()} == {*"0123"}


def test_segmentations_in_one_object_say_what_to_do(tmp_path, out):
    series(tmp_path / "data")
    uid = "1.2.840.10008.5.1.4.1.1.66.4"
    (tmp_path / "data" / "masks" / "patient_0" / "IM0.png").unlink()
    dicom(tmp_path / "data" / "masks" / "patient_0" / "IM0.dcm", mask(), 0, "1.2.3", SOPClassUID=uid)
    assert "this is DICOM-SEG: convert it" in complaint(tmp_path / "data", out)
