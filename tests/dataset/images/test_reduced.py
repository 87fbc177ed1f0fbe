"""JPEGs of which only a part of the size is decoded, because they are stored smaller."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from dataset.images.decode import DecodeRequest, ImageError, decode_image, resize_image
from dataset.images.image_headers import jpeg_size


def scene(height: int, width: int) -> Image.Image:
    """Smooth, with an edge and a corner that tells how it is turned."""
    rows, columns = np.mgrid[0:height, 0:width]
    picture = np.stack([rows * 200 / height, columns * 200 / width, 80 + 0 * rows], axis=-1)
    picture[: height // 3, : width // 4] += 55
    return Image.fromarray(picture.astype(np.uint8))


def jpeg(image: Image.Image, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95, **options)
    return buffer.getvalue()


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def stored(data: bytes, size: tuple[int, int], channels: int, target: tuple[int, int], reduce: bool) -> np.ndarray:
    image, _ = decode_image(data, DecodeRequest(*size, channels, target if reduce else None))
    return resize_image(image, *target, image.shape[:2] != size).astype(int)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize(("size", "target"), [((96, 128), (48, 64)), ((96, 128), (40, 60)), ((256, 304), (30, 34))])
def test_reduced_image_is_nearly_the_one_of_all_pixels(channels, mode, size, target):
    data = jpeg(scene(*size).convert(mode))
    reduced, full = (stored(data, size, channels, target, reduce) for reduce in (True, False))
    assert reduced.shape == full.shape == (*target, channels)
    assert np.abs(reduced - full).mean() < 1.5  # of 255; measured 0.9 at most


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ((64, 64), (64, 64)),
        ((65, 64), (128, 128)),
        ((33, 20), (64, 64)),
        ((16, 16), (16, 16)),
        ((128, 128), (128, 128)),
    ],
)
def test_decoded_image_is_never_smaller_than_the_stored_one(target, expected):
    image, _ = decode_image(jpeg(scene(128, 128)), DecodeRequest(128, 128, 1, target))
    assert image.shape == (*expected, 1)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("drawn_on", ["shown", "stored"])
def test_orientation_is_as_with_all_pixels(orientation, drawn_on):
    data = jpeg(scene(96, 128), exif=turned(orientation))
    size = (128, 96) if orientation > 4 and drawn_on == "shown" else (96, 128)
    reduced, full = (stored(data, size, 3, (32, 32), reduce) for reduce in (True, False))
    assert np.abs(reduced - full).mean() < 1.5


@pytest.mark.parametrize("size", [(127, 128), (128, 126), (99, 99)])
def test_sides_that_cannot_be_divided_are_not_reduced_as_far(size):
    image, _ = decode_image(jpeg(scene(*size), exif=turned(1)), DecodeRequest(*size, 1, (8, 8)))
    divisor = 2 if size == (128, 126) else 1
    assert image.shape == (size[0] // divisor, size[1] // divisor, 1)


@pytest.mark.parametrize("size", [(128, 96), (97, 128), (96, 127), (12, 16), (24, 32)])
def test_another_size_is_refused_with_the_files_own(size):
    with pytest.raises(
        ImageError, match=f"the image is 128 x 96 pixels, its annotation file says {size[1]} x {size[0]}"
    ):
        decode_image(jpeg(scene(96, 128)), DecodeRequest(*size, 1, (12, 12)))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"exif": turned(6)}, {"comment": b"\xff\xc0" * 20}])
def test_jpeg_tells_its_size(options):
    assert jpeg_size(jpeg(scene(96, 128), **options)) == (96, 128)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", b"\xff\xd8\xff\xd9", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xc0"])
def test_what_tells_no_size_is_decoded_as_a_whole(data):
    assert jpeg_size(data) in (None, (0, 0))


def test_other_kinds_are_not_reduced():
    data = cv2.imencode(".png", np.asarray(scene(128, 128)))[1].tobytes()
    assert decode_image(data, DecodeRequest(128, 128, 3, (16, 16)))[0].shape == (128, 128, 3)
