"""What is stored of a picture does not depend on the kind of file it came in."""

import dataclasses
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest
from skimage import data

from dataset.images.decode import DecodeRequest, decode_image
from dataset.images.masks import LabelledObject, draw_mask
from dataset.images.resize import resize_image
from dataset.ingest import ingest
from dataset.options import Interpolation
from dataset.store import Dataset
from tests.dataset.coco_folder import CocoFolder, options

GRAY = ("camera", "coins", "moon")
COLOUR = ("astronaut", "coffee", "cat")
SIDE = 256


def photograph(name: str, side: int = SIDE) -> np.ndarray:
    """The middle of one of scikit-image's, as OpenCV has it."""
    picture = getattr(data, name)()
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    middle = np.ascontiguousarray(picture[top : top + side, left : left + side])
    return middle if middle.ndim == 2 else cv2.cvtColor(middle, cv2.COLOR_RGB2BGR)


def stored(
    picture: np.ndarray, kind: str, target: tuple[int, int], channels: int, interpolation: Interpolation = "area"
) -> np.ndarray:
    """What the data set would hold of it."""
    encoded = cv2.imencode(kind, picture, [cv2.IMWRITE_JPEG_QUALITY, 90] if kind == ".jpg" else [])[1].tobytes()
    average_to = target if interpolation == "area" else None
    decoded = decode_image(encoded, DecodeRequest(*picture.shape[:2], channels, average_to))
    return resize_image(decoded.pixels, *target, interpolation).astype(int)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).mean())


@pytest.mark.parametrize("target", [(128, 128), (64, 64), (32, 32), (16, 16), (100, 100), (51, 51), (64, 32)])
@pytest.mark.parametrize("name", [*GRAY, *COLOUR])
def test_jpeg_and_png_of_a_photograph_are_stored_alike(name: str, target: tuple[int, int]) -> None:
    picture = photograph(name)
    assert difference(*(stored(picture, kind, target, channels=1) for kind in (".jpg", ".png"))) < 0.7  # of 255


@pytest.mark.parametrize("target", [(64, 64), (51, 51)])
@pytest.mark.parametrize("name", COLOUR)
def test_colours_differ_by_what_the_jpeg_has_lost(name: str, target: tuple[int, int]) -> None:
    """At quality 90 it keeps a quarter of their pixels."""
    picture = photograph(name)
    every_pixel = stored(picture, ".jpg", (SIDE, SIDE), 3).astype(np.uint8)
    np.testing.assert_array_equal(stored(picture, ".jpg", target, 3), resize_image(every_pixel, *target))


@pytest.mark.parametrize("interpolation", get_args(Interpolation))
@pytest.mark.parametrize("kind", [".tiff", ".bmp", ".webp"])
@pytest.mark.parametrize("name", ["camera", "cat"])
def test_kinds_that_lose_nothing_are_stored_equally(name: str, kind: str, interpolation: Interpolation) -> None:
    picture = photograph(name)
    channels = 1 if picture.ndim == 2 else 3
    one, other = (stored(picture, each, (50, 70), channels, interpolation) for each in (kind, ".png"))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("interpolation", ["area", "linear", "cubic"])
@pytest.mark.parametrize("target", [(64, 64), (300, 400)])
def test_filters_are_those_of_opencv(interpolation: Interpolation, target: tuple[int, int]) -> None:
    picture = photograph("camera")
    enlarged = target[0] > SIDE
    expected = {
        "area": cv2.INTER_LINEAR if enlarged else cv2.INTER_AREA,  # nothing to average
        "linear": cv2.INTER_LINEAR,
        "cubic": cv2.INTER_CUBIC,
    }[interpolation]
    np.testing.assert_array_equal(
        stored(picture, ".png", target, 1, interpolation)[..., 0],
        cv2.resize(picture, target[::-1], interpolation=expected),
    )


@pytest.mark.parametrize("target", [(60, 60), (64, 96), (300, 400)])
def test_nearest_takes_the_pixels_that_the_mask_takes(target: tuple[int, int]) -> None:
    picture = (photograph("camera") > 128).astype(np.uint8)
    runs = np.flatnonzero(np.diff(picture.ravel("F"), prepend=0, append=0))
    counts = np.diff(runs, prepend=0, append=picture.size)
    shape = LabelledObject({"size": [SIDE, SIDE], "counts": counts.tolist()}, 1)
    mask = draw_mask([shape], (SIDE, SIDE), target).pixels
    np.testing.assert_array_equal(stored(picture, ".png", target, 1, "nearest")[..., 0], mask)


@pytest.mark.parametrize("interpolation", ["linear", "cubic", "nearest"])
def test_only_averages_are_taken_of_fewer_pixels(interpolation: Interpolation) -> None:
    picture = photograph("camera")
    whole = cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])[1], cv2.IMREAD_UNCHANGED)
    expected = resize_image(whole[..., None], 64, 64, interpolation)
    np.testing.assert_array_equal(stored(picture, ".jpg", (64, 64), 1, interpolation), expected)


def test_the_manifest_says_which_filter(coco: CocoFolder, tmp_path: Path) -> None:
    nearest = dataclasses.replace(options(), interpolation="nearest")
    dataset = ingest(coco.write(), tmp_path / "stored", nearest)
    assert dataset.manifest.interpolation == "nearest"
    assert Dataset.open(tmp_path / "stored").manifest == dataset.manifest
