"""Everything that is wrong with a folder is reported at once, and so is too little data to learn from."""

import json

import numpy as np
import pytest

from dataset.errors import DatasetError, Refusal, combined_error
from dataset.fingerprint import fingerprint
from dataset.ingest import ingest
from dataset.layout import ANNOTATION_FILE
from tests.dataset.coco_folder import noise, options, png


@pytest.fixture
def out(tmp_path):
    return tmp_path / "stored" / "dataset"


def complaint(coco, out, write=True, **arguments) -> str:
    """What ingest says, after the fingerprint, as in the pipeline, had nothing to say."""
    root = coco.write() if write else coco.root
    fingerprint(root)
    with pytest.raises(DatasetError) as caught:
        ingest(root, out, options(**arguments))
    assert not out.parent.exists() or list(out.parent.iterdir()) == []
    return str(caught.value)


def test_structural_problems_come_first_then_the_samples_of_the_sound_splits(coco, out):
    coco.image("test", "missing.png", None)
    coco.content["test"]["annotations"].append({"id": 9, "image_id": 77})
    (coco.write() / "train" / ANNOTATION_FILE).write_text("[]")
    (coco.root / "valid" / ANNOTATION_FILE).write_text("{")
    head, *lines = complaint(coco, out, write=False).splitlines()
    assert head == (
        "the data set has 4 problems; correct the files, or set skip_bad_samples (--skip_bad_samples) "
        "to leave bad samples out (the last 2):"
    )
    assert f"train/{ANNOTATION_FILE}" in lines[0]
    assert f"valid/{ANNOTATION_FILE} is not JSON" in lines[1]
    assert "test (image 77, annotation 9): the annotation belongs to image 77" in lines[2]
    assert "test/missing.png (image 2): the image file is missing" in lines[3]


def test_all_that_is_wrong_with_one_annotation_file_is_told(coco, out):
    content = coco.content["train"]
    content["images"] += [1, None]
    content["categories"] += [{"id": 1, "name": "again"}, {"id": 2}, {"id": 3, "name": "a\ud800"}]
    del content["annotations"]
    message = complaint(coco, out)
    for part in ("6 problems", "images[1] is 1", "images[2] is None", "no list 'annotations'", "category id 1 occurs"):
        assert part in message
    assert "categories[2] needs a number or text as 'id'" in message
    assert r"categories[3]: the name 'a\ud800' holds control characters" in message


@pytest.mark.parametrize("skip", [False, True])
def test_skipping_never_skips_what_is_structural(coco, out, skip):
    coco.image("test", "missing.png", None)
    (coco.write() / "valid" / ANNOTATION_FILE).unlink()
    message = complaint(coco, out, write=False, skip=skip)
    assert f"valid has no {ANNOTATION_FILE}" in message
    assert ("missing.png" in message) is not skip


def test_every_empty_split_is_told_when_skipping(coco, out):
    coco.files["valid"]["first.png"] = coco.files["test"]["first.png"] = b""
    message = complaint(coco, out, skip=True)
    assert message.count("every sample was refused; the first:") == 2


def test_conflicting_categories_do_not_hide_bad_samples(coco, out):
    coco.content["test"]["categories"][0]["name"] = "cyst"
    coco.image("train", "missing.png", None)
    message = complaint(coco, out, multi_class=True)
    assert "category 1 is 'lesion' in one split and 'cyst' in test" in message
    assert "missing.png" in message


def test_more_categories_than_a_mask_holds_are_refused(coco, out):
    coco.content["train"]["categories"] = [{"id": i, "name": str(i)} for i in range(300)]
    for split in ("valid", "test"):
        coco.content[split]["categories"] = coco.content["train"]["categories"]
    for i in range(300):
        coco.annotation("train", 1, category_id=i)
    assert "found 300" in complaint(coco, out, multi_class=True)


def test_many_structural_problems_of_a_kind_are_one_line(coco, out):
    coco.content["train"]["images"] += [0] * 30
    head, line = complaint(coco, out).splitlines()
    assert "30 problems" in head
    assert line.startswith("  30 problems like this: ")
    assert all(f"images[{i}] is 0, not an object" in line for i in (1, 2, 3))


def test_problems_of_many_kinds_are_cut_and_counted():
    error = combined_error([f"{'x' * i} is wrong" for i in range(1, 31)])
    assert len(str(error).splitlines()) == 22
    assert "... and 10 more" in str(error)


@pytest.mark.parametrize("skip", [False, True])
def test_training_split_without_an_object_is_refused(coco, out, skip):
    coco.content["train"]["annotations"] = []
    assert "no training image has an object, so there is nothing to learn" in complaint(coco, out, skip=skip)


def test_objects_too_small_to_be_stored_are_no_objects(coco, out):
    coco.image("train", "large.png", png(noise(64, 64, 3)), size=(64, 64))
    coco.content["train"]["annotations"] = []
    coco.annotation("train", 2, [[1.0, 1.0, 2.0, 1.0, 2.0, 2.0, 1.0, 2.0]])
    assert "nothing to learn" in complaint(coco, out, size=(4, 4))


def test_missing_objects_are_not_told_while_training_images_are_refused(coco, out):
    coco.content["train"]["annotations"] = []
    coco.image("train", "missing.png", None)
    assert "nothing to learn" not in complaint(coco, out)


@pytest.mark.parametrize("split", ["valid", "test"])
def test_split_for_testing_without_an_object_is_only_warned_of(coco, out, split):
    coco.content[split]["annotations"] = []
    assert f"split {split}: no image has a mask" in ingest(coco.write(), out, options()).manifest.warnings


def test_one_image_a_split_and_one_class_are_enough_for_multi_class(coco, out):
    stored = ingest(coco.write(), out, options(multi_class=True))
    assert stored.classes == 2
    assert [np.unique(stored[split].masks).tolist() for split in coco.content] == [[0, 1]] * 3


def test_messages_can_be_printed_and_written_whatever_names_hold(capsys):
    refusal = Refusal("train", "a\ud800\n\x1b[31m.png", 1, None, "bad")
    error = combined_error(["folder \udcff"], [refusal])
    print(error)
    assert len(str(error).splitlines()) == 3
    assert r"train/a\ud800\n\x1b[31m.png (image 1): bad" in capsys.readouterr().out
    json.dumps(str(error), ensure_ascii=False).encode("utf-8")


def test_long_names_are_shortened_in_messages():
    assert len(str(Refusal("train", "x" * 5000, 1, None, "bad"))) < 200
