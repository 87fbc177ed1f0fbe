"""Image files that are sound and yet not one ordinary picture: far too large, several frames, CMYK."""

import io
import os
import struct
import subprocess
import sys
import time
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from dataset.images.decode import ImageError
from tests.dataset.coco_folder import noise, read_image

H, W = 20, 30
FRAMES = [Image.fromarray(noise(H, W, seed, channels=3)) for seed in range(3)]
READ = """
import sys
from pathlib import Path
from tests.dataset.memory import peak_megabytes
from dataset.images.decode import ImageError
from tests.dataset.coco_folder import read_image
before = peak_megabytes()
try:
    read_image(Path(sys.argv[1]), 16, 16, 3)
except ImageError as error:
    print(error)
print(peak_megabytes() - before)
"""


def encode(image: Image.Image, kind: str, **arguments) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **arguments)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def huge_png(width: int, height: int) -> bytes:
    """A whole PNG by all checksums, of a few kilobytes, that claims to be large."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rest = chunk(b"IDAT", zlib.compress(bytes(10**6))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + rest


def huge_jpeg(width: int, height: int) -> bytes:
    data = bytearray(encode(FRAMES[0], "JPEG"))
    frame = data.index(b"\xff\xc0") + 5
    data[frame : frame + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def huge_bmp(width: int, height: int) -> bytes:
    data = bytearray(encode(FRAMES[0], "BMP"))
    data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


def refusal_in_a_process(path, limit: str | None) -> tuple[str, int]:
    """What a fresh process says, and by how many megabytes it grew."""
    environment = {name: value for name, value in os.environ.items() if name != "OPENCV_IO_MAX_IMAGE_PIXELS"}
    if limit:
        environment["OPENCV_IO_MAX_IMAGE_PIXELS"] = limit
    command = [sys.executable, "-c", READ, str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    *message, grown = done.stdout.strip().splitlines()
    return "\n".join(message), int(grown)


@pytest.mark.parametrize("make", [huge_png, huge_jpeg, huge_bmp])
@pytest.mark.parametrize(("side", "limit"), [(60_000, "67108864"), (10_000, "67108864"), (60_000, None)])
def test_huge_image_is_refused_without_being_decoded(tmp_path, make, side, limit):
    """By the limit that the command line sets; a really huge one by OpenCV's own limit of 2**30 pixels too."""
    path = tmp_path / "huge"
    path.write_bytes(make(side, side))
    assert path.stat().st_size < 10_000
    begin = time.monotonic()
    message, grown = refusal_in_a_process(path, limit)
    assert message == "the image has more pixels than 67 million: cut it into tiles"
    assert grown < 20
    assert time.monotonic() - begin < 120  # most of it for importing, on a machine that may be busy


def test_huge_image_is_refused_where_no_limit_was_set(tmp_path):
    (tmp_path / "a.png").write_bytes(encode(Image.new("1", (10_000, 7_000)), "PNG"))
    with pytest.raises(ImageError, match="more pixels than 67 million"):
        read_image(tmp_path / "a.png", 7_000, 10_000, 1)


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [("GIF", {}), ("PNG", {}), ("WEBP", {}), ("AVIF", {}), ("TIFF", {}), ("TIFF", {"big_tiff": True})],
)
def test_several_frames_are_refused_and_one_is_read(tmp_path, kind, arguments):
    path = tmp_path / "image"
    path.write_bytes(encode(FRAMES[0], kind, **arguments))
    assert read_image(path, H, W, 3)[0].shape == (H, W, 3)
    path.write_bytes(encode(FRAMES[0], kind, save_all=True, append_images=FRAMES[1:], **arguments))
    with pytest.raises(ImageError, match="holds several frames: export each as an image of its own"):
        read_image(path, H, W, 3)


def test_several_pages_of_a_big_endian_tiff_are_refused(tmp_path):
    """Written by hand: two pages of 1 x 1 pixel."""

    def page(offset: int, following: int) -> bytes:
        tags = [(256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 8), (278, 1), (279, 1)]
        entries = b"".join(struct.pack(">HHIHH", tag, 3, 1, value, 0) for tag, value in tags)
        return struct.pack(">H", len(tags)) + entries + struct.pack(">I", following)

    length = len(page(0, 0))
    for following, allowed in ((0, True), (10 + length, False)):
        data = b"MM\0*" + struct.pack(">I", 10) + b"\x80\0" + page(10, following) + page(10 + length, 0)
        (tmp_path / "a.tif").write_bytes(data)
        if allowed:
            assert read_image(tmp_path / "a.tif", 1, 1, 1)[0].item() == 128
        else:
            with pytest.raises(ImageError, match="several frames"):
                read_image(tmp_path / "a.tif", 1, 1, 1)


def big_endian_bigtiff() -> bytes:
    """Two pages of 1 x 1 pixel."""

    def page(following: int) -> bytes:
        tags = [(256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 16), (278, 1), (279, 1)]
        entries = b"".join(struct.pack(">HHQHHI", tag, 3, 1, value, 0, 0) for tag, value in tags)
        return struct.pack(">Q", len(tags)) + entries + struct.pack(">Q", following)

    second = 18 + len(page(0))
    return b"MM\0+" + struct.pack(">HHQ", 8, 0, 18) + b"\x80\0" + page(second) + page(0)


