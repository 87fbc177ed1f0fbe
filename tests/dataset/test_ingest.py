import shutil
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

import dataset.ingest as ingest_module
from dataset.errors import DatasetError
from dataset.images.resize import resize_image
from dataset.ingest import IngestOptions, ingest
from dataset.layouts import coco_images
from tests.dataset.coco_folder import noise, options, png

BRAIN_TUMOR = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "brain_tumor"
LARGE = [0.0, 0.0, 12.0, 0.0, 12.0, 12.0, 0.0, 12.0]


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "stored" / "dataset"


def test_images_and_masks_are_stored_row_by_row(coco, out):
    pictures = {f"{i}.png": noise(16, 16, 100 + i) for i in range(40)}
    for name, picture in pictures.items():
        image_id = coco.image("train", name, png(picture))
        if image_id % 2:
            coco.annotation("train", image_id)
    train = ingest(coco.write(), out, options(workers=4))["train"]
    assert train.file_names == ["first.png", *pictures]
    assert train.image_ids == list(range(1, 42))
    for i, picture in enumerate(pictures.values(), start=1):
        np.testing.assert_array_equal(train.images[i, ..., 0], picture)
        assert train.masks[i].sum() == (36 if (i + 1) % 2 else 0)


def test_number_of_workers_changes_no_byte(coco, out):
    for i in range(20):
        coco.image("train", f"{i}.png", png(noise(16, 16, i)))
    coco.write()
    digests = {ingest(coco.root, out / str(n), options(workers=n)).content_digest() for n in (0, 1, 5)}
    assert len(digests) == 1


def test_moved_data_gives_the_identical_data_set(coco, out, tmp_path):
    first = ingest(coco.write(), out / "a", options())
    moved = Path(shutil.move(coco.root, tmp_path / "moved"))
    second = ingest(moved, out / "b", options())
    assert first.content_digest() == second.content_digest()
    text = (out / "a" / "manifest.json").read_bytes()
    assert text == (out / "b" / "manifest.json").read_bytes()
    assert str(tmp_path).encode() not in text


def test_colour_images_keep_three_channels(coco, out):
    picture = noise(16, 16, 3, channels=3)
    coco.image("train", "colour.png", png(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)))
    train = ingest(coco.write(), out, options(channels=3))["train"]
    assert train.images.shape == (2, 16, 16, 3)
    np.testing.assert_array_equal(train.images[1], picture)


def test_images_and_masks_are_resized_together(coco, out):
    picture = noise(40, 60, 3)
    coco.image("train", "large.png", png(picture), size=(40, 60))
    coco.annotation("train", 2, [[0.0, 0.0, 30.0, 0.0, 30.0, 20.0, 0.0, 20.0]])
    train = ingest(coco.write(), out, options(size=(20, 24)))["train"]
    np.testing.assert_array_equal(train.images[1], resize_image(picture[..., None], 20, 24))
    expected = np.zeros((20, 24), np.uint8)
    expected[:10, :12] = 1
    np.testing.assert_array_equal(train.masks[1], expected)


def test_binary_masks_hold_one_for_every_category(coco, out):
    coco.content["train"]["categories"].append({"id": 7, "name": "cyst"})
    coco.annotation("train", 1, [LARGE], category_id=7)
    stored = ingest(coco.write(), out, options())
    assert stored.classes == 1
    assert np.unique(stored["train"].masks).tolist() == [0, 1]


def test_multi_class_masks_number_used_categories_without_gaps(coco, out):
    """Ids 0 (unused), 1 (all splits), 40 (valid only), 41 (unused), 90 (train only) become 1, 2, 3."""
    names = {0: "root", 1: "lesion", 40: "cyst", 41: "never", 90: "bleeding"}
    for split in coco.content:
        coco.content[split]["categories"] = [{"id": key, "name": names[key]} for key in reversed(names)]
    coco.annotation("train", 1, [LARGE], category_id=90)
    coco.annotation("valid", 1, [LARGE], category_id=40)
    stored = ingest(coco.write(), out, options(multi_class=True))
    assert stored.classes == 4
    assert [(entry.index, entry.category_id) for entry in stored.manifest.classes] == [
        (0, None),
        (1, 1),
        (2, 40),
        (3, 90),
    ]
    assert [entry.id for entry in stored.manifest.categories if entry.unused] == [0, 41]
    train, valid = stored["train"].masks[0], stored["valid"].masks[0]
    assert np.bincount(train.ravel()).tolist() == [256 - 144, 36, 0, 144 - 36]  # the square lies on top
    assert np.bincount(valid.ravel()).tolist() == [256 - 144, 36, 144 - 36]


