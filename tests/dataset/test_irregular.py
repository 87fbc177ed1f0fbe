"""What is not quite COCO and leaves no doubt about what is meant: read, and told in a note with its number."""

import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest

from dataset.errors import DatasetError
from dataset.fingerprint import fingerprint
from dataset.ingest import ingest
from dataset.layout import SPLITS
from dataset.manifest import Manifest
from tests.dataset.coco_folder import SQUARE, noise, options, png


@pytest.fixture
def out(tmp_path):
    return tmp_path / "stored"


def stored(coco, out, **arguments):
    """The data set and its notes, which its file holds, too."""
    found = ingest(coco.write(), out, options(**arguments))
    assert Manifest.load(out).notes == found.manifest.notes
    return found, found.manifest.notes


def complaint(coco, out, **arguments) -> str:
    with pytest.raises(DatasetError) as caught:
        ingest(coco.write(), out, options(**arguments))
    return str(caught.value)


def square(rows=16, columns=16) -> np.ndarray:
    mask = np.zeros((rows, columns), np.uint8)
    mask[2:8, 2:8] = 1
    return mask


def only_entry(coco, split="train"):
    return coco.content[split]["images"][0], coco.content[split]["annotations"][0]


def test_regular_data_have_no_notes(coco, out):
    assert stored(coco, out)[1] == []


@pytest.mark.parametrize(
    "segmentation",
    [
        SQUARE,
        [[x, y] for x, y in zip(SQUARE[0::2], SQUARE[1::2], strict=True)],
        [[[x, y] for x, y in zip(SQUARE[0::2], SQUARE[1::2], strict=True)]],
        [SQUARE, []],
        [[1, 2, 3, 4], SQUARE, [5, 6]],
    ],
    ids=["flat", "points", "points-in-parts", "empty-part", "small-parts"],
)
def test_outline_in_another_form_is_read(coco, out, segmentation):
    only_entry(coco)[1]["segmentation"] = segmentation
    found, notes = stored(coco, out)
    np.testing.assert_array_equal(found["train"].masks[0], square())
    assert len(notes) == 1
    assert "(1 time; first: train/first.png)" in notes[0]


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([[1, 2, 3, 4]], "2 points, at least 3"),
        ([SQUARE, [1, 2, 3]], "an odd count"),
        ([SQUARE, [None, 2]], "list of numbers"),
        ([1, 2, 3, 4], "2 points, at least 3"),
        ([[], []], "no segmentation"),
        ([[1, 2], [3, 4]], "points, at least 3"),
    ],
)
def test_outline_that_could_mean_anything_is_refused(coco, out, segmentation, message):
    only_entry(coco)[1]["segmentation"] = segmentation
    assert message in complaint(coco, out)


@pytest.mark.parametrize(
    ("image_id", "named"),
    [("1", 1), (1, "1"), ("6f1c1c3e-93b8-4a11-a3f1-0d2f8b1f7c11",) * 2, ("007", "007")],
)
def test_ids_that_are_texts_match(coco, out, image_id, named):
    image, annotation = only_entry(coco)
    image["id"], annotation["image_id"] = image_id, named
    annotation["category_id"] = "1"
    found, notes = stored(coco, out)
    np.testing.assert_array_equal(found["train"].masks[0], square())
    assert found["train"].image_ids == [1 if image_id in (1, "1") else image_id]
    assert len(notes) == 1
    assert notes[0].startswith("an id is a text")


def test_texts_that_differ_do_not_match(coco, out):
    image, annotation = only_entry(coco)
    image["id"], annotation["image_id"] = 7, "007"
    assert "belongs to image '007', which is not listed" in complaint(coco, out)


def test_category_ids_may_be_texts(coco, out):
    for split in coco.content:
        coco.content[split]["categories"] = [{"id": "b-2", "name": "cyst"}, {"id": 10, "name": "lesion"}]
        only_entry(coco, split)[1]["category_id"] = 10
    coco.annotation("train", 1, [[0.0, 0.0, 12.0, 0.0, 12.0, 12.0, 0.0, 12.0]], category_id="b-2")
    found, _ = stored(coco, out, multi_class=True)
    assert found.manifest.class_names == ["background", "lesion", "cyst"]
    assert np.bincount(found["train"].masks[0].ravel()).tolist() == [256 - 144, 36, 144 - 36]


