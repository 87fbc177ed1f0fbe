"""Image and mask files in pairs."""

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from dataset.annotations.coco import read_annotations
from dataset.errors import DatasetError
from dataset.fingerprint import fingerprint
from dataset.images.resize import nearest_pixels, resize_image
from dataset.ingest import ingest
from dataset.layout import SPLITS
from dataset.phantoms.write_phantoms import write_phantoms
from dataset.sources.local_folder import LocalFolder
from dataset.store import Dataset
from tests.dataset.coco_folder import options
from tests.dataset.converted import to_pairs
from tests.dataset.layouts.written import SIDE, SPLIT, folders, mask, patients, picture, write


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "stored"


def complaint(root: Path, out: Path, **how: object) -> str:
    with pytest.raises(DatasetError) as caught:
        ingest(root, out, options(split=SPLIT, **how))
    assert not out.exists()
    return str(caught.value)


def rows(dataset: Dataset) -> dict[str, tuple[np.ndarray, np.ndarray, str | None]]:
    """Image, mask and group by the name of the file."""
    return {
        entry.file_name: (np.array(dataset[split].images[i]), np.array(dataset[split].masks[i]), entry.group)
        for split in SPLITS
        for i, entry in enumerate(dataset.manifest.splits[split].samples)
    }


def test_pairs_are_stored_as_the_coco_they_were_made_of(tmp_path, out):
    """At the images' own size the masks are equal to the pixel, at another the stored arrays are."""
    coco = write_phantoms(tmp_path / "coco", 3, {"train": 6, "valid": 3, "test": 3}, 64)
    splits = to_pairs(coco, tmp_path / "pairs")
    for side in (64, 40, 100):
        how = {"size": (side, side - 8)} if side != 64 else {"size": (64, 64)}
        known = ingest(coco, tmp_path / f"coco_{side}", options(**how))
        stored = rows(ingest(tmp_path / "pairs", tmp_path / f"pairs_{side}", options(split=SPLIT, **how)))
        assert len(stored) == 12
        for name, (image, drawn, _) in stored.items():
            split = splits[Path(name).name]
            row = known[split].file_names.index(Path(name).name.removeprefix(f"{split}_"))
            np.testing.assert_array_equal(image, known[split].images[row])
            np.testing.assert_array_equal(drawn, known[split].masks[row])


@pytest.mark.parametrize("inside", ["{split}/images/{name}", "images/{split}/{name}"])
def test_splits_are_those_of_the_folders(tmp_path, out, inside):
    for seed, split in enumerate(("train", "val", "test")):
        image = tmp_path / "data" / inside.format(split=split, name="a.png")
        write(image, picture(seed))
        write(Path(str(image).replace("images", "masks")), mask())
    stored = ingest(tmp_path / "data", out, options(size=(SIDE, SIDE)))
    for seed, split in enumerate(SPLITS):
        np.testing.assert_array_equal(stored[split].images[0, ..., 0], picture(seed))
    with pytest.raises(DatasetError, match=r"has the splits train, valid, test .* leave out --split"):
        ingest(tmp_path / "data", tmp_path / "again", options(split=SPLIT))


def test_data_without_splits_say_how_to_divide_them_before_anything_is_read(tmp_path, out):
    root = folders(tmp_path / "data")
    (root / "masks" / "3.png").write_bytes(b"no mask")
    with pytest.raises(DatasetError, match=r'has no splits .* give --split "0.7,0.15,0.15"'):
        ingest(root, out, options())
    shutil.move(root / "images", root / "train" / "images")
    shutil.move(root / "masks", root / "train" / "masks")
    with pytest.raises(DatasetError, match=r"has only the split train .* or add the folder valid and test"):
        ingest(root, out, options())


def test_values_are_one_class_unless_they_are_wanted_apart(tmp_path, out):
    root = folders(tmp_path / "data", values=(2, 5))
    together = ingest(root, out, options(split=SPLIT))
    assert together.manifest.class_names == ["background", "object"]
    assert any("the categories '2', '5' are one class" in note for note in together.manifest.notes)
    apart = ingest(root, tmp_path / "apart", options(size=(SIDE, SIDE), split=SPLIT, multi_class=True))
    assert apart.manifest.class_names == ["background", "2", "5"]
    for name, (_, drawn, _) in rows(apart).items():
        np.testing.assert_array_equal(drawn, mask(1 + int(Path(name).stem) % 2))


