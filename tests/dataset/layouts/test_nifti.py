"""NIfTI volumes with masks, cut into slices."""

import contextlib
import gzip
import json
import threading
import tracemalloc
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataset.errors import DatasetError
from dataset.images.decode import DecodeRequest
from dataset.images.resize import nearest_pixels, resize_image
from dataset.images.volume_intensity import scale_together
from dataset.ingest import ingest
from dataset.layout import SPLITS
from dataset.layouts import units
from dataset.layouts.file_roles import NIFTI
from dataset.layouts.nifti import NiftiVolumes
from dataset.layouts.pairing import pair_names
from dataset.layouts.units import FileError
from dataset.sources.local_folder import LocalFolder
from dataset.store import RowWriter
from tests.dataset.coco_folder import options
from tests.dataset.layouts.written import SPLIT, cut_gzip, volume, volumes


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "stored"


def rows(dataset):
    """Image, mask and group by volume and number of the slice."""
    found = {}
    for split in SPLITS:
        for i, entry in enumerate(dataset.manifest.splits[split].samples):
            name, number = entry.file_name.rsplit(":", 1)
            stem = Path(name).name.partition(".")[0]
            found[stem, int(number)] = (dataset[split].images[i, ..., 0], dataset[split].masks[i], entry.group)
    return found


def complaint(root: Path, out: Path, **how: object) -> str:
    with pytest.raises(DatasetError) as caught:
        ingest(root, out, options(split=SPLIT, **how))
    assert not out.exists()
    return str(caught.value)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_are_those_of_the_arrays_scaled_a_volume(tmp_path, out, axis):
    written = volumes(tmp_path / "data")
    stored = rows(ingest(tmp_path / "data", out, options(split=SPLIT, axis=axis, multi_class=True)))
    assert len(stored) == 4 * (20, 24, 5)[axis]
    for (stem, number), (image, drawn, group) in stored.items():
        pixels, label = written[stem]
        assert group == stem
        (scaled,) = scale_together([pixels])
        expected = np.ascontiguousarray(scaled.take(number, axis))[..., None]
        np.testing.assert_array_equal(image, resize_image(expected, 16, 16)[..., 0])
        cut = label.take(number, axis)
        np.testing.assert_array_equal(drawn, cut[np.ix_(*(nearest_pixels(side, 16) for side in cut.shape))])


@pytest.mark.parametrize("split", [None, SPLIT])
@pytest.mark.parametrize("given", [True, False])
def test_that_no_modality_was_chosen_is_all_that_is_told(tmp_path, out, split, given):
    for number, folder in enumerate(SPLITS):
        for end in ("flair", "t1", "seg"):
            stem = f"BraTS_{number}/BraTS_{number}_{end}.nii.gz"
            volume(tmp_path / "data" / (f"{folder}/{stem}" if given else stem), np.ones((20, 24, 5), np.uint8))
    with pytest.raises(DatasetError) as caught:
        ingest(tmp_path / "data", out, options(split=split))
    assert str(caught.value) == (
        f"{tmp_path}/data: masks have several images each, whose names end with flair, t1: choose one by "
        "data.modality=flair"
    )


def test_a_volume_is_never_divided_and_its_scaling_is_told(tmp_path, out):
    volumes(tmp_path / "data")
    manifest = ingest(tmp_path / "data", out, options(split=SPLIT)).manifest
    groups = [entry.group for split in SPLITS for entry in manifest.splits[split].samples]
    assert groups == sorted(groups, key=groups.index)  # each in one piece
    assert manifest.group_noun == "volume"
    splits = [{entry.group for entry in manifest.splits[split].samples} for split in SPLITS]
    assert sum(map(len, splits)) == 4
    assert any("scaled as a whole" in note and "(4 times; first: imagesTr/" in note for note in manifest.notes)
    (divided,) = [note for note in manifest.notes if "divided by" in note]
    assert divided.endswith("train 10 slices of 2 volumes, valid 5 slices of 1 volume, test 5 slices of 1 volume")
    assert not manifest.warnings