@pytest.mark.parametrize("annotation_id", [1, None, "", "x", [2]])
def test_annotations_need_no_id_of_their_own(coco, out, annotation_id):
    coco.annotation("train", 1, [[10.0, 10.0, 12.0, 10.0, 12.0, 12.0, 10.0, 12.0]], id=annotation_id)
    found, notes = stored(coco, out)
    assert found["train"].masks[0].sum() == 36 + 4
    assert len(notes) == (annotation_id != "x")


def test_annotations_without_the_key_of_an_id_are_read(coco, out):
    del only_entry(coco)[1]["id"]
    found, notes = stored(coco, out)
    assert found["train"].masks[0].sum() == 36
    assert notes == ["an annotation has no id of use: it needs none (1 time; first: train/first.png)"]


def test_crowd_that_is_null_is_none(coco, out):
    only_entry(coco)[1]["iscrowd"] = None
    found, notes = stored(coco, out)
    assert found.manifest.splits["train"].crowd_annotations == 0
    assert notes == ["iscrowd is null: read as 0 (1 time; first: train/first.png)"]


def test_category_name_that_is_a_number_is_a_text(coco, out):
    for split in coco.content:
        coco.content[split]["categories"][0]["name"] = 3
    found, notes = stored(coco, out, multi_class=True)
    assert found.manifest.class_names == ["background", "3"]
    assert notes == ["a category's name is a number: read as a text (3 times; first: category 3)"]


@pytest.mark.parametrize("missing", [("height",), ("width",), ("height", "width")])
@pytest.mark.parametrize("null", [True, False])
def test_size_that_is_missing_is_that_of_the_file(coco, out, missing, null):
    image, _ = only_entry(coco)
    coco.files["train"]["first.png"] = png(noise(16, 24, 1))
    image |= {"height": 16, "width": 24} | dict.fromkeys(missing)
    if not null:
        for key in missing:
            del image[key]
    found, notes = stored(coco, out, size=(16, 24))
    np.testing.assert_array_equal(found["train"].masks[0], square(16, 24))
    size = found.manifest.splits["train"].original_sizes[0]
    assert (size.height, size.width) == (16, 24)
    assert len(notes) == 1
    assert "the image file does" in notes[0]


def test_size_of_a_jpeg_that_is_missing_is_that_of_the_file(coco, out):
    image, _ = only_entry(coco)
    image["file_name"] = "first.jpg"
    coco.files["train"] = {"first.jpg": cv2.imencode(".jpg", noise(32, 32, 1))[1].tobytes()}
    del image["height"], image["width"]
    found, _ = stored(coco, out)
    assert found["train"].masks[0].sum() == 9  # the square of 6 pixels, at half the size


def test_outline_that_does_not_fit_a_size_that_is_missing_is_refused(coco, out):
    image, annotation = only_entry(coco)
    del image["height"]
    annotation["segmentation"] = [[0, 0, 100, 0, 100, 100]]
    assert "scale the annotations" in complaint(coco, out)
    annotation["segmentation"] = {"size": [8, 8], "counts": [0, 64]}
    assert "the RLE has size [8, 8], the image is [?, 16]" in complaint(coco, out)


@pytest.mark.parametrize(("rows", "columns"), [(17, 16), (16, 15), (15, 17)])
@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_size_that_is_one_pixel_off_leaves_outlines_in_place(coco, out, rows, columns, kind):
    image, _ = only_entry(coco)
    image |= {"file_name": f"first.{kind}", "height": rows, "width": columns}
    coco.files["train"] = {f"first.{kind}": cv2.imencode(f".{kind}", noise(16, 16, 1))[1].tobytes()}
    coco.annotation("train", 1, {"size": [rows, columns], "counts": [0, 1, rows * columns - 1]})
    found, notes = stored(coco, out)
    expected = square()
    expected[0, 0] = 1
    np.testing.assert_array_equal(found["train"].masks[0], expected)
    assert len(notes) == 1
    assert "differ by one pixel" in notes[0]


def test_size_that_is_two_pixels_off_is_another_image(coco, out):
    only_entry(coco)[0]["height"] = 18
    assert "scale the annotations, or restore the image they were drawn on" in complaint(coco, out)


