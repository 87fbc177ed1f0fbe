"""Reads one image file: every kind that medical exports contain, and none that is damaged."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dataset.containers import has_several_frames, is_whole
from dataset.folders import read_file

MAX_PIXELS = 2**26  # 8192 x 8192: more are whole slides, to be cut into tiles; OPENCV_IO_MAX_IMAGE_PIXELS says the same
_MAX_BYTES = 2**29  # 2**26 pixels of three 16-bit channels, uncompressed, are 2**28.6
_TOO_LARGE = f"the image has more pixels than {MAX_PIXELS // 10**6} million: cut it into tiles"
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
        ImageError: The file is missing, no image, damaged, too large, of another size, or holds several images.
    """
    data = _read(path)
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
    if has_several_frames(data):
        raise ImageError("the image file holds several frames: export each as an image of its own")
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


def _read(path: Path) -> bytes:
    try:
        return read_file(path, _MAX_BYTES)
    except FileNotFoundError as error:
        raise ImageError("the image file is missing: add it, or remove its entry") from error
    except OSError as error:
        raise ImageError(f"the image file cannot be read ({error.strerror}): check what it is") from error
    except ValueError as error:  # a name that no file can have
        raise ImageError(f"the image file cannot be read ({error}): rename it") from error


def _decode(data: bytes, flags: int) -> NDArray[np.generic]:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        if "CV_IO_MAX_IMAGE_" in str(error):  # ..._PIXELS, _WIDTH or _HEIGHT: OpenCV looked at the header alone
            raise ImageError(_TOO_LARGE) from error
        raise ImageError("the image file cannot be decoded: export it again as PNG or JPEG") from error
    if image is None:
        raise ImageError("the image file is empty, damaged or of an unknown kind: export it again as PNG or JPEG")
    if image.shape[0] * image.shape[1] > MAX_PIXELS:
        raise ImageError(_TOO_LARGE)
    return image


def _to_8_bit(image: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Scales an image of another depth by its own minimum and maximum; leaves 8 bit alone."""
    if image.dtype == np.uint8:
        return image.astype(np.uint8, copy=False)
    values: NDArray[np.floating] = image.astype(np.float32 if image.dtype.itemsize <= 2 else np.float64)
    low, high = float(values.min()), float(values.max())
    if not np.isfinite(high - low):
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
