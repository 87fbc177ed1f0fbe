"""Categories: merged, selected, lacking in a split; and objects that the stored size does not keep."""

import numpy as np
import pytest

from dataset.errors import DatasetError
from dataset.ingest import ingest
from dataset.manifest import ClassEntry
from tests.dataset.coco_folder import noise, options, png

LARGE = [0.0, 0.0, 12.0, 0.0, 12.0, 12.0, 0.0, 12.0]


@pytest.fixture
def out(tmp_path):
    return tmp_path / "stored"


@pytest.fixture
def two(coco):
    """`edema` in train and test, `lesion` in all splits."""
    for split in coco.content:
        coco.content[split]["categories"].append({"id": 7, "name": "edema"})
    for split in ("train", "test"):
        coco.annotation(split, 1, [LARGE], category_id=7)
    return coco


def described(coco, out, **arguments):
    return ingest(coco.write(), out, options(**arguments)).manifest


def test_categories_that_become_one_are_named(two, out):
    manifest = described(two, out)
    assert manifest.classes == [
        ClassEntry(0, None, "background", []),
        ClassEntry(1, None, "object", ["lesion", "edema"]),
    ]
    assert manifest.notes == [
        "the categories 'lesion', 'edema' are one class: mask value 1 is an object of any of them (--multi_class keeps "
        "them apart, --categories selects)"
    ]


def test_a_name_that_one_split_alone_gives_an_id_is_named_too(coco, out):
    coco.content["test"]["categories"][0]["name"] = "cyst"
    assert described(coco, out).classes[1].categories == ["lesion", "cyst"]


def test_one_category_in_use_needs_no_note(two, out):
    for split in ("train", "test"):
        two.content[split]["annotations"].pop()
    manifest = described(two, out)
    assert manifest.classes[1].categories == ["lesion"]
    assert manifest.notes == []


def test_class_names_stand_at_the_values_of_the_masks(two, out):
    assert described(two, out, multi_class=True).class_names == ["background", "lesion", "edema"]


def test_categories_of_the_same_name_are_one_class(two, out):
    for split in two.content:
        two.content[split]["categories"].append({"id": 9, "name": "lesion"})
    two.annotation("valid", 1, [LARGE], category_id=9)
    stored = ingest(two.write(), out, options(multi_class=True))
    assert stored.manifest.class_names == ["background", "lesion", "edema"]
    assert stored.manifest.classes[1] == ClassEntry(1, 1, "lesion", ["lesion"])
    assert stored.classes == 3
    assert np.unique(stored["valid"].masks).tolist() == [0, 1]
    assert stored["valid"].masks[0].sum() == 144
    assert stored.manifest.notes == [
        "the categories 1, 9 have the same name, 'lesion': they are one class, mask value 1"
    ]


def test_a_class_whose_id_differs_between_splits_lacks_in_none(coco, out):
    coco.content["test"]["categories"] = [{"id": 2, "name": "lesion"}]
    coco.content["test"]["annotations"][0]["category_id"] = 2
    manifest = described(coco, out, multi_class=True)
    assert manifest.class_names == ["background", "lesion"]
    assert not any("has no object in" in warning for warning in manifest.warnings)


def test_categories_of_the_same_name_need_no_note_where_all_are_one(coco, out):
    coco.content["train"]["categories"].append({"id": 9, "name": "lesion"})
    coco.annotation("train", 1, [LARGE], category_id=9)
    assert described(coco, out).notes == []


def test_class_that_a_split_lacks_is_named(two, out):
    warnings = described(two, out, multi_class=True).warnings
    assert "class 'edema' has no object in valid: nothing tells how well it is found there" in warnings


def test_class_that_train_lacks_is_read_and_named(two, out):
    two.content["train"]["annotations"].pop()
    stored = ingest(two.write(), out, options(multi_class=True))
    assert stored.classes == 3
    assert "class 'edema' has no object in train: no network can learn it" in stored.manifest.warnings
    assert np.unique(stored["test"].masks).tolist() == [0, 1, 2]


@pytest.mark.parametrize(("selected", "pixels"), [(("edema",), 144), (("lesion",), 36), (("edema", "lesion"), 144)])
def test_selected_categories_alone_are_drawn(two, out, selected, pixels):
    stored = ingest(two.write(), out, options(categories=selected))
    assert stored["train"].masks[0].sum() == pixels
    assert set(stored.manifest.classes[1].categories) == {*selected}
    assert not any("never used" in warning for warning in stored.manifest.warnings)


def test_objects_that_are_not_selected_are_counted(two, out):
    manifest = described(two, out, categories=("edema",))
    assert manifest.notes == ["3 objects of categories that were not selected were left out: 'lesion' 3"]
    assert [manifest.splits[split].annotations for split in ("train", "valid", "test")] == [1, 0, 1]


def test_selected_categories_are_classes_of_their_own_with_multi_class(two, out):
    assert described(two, out, categories=("edema",), multi_class=True).class_names == ["background", "edema"]


def test_bad_outline_that_is_not_selected_refuses_nothing(two, out):
    two.annotation("train", 1, [[1, 2, 3]], category_id=7)
    assert described(two, out, categories=("lesion",)).splits["train"].annotations == 1


def test_unknown_category_is_refused_with_those_that_exist(two, out):
    with pytest.raises(DatasetError, match="there is no 'oedema', 'x': choose from 'edema', 'lesion'"):
        described(two, out, categories=("edema", "oedema", "x"))


def test_of_an_unknown_category_there_are_no_objects_which_is_no_second_problem(two, out):
    with pytest.raises(DatasetError) as caught:
        described(two, out, categories=("tumour",))
    assert len(caught.value.problems) == 1
    assert "there is no 'tumour'" in caught.value.problems[0]


def specks(coco, count: int):
    """A large training image with squares of one pixel, none of which 16 x 16 of its 64 x 64 pixels takes."""
    image_id = coco.image("train", "large.png", png(noise(64, 64, 3)), size=(64, 64))
    for i in range(count):
        x, y = 4.0 * (i % 16), 4.0 * (i // 16)
        coco.annotation("train", image_id, [[x, y, x + 1, y, x + 1, y + 1, x, y + 1]])


def test_objects_that_keep_no_pixel_are_counted_and_warned_of(coco, out):
    specks(coco, 5)
    manifest = described(coco, out)
    assert manifest.splits["train"].vanished_annotations == 5
    assert manifest.splits["train"].empty_annotations == 0
    assert "5 of 8 objects keep no pixel at 16x16; take a larger image_size" in manifest.warnings


def test_objects_that_keep_a_pixel_are_not(coco, out):
    specks(coco, 5)
    manifest = described(coco, out, size=(64, 64))
    assert manifest.splits["train"].vanished_annotations == 0
    assert not any("keep no pixel" in warning for warning in manifest.warnings)


def test_few_objects_that_vanish_are_counted_without_a_warning(coco, out):
    specks(coco, 1)
    for _ in range(99):
        coco.annotation("valid", 1)
    manifest = described(coco, out)
    assert manifest.splits["train"].vanished_annotations == 1
    assert not any("keep no pixel" in warning for warning in manifest.warnings)


def test_objects_that_no_size_keeps_are_told_as_empty_alone(coco, out):
    coco.annotation("train", 1, [[3.1, 3.1, 3.2, 3.1, 3.2, 3.2]])
    manifest = described(coco, out)
    assert manifest.splits["train"].vanished_annotations == 1
    assert not any("keep no pixel" in warning for warning in manifest.warnings)
    assert "1 annotations cover no pixel: too small, or outside the image" in manifest.warnings