def test_multi_class_needs_the_same_names_in_all_splits(coco, out):
    coco.content["test"]["categories"][0]["name"] = "cyst"
    coco.write()
    with pytest.raises(DatasetError, match="category 1 is 'lesion' in one split and 'cyst' in test"):
        ingest(coco.root, out, options(multi_class=True))


def test_multi_class_without_annotations_stops(coco, out):
    for split in coco.content:
        coco.content[split]["annotations"] = []
    with pytest.raises(DatasetError, match="found 0"):
        ingest(coco.write(), out, options(multi_class=True))


def spoil(coco) -> None:
    """Six faults over three splits."""
    coco.image("train", "missing.png", None)
    coco.image("train", "cut.png", png(noise(16, 16, 1))[:-20])
    coco.annotation("train", coco.image("train", "bad.png", png(noise(16, 16, 2))), [[1, 2, 3]])
    coco.annotation("valid", 99)
    coco.image("valid", "size.png", png(noise(16, 16, 3)), size=(16, 20))
    coco.image("test", "../out.png", None)


def test_all_problems_are_reported_in_one_error(coco, out):
    spoil(coco)
    with pytest.raises(DatasetError) as caught:
        ingest(coco.write(), out, options())
    message = str(caught.value)
    assert "6 problems" in message
    for part in (
        "train/missing.png (image 2): the image file is missing",
        "train/cut.png (image 3): the image file is cut off",
        "train/bad.png (image 4, annotation 2): a polygon has 3 numbers",
        "valid (image 99, annotation 2)",
        "valid/size.png (image 2): the image is 16 x 16 pixels, its annotation file says 20 x 16",
        "test/../out.png (image 2): file_name leads out",
    ):
        assert part in message


def test_many_problems_of_a_kind_are_one_line_with_a_count_and_three_examples(coco, out):
    for i in range(25):
        coco.image("train", f"missing{i}.png", None)
    coco.image("valid", "../out.png", None)
    with pytest.raises(DatasetError, match="26 problems") as caught:
        ingest(coco.write(), out, options())
    assert str(caught.value).splitlines()[1:] == [
        "  25 problems like this: train/missing0.png (image 2): the image file is missing: add it, or remove its entry"
        "; also train/missing1.png (image 3); train/missing2.png (image 4)",
        "  valid/../out.png (image 2): file_name leads out of the split's folder: move the image into it and write the "
        "name alone",
    ]
    assert len(caught.value.problems) == 26


def test_skipped_samples_are_left_out_and_listed(coco, out):
    spoil(coco)
    coco.image("train", "last.png", png(noise(16, 16, 8)))
    stored = ingest(coco.write(), out, options(skip=True))
    assert stored["train"].file_names == ["first.png", "last.png"]
    np.testing.assert_array_equal(stored["train"].images[1, ..., 0], noise(16, 16, 8))
    assert len(stored["train"].masks) == 2
    places = {(r.split, r.file_name, r.image_id, r.annotation_id) for r in stored.manifest.refused}
    assert places == {
        ("train", "missing.png", 2, None),
        ("train", "cut.png", 3, None),
        ("train", "bad.png", 4, 2),
        ("valid", None, 99, 2),
        ("valid", "size.png", 2, None),
        ("test", "../out.png", 2, None),
    }
    assert any("samples with 6 faults were left out (the first: " in warning for warning in stored.manifest.warnings)


def test_split_without_a_sound_sample_stops_even_when_skipping(coco, out):
    coco.files["valid"]["first.png"] = b""
    with pytest.raises(DatasetError, match=r"every sample was refused; the first: valid/first\.png"):
        ingest(coco.write(), out, options(skip=True))


def test_nothing_is_left_after_a_failure(coco, out):
    spoil(coco)
    with pytest.raises(DatasetError):
        ingest(coco.write(), out, options())
    assert list(out.parent.iterdir()) == []


