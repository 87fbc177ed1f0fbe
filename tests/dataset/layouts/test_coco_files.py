"""COCO's own layout, and one COCO file."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from dataset.errors import DatasetError
from dataset.fingerprint import fingerprint
from dataset.ingest import ingest
from dataset.layout import ANNOTATION_FILE, SPLITS
from dataset.phantoms.write_phantoms import write_phantoms
from tests.dataset.coco_folder import options
from tests.dataset.layouts.written import SPLIT, folders

NAMES = {"train": "train2017", "valid": "val2017", "test": "test2017"}


@pytest.fixture
def usual(tmp_path: Path) -> Path:
    return write_phantoms(tmp_path / "usual", 3, {"train": 4, "valid": 2, "test": 2}, 32)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "stored"


def own_layout(usual: Path, root: Path, images: str = "{name}") -> Path:
    for split, name in NAMES.items():
        folder = root / images.format(name=name, split=split)
        folder.mkdir(parents=True, exist_ok=True)
        for path in (usual / split).glob("*.png"):
            shutil.copy(path, folder)
        (root / "annotations").mkdir(exist_ok=True)
        shutil.copy(usual / split / ANNOTATION_FILE, root / "annotations" / f"instances_{name}.json")
    (root / "annotations" / "captions_train2017.json").write_text('{"images": [], "annotations": []}')
    return root


@pytest.mark.parametrize("images", ["{name}", "images/{name}", "images/{split}"])
def test_cocos_own_layout_is_stored_as_split_folders_are(usual, tmp_path, out, images):
    known = ingest(usual, tmp_path / "known", options())
    stored = ingest(own_layout(usual, tmp_path / "own", images), out, options())
    for split in SPLITS:
        np.testing.assert_array_equal(stored[split].images, known[split].images)
        np.testing.assert_array_equal(stored[split].masks, known[split].masks)
        assert stored[split].file_names == known[split].file_names
    assert stored.manifest.layout.startswith("COCO's own layout: annotations/instances_test2017.json")
    assert not [note for note in stored.manifest.notes if "other name" in note]


def test_faults_name_the_real_places(usual, tmp_path, out):
    root = own_layout(usual, tmp_path / "own")
    next((root / "val2017").glob("*.png")).write_bytes(b"no image")
    (root / "annotations" / "instances_test2017.json").write_text("{")
    with pytest.raises(DatasetError) as caught:
        ingest(root, out, options())
    assert "\n  val2017/slice_0000" in str(caught.value)
    assert f"{root}/annotations/instances_test2017.json is not JSON of use" in str(caught.value)


def test_a_missing_split_of_cocos_own_layout_is_told(usual, tmp_path, out):
    root = own_layout(usual, tmp_path / "own")
    (root / "annotations" / "instances_test2017.json").unlink()
    with pytest.raises(DatasetError, match=r"none for test: add annotations/instances_test\.json"):
        ingest(root, out, options())


@pytest.mark.parametrize(
    ("file", "images"), [("all.json", "images"), ("annotations/instances.json", "pictures/all"), ("coco.json", ".")]
)
def test_one_coco_file_is_divided(usual, tmp_path, out, file, images):
    root = tmp_path / "one"
    shutil.copytree(usual / "train", root / images, ignore=shutil.ignore_patterns("*.json"))
    (root / file).parent.mkdir(exist_ok=True)
    shutil.copy(usual / "train" / ANNOTATION_FILE, root / file)
    known = ingest(usual, tmp_path / "known", options())["train"]
    with pytest.raises(DatasetError, match=r"has no splits \(it was recognised as one COCO file"):
        ingest(root, out, options())
    stored = ingest(root, out, options(split=SPLIT))
    assert [len(stored[split]) for split in SPLITS] == [2, 1, 1]
    for split in SPLITS:
        for i, name in enumerate(stored[split].file_names):
            row = known.file_names.index(name)
            np.testing.assert_array_equal(stored[split].images[i], known.images[row])
            np.testing.assert_array_equal(stored[split].masks[i], known.masks[row])


def test_images_of_one_coco_file_are_found_under_near_names_whatever_their_split(usual, tmp_path, out):
    root = tmp_path / "one"
    shutil.copytree(usual / "train", root / "images")
    content = json.loads((root / "images" / ANNOTATION_FILE).read_text())
    (root / "images" / ANNOTATION_FILE).unlink()
    content["images"][0]["file_name"] = content["images"][0]["file_name"].upper()
    (root / "coco.json").write_text(json.dumps(content))
    stored = ingest(root, out, options(split=SPLIT))
    assert any("slightly other name" in note for note in stored.manifest.notes)
    (root / "images" / content["images"][1]["file_name"]).unlink()
    with pytest.raises(DatasetError, match=r"the image file is missing"):
        ingest(root, tmp_path / "again", options(split=SPLIT))


def test_several_coco_files_are_not_guessed_among(usual, tmp_path, out):
    root = tmp_path / "two"
    shutil.copytree(usual / "train", root / "images")
    for name in ("a.json", "b.json"):
        shutil.copy(usual / "train" / ANNOTATION_FILE, root / name)
    with pytest.raises(DatasetError, match=r"has several COCO files \('a.json', 'b.json'\)"):
        ingest(root, out, options(split=SPLIT))


def test_the_fingerprint_follows_annotations_and_images(usual, tmp_path):
    root = own_layout(usual, tmp_path / "own")
    seen = {fingerprint(root)}
    (root / "annotations" / "captions_train2017.json").write_text("{}")
    assert fingerprint(root) in seen
    (root / "annotations" / "instances_val2017.json").write_text('{"images": []}')
    seen.add(fingerprint(root))
    next((root / "test2017").glob("*.png")).write_bytes(b"other")
    seen.add(fingerprint(root))
    assert len(seen) == 3
    assert fingerprint(shutil.move(root, tmp_path / "moved")) in seen


def test_two_layouts_in_one_folder_are_not_guessed_among(usual, tmp_path, out):
    root = folders(own_layout(usual, tmp_path / "both"))
    with pytest.raises(DatasetError, match=r"(?s)fits 2 layouts; say which .*image and mask files.*COCO's own layout"):
        ingest(root, out, options())
    assert len(ingest(root, out, options(format="coco"))["train"]) == 4
    masks = ingest(root, tmp_path / "masks", options(format="masks", split=SPLIT))
    assert sum(len(masks[split]) for split in SPLITS) == 8
    assert fingerprint(root, layout="coco") != fingerprint(root, layout="masks")
