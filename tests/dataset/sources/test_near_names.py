"""Images that lie under a slightly other name than their annotation file says."""

import unicodedata

import numpy as np
import pytest

from dataset.errors import DatasetError
from dataset.fingerprint import fingerprint
from dataset.ingest import ingest
from tests.dataset.coco_folder import noise, options, png


@pytest.fixture
def out(tmp_path):
    return tmp_path / "stored"


def complaint(coco, out) -> str:
    with pytest.raises(DatasetError) as caught:
        ingest(coco.write(), out, options())
    return str(caught.value)


@pytest.mark.parametrize(
    ("written", "file"),
    [
        ("a.png", "images/a.png"),
        ("images/a.png", "a.png"),
        ("A.PNG", "a.png"),
        ("Images/a.png", "images/A.png"),
        ("images\\a.png", "images/a.png"),
        ("a%20b.png", "a b.png"),
        ("a b.png", "a%20b.png"),
        (unicodedata.normalize("NFC", "é.png"), unicodedata.normalize("NFD", "é.png")),
        (unicodedata.normalize("NFD", "É.png"), unicodedata.normalize("NFC", "é.png")),
        ("https://host.org/bucket/train/images/a%20b.png?token=1#x", "images/a b.png"),
        ("file:///home/me/a.png", "images/a.png"),
        ("train/a.png", "a.png"),
        ("train\\images\\a.png", "a.png"),
        ("data/train/images/A.png", "images/a.png"),
        ("train/a.png", "images/a.png"),
        ("https://host.org/patient/a.png", "images/patient/a.png"),
    ],
)
def test_one_file_that_fits_is_read(coco, out, written, file):
    coco.image("train", written, None)
    coco.files["train"][file] = png(noise(16, 16, 50))
    coco.annotation("train", 2)
    stored = ingest(coco.write(), out, options())
    assert stored["train"].file_names == ["first.png", file]
    np.testing.assert_array_equal(stored["train"].images[1, ..., 0], noise(16, 16, 50))
    (note,) = stored.manifest.notes
    assert "slightly other name" in note
    assert f"(1 time; first: train/{file})" in note


@pytest.mark.parametrize(
    ("written", "files"),
    [
        ("a.png", ["x/a.png", "y/a.png"]),
        ("A.png", ["a.png", "images/a.png"]),
        ("x/a.png", ["y/a.png"]),
        ("valid/a.png", ["a.png"]),
        ("a.jpg", ["a.png"]),
        ("https://host.org/test/a.png", ["a.png"]),
    ],
)
def test_where_more_than_one_or_none_fits_the_near_ones_are_named(coco, out, written, files):
    coco.image("train", written, None)
    for i, file in enumerate(files):
        coco.files["train"][file] = png(noise(16, 16, 50 + i))
    message = complaint(coco, out)
    near = ", ".join(map(repr, files))
    assert f"the image file is missing: near it are {near}; correct the name, or remove its entry" in message


def test_a_file_that_an_entry_names_is_no_other_ones(coco, out):
    coco.image("train", "FIRST.png", None)
    assert "train/FIRST.png (image 2): the image file is missing: near it are 'first.png'" in complaint(coco, out)


def test_a_file_that_a_refused_entry_names_is_no_other_ones(coco, out):
    coco.image("train", "a.png", png(noise(16, 16, 7)), size=(-1, 16))
    coco.image("train", "A.png", None)
    assert "train/A.png (image 3): the image file is missing" in complaint(coco, out)


def test_a_file_that_two_entries_fit_is_none_ones(coco, out):
    coco.image("train", "A.png", None)
    coco.image("train", "images/a.png", None)
    coco.files["train"]["a.png"] = png(noise(16, 16, 7))
    assert complaint(coco, out).count("near it are 'a.png'") == 2


def test_hidden_files_and_links_that_lead_out_are_never_found(coco, out, tmp_path):
    coco.image("train", "A.png", None)
    coco.image("train", "b.png", None)
    coco.write()
    (tmp_path / "a.png").write_bytes(png(noise(16, 16, 7)))
    (coco.root / "train" / "a.png").symlink_to(tmp_path / "a.png")
    (coco.root / "train" / ".hidden").mkdir()
    (coco.root / "train" / ".hidden" / "b.png").write_bytes(png(noise(16, 16, 7)))
    assert complaint(coco, out).count("the image file is missing: add it, or remove its entry") == 2


def test_the_file_that_is_found_belongs_to_the_fingerprint(coco, out):
    coco.image("train", "a.png", None)
    coco.files["train"]["images/A.png"] = png(noise(16, 16, 50))
    before = fingerprint(coco.write())
    (coco.root / "train" / "images" / "A.png").write_bytes(png(noise(16, 16, 51)))
    assert fingerprint(coco.root) != before


def test_a_split_is_listed_only_where_an_image_is_missing(coco, out, monkeypatch):
    monkeypatch.setattr("dataset.sources.local_folder.LocalFolder.files", lambda *_: pytest.fail("listed"))
    ingest(coco.write(), out, options())