def test_nothing_is_left_after_an_interruption(coco, out, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(ingest_module, "_describe", interrupt)
    with pytest.raises(KeyboardInterrupt):
        ingest(coco.write(), out, options())
    assert list(out.parent.iterdir()) == []


def test_existing_content_is_not_overwritten(coco, out):
    out.mkdir(parents=True)
    (out / "mine.txt").write_text("keep")
    with pytest.raises(DatasetError, match="exists already"):
        ingest(coco.write(), out, options())
    assert (out / "mine.txt").read_text() == "keep"


def test_empty_folder_is_filled(coco, out):
    out.mkdir(parents=True)
    assert len(ingest(coco.write(), out, options())["train"]) == 1


def test_missing_split_stops(coco, out):
    shutil.rmtree(coco.write() / "valid")
    with pytest.raises(DatasetError, match="with no folder valid"):
        ingest(coco.root, out, options())


def test_few_images_wait_in_memory(coco, out, monkeypatch):
    """However many images there are, no more than a window of them is prepared ahead of the writing."""
    prepared, ahead, lock = [0], [0], threading.Lock()
    read, append = coco_images.read_image_file, ingest_module.RowWriter.append

    def counted_read(*arguments):
        with lock:
            prepared[0] += 1
            ahead[0] = max(ahead[0], prepared[0])
        return read(*arguments)

    def counted_append(self, row):
        if row.ndim == 2:
            with lock:
                prepared[0] -= 1
        append(self, row)

    monkeypatch.setattr(coco_images, "read_image_file", counted_read)
    monkeypatch.setattr(ingest_module.RowWriter, "append", counted_append)
    monkeypatch.setattr("dataset.cores.usable_cores", lambda: 2)
    for i in range(60):
        coco.image("train", f"{i}.png", png(noise(16, 16, i)))
    ingest(coco.write(), out, options())
    assert 1 <= ahead[0] <= 9


def test_warnings_alone_are_printed_where_standard_error_is_no_terminal(coco, out, capfd):
    spoil(coco)
    warnings = ingest(coco.write(), out, options(skip=True)).manifest.warnings
    assert warnings
    assert capfd.readouterr() == ("", "".join(f"warning: {warning}\n" for warning in warnings))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((0, 16), 1, False, False, 0), "image_size"),
        (((16, 16), 2, False, False, 0), "channels is 2"),
        (((16, 16), 1, False, False, -1), "num_workers"),
        (((16, 16), 1, False, False, 0, (), "area", "apply", (0.5, 0.5, 0.5)), "sum to 1"),
        (((16, 16), 1, False, False, 0, (), "area", "apply", None, 0, "("), "no regular expression"),
    ],
)
def test_options_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        IngestOptions(*arguments)


@pytest.mark.skipif(not BRAIN_TUMOR.is_dir(), reason="the brain tumor data is not here")
def test_file_names_without_a_patient_stop_all_in_one_report(coco, out):
    coco.image("train", "p1_2.png", png(noise(16, 16, 5)))
    with pytest.raises(DatasetError, match=r"finds no patient in the file name of 'first\.png'") as error:
        ingest(coco.write(), out, options(group_by=r"p\d"))
    assert [problem.split(":")[0] for problem in error.value.problems] == ["train", "valid", "test"]


def test_brain_tumor_data_is_read_as_published(out):
    manifest = ingest(BRAIN_TUMOR, out, options(size=(64, 64), multi_class=True, workers=0)).manifest
    assert [manifest.splits[split].images for split in ("train", "valid", "test")] == [1502, 215, 214]
    assert [manifest.splits[split].annotations for split in ("train", "valid", "test")] == [1502, 215, 214]
    assert manifest.splits["train"].images_without_annotation == 1  # one has two, one has none
    assert all(split.rectangle_share == 1.0 for split in manifest.splits.values())
    assert [(entry.id, entry.unused) for entry in manifest.categories] == [(0, True), (1, False), (2, False)]
    assert [entry.category_id for entry in manifest.classes] == [None, 1, 2]
    assert manifest.refused == []
    assert manifest.duplicates_across_splits == []
    assert manifest.warnings[0].startswith("100.0 % of annotations are plain axis-aligned rectangles")