def test_notes_count_over_all_splits(coco, out):
    for split in coco.content:
        only_entry(coco, split)[1]["iscrowd"] = None
    coco.annotation("test", 1, iscrowd=None)
    assert stored(coco, out)[1] == ["iscrowd is null: read as 0 (4 times; first: train/first.png)"]


@pytest.mark.parametrize("segmentation", [[], None, [[]]])
def test_boxes_without_any_outline_are_a_detection_export(coco, out, segmentation):
    for split in coco.content:
        only_entry(coco, split)[1].update(segmentation=segmentation, bbox=[2, 2, 6, 6])
    for skip in (False, True):
        message = complaint(coco, out, skip=skip)
        assert message.count("this is a detection export: its 1 objects have bounding boxes") == 3
        assert "export it for segmentation" in message
        assert "first.png" not in message


def test_one_box_among_outlines_is_one_bad_annotation(coco, out):
    coco.annotation("train", 1, [], bbox=[2, 2, 6, 6])
    message = complaint(coco, out)
    assert "detection export" not in message
    assert "first.png (image 1, annotation 2): no segmentation" in message


@pytest.mark.parametrize("name", ["val", "validation"])
def test_the_split_valid_may_have_another_usual_name(coco, out, tmp_path, name):
    usual = ingest(coco.write(), out, options())
    before = fingerprint(coco.root)
    shutil.move(coco.root / "valid", coco.root / name)
    assert fingerprint(coco.root) != before  # the manifest names the folder
    before = fingerprint(coco.root)
    renamed = ingest(coco.root, tmp_path / "renamed", options())
    assert replace(renamed.manifest, notes=[], layout=usual.manifest.layout) == usual.manifest
    for split in SPLITS:
        np.testing.assert_array_equal(renamed[split].images, usual[split].images)
        np.testing.assert_array_equal(renamed[split].masks, usual[split].masks)
    (coco.root / name / "first.png").write_bytes(png(noise(16, 16, 99)))
    assert fingerprint(coco.root) != before


@pytest.mark.parametrize("name", ["val", "validation"])
def test_another_usual_name_of_a_split_is_told(coco, out, name):
    shutil.move(coco.write() / "valid", coco.root / name)
    notes = ingest(coco.root, out, options()).manifest.notes
    assert notes == [
        f"the folder of a split has another usual name: it was read as that split (1 time; first: {name} for valid)"
    ]


def test_a_refused_sample_is_named_by_the_folder_where_it_lies(coco, out):
    coco.annotation("valid", 1, [[1.0, 2.0, 3.0]])
    shutil.move(coco.write() / "valid", coco.root / "val")
    with pytest.raises(DatasetError, match=r"val/first\.png \(image 1, annotation 2\)") as caught:
        ingest(coco.root, out, options())
    assert "valid/" not in str(caught.value)


def test_the_folder_itself_is_named_in_problems(coco, out):
    shutil.move(coco.write() / "valid", coco.root / "val")
    (coco.root / "val" / "_annotations.coco.json").write_text("{")
    with pytest.raises(DatasetError, match=r"val/_annotations\.coco\.json is not JSON"):
        ingest(coco.root, out, options())


def test_two_usual_names_are_none(coco, out):
    shutil.move(coco.write() / "valid", coco.root / "val")
    shutil.copytree(coco.root / "val", coco.root / "validation")
    with pytest.raises(DatasetError, match=r"no folder valid \(found: test, train, val, validation\)"):
        ingest(coco.root, out, options())


def test_the_split_of_our_name_comes_first(coco, out):
    shutil.copytree(coco.write() / "train", coco.root / "val")
    before = fingerprint(coco.root)
    (coco.root / "val" / "first.png").write_bytes(b"other")
    assert fingerprint(coco.root) == before
    assert ingest(coco.root, out, options()).manifest.notes == []


def test_manifest_of_an_earlier_version_is_read(coco, out):
    """Its data sets have no notes, and nothing was counted that is counted now."""
    ingest(coco.write(), out, options())
    raw = json.loads((out / "manifest.json").read_text())
    del raw["notes"]
    for split in raw["splits"].values():
        del split["vanished_annotations"]
    for entry in raw["classes"]:
        del entry["categories"]
    (out / "manifest.json").write_text(json.dumps(raw))
    manifest = Manifest.load(out)
    assert (manifest.notes, manifest.splits["train"].vanished_annotations) == ([], None)