def pages_of_64_bit() -> bytes:
    _, data = cv2.imencodemulti(".tiff", [np.eye(20, 30), np.eye(20, 30)])
    return data.tobytes()


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # by Pillow
@pytest.mark.parametrize(("data", "size"), [(big_endian_bigtiff(), (1, 1)), (pages_of_64_bit(), (20, 30))])
def test_several_pages_are_refused_in_files_that_pillow_cannot_open(tmp_path, data, size):
    with pytest.raises(Image.UnidentifiedImageError):
        Image.open(io.BytesIO(data))
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(ImageError, match="several frames"):
        read_image(tmp_path / "a.tif", *size, 1)


def test_second_frame_of_a_gif_is_noticed_although_it_is_damaged(tmp_path):
    """It lies outside the picture, so that a decoder reports one frame."""
    data = bytearray(encode(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:2]))
    data[data.rindex(b"\x21\xf9\x04") + 9] = 255  # its left edge
    assert len(cv2.imdecodemulti(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[1]) < 2
    (tmp_path / "a.gif").write_bytes(data)
    with pytest.raises(ImageError, match="several frames"):
        read_image(tmp_path / "a.gif", H, W, 3)


def test_png_with_one_frame_or_much_text_is_read(tmp_path):
    """Pillow's own limit on text is 1 MB; what programs store of their settings may be longer."""
    data = encode(FRAMES[0], "PNG")
    header, rest = data[:33], data[33:]
    animation = chunk(b"acTL", struct.pack(">II", 1, 0)) + chunk(
        b"fcTL", struct.pack(">IIIIIHHBB", 0, W, H, 0, 0, 1, 1, 0, 0)
    )
    text = chunk(b"zTXt", b"settings\0\0" + zlib.compress(b"x" * 2_000_000))
    for added in (animation, text):
        (tmp_path / "a.png").write_bytes(header + added + rest)
        np.testing.assert_array_equal(read_image(tmp_path / "a.png", H, W, 3)[0], np.asarray(FRAMES[0]))


def test_pillow_opens_no_other_kinds():
    """EPS would start Ghostscript, and each kind is one more reader that a file from outside might break."""
    command = (
        "import io, sys; from PIL import Image; from dataset.images.image_headers import has_several_frames;"
        "buffer = io.BytesIO(); Image.new('L', (2, 2)).save(buffer, 'BMP');"
        "print(has_several_frames(buffer.getvalue()), has_several_frames(b'%!PS-Adobe-3.0 EPSF-3.0'),"
        "'PIL.EpsImagePlugin' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "False"]


def test_preview_inside_a_jpeg_is_no_frame(tmp_path):
    """Phones write such files (MPO): a picture, and behind it a preview or a depth map."""
    data = encode(FRAMES[0], "MPO", save_all=True, append_images=FRAMES[1:])
    (tmp_path / "a.jpg").write_bytes(data)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    assert np.abs(read_image(tmp_path / "a.jpg", H, W, 3)[0] - expected).max() <= 4  # noise, chroma interpolated


def cmyk_variants() -> dict[str, bytes]:
    """With Adobe's marker as most tools write it, without, and as YCCK (Photoshop); the ink is inverted in all."""
    smooth = Image.fromarray(noise(4, 5, 0, channels=3)).resize((64, 48), Image.Resampling.BICUBIC)
    adobe = encode(smooth.convert("CMYK"), "JPEG", quality=98)
    marker = adobe.index(b"Adobe")
    end = marker - 2 + int.from_bytes(adobe[marker - 2 : marker], "big")
    return {
        "adobe": adobe,
        "plain": adobe[: marker - 4] + adobe[end:],
        "ycck": adobe[: marker + 11] + b"\x02" + adobe[marker + 12 :],
        "tiff": encode(smooth.convert("CMYK"), "TIFF"),
    }


@pytest.mark.parametrize("variant", ["adobe", "plain", "ycck", "tiff"])
def test_cmyk_is_converted_as_pillow_does(tmp_path, variant):
    data = cmyk_variants()[variant]
    (tmp_path / "a").write_bytes(data)
    colour, rescaled = read_image(tmp_path / "a", 48, 64, 3)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    assert np.abs(colour - expected).max() <= 1  # measured 1
    assert not rescaled
    luminance = expected @ np.array([0.299, 0.587, 0.114])
    assert np.abs(read_image(tmp_path / "a", 48, 64, 1)[0][..., 0] - luminance).max() <= 2


@pytest.mark.parametrize("values", [(-3e38, 3e38), (0.0, 1e-30), (5e-324, 1.0)])
def test_float_images_of_extreme_range_are_scaled(tmp_path, values):
    picture = np.full((H, W), values[0], np.float32)
    picture[: H // 2] = values[1]
    (tmp_path / "a.tif").write_bytes(encode(Image.fromarray(picture), "TIFF"))
    image, rescaled = read_image(tmp_path / "a.tif", H, W, 1)
    assert rescaled
    assert (image[0, 0].item(), image[-1, 0].item()) == (255, 0)
