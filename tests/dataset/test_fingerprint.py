import shutil

import pytest

from dataset.errors import DatasetError
from dataset.fingerprint import fingerprint
from dataset.folders import ANNOTATION_FILE
from tests.dataset.coco_folder import noise, png


def test_moved_folder_has_the_same_fingerprint(coco, tmp_path):
    before = fingerprint(coco.write())
    moved = shutil.move(coco.root, tmp_path / "elsewhere")
    assert fingerprint(moved) == before


def test_number_of_workers_does_not_matter(coco):
    root = coco.write()
    assert fingerprint(root, num_workers=1) == fingerprint(root, num_workers=7)


def test_one_changed_byte_changes_it(coco):
    before = fingerprint(coco.write())
    path = coco.root / "valid" / "first.png"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert fingerprint(coco.root) != before


def test_renamed_file_changes_it(coco):
    before = fingerprint(coco.write())
    path = coco.root / "valid" / "first.png"
    path.rename(path.with_name("other.png"))
    assert fingerprint(coco.root) != before


def test_files_in_sub_folders_and_behind_links_count(coco, tmp_path):
    before = fingerprint(coco.write())
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "a.png").write_bytes(png(noise(4, 4, 0)))
    (coco.root / "train" / "linked").symlink_to(tmp_path / "store")
    with_link = fingerprint(coco.root)
    (tmp_path / "store" / "a.png").write_bytes(png(noise(4, 4, 1)))
    assert len({before, with_link, fingerprint(coco.root)}) == 3


def test_a_link_to_its_own_folder_ends(coco):
    coco.write()
    (coco.root / "train" / "loop").symlink_to(coco.root / "train")
    fingerprint(coco.root)


def test_hidden_files_and_other_folders_do_not_count(coco):
    before = fingerprint(coco.write())
    (coco.root / "train" / ".DS_Store").write_text("x")
    (coco.root / "train" / ".cache").mkdir()
    (coco.root / "train" / ".cache" / "a.png").write_text("x")
    (coco.root / "notes.txt").write_text("x")
    assert fingerprint(coco.root) == before


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_missing_split_stops_and_says_what_is_there(coco, split):
    shutil.rmtree(coco.write() / split)
    with pytest.raises(DatasetError, match=f"has no folder {split} \\(found: ") as caught:
        fingerprint(coco.root)
    assert str(coco.root) in str(caught.value)


def test_missing_annotation_file_stops(coco):
    (coco.write() / "test" / ANNOTATION_FILE).unlink()
    with pytest.raises(DatasetError, match=r"test has no _annotations\.coco\.json"):
        fingerprint(coco.root)


def test_missing_folder_stops(tmp_path):
    with pytest.raises(DatasetError, match="is not a folder"):
        fingerprint(tmp_path / "none")
