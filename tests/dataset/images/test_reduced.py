"""JPEGs of which only a part of the size is decoded, because they are stored smaller."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from dataset.images.decode import DecodeRequest, ImageError, decode_image
from dataset.images.image_headers import JpegFrame, jpeg_frame
from dataset.images.resize import resize_image


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
    image = decode_image(data, DecodeRequest(*size, channels, target if reduce else None)).pixels
    return resize_image(image, *target).astype(int)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize(("size", "target"), [((96, 128), (48, 64)), ((96, 128), (24, 64)), ((256, 304), (32, 38))])
def test_reduced_image_is_nearly_the_one_of_all_pixels(channels, mode, size, target):
    data = jpeg(scene(*size).convert(mode), subsampling=0)
    reduced, full = (stored(data, size, channels, target, reduce) for reduce in (True, False))
    assert reduced.shape == full.shape == (*target, channels)
    assert np.abs(reduced - full).mean() < 0.7  # of 255


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ((64, 64), (64, 64)),
        ((65, 64), (128, 128)),
        ((32, 16), (32, 32)),
        ((33, 20), (128, 128)),
        ((64, 48), (128, 128)),
        ((16, 16), (16, 16)),
        ((128, 128), (128, 128)),
    ],
)
def test_only_whole_areas_of_a_stored_pixel_are_decoded_as_one(target, expected):
    image = decode_image(jpeg(scene(128, 128)), DecodeRequest(128, 128, 1, target)).pixels
    assert image.shape == (*expected, 1)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("drawn_on", ["shown", "stored"])
def test_orientation_is_as_with_all_pixels(orientation, drawn_on):
    data = jpeg(scene(96, 128), exif=turned(orientation), subsampling=0)
    size = (128, 96) if orientation > 4 and drawn_on == "shown" else (96, 128)
    reduced, full = (stored(data, size, 3, (32, 32), reduce) for reduce in (True, False))
    assert np.abs(reduced - full).mean() < 0.7


@pytest.mark.parametrize(("channels", "subsampling", "side"), [(1, 2, 32), (3, 2, 128), (3, 0, 32)])
def test_colours_that_have_fewer_pixels_than_the_brightness_are_decoded_as_a_whole(channels, subsampling, side):
    data = jpeg(scene(128, 128), subsampling=subsampling)
    assert decode_image(data, DecodeRequest(128, 128, channels, (32, 32))).pixels.shape == (side, side, channels)


@pytest.mark.parametrize("size", [(128, 96), (97, 128), (96, 127), (12, 16), (24, 32)])
def test_another_size_is_refused_with_the_files_own(size):
    with pytest.raises(
        ImageError, match=f"the image is 128 x 96 pixels, its annotation file says {size[1]} x {size[0]}"
    ):
        decode_image(jpeg(scene(96, 128)), DecodeRequest(*size, 1, (12, 12)))


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"exif": turned(6)}, {"comment": b"\xff\xc0" * 20}, {"subsampling": 0}]
)
def test_jpeg_tells_its_size_and_whether_colours_have_fewer_pixels(options):
    subsampled = options.get("subsampling", 2) != 0
    assert jpeg_frame(jpeg(scene(96, 128), **options)) == JpegFrame(96, 128, subsampled)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", b"\xff\xd8\xff\xd9", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xc0"])
def test_what_tells_no_size_is_decoded_as_a_whole(data):
    assert jpeg_frame(data) in (None, JpegFrame(0, 0, subsampled=False))


def test_other_kinds_are_not_reduced():
    data = cv2.imencode(".png", np.asarray(scene(128, 128)))[1].tobytes()
    assert decode_image(data, DecodeRequest(128, 128, 3, (16, 16))).pixels.shape == (128, 128, 3)
