"""Images without masks are read as ingestion reads those with masks."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from dataset.errors import DatasetError, Refusal
from dataset.ingest import ingest
from dataset.pictures.find import Pictures, find_pictures
from dataset.pictures.read import StoredAs, digest_pictures, read_pictures
from tests.dataset.coco_folder import CocoFolder, noise, options, png
from tests.dataset.layouts.written import picture, write


def jpeg(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", cv2.GaussianBlur(pixels, (5, 5), 2))[1].tobytes()


def tiff(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".tif", pixels)[1].tobytes()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("interpolation", ["area", "linear", "nearest"])
def test_what_the_network_sees_is_what_ingestion_stores(tmp_path: Path, channels: int, interpolation: str) -> None:
    """JPEGs that ingestion decodes at a part of their size, colours, and 16 bit among them."""
    files = {
        "gray.png": (png(noise(40, 50, 1)), (40, 50)),
        "colour.png": (png(noise(40, 50, 2, channels=3)), (40, 50)),
        "half.jpg": (jpeg(noise(32, 32, 3)), (32, 32)),
        "quarter.jpg": (jpeg(noise(64, 64, 4)), (64, 64)),
        "deep.tif": (tiff(np.random.default_rng(5).integers(900, 4000, (30, 20)).astype(np.uint16)), (30, 20)),
    }
    source = CocoFolder(tmp_path / "coco")
    for name, (data, size) in files.items():
        source.image("test", name, data, size)
    how = options(channels=channels, interpolation=interpolation)
    stored = ingest(source.write(), tmp_path / "arrays", how)["test"]
    pictures = find_pictures(source.root / "test")
    read = {each.name: each for each in read_pictures(pictures, StoredAs(channels, (16, 16), interpolation), 2)}
    assert {*read} == {*stored.file_names} == {"first.png", *files}
    for name, image in zip(stored.file_names, stored.images, strict=True):
        np.testing.assert_array_equal(read[name].stored, image)
    assert {name: read[name].pixels.shape for name in files} == {
        name: (*size, channels) for name, (_, size) in files.items()
    }


@pytest.mark.parametrize(("exif", "shape"), [("apply", (30, 20, 1)), ("ignore", (20, 30, 1))])
def test_an_image_is_turned_as_its_tag_says_unless_that_is_ignored(tmp_path: Path, exif: str, shape: tuple) -> None:
    tags = Image.Exif()
    tags[0x0112] = 6
    Image.fromarray(noise(20, 30, 0)).save(tmp_path / "turned.png", exif=tags)
    (read,) = read_pictures(find_pictures(tmp_path), StoredAs(1, (16, 16), exif=exif))
    assert read.pixels.shape == shape
    upright = np.rot90(noise(20, 30, 0), -1) if exif == "apply" else noise(20, 30, 0)
    np.testing.assert_array_equal(read.pixels[..., 0], upright)


def test_what_cannot_be_used_is_refused_by_name_in_its_place(tmp_path: Path) -> None:
    write(tmp_path / "a.png", picture(0))
    (tmp_path / "b.png").write_bytes(b"no image")
    (tmp_path / "c.png").write_bytes(png(noise(20, 20, 0))[:-20])
    write(tmp_path / "d.png", picture(1))
    read = list(read_pictures(find_pictures(tmp_path), StoredAs(1, (16, 16))))
    assert [isinstance(each, Refusal) for each in read] == [False, True, True, False]
    assert str(read[1]).startswith("b.png: the image file is empty, damaged or of an unknown kind")
    assert str(read[2]).startswith("c.png: the image file is cut off")


def test_the_digest_is_that_of_names_and_content_and_not_of_the_place(tmp_path: Path) -> None:
    for place in ("one", "other"):
        write(tmp_path / place / "deep" / "a.png", picture(0))
        write(tmp_path / place / "b.png", picture(1))
    digests = [digest_pictures(find_pictures(tmp_path / place)) for place in ("one", "other")]
    assert digests[0] == digests[1]
    (tmp_path / "one" / "notes.txt").write_text("no image")
    assert digest_pictures(find_pictures(tmp_path / "one")) == digests[0]
    write(tmp_path / "one" / "b.png", picture(2))
    (tmp_path / "other" / "b.png").rename(tmp_path / "other" / "c.png")
    changed = {digest_pictures(find_pictures(tmp_path / place)) for place in ("one", "other")}
    assert len({*digests, *changed}) == 3


def test_a_file_that_cannot_be_read_has_no_digest(tmp_path: Path) -> None:
    write(tmp_path / "a.png", picture(0))
    (tmp_path / "b.png").mkdir()
    found = find_pictures(tmp_path)
    with pytest.raises(DatasetError, match=r"b.png cannot be read"):
        digest_pictures(Pictures(found.source, (*found.names, "b.png")))