def test_values_have_the_names_of_a_file_and_are_selected_by_them(tmp_path, out):
    root = folders(tmp_path / "data", values=(2, 5))
    before = fingerprint(root)
    (root / "labels.json").write_text(json.dumps({"2": "edema", "5": "tumor"}))
    assert fingerprint(root) != before
    stored = ingest(root, out, options(size=(SIDE, SIDE), split=SPLIT, categories=("tumor",)))
    for name, (_, drawn, _) in rows(stored).items():
        np.testing.assert_array_equal(drawn, mask(int(Path(name).stem) % 2))
    assert any("'edema' 4" in note for note in stored.manifest.notes)
    message = complaint(root, tmp_path / "other", categories=("liver",))
    assert "there is no 'liver': choose from 'edema', 'tumor'" in message


def spoil(root: Path) -> None:
    (root / "masks" / "0.png").unlink()
    (root / "images" / "1.png").unlink()
    write(root / "masks" / "2.png", mask(side=SIDE + 1))
    (root / "images" / "3.png").write_bytes(b"no image")
    (root / "masks" / "4.png").write_bytes((root / "masks" / "4.png").read_bytes()[:-9])


def test_all_faults_are_told_at_once_by_the_names_of_files(tmp_path, out):
    root = folders(tmp_path / "data", 16)
    spoil(root)
    message = complaint(root, out)
    assert "has 5 problems" in message
    for line in (
        "images/0.png: the image has no mask",
        "masks/1.png: the mask has no image",
        f"images/2.png: the image is {SIDE} x {SIDE}, its mask masks/2.png is {SIDE + 1} x {SIDE + 1}",
        "images/3.png: the image file is",
        "masks/4.png: the mask file is cut off or damaged",
    ):
        assert f"\n  {line}" in message


def test_bad_samples_are_left_out_and_listed(tmp_path, out):
    root = folders(tmp_path / "data", 16)
    spoil(root)
    stored = ingest(root, out, options(split=SPLIT, skip=True))
    assert sum(len(stored[split]) for split in SPLITS) == 11
    assert len(stored.manifest.refused) == 5


def test_how_many_images_each_split_got_is_told_of_those_that_are_stored(tmp_path, out):
    root = patients(tmp_path / "data")
    for patient in range(6):
        (root / f"TCGA_{patient:02d}" / f"TCGA_{patient:02d}_1.tif").write_bytes(b"no image")
    stored = ingest(root, out, options(split=SPLIT, skip=True))
    assert [len(stored[split]) for split in SPLITS] == [6, 4, 2]
    (told,) = [note for note in stored.manifest.notes if "divided by" in note]
    assert told == (
        "the data were divided by 0.5, 0.25, 0.25 (seed 0) into train 6 images of 3 patients, "
        "valid 4 images of 2 patients, test 2 images of 1 patient"
    )


@pytest.mark.parametrize("folder", ["images", "masks"])
def test_links_that_lead_out_are_refused(tmp_path, out, folder):
    root = folders(tmp_path / "data")
    shutil.move(root / folder / "0.png", tmp_path / "elsewhere.png")
    (root / folder / "0.png").symlink_to(tmp_path / "elsewhere.png")
    assert f"{folder}/0.png: the {folder[:-1]} is a link that leads out" in complaint(root, out)
    before = fingerprint(root)
    write(tmp_path / "elsewhere.png", picture(77))
    assert fingerprint(root) == before


def test_links_within_are_read_and_links_to_nothing_refused(tmp_path, out):
    root = folders(tmp_path / "data")
    (root / "images" / "8.png").symlink_to("0.png")
    (root / "masks" / "8.png").symlink_to("0.png")
    assert sum(len(part) for part in map(ingest(root, out, options(split=SPLIT)).__getitem__, SPLITS)) == 9
    (root / "masks" / "8.png").unlink()
    (root / "masks" / "8.png").symlink_to("gone.png")
    assert "masks/8.png: the mask file is missing" in complaint(root, tmp_path / "again")
    assert len(fingerprint(root)) == 64


