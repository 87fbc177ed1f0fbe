import io

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from dataset.images.decode import ImageError
from dataset.images.image_headers import is_whole
from dataset.images.resize import resize_image
from tests.dataset.coco_folder import noise, png, read_image

H, W = 20, 30


def encode(image: Image.Image, kind: str = "PNG", **arguments) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **arguments)
    return buffer.getvalue()


def read(tmp_path, data: bytes, size=(H, W), channels=1, name="image.bin"):
    path = tmp_path / name
    path.write_bytes(data)
    return read_image(path, *size, channels)


def blocks(height: int, width: int) -> np.ndarray:
    """Smooth enough for JPEG, different in every corner and channel."""
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([rows * 8, columns * 6, 200 - rows * 4], axis=-1).astype(np.uint8)


def test_gray_png_is_read_exactly(tmp_path):
    picture = noise(H, W, 0)
    image, rescaled = read(tmp_path, png(picture))
    assert image.shape == (H, W, 1)
    assert not rescaled
    np.testing.assert_array_equal(image[..., 0], picture)


def test_gray_file_becomes_three_equal_channels(tmp_path):
    picture = noise(H, W, 0)
    image, _ = read(tmp_path, png(picture), channels=3)
    np.testing.assert_array_equal(image, np.repeat(picture[..., None], 3, axis=2))


def test_colour_comes_in_red_green_blue_order(tmp_path):
    picture = noise(H, W, 1, channels=3)
    image, _ = read(tmp_path, encode(Image.fromarray(picture)), channels=3)
    np.testing.assert_array_equal(image, picture)


def test_colour_becomes_luminance(tmp_path):
    picture = noise(H, W, 1, channels=3)
    image, _ = read(tmp_path, encode(Image.fromarray(picture)))
    expected = picture @ np.array([0.299, 0.587, 0.114])  # ITU-R 601
    assert np.abs(image[..., 0] - expected).max() <= 1.0


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_dropped_not_blended(tmp_path, mode):
    picture = noise(H, W, 2, channels=4 if mode == "RGBA" else 2)
    image, _ = read(tmp_path, encode(Image.fromarray(picture, mode)), channels=3)
    colour = picture[..., :3] if mode == "RGBA" else np.repeat(picture[..., :1], 3, axis=2)
    np.testing.assert_array_equal(image, colour)


def test_palette_gives_its_colours(tmp_path):
    palette = Image.fromarray(noise(H, W, 3, channels=3)).quantize(16)
    image, _ = read(tmp_path, encode(palette), channels=3)
    np.testing.assert_array_equal(image, np.asarray(palette.convert("RGB")))


def test_one_bit_becomes_black_and_white(tmp_path):
    picture = noise(H, W, 4) > 127
    image, _ = read(tmp_path, encode(Image.fromarray(picture)))
    np.testing.assert_array_equal(image[..., 0], picture * 255)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_is_scaled_by_its_own_range(tmp_path, kind):
    picture = (1000 + 10 * np.arange(H * W).reshape(H, W)).astype(np.uint16)
    image, rescaled = read(tmp_path, encode(Image.fromarray(picture), kind))
    assert rescaled
    expected = np.rint((picture - 1000.0) / (picture.max() - 1000.0) * 255)
    np.testing.assert_array_equal(image[..., 0], expected)


def test_constant_16_bit_image_becomes_black(tmp_path):
    image, _ = read(tmp_path, png(np.full((H, W), 777, np.uint16)))
    assert image.max() == 0


def test_float_image_that_is_not_finite_is_refused(tmp_path):
    picture = np.ones((H, W), np.float32)
    picture[3, 4] = np.nan
    with pytest.raises(ImageError, match="not finite"):
        read(tmp_path, encode(Image.fromarray(picture), "TIFF"))


def test_jpeg_is_close_to_what_pillow_reads(tmp_path):
    data = encode(Image.fromarray(blocks(H, W)), "JPEG", quality=95)
    image, _ = read(tmp_path, data, channels=3)
    expected = np.asarray(Image.open(io.BytesIO(data))).astype(int)
    assert np.abs(image - expected).max() <= 3  # decoders differ in rounding and chroma interpolation


