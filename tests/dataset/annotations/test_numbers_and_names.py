"""Values in annotation entries: numbers that are none, or far too large; names that no file should have."""

import json
import unicodedata

import numpy as np
import pytest

from dataset.annotations.coco import read_annotations
from dataset.annotations.json_values import is_finite, is_number, whole_number
from dataset.errors import DatasetError
from dataset.ingest import ingest
from dataset.layout import ANNOTATION_FILE
from dataset.manifest import Manifest
from dataset.message_text import escaped, quoted
from dataset.sources.local_folder import LocalFolder
from tests.dataset.coco_folder import TRIANGLE, noise, options, png

NO_WHOLE_NUMBERS = ["NaN", "Infinity", "-Infinity", "1e999", "null", "true", "false", '"7"', "[]", "[1]", "{}", "0.5"]
TOO_LARGE = ["1" + "0" * 400, "-" + "9" * 4000, "1e300", str(2**63), str(2.0**54)]


def read_with(coco, kind: str, key: str, value: str):
    """Reads `train` with one more image and annotation of which one value stands as `value` in the file."""
    coco.image("train", "second.png", png(noise(16, 16, 9)))
    coco.annotation("train", 2, [TRIANGLE])
    coco.content["train"][kind][1][key] = "PLACE"
    path = coco.write() / "train" / ANNOTATION_FILE
    path.write_text(path.read_text().replace('"PLACE"', value))
    return read_annotations(LocalFolder(coco.root), "train")


@pytest.mark.parametrize("value", [*NO_WHOLE_NUMBERS, *TOO_LARGE])
@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("images", "id"),
        ("annotations", "image_id"),
        ("annotations", "category_id"),
    ],
)
def test_what_is_no_whole_number_is_refused_wherever_it_stands(coco, kind, key, value):
    part = read_with(coco, kind, key, value)
    assert part.refused
    assert all(len(str(fault)) < 250 for fault in part.refused)
    assert 1 in [sample.image_id for sample in part.samples]  # the first image is sound, and stays


@pytest.mark.parametrize("value", [value for value in [*NO_WHOLE_NUMBERS, *TOO_LARGE] if value not in ("null", '"7"')])
@pytest.mark.parametrize("key", ["height", "width"])
def test_what_is_no_size_is_refused(coco, key, value):
    (fault,) = read_with(coco, "images", key, value).refused
    assert "width x height is" in fault.reason
    assert len(str(fault)) < 250


@pytest.mark.parametrize("value", ["-1", "0", "-0", "-0.0", "67108865", "8e9"])
@pytest.mark.parametrize("key", ["height", "width"])
def test_size_that_no_image_can_have_is_refused(coco, key, value):
    (fault,) = read_with(coco, "images", key, value).refused
    assert "width x height is" in fault.reason


def test_entry_of_more_pixels_than_allowed_is_refused_before_anything_is_allocated(coco):
    coco.image("train", "slide.png", None, size=(8192, 8193))
    coco.image("train", "largest.png", None, size=(8192, 8192))
    part = read_annotations(LocalFolder(coco.write()), "train")
    assert [fault.reason for fault in part.refused] == [
        "the entry's width x height is 8193 x 8192, more than 67 million pixels: correct it, or cut the image into "
        "tiles"
    ]
    assert [sample.file_name for sample in part.samples] == ["first.png", "largest.png"]


def test_whole_numbers_written_as_floats_are_taken_everywhere(coco, tmp_path):
    """JSON knows one kind of number; tools that go through data frames write 3.0 for 3."""
    for split in coco.content:
        as_text = json.dumps(coco.content[split])
        coco.content[split] = json.loads(as_text, parse_int=float)
    coco.annotation("train", 1.0, {"size": [16.0, 16.0], "counts": [0.0, 256.0]})
    stored = ingest(coco.write(), tmp_path / "stored", options())
    assert stored["train"].image_ids == [1]
    assert isinstance(stored["train"].image_ids[0], int)
    assert stored["train"].masks.min() == 1
    assert Manifest.load(tmp_path / "stored").splits["train"].samples[0].image_id == 1


