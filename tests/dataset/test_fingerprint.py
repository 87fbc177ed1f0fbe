import shutil

import pytest

from dataset.errors import DatasetError
from dataset.fingerprint import fingerprint
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


def test_files_in_sub_folders_and_behind_links_within_the_data_set_count(coco):
    before = fingerprint(coco.write())
    store = coco.root / "store"
    store.mkdir()
    (store / "a.png").write_bytes(png(noise(4, 4, 0)))
    (coco.root / "train" / "linked").symlink_to(store)
    with_link = fingerprint(coco.root)
    (store / "a.png").write_bytes(png(noise(4, 4, 1)))
    assert len({before, with_link, fingerprint(coco.root)}) == 3


def test_links_that_lead_out_do_not_count_as_they_are_never_read(coco, tmp_path):
    before = fingerprint(coco.write())
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "a.png").write_bytes(png(noise(4, 4, 0)))
    (coco.root / "train" / "folder").symlink_to(tmp_path / "store")
    (coco.root / "train" / "file.png").symlink_to(tmp_path / "store" / "a.png")
    assert fingerprint(coco.root) == before


def test_split_folder_that_is_a_link_counts(coco, tmp_path):
    before = fingerprint(coco.write())
    shutil.move(coco.root / "train", tmp_path / "train_elsewhere")
    (coco.root / "train").symlink_to(tmp_path / "train_elsewhere")
    assert fingerprint(coco.root) == before


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


@pytest.mark.parametrize("name", ["train", "valid/_annotations.coco.json", "test/first.png"])
def test_what_is_missing_is_left_for_the_report_of_all_problems(coco, name):
    before = fingerprint(coco.write())
    path = coco.root / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert fingerprint(coco.root) != before


def test_missing_folder_stops(tmp_path):
    with pytest.raises(DatasetError, match="is not a folder"):
        fingerprint(tmp_path / "none")