def test_a_pattern_for_patients_sees_the_volume_and_not_the_slice(tmp_path, out):
    volumes(tmp_path / "data")
    dataset = ingest(tmp_path / "data", out, options(split=SPLIT, group_by=r"(\d\.nii.gz.*)"))
    assert dataset.manifest.group_noun == "patient"
    stored = rows(dataset)
    assert {group for _, _, group in stored.values()} == {f"{i}.nii.gz" for i in range(4)}


def scaled_file(path: Path, stored: np.ndarray) -> Path:
    """Writes whole numbers of 16 bit with slope 2 and intercept -100."""
    image = nibabel.Nifti1Image(stored.astype(np.int16), np.eye(4))
    image.header.set_slope_inter(2, -100)
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize("images", [1, 2])
def test_slope_and_intercept_are_applied(tmp_path, out, images):
    stored = np.random.default_rng(0).integers(-500, 2000, (16, 16, 3, images))
    for i in range(3):
        scaled_file(tmp_path / "data" / "images" / f"{i}.nii.gz", stored + i)
        scaled_file(tmp_path / "data" / "labels" / f"{i}.nii.gz", np.full((16, 16, 3), 51))  # is 2
    dataset = ingest(tmp_path / "data", out, options(split=SPLIT, modality="1" if images > 1 else None))
    for (stem, number), (image, drawn, _) in rows(dataset).items():
        (expected,) = scale_together([2.0 * (stored[..., -1] + int(stem)) - 100])
        np.testing.assert_array_equal(image, expected[..., number])
        assert drawn.all()


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_a_volume_takes_a_few_bytes_a_voxel(tmp_path, ending):
    """Its file of 2 bytes a voxel, the same in nibabel's hands, and then twice 4 bytes, but never more at once."""
    stored = np.random.default_rng(0).integers(-500, 2000, (96, 96, 40))
    scaled_file(tmp_path / f"x{ending}", stored)
    volume(tmp_path / f"x_seg{ending}", np.ones(stored.shape, np.uint8))
    kind, source = NiftiVolumes(2, None), LocalFolder(tmp_path)
    (unit,) = kind.units(pair_names([f"x{ending}", f"x_seg{ending}"], NIFTI, NIFTI))
    asked = [(0, DecodeRequest(96, 96, 1))]
    [*kind.pictures(source, unit, asked)]  # what is imported counts no more
    tracemalloc.start()
    [*kind.pictures(source, unit, asked)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 11 * stored.size


def test_an_image_is_decompressed_once(tmp_path, monkeypatch):
    volumes(tmp_path, 1)
    opened, real = [], gzip.GzipFile
    monkeypatch.setattr(gzip, "GzipFile", lambda **how: opened.append(1) or real(**how))
    kind = NiftiVolumes(2, None)
    names = ["imagesTr/case_0.nii.gz", "labelsTr/case_0.nii.gz"]
    (unit,) = kind.units(pair_names(names, NIFTI, NIFTI))
    [*kind.pictures(LocalFolder(tmp_path), unit, [(0, DecodeRequest(20, 24, 1))])]
    assert len(opened) == 2  # the image, and the beginning of its mask


def test_a_volume_that_is_too_large_is_told_with_the_limit(tmp_path, out, monkeypatch):
    monkeypatch.setattr(units, "MAX_BYTES", 20 * 24 * 5 * 4 - 1)
    volumes(tmp_path / "data")
    message = complaint(tmp_path / "data", out)
    assert "labelsTr/case_0.nii.gz: the mask has 0 million voxels: at most 0 million are read (0 MB as" in message
    monkeypatch.setattr(units, "MAX_BYTES", 20 * 24 * 5 * 4)
    assert len(rows(ingest(tmp_path / "data", out, options(split=SPLIT)))) == 20


def test_volumes_of_8_bit_stay_as_they_are(tmp_path, out):
    pixels = {}
    for i in range(3):
        pixels[f"v{i}"] = np.random.default_rng(i).integers(0, 50, (16, 16, 3)).astype(np.uint8)
        volume(tmp_path / "data" / f"v{i}.nii", pixels[f"v{i}"])
        volume(tmp_path / "data" / f"v{i}_seg.nii", (pixels[f"v{i}"] > 25).astype(np.int16))
    for (stem, number), (image, drawn, _) in rows(ingest(tmp_path / "data", out, options(split=SPLIT))).items():
        np.testing.assert_array_equal(image, pixels[stem][..., number])
        np.testing.assert_array_equal(drawn, pixels[stem][..., number] > 25)


def test_patients_folders_with_several_images_ask_which_and_read_it(tmp_path, out):
    written = {}
    for i in range(4):
        folder = tmp_path / "data" / f"BraTS_{i:03d}"
        label = np.zeros((16, 16, 4), np.uint8)
        label[4:9, 4:9, 1:3] = 4
        volume(folder / f"{folder.name}_seg.nii.gz", label)
        for j, end in enumerate(("flair", "t1")):
            written[folder.name, end] = np.random.default_rng(10 * i + j).normal(size=(16, 16, 4)).astype(np.float32)
            volume(folder / f"{folder.name}_{end}.nii.gz", written[folder.name, end])
    assert "whose names end with flair, t1: choose one by data.modality=flair" in complaint(tmp_path / "data", out)
    stored = rows(ingest(tmp_path / "data", out, options(split=SPLIT, modality="t1")))
    assert len(stored) == 16
    for (stem, number), (image, _, group) in stored.items():
        assert stem == f"{group}_t1"
        np.testing.assert_array_equal(image, scale_together([written[group, "t1"]])[0][..., number])


def test_files_of_several_images_ask_which_and_read_it(tmp_path, out):
    array = np.random.default_rng(0).normal(size=(16, 16, 3, 2)).astype(np.float32)
    for i in range(3):
        volume(tmp_path / "data" / "images" / f"{i}.nii.gz", array + i)
        volume(tmp_path / "data" / "labels" / f"{i}.nii.gz", np.ones((16, 16, 3), np.uint8))
    assert "holds 2 images: choose one by data.modality, a number from 0 to 1" in complaint(tmp_path / "data", out)
    for (_, number), (image, _, _) in rows(ingest(tmp_path / "data", out, options(split=SPLIT, modality="1"))).items():
        np.testing.assert_allclose(image, scale_together([array[..., 1]])[0][..., number], atol=1)


def test_names_of_values_are_read_from_the_decathlons_file(tmp_path, out):
    volumes(tmp_path / "data")
    (tmp_path / "data" / "dataset.json").write_text(
        json.dumps({"labels": {"0": "background", "1": "edema", "2": "tumor"}, "numTraining": 4})
    )
    stored = ingest(tmp_path / "data", out, options(split=SPLIT, multi_class=True))
    assert stored.manifest.class_names == ["background", "edema", "tumor"]


def test_faults_of_volumes_are_told_at_once_by_the_names_of_files(tmp_path, out):
    root = tmp_path / "data"
    volumes(root, 20)
    cut_gzip(root / "imagesTr" / "case_0.nii.gz", 0.7)
    (root / "labelsTr" / "case_1.nii.gz").write_bytes(b"no volume")
    volume(root / "labelsTr" / "case_2.nii.gz", np.zeros((20, 24, 4), np.uint8))
    volume(root / "imagesTr" / "case_3.nii.gz", np.full((20, 24, 5), np.nan, np.float32))
    (root / "labelsTr" / "case_4.nii.gz").unlink()
    volume(root / "labelsTr" / "case_5.nii.gz", np.full((20, 24, 5), 0.5, np.float32))
    data = (root / "imagesTr" / "case_6.nii.gz").read_bytes()
    (root / "imagesTr" / "case_6.nii.gz").write_bytes(data[: len(data) // 2])
    message = complaint(root, out)
    assert "has 7 problems" in message
    for line in (
        "imagesTr/case_0.nii.gz: the image file is no NIfTI volume, cut off or damaged",
        "labelsTr/case_1.nii.gz: the mask file is no NIfTI volume, cut off or damaged",
        "imagesTr/case_2.nii.gz: the image is 20 x 24 x 5, its mask labelsTr/case_2.nii.gz is 20 x 24 x 4",
        "imagesTr/case_3.nii.gz: the image holds numbers that are not finite",
        "imagesTr/case_4.nii.gz: the image has no mask",
        "labelsTr/case_5.nii.gz: the mask holds numbers that are not whole",
        "imagesTr/case_6.nii.gz: the image file is no NIfTI volume, cut off or damaged",
    ):
        assert f"\n  {line}" in message
    stored = ingest(root, out, options(split=SPLIT, skip=True))
    assert {entry.group for split in SPLITS for entry in stored.manifest.splits[split].samples} >= {"case_7", "case_8"}
    assert len(stored.manifest.refused) == 7


def test_few_volumes_are_in_memory_at_a_time(tmp_path, out, monkeypatch):
    """However many volumes there are, no more than one a thread is read ahead of the writing."""
    begun, stored, ahead, lock = [0], [0], [0], threading.Lock()
    pictures, append = NiftiVolumes.pictures, RowWriter.append

    def counted_pictures(*arguments):
        with lock:
            begun[0] += 1
            ahead[0] = max(ahead[0], begun[0] - stored[0] // 5)
        return pictures(*arguments)

    def counted_append(self, row):
        stored[0] += row.ndim == 2
        append(self, row)

    monkeypatch.setattr(NiftiVolumes, "pictures", counted_pictures)
    monkeypatch.setattr(RowWriter, "append", counted_append)
    volumes(tmp_path / "data", 20)
    ingest(tmp_path / "data", out, options(split=SPLIT, workers=2))
    assert begun == [20]
    assert 1 <= ahead[0] <= 4  # one a thread, the one that is written, and the one that begins meanwhile


def test_another_place_in_space_is_told(tmp_path, out):
    volumes(tmp_path / "data")
    volume(
        tmp_path / "data" / "labelsTr" / "case_0.nii.gz", np.ones((20, 24, 5), np.uint8), affine=np.diag([2, 2, 2, 1])
    )
    notes = ingest(tmp_path / "data", out, options(split=SPLIT)).manifest.notes
    assert any("lie elsewhere in space" in note and "(1 time;" in note for note in notes)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(place=st.integers(0, 360), content=st.binary(min_size=1, max_size=8), end=st.integers(0, 400))
def test_any_damage_is_read_or_refused(tmp_path, place, content, end):
    image = volume(tmp_path / "whole.nii", np.arange(60, dtype=np.int16).reshape(5, 4, 3))
    data = bytearray(image.read_bytes())
    data[place : place + len(content)] = content
    folder = tmp_path / "damaged"
    volume(folder / "x_seg.nii", np.zeros((5, 4, 3), np.uint8))
    (folder / "x.nii").write_bytes(data[: len(data) - max(0, end - 300)])
    unit = NiftiVolumes(2, None).units(pair_names(["x.nii", "x_seg.nii"], NIFTI, NIFTI))[0]
    request = DecodeRequest(5, 4, 1)
    with contextlib.suppress(FileError):
        for found in NiftiVolumes(2, None).pictures(LocalFolder(folder), unit, [(i, request) for i in range(3)]):
            assert found[0].pixels.shape == (5, 4, 1)


def test_a_header_that_promises_more_than_there_is_takes_no_memory(tmp_path, out):
    volumes(tmp_path / "data")
    path = tmp_path / "data" / "imagesTr" / "case_0.nii.gz"
    header = bytearray(gzip.decompress(path.read_bytes()))
    header[40:48] = np.array([3, 32767, 32767, 32767], "<i2").tobytes()
    path.write_bytes(gzip.compress(bytes(header)))
    assert "imagesTr/case_0.nii.gz: the image has the shape (32767, 32767, 32767)" in complaint(tmp_path / "data", out)
