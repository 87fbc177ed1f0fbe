import json

import pytest

from dataset.annotations.coco import read_annotations
from dataset.annotations.image_entries import name_fault
from dataset.errors import DatasetError
from dataset.layout import ANNOTATION_FILE
from dataset.sources.local_folder import LocalFolder
from tests.dataset.coco_folder import SQUARE, TRIANGLE, noise, png


def faults(coco) -> list[str]:
    return [str(refusal) for refusal in read_annotations(LocalFolder(coco.write()), "train").refused]


def test_samples_keep_the_order_of_the_file(coco):
    coco.image("train", "z.png", None, id=40)
    coco.image("train", "a.png", None, id=30)
    part = read_annotations(LocalFolder(coco.write()), "train")
    assert [sample.image_id for sample in part.samples] == [1, 40, 30]
    assert [len(sample.annotations) for sample in part.samples] == [1, 0, 0]
    assert part.refused == []


def test_several_annotations_stay_with_their_image(coco):
    coco.annotation("train", 1, [TRIANGLE, SQUARE], iscrowd=1)
    (sample,) = read_annotations(LocalFolder(coco.write()), "train").samples
    assert [annotation.crowd for annotation in sample.annotations] == [False, True]
    assert sample.annotations[1].segmentation == [TRIANGLE, SQUARE]


def test_reading_prints_nothing(coco, capsys):
    read_annotations(LocalFolder(coco.write()), "train")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("\ud800", "is not JSON"),
        ("[]", "holds a JSON list"),
        ("{}", "no list 'images'"),
        ('{"images": {}}', "no list 'images'"),
        ('{"images": [1]}', r"images\[0\] is 1"),
        ('{"images": []}', "no list 'annotations'"),
        ('{"images": [], "annotations": []}', "no list 'categories'"),
        ('{"images": [], "annotations": [], "categories": []}', "lists no images"),
        ('{"images": [], "annotations": [], "categories": [{"id": [1], "name": "a"}]}', r"categories\[0\] needs"),
        (
            '{"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}',
            "category id 1 occurs twice",
        ),
    ],
)
def test_wrong_structure_stops_and_names_the_file(coco, text, message):
    path = coco.write() / "train" / ANNOTATION_FILE
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(DatasetError, match=message) as caught:
        read_annotations(LocalFolder(coco.root), "train")
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"id": 1}, "image id 1 occurs 2 times"),
        ({"id": ""}, "id is '', no whole number or short text"),
        ({"id": True}, "id is True, no whole number"),
        ({"file_name": "first.png"}, "listed 2 times"),
        ({"file_name": "./first.png"}, "listed 2 times"),
        ({"file_name": "/etc/a.png"}, "absolute path"),
        ({"file_name": "C:\\a.png"}, "absolute path"),
        ({"file_name": "../test/a.png"}, "leads out"),
        ({"file_name": "sub/../../a.png"}, "leads out"),
        ({"file_name": "..\\a.png"}, "leads out"),
        ({"file_name": ".hidden.png"}, "is hidden"),
        ({"file_name": ".cache/a.png"}, "is hidden"),
        ({"file_name": None}, "file_name is None"),
        ({"file_name": ""}, "file_name is ''"),
        ({"file_name": "a\0.png"}, "holds control characters"),
        ({"width": "wide"}, "width x height is 'wide' x 16"),
        ({"height": -3}, "width x height is 16 x -3"),
        ({"height": 16.5}, "width x height is 16 x 16.5"),
    ],
)
def test_bad_image_entry_is_refused_with_its_fault(coco, entry, message):
    coco.image("train", "second.png", png(noise(16, 16, 9)))
    coco.content["train"]["images"][1].update(entry)
    found = faults(coco)
    assert len(found) in (1, 2)  # both, where two entries collide
    assert all(message in fault for fault in found)


@pytest.mark.parametrize("name", ["a..b.png", "sub/a.png", "x:y.png", "Schädel 脳.png", "a.b.c.jpg"])
def test_unusual_names_are_allowed(name):
    assert name_fault(name) is None


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"image_id": 99}, "train (image 99, annotation 2): the annotation belongs to image 99, which is not listed"),
        ({"image_id": None}, "belongs to image None"),
        ({"category_id": 7}, "category 7 is not among the categories (1)"),
        ({"category_id": None}, "category None is not among"),
        ({"iscrowd": 2}, "iscrowd is 2"),
        ({"segmentation": []}, "train/first.png (image 1, annotation 2): no segmentation"),
        ({"segmentation": [[1, 2, 3]]}, "odd count"),
        ({"segmentation": {"size": [8, 8], "counts": [64]}}, "size [8, 8], the image is [16, 16]"),
    ],
)
def test_bad_annotation_is_refused_with_its_fault(coco, entry, message):
    coco.annotation("train", 1)
    coco.content["train"]["annotations"][1].update(entry)
    found = faults(coco)
    assert found
    assert all(message in fault for fault in found)


def test_bad_annotation_refuses_its_whole_image(coco):
    coco.annotation("train", 1, [[1, 2, 3]])
    assert read_annotations(LocalFolder(coco.write()), "train").samples == []


def test_not_a_number_in_json_is_refused_not_drawn(coco):
    coco.annotation("train", 1, [[float("nan"), 2, 3, 4, 5, 6]])
    assert "NaN" in json.dumps(coco.content)
    assert "not finite" in faults(coco)[0]


def test_annotations_of_a_bad_image_are_not_reported_again(coco):
    image_id = coco.image("train", "../a.png", None)
    coco.annotation("train", image_id, [[1, 2, 3]])
    assert len(faults(coco)) == 1
