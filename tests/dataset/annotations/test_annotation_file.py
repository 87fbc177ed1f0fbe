"""Annotation files that are damaged as a whole."""

import json
import re
import subprocess
import sys

import pytest

from dataset.annotations.coco import read_annotations
from dataset.errors import DatasetError
from dataset.layout import ANNOTATION_FILE
from dataset.sources.local_folder import LocalFolder

LOAD = """
import sys, time
from pathlib import Path
from tests.dataset.memory import peak_megabytes
from dataset.annotations.annotation_file import load_annotations
from dataset.sources.local_folder import LocalFolder
begin = time.monotonic()
try:
    load_annotations(LocalFolder(Path(sys.argv[1])), "train")
except ValueError as error:
    print(error)
print(time.monotonic() - begin, peak_megabytes())
"""


def complaint(coco, data: bytes) -> str:
    (coco.write() / "train" / ANNOTATION_FILE).write_bytes(data)
    with pytest.raises(DatasetError) as caught:
        read_annotations(LocalFolder(coco.root), "train")
    assert f"train/{ANNOTATION_FILE}" in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty, so it is not JSON"),
        (b" \n\t ", "is empty, so it is not JSON"),
        (b'{"images": [{"id": 1, "fi', "is not JSON of use (Unterminated string"),
        ('{"images": [], "info": "Schädel"}'.encode("latin-1"), "is not JSON of use ('utf-8' codec can't decode"),
        (b"\x89PNG\r\n\x1a\n", "is not JSON of use"),
        (b"\0" * 1000, "is not JSON of use"),
        (b"7", "holds a JSON int, not a COCO object"),
        (b'"text"', "holds a JSON str"),
        (b"null", "holds a JSON NoneType"),
        (b"[{}]", "holds a JSON list"),
        (b'{"images": [1], "images": []}', "the key 'images' occurs twice in one object"),
        (b'{"images": [{"id": 1, "id": 2}]}', "the key 'id' occurs twice in one object"),
        (b'{"images": ' + b"9" * 5000 + b"}", "is not JSON of use (a number has thousands of digits)"),
        (b'{"a":' * 100_000, "nested too deep"),
        (b'{"images": ' + b"[" * 900 + b"]" * 900 + b"}", "images[0] is a list, not an object"),
    ],
)
def test_file_of_no_use_is_refused(coco, data, message):
    assert message in complaint(coco, data)


def test_missing_file_is_named_with_its_split(coco):
    (coco.write() / "valid" / ANNOTATION_FILE).unlink()
    with pytest.raises(DatasetError, match=rf"valid has no {re.escape(ANNOTATION_FILE)}: export the annotations"):
        read_annotations(LocalFolder(coco.root), "valid")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_every_encoding_that_json_allowed_is_read(coco, encoding):
    coco.image("train", "Schädel 脳.png", None)
    path = coco.write() / "train" / ANNOTATION_FILE
    path.write_bytes(json.dumps(coco.content["train"], ensure_ascii=False).encode(encoding))
    assert [sample.file_name for sample in read_annotations(LocalFolder(coco.root), "train").samples][
        1
    ] == "Schädel 脳.png"


@pytest.mark.parametrize("token", [b"[", b'{"a":'])
def test_200_megabytes_of_brackets_are_refused_in_seconds(coco, token):
    path = coco.write() / "train" / ANNOTATION_FILE
    path.write_bytes(token * (200_000_000 // len(token)))
    command = [sys.executable, "-c", LOAD, str(coco.root)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    path.unlink()
    message, figures = done.stdout.strip().splitlines()
    seconds, megabytes = map(float, figures.split())
    assert "nested too deep" in message
    assert seconds < 20  # measured 0.5
    assert megabytes < 900  # the file as bytes and as text, and Python: measured 510


def test_unknown_keys_are_ignored_whatever_they_hold(coco):
    coco.content["train"] |= {"info": {"url": "\ud800"}, "licenses": None, "extra": [float("nan"), 10**4000]}
    coco.content["train"]["images"][0] |= {"date_captured": float("inf"), "deep": [[[[]]]]}
    coco.content["train"]["annotations"][0] |= {"bbox": None, "area": float("nan")}
    part = read_annotations(LocalFolder(coco.write()), "train")
    assert len(part.samples) == 1
    assert part.refused == []


def test_deep_values_are_not_shown_in_messages(coco):
    """`repr` of what JSON could just be parsed may itself nest too deep."""
    deep: list = []
    for _ in range(800):
        deep = [deep]
    entry = {"id": deep, "file_name": deep, "height": deep, "width": deep}
    coco.content["train"]["images"].append(entry)
    for key in ("id", "image_id", "category_id", "iscrowd", "segmentation"):
        coco.annotation("train", 1)
        coco.content["train"]["annotations"][-1][key] = deep
    coco.annotation("train", 1, {"size": deep, "counts": deep})
    faults = [str(fault) for fault in read_annotations(LocalFolder(coco.write()), "train").refused]
    assert len(faults) == 6  # an annotation needs no id
    assert all(len(fault) < 200 for fault in faults)


def test_thousands_of_categories_are_not_all_listed_in_messages(coco):
    coco.content["train"]["categories"] = [{"id": i, "name": f"c{i}"} for i in range(5000)]
    coco.annotation("train", 1, category_id=9999)
    (fault,) = read_annotations(LocalFolder(coco.write()), "train").refused
    assert "(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ...)" in fault.reason
