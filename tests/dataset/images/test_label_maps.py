"""Masks that are files of their own: every value as the file has it, or a refusal."""

import contextlib
import io

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from PIL import Image
from pycocotools import mask as coco_mask

from dataset.images.decode import ImageError
from dataset.images.label_maps import LabelMap, decode_label_map, label_map

VALUES = np.array([[0, 0, 7], [2, 2, 7], [0, 2, 0]], np.uint8)


def drawn(found: LabelMap) -> np.ndarray:
    values = np.zeros((found.height, found.width), np.int64)
    for region in found.regions:
        rle = {"size": [found.height, found.width], "counts": region.counts.encode("ascii")}
        values[coco_mask.decode(rle) > 0] = region.value
    return values


def encoded(values: np.ndarray, ending: str) -> bytes:
    return cv2.imencode(ending, values)[1].tobytes()


def saved(picture: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


def in_palette(values: np.ndarray, colours: list[int]) -> Image.Image:
    picture = Image.fromarray(values, "P")
    picture.putpalette(colours)
    return picture


WIDE = np.kron(VALUES // 2 * 255, np.ones((16, 16), np.uint8))  # so that JPEG's blocks are of one value


@given(
    values=st_numpy.arrays(
        st.sampled_from([np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64]),
        st.tuples(st.integers(1, 9), st.integers(1, 9)),
        elements=st.integers(0, 20),
    )
)
def test_every_pixel_keeps_its_value(values):
    np.testing.assert_array_equal(drawn(label_map(values)), values)


@pytest.mark.parametrize(
    "data",
    [
        encoded(VALUES, ".png"),
        encoded(VALUES.astype(np.uint16), ".png"),
        encoded(VALUES, ".tif"),
        encoded(VALUES, ".bmp"),
        encoded(np.dstack([VALUES] * 3), ".png"),
        saved(in_palette(VALUES, [0, 0, 0, 9, 9, 9, 255, 0, 0] + [1, 2, 3] * 9)),
        saved(Image.fromarray(np.dstack([VALUES, VALUES, VALUES, VALUES * 0 + 255]), "RGBA")),
    ],
    ids=["png", "png 16 bit", "tiff", "bmp", "three equal colours", "palette", "alpha"],
)
def test_values_are_those_of_the_file(data):
    found, from_shades = decode_label_map(data)
    np.testing.assert_array_equal(drawn(found), VALUES)
    assert not from_shades


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_palette_of_black_and_white_is_what_it_shows(kind):
    picture = in_palette(np.array([[0, 1], [1, 1]], np.uint8), [255, 255, 255, 0, 0, 0])
    np.testing.assert_array_equal(drawn(decode_label_map(saved(picture, kind))[0]) > 0, [[1, 0], [0, 0]])


@pytest.mark.parametrize(("channels", "ending"), [(1, ".jpg"), (3, ".jpg"), (3, ".webp")])
def test_a_jpeg_of_black_and_white_is_taken_and_told(channels, ending):
    found, from_shades = decode_label_map(encoded(np.dstack([WIDE] * channels), ending))
    assert from_shades
    np.testing.assert_array_equal(drawn(found), WIDE > 0)


def test_a_black_jpeg_is_an_image_without_a_lesion():
    assert decode_label_map(encoded(np.zeros((16, 16), np.uint8), ".jpg"))[0].regions == ()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (encoded(WIDE // 2, ".jpg"), "a JPEG or WebP of more than black and white"),
        (encoded(WIDE // 255, ".jpg"), "a JPEG or WebP whose brightest value is 1, where values change"),
        (encoded(np.dstack([WIDE // 64] * 3), ".webp"), r"a JPEG or WebP whose brightest value is \d, where"),
        (encoded(np.dstack([VALUES, VALUES, VALUES * 0]), ".png"), "in colours"),
        (encoded(VALUES, ".png")[:-20], "cut off or damaged"),
        (b"", "cannot be decoded"),
        (encoded(VALUES.astype(np.float32) / 2, ".tif"), "not whole"),
        (encoded(np.arange(400, dtype=np.uint16).reshape(20, 20), ".png"), "400 different values"),
        (cv2.imencodemulti(".tif", [VALUES, VALUES])[1].tobytes(), "several frames"),
    ],
    ids=["gray jpeg", "jpeg of 0 and 1", "dark webp", "colours", "cut", "empty", "fractions", "an image", "pages"],
)
def test_what_is_no_mask_is_refused(data, reason):
    with pytest.raises(ImageError, match=reason):
        decode_label_map(data)


@pytest.mark.parametrize("wrong", [-1.0, np.nan, np.inf, 0.5, 1e12])
def test_values_that_stand_for_no_class_are_refused(wrong):
    with pytest.raises(ImageError, match="the mask holds"):
        label_map(np.array([[0.0, wrong]]))


@given(
    data=st.binary(max_size=80),
    start=st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\0", b"\xff\xd8\xff"]),
)
def test_any_bytes_are_a_mask_or_refused(data, start):
    with contextlib.suppress(ImageError):
        decode_label_map(start + data)
