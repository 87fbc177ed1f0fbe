"""Images that carry the tag of another orientation than upright: how they are turned, and that it is never silent."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from dataset.images.decode import DecodeRequest, ImageError, decode_image
from dataset.images.orientation import orientation_of
from dataset.images.resize import resize_image
from dataset.ingest import IngestOptions, ingest
from dataset.options import Exif
from dataset.store import Dataset
from tests.dataset.coco_folder import CocoFolder

H, W = 40, 60
TAG = 0x0112
ANGLED = {"JPEG": {"quality": 95}, "PNG": {}, "WEBP": {"lossless": True}, "TIFF": {}, "AVIF": {"quality": 95}}


def picture(height: int = H, width: int = W) -> Image.Image:
    """Bright in one corner, and of another colour along one side."""
    array = np.zeros((height, width, 3), np.uint8)
    array[: height // 3, : width // 4] = 250
    array[:, -width // 6 :, 1] = 180
    return Image.fromarray(array)


def tagged(image: Image.Image, kind: str, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[TAG] = orientation
    buffer = io.BytesIO()
    image.save(buffer, kind, exif=exif, **ANGLED[kind])
    return buffer.getvalue()


def distance(image: np.ndarray, expected: Image.Image) -> float:
    assert image.shape[:2] == expected.size[::-1]
    return float(np.abs(image.astype(int) - np.asarray(expected.convert("RGB"))).mean())


def decode(data: bytes, size: tuple[int, int], exif: Exif) -> tuple[np.ndarray, str | None]:
    decoded = decode_image(data, DecodeRequest(*size, 3, exif=exif))
    return decoded.pixels, decoded.taken


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ANGLED)
def test_the_tag_is_read_from_every_kind_of_file(kind: str, orientation: int) -> None:
    assert orientation_of(tagged(picture(), kind, orientation)) == orientation


@pytest.mark.parametrize("kind", ["GIF", "BMP", "PPM"])
def test_kinds_without_a_tag_are_upright(kind: str) -> None:
    buffer = io.BytesIO()
    picture().save(buffer, kind)
    assert orientation_of(buffer.getvalue()) == 1


@pytest.mark.parametrize("kind", ANGLED)
def test_a_tag_of_no_meaning_is_upright(kind: str) -> None:
    assert orientation_of(tagged(picture(), kind, 0)) == 1
    assert orientation_of(tagged(picture(), kind, 9)) == 1


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("kind", ANGLED)
def test_where_size_does_not_tell_the_option_decides(kind: str, orientation: int) -> None:
    stored = picture(H, H) if orientation > 4 else picture()
    data = tagged(stored, kind, orientation)
    size = stored.size[::-1]
    shown = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    image, taken = decode(data, size, "apply")
    assert distance(image, shown) < 4
    assert taken == "turned_by_option"
    image, taken = decode(data, size, "ignore")
    assert distance(image, stored) < 4
    assert taken == "kept_by_option"


@pytest.mark.parametrize("exif", ["apply", "ignore"])
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("kind", ANGLED)
def test_where_size_tells_it_decides(kind: str, orientation: int, exif: Exif) -> None:
    data = tagged(picture(), kind, orientation)
    image, taken = decode(data, (W, H), exif)
    assert distance(image, ImageOps.exif_transpose(Image.open(io.BytesIO(data)))) < 4
    assert taken == "turned_by_size"
    image, taken = decode(data, (H, W), exif)
    assert distance(image, picture()) < 4
    assert taken == "kept_by_size"


@pytest.mark.parametrize("kind", ANGLED)
def test_a_tag_explains_no_other_size(kind: str) -> None:
    with pytest.raises(ImageError, match=f"the image is {H} x {W} pixels, its annotation file says {W} x {W}"):
        decode(tagged(picture(), kind, 6), (W, W), "apply")


@pytest.mark.parametrize("exif", ["apply", "ignore"])
def test_jpegs_that_are_decoded_in_part_are_turned_alike(exif: Exif) -> None:
    data = tagged(picture(128, 192).convert("L"), "JPEG", 3)
    whole = decode_image(data, DecodeRequest(128, 192, 1, exif=exif)).pixels
    part = decode_image(data, DecodeRequest(128, 192, 1, (32, 48), exif)).pixels
    assert part.shape == (32, 48, 1)
    assert np.abs(resize_image(whole, 32, 48).astype(int) - part).mean() < 0.7


def stored_dataset(root: Path, folder: Path, exif: Exif = "apply") -> Dataset:
    options = IngestOptions((48, 48), 1, multi_class=False, skip_bad_samples=False, num_workers=1, exif=exif)
    return ingest(root, folder, options)


def test_one_note_counts_the_images_with_a_tag_and_says_what_was_assumed(coco: CocoFolder, tmp_path: Path) -> None:
    coco.image("train", "upright.jpg", tagged(picture(), "JPEG", 1), (H, W))
    coco.image("train", "half.jpg", tagged(picture(), "JPEG", 3), (H, W))
    coco.image("valid", "mirrored.png", tagged(picture(), "PNG", 2), (H, W))
    coco.image("valid", "shown.tif", tagged(picture(), "TIFF", 6), (W, H))
    coco.image("test", "kept.webp", tagged(picture(), "WEBP", 8), (H, W))
    manifest = stored_dataset(coco.write(), tmp_path / "stored").manifest
    [note] = [text for text in manifest.warnings if "EXIF" in text]
    assert note == (
        "4 images carry an EXIF orientation other than upright: 1 turned, as that alone fits the annotated size; "
        "1 left as stored, as that alone fits the annotated size; 2 turned as it says, assuming that outlines were "
        "drawn on the image as it is shown (set data.exif=ignore if they were drawn on the pixels as stored)"
    )
    assert manifest.splits["valid"].orientation_tags == {"turned_by_option": 1, "turned_by_size": 1}
    ignored = stored_dataset(coco.root, tmp_path / "ignored", "ignore").manifest
    assert any("2 left as stored, assuming" in text and "data.exif=apply" in text for text in ignored.warnings)


@pytest.mark.parametrize("exif", ["apply", "ignore"])
@pytest.mark.parametrize(
    ("stored", "annotated", "tells"),
    [
        ((H, W), (0, 0), False),
        ((H, W), (0, W), True),
        ((61, 60), (60, 60), False),
        ((60, 61), (60, 60), False),
        ((61, 61), (60, 60), False),
        ((62, 60), (61, 60), True),
    ],
)
def test_what_fits_both_ways_but_for_a_pixel_or_without_a_size_is_no_choice_by_size(
    coco: CocoFolder,
    tmp_path: Path,
    exif: Exif,
    stored: tuple[int, int],
    annotated: tuple[int, int],
    tells: bool,
) -> None:
    coco.image("train", "turned.jpg", tagged(picture(*stored), "JPEG", 6), annotated)
    for key in ("height", "width"):
        coco.content["train"]["images"][-1][key] = coco.content["train"]["images"][-1][key] or None
    manifest = stored_dataset(coco.write(), tmp_path / "stored", exif).manifest
    expected = "kept_by_size" if tells else {"apply": "turned_by_option", "ignore": "kept_by_option"}[exif]
    assert manifest.splits["train"].orientation_tags == {expected: 1}
    size = manifest.splits["train"].original_sizes
    shown = stored[::-1] if expected == "turned_by_option" else stored
    assert shown in [(each.height, each.width) for each in size]


def test_without_a_tag_nothing_is_said(coco: CocoFolder, tmp_path: Path) -> None:
    coco.image("train", "upright.jpg", tagged(picture(), "JPEG", 1), (H, W))
    manifest = stored_dataset(coco.write(), tmp_path / "stored").manifest
    assert not any("EXIF" in text for text in manifest.warnings)


def contrast(dataset: Dataset) -> float:
    """How much brighter the objects are than what surrounds them."""
    images, masks = (
        np.concatenate([getattr(dataset[s], kind) for s in ("train", "valid", "test")]) for kind in ("images", "masks")
    )
    return float(images[masks > 0].mean()) - float(images[masks == 0].mean())


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_outlines_on_stored_pixels_are_met_by_ignoring_the_tag(
    coco: CocoFolder, tmp_path: Path, kind: str, orientation: int
) -> None:
    array = np.full((48, 48), 20, np.uint8)
    array[3:13, 26:40] = 200
    outline = [[26, 3, 40, 3, 40, 13, 26, 13]]
    for split in ("train", "valid", "test"):
        coco.files[split].clear()
        coco.content[split]["images"].clear()
        coco.content[split]["annotations"].clear()
        image_id = coco.image(split, "a.img", tagged(Image.fromarray(array), kind, orientation), (48, 48))
        coco.annotation(split, image_id, outline)
    root = coco.write()
    assert contrast(stored_dataset(root, tmp_path / "ignored", "ignore")) > 150
    assert contrast(stored_dataset(root, tmp_path / "applied", "apply")) < 50


@pytest.mark.parametrize("case", ["exif3_stored", "exif6_stored_square"])
def test_the_shared_cases_are_read_as_their_readme_says(shared_cases: Path, tmp_path: Path, case: str) -> None:
    ignored = stored_dataset(shared_cases / case, tmp_path / "ignored", "ignore")
    applied = stored_dataset(shared_cases / case, tmp_path / "applied")
    assert contrast(ignored) > 80
    assert contrast(applied) < 80
    for dataset in (ignored, applied):
        assert any(text.startswith("12 images carry an EXIF orientation") for text in dataset.manifest.warnings)