def test_ids_that_are_equal_as_numbers_are_equal(coco):
    coco.image("train", "second.png", None, id=1.0)
    assert all(
        "image id 1 occurs 2 times" in fault.reason
        for fault in read_annotations(LocalFolder(coco.write()), "train").refused
    )


@pytest.mark.parametrize("value", ["NaN", "2", "-1", '"1"', "[]", "{}", "1e999"])
def test_crowd_that_is_neither_0_nor_1_is_refused(coco, value):
    (fault,) = read_with(coco, "annotations", "iscrowd", value).refused
    assert "iscrowd is" in fault.reason


@pytest.mark.parametrize("value", ["0", "1", "0.0", "1.0", "true", "false", "null"])
def test_crowd_may_be_a_truth_value(coco, value):
    assert read_with(coco, "annotations", "iscrowd", value).refused == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [(3, 3), (3.0, 3), (-2, -2), (0, 0), (2**63 - 1, 2**63 - 1), (-(2**63), -(2**63)), (2.0**53, 2**53)],
)
def test_whole_numbers_are_read(value, expected):
    assert whole_number(value) == expected


@pytest.mark.parametrize("value", [True, None, "3", 3.5, float("nan"), float("inf"), 2**63, 1e300, [3], {"a": 3}])
def test_other_values_are_no_whole_numbers(value):
    assert whole_number(value) is None


@pytest.mark.parametrize("value", [10**400, -(10**4000), True, "1", None, [1.0]])
def test_what_no_float_holds_is_no_number(value):
    assert not is_number(value)
    assert not is_finite(value)


def test_values_are_shown_short():
    assert quoted("x" * 100_000) == repr("x" * 40) + "..."
    assert len(quoted(10**4000)) == 40
    assert (quoted([[1]]), quoted({"a": 1}), quoted(None)) == ("a list", "an object", "None")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a\0.png", "holds control characters"),
        ("a\nb.png", "holds control characters"),
        ("a\x1b[2J.png", "holds control characters"),
        ("\ud800.png", "holds control characters or half characters"),
        (" ", "file_name is ' '"),
        ("x" * 5000 + ".png", "File name too long"),
        ("x/" * 2500 + "a.png", "File name too long"),
        ("sub", "it is a folder, no file"),
        (".", "it is a folder, no file"),
        ("first.png/a.png", "Not a directory"),
    ],
)
def test_name_that_no_image_can_have_is_refused_in_one_clean_line(coco, tmp_path, name, message):
    coco.image("train", name, None)
    (coco.write() / "train" / "sub").mkdir()
    with pytest.raises(DatasetError) as caught:
        ingest(coco.root, tmp_path / "stored", options())
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 2
    assert len(str(caught.value)) < 500
    assert str(caught.value).replace("\n", "").isprintable()


def test_refused_names_can_be_stored_and_shown(coco, tmp_path):
    coco.image("train", "\ud800\n.png", None)
    stored = ingest(coco.write(), tmp_path / "stored", options(skip=True))
    (fault,) = Manifest.load(stored.folder).refused
    assert fault.file_name == r"\ud800\n.png"
    assert escaped("Schädel 脳 👩‍🔬\u202f.png") == "Schädel 脳 👩‍🔬\u202f.png"


def test_names_that_differ_in_case_or_unicode_form_are_different_files(coco, tmp_path):
    """As on Linux; the manifest tells of equal pictures in two splits, not of similar names."""
    names = ["a.png", "A.png", unicodedata.normalize("NFC", "é.png"), unicodedata.normalize("NFD", "é.png")]
    for i, name in enumerate(names):
        coco.image("train", name, png(noise(16, 16, 20 + i)))
    coco.write()
    if len(list((coco.root / "train").glob("*.png"))) < 5:
        pytest.skip("this file system takes some of the names for one")
    train = ingest(coco.root, tmp_path / "stored", options())["train"]
    assert train.file_names[1:] == names
    for i in range(4):
        np.testing.assert_array_equal(train.images[1 + i, ..., 0], noise(16, 16, 20 + i))
