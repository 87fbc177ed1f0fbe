"""Reads one image file: every kind that medical exports contain, and none that is damaged."""

import re
import zlib
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

_PNG_START = b"\x89PNG\r\n\x1a\n"
_JPEG_START = b"\xff\xd8\xff"
# In compressed data 0xFF is followed by 0x00 (stuffing), by a restart marker, or by fill bytes; else a segment begins.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_AS_STORED = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH


class ImageError(ValueError):
    """An image file cannot be used; the message says why and what to do, its place is for the caller to add."""


def read_image(path: Path, height: int, width: int, channels: int) -> tuple[NDArray[np.uint8], bool]:
    """Reads an image in the size that its annotations were drawn on.

    Alpha is dropped. EXIF orientation is applied, unless only the stored pixels have the annotated size: then the
    annotations were drawn on those. Other depths than 8 bit are scaled by the image's own minimum and maximum, because
    MR intensities have no absolute unit.

    Args:
        path: The file; its name may be anything the file system allows.
        height: Height in pixels, by the annotation file.
        width: Width in pixels, by the annotation file.
        channels: 1 for gray, 3 for red, green, blue.

    Returns:
        The image, uint8 (height, width, channels), and whether its intensities had to be rescaled.

    Raises:
        ImageError: The file is missing, no image, damaged, or of another size.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ImageError("the image file is missing: add it, or remove its entry") from error
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise ImageError(f"the image file cannot be read ({error}): check its name and permissions") from error
    if not is_whole(data):
        raise ImageError("the image file is cut off or damaged: copy or export it again")
    image = _decode(data, _AS_STORED)
    if image.shape[:2] != (height, width):
        oriented, image = image, _decode(data, _AS_STORED | cv2.IMREAD_IGNORE_ORIENTATION)
        if image.shape[:2] != (height, width):
            raise ImageError(
                f"the image is {oriented.shape[1]} x {oriented.shape[0]} pixels, its annotation file says "
                f"{width} x {height}: scale the annotations, or restore the image they were drawn on"
            )
    return _to_channels(_to_8_bit(image), channels), image.dtype != np.uint8


def resize_image(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Resizes an image: area averages along sides that shrink, linear interpolation along sides that grow.

    Args:
        image: uint8 (H, W, C).
        height: Height wanted.
        width: Width wanted.

    Returns:
        uint8 (height, width, C).
    """
    smaller = (min(width, image.shape[1]), min(height, image.shape[0]))
    resized = cv2.resize(image, smaller, interpolation=cv2.INTER_AREA)
    resized = cv2.resize(resized, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8).reshape(height, width, image.shape[2])


def is_whole(data: bytes) -> bool:
    """Tells whether a JPEG or PNG is complete; decoders of many versions fill a missing rest with gray instead.

    Args:
        data: The file's bytes.

    Returns:
        False for a JPEG without its end marker, or a PNG without its last chunk or with a wrong checksum; True for
        every other kind of file, which the decoder judges.
    """
    if data.startswith(_JPEG_START):
        return _jpeg_has_end(data)
    if data.startswith(_PNG_START):
        return _png_has_end(data)
    return True


def _jpeg_has_end(data: bytes) -> bool:
    """Walks the segments: a search for the end marker alone would find that of an embedded thumbnail."""
    position = 2
    while found := _JPEG_MARKER.search(data, position):
        marker, position = data[found.start() + 1], found.end()
        if marker == 0xD9:
            return True
        if marker not in (0x01, 0xD8):  # these two have no length
            position += int.from_bytes(data[position : position + 2], "big")
    return False


def _png_has_end(data: bytes) -> bool:
    position = len(_PNG_START)
    while position + 12 <= len(data):
        end = position + 12 + int.from_bytes(data[position : position + 4], "big")
        if zlib.crc32(memoryview(data)[position + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            return False
        if data[position + 4 : position + 8] == b"IEND":
            return True
        position = end
    return False


def _decode(data: bytes, flags: int) -> NDArray[np.generic]:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise ImageError("the image file cannot be decoded: export it again as PNG or JPEG") from error
    if image is None:
        raise ImageError("the image file is empty, damaged or of an unknown kind: export it again as PNG or JPEG")
    return image


def _to_8_bit(image: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Scales an image of another depth by its own minimum and maximum; leaves 8 bit alone."""
    if image.dtype == np.uint8:
        return image.astype(np.uint8, copy=False)
    values = image.astype(np.float32)
    low, high = float(values.min()), float(values.max())
    if not np.isfinite(low + high):
        raise ImageError("the image holds numbers that are not finite: export it again")
    scale = 255.0 / (high - low) if high > low else 0.0
    return np.rint((values - low) * scale).astype(np.uint8)


def _to_channels(image: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """Gives (H, W, 1) gray or (H, W, 3) red, green, blue from OpenCV's gray or blue, green, red."""
    is_gray = image.ndim == 2 or image.shape[2] == 1
    if channels == 1:
        gray = image if is_gray else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        return np.asarray(gray, np.uint8).reshape(*image.shape[:2], 1)
    colour = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB if is_gray else cv2.COLOR_BGR2RGB)
    return np.asarray(colour, np.uint8)