def test_a_folder_that_is_a_link_leading_out_is_told(tmp_path, out):
    root = folders(tmp_path / "data")
    folders(tmp_path / "elsewhere")
    (root / "images" / "more").symlink_to(tmp_path / "elsewhere" / "images")
    for read in (lambda: ingest(root, out, options(split=SPLIT)), lambda: fingerprint(root)):
        with pytest.raises(DatasetError, match="more is a link that leads out of the data set's folder"):
            read()


def test_pipes_are_no_images(tmp_path, out):
    root = folders(tmp_path / "data")
    os.mkfifo(root / "images" / "pipe.png")
    assert len(rows(ingest(root, out, options(split=SPLIT)))) == 8


def test_the_fingerprint_stays_where_the_folder_moves_and_changes_with_any_file(tmp_path):
    root = folders(tmp_path / "data")
    before = fingerprint(root)
    (root / "notes.txt").write_text("nothing that is read")
    assert fingerprint(shutil.move(root, tmp_path / "moved")) == before
    seen = {before}
    root = tmp_path / "moved"
    write(root / "masks" / "1.png", mask(wide=3))
    seen.add(fingerprint(root))
    write(root / "images" / "1.png", picture(99))
    seen.add(fingerprint(root))
    write(root / "images" / "unpaired.png", picture(99))
    seen.add(fingerprint(root))
    (root / "images" / "unpaired.png").rename(root / "images" / "renamed.png")
    seen.add(fingerprint(root))
    assert len(seen) == 5


def test_duplicates_across_splits_are_told(tmp_path, out):
    for split in SPLITS:
        write(tmp_path / "data" / split / "images" / "a.png", picture(1))
        write(tmp_path / "data" / split / "masks" / "a.png", mask())
    assert len(ingest(tmp_path / "data", out, options()).manifest.duplicates_across_splits) == 1


def test_images_of_16_bit_are_scaled_each_and_told(tmp_path, out):
    root = folders(tmp_path / "data")
    for i in range(8):
        write(root / "images" / f"{i}.png", picture(i, depth=np.uint16))
    warnings = ingest(root, out, options(split=SPLIT)).manifest.warnings
    assert "8 images are not 8 bit: each was scaled by its own minimum and maximum" in warnings


def test_a_small_lesion_that_vanishes_is_counted(tmp_path, out):
    root = folders(tmp_path / "data")
    tiny = np.zeros((SIDE, SIDE), np.uint8)
    tiny[1, 1] = 255  # of 24 rows the 16 stored ones take 0, 2, 3, ...
    write(root / "masks" / "0.png", tiny)
    stored = ingest(root, out, options(size=(16, 16), split=SPLIT))
    assert sum(part.vanished_annotations for part in stored.manifest.splits.values()) == 1


def test_the_stored_mask_takes_the_nearest_pixel_and_the_image_the_area(tmp_path, out):
    stored = rows(ingest(folders(tmp_path / "data"), out, options(size=(16, 16), split=SPLIT)))
    taken = nearest_pixels(SIDE, 16)
    for name, (image, drawn, _) in stored.items():
        np.testing.assert_array_equal(drawn, mask(1)[np.ix_(taken, taken)])
        np.testing.assert_array_equal(image, resize_image(picture(int(Path(name).stem))[..., None], 16, 16))


@pytest.mark.slow  # phantoms are converted above
def test_real_outlines_are_stored_alike_as_pairs(shared_outlines, tmp_path):
    splits = to_pairs(shared_outlines, tmp_path / "pairs")
    known = ingest(shared_outlines, tmp_path / "coco", options(size=(64, 64)))
    stored = rows(ingest(tmp_path / "pairs", tmp_path / "stored", options(size=(64, 64), split=SPLIT)))
    assert len(stored) == len(splits) == sum(len(known[split]) for split in SPLITS)
    for split in SPLITS:
        for row, name in enumerate(known[split].file_names):
            image, drawn, _ = stored[f"images/{split}_{name}"]
            np.testing.assert_array_equal(image, known[split].images[row])
            np.testing.assert_array_equal(drawn, known[split].masks[row])
    sample = read_annotations(LocalFolder(shared_outlines), "test").samples[0]
    drawn = cv2.imread(str(tmp_path / "pairs" / "masks" / f"test_{Path(sample.file_name).stem}.png"), 0)
    assert drawn.shape == (sample.height, sample.width)