@pytest.mark.parametrize("orientation", [2, 3, 5, 6, 8])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_exif_orientation_is_applied_where_the_annotations_are_upright(tmp_path, kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(Image.fromarray(blocks(H, W)), kind, exif=exif)
    size = (W, H) if orientation >= 5 else (H, W)
    image, _ = read(tmp_path, data, size=size, channels=3)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data)))).astype(int)
    assert np.abs(image - expected).max() <= 3


def test_exif_orientation_is_left_where_annotations_are_on_the_stored_pixels(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = blocks(H, W)
    image, _ = read(tmp_path, encode(Image.fromarray(picture), "PNG", exif=exif), size=(H, W), channels=3)
    np.testing.assert_array_equal(image, picture)


def test_other_size_than_annotated_is_refused(tmp_path):
    with pytest.raises(ImageError, match="30 x 20 pixels, its annotation file says 31 x 20"):
        read(tmp_path, png(noise(H, W, 0)), size=(H, W + 1))


def test_names_of_any_script_are_read(tmp_path):
    image, _ = read(tmp_path, png(noise(H, W, 0)), name="Schädel #1 脳 (2).PNG")
    assert image.shape == (H, W, 1)


def test_missing_file_is_named_as_missing(tmp_path):
    with pytest.raises(ImageError, match="missing"):
        read_image(tmp_path / "none.png", H, W, 1)


def test_folder_instead_of_a_file_is_refused(tmp_path):
    with pytest.raises(ImageError, match="cannot be read"):
        read_image(tmp_path, H, W, 1)


@pytest.mark.parametrize("data", [b"", b"hello", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_is_refused(tmp_path, data):
    with pytest.raises(ImageError):
        read(tmp_path, data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "WEBP"])
@pytest.mark.parametrize("kept", [0.3, 0.7, 0.97])
def test_truncated_file_is_refused(tmp_path, kind, kept):
    data = encode(Image.fromarray(noise(64, 64, 5, channels=3)), kind)
    assert read(tmp_path, data, size=(64, 64))[0].shape == (64, 64, 1)
    with pytest.raises(ImageError):
        read(tmp_path, data[: int(kept * len(data))], size=(64, 64))


def test_truncated_jpeg_with_a_whole_thumbnail_is_not_whole():
    inner = encode(Image.fromarray(blocks(8, 8)), "JPEG")
    data = encode(Image.fromarray(blocks(64, 24)), "JPEG", exif=b"Exif\0\0" + inner)
    assert data.count(b"\xff\xd9") == 2
    assert is_whole(data)
    assert not is_whole(data[:-2])


def test_progressive_jpeg_with_trailing_bytes_is_whole():
    data = encode(Image.fromarray(blocks(64, 24)), "JPEG", progressive=True)
    assert is_whole(data + b"\0" * 100)


def test_png_with_a_flipped_bit_is_not_whole():
    data = bytearray(png(noise(64, 64, 5)))
    data[len(data) // 2] ^= 1
    assert not is_whole(bytes(data))


def test_shrinking_averages_areas():
    picture = noise(32, 48, 6, channels=3)
    expected = picture.reshape(8, 4, 16, 3, 3).mean(axis=(1, 3))
    assert np.abs(resize_image(picture, 8, 16) - expected).max() <= 0.51


def test_growing_interpolates():
    picture = noise(8, 8, 7)[..., None]
    expected = cv2.resize(picture, (24, 16), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(resize_image(picture, 16, 24)[..., 0], expected)


def test_one_side_may_shrink_while_the_other_grows():
    picture = np.tile(np.arange(0, 240, 10, dtype=np.uint8)[:, None, None], (1, 4, 1))  # 24 rows, constant along x
    resized = resize_image(picture, 12, 8)
    np.testing.assert_array_equal(resized[..., 0], np.tile(np.arange(5, 240, 20)[:, None], (1, 8)))
