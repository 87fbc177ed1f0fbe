"""Decodes one image file: every kind that medical exports contain, and none that is damaged."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from dataset.images.image_headers import has_several_frames, is_whole, jpeg_size
from dataset.sources.source import Source

MAX_PIXELS = (
    2**26
)  # 8192 x 8192; larger ones are whole slides, to be cut into tiles; OPENCV_IO_MAX_IMAGE_PIXELS is the same
_MAX_BYTES = 2**29  # 2**26 pixels of three 16-bit channels take 2**28.6 uncompressed
_TOO_LARGE = f"the image has more pixels than {MAX_PIXELS // 10**6} million: cut it into tiles"
_AS_STORED = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH
# OpenCV's flags for decoding a JPEG at 1/8, 1/4 and 1/2 of its size; gray, unless combined with IMREAD_ANYCOLOR.
_REDUCED = {
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
}


class ImageError(ValueError):
    """An image file cannot be used; the message says why and what to do, and the caller adds which file."""


class MissingImageError(ImageError):
    """There is no file of this name."""


class ImageSizeError(ImageError):
    """An image has another size than annotated.

    Attributes:
        sizes: Height and width that it has: as it is shown first, then as it is stored.
    """

    def __init__(self, message: str, *sizes: tuple[int, int]) -> None:
        super().__init__(message)
        self.sizes = sizes


@dataclass(frozen=True)
class DecodeRequest:
    """What size an image has, and in what form it is needed.

    Attributes:
        height: Height in pixels, according to the annotation file.
        width: Width in pixels, according to the annotation file.
        channels: 1 for gray, 3 for red, green, blue.
        target_size: Height and width it will be resized to, so that fewer pixels may be decoded; None for all.
    """

    height: int
    width: int
    channels: int
    target_size: tuple[int, int] | None = None


def decode_image(data: bytes, request: DecodeRequest) -> tuple[NDArray[np.uint8], bool]:
    """Decodes an image in the size that its annotations were drawn on, or smaller, where that is enough.

    Alpha is dropped. EXIF orientation is applied, unless only the stored pixels have the annotated size: then the
    annotations were drawn on those. Other depths than 8 bit are scaled by the image's own minimum and maximum, because
    MR intensities have no absolute unit. A JPEG can be decoded to a half, a quarter or an eighth of its size, which
    saves most of the work: the smallest that is enough is taken.

    Args:
        data: The file's bytes.
        request: Its size, and what is needed of it.

    Returns:
        The image, uint8 (H, W, C), and whether its intensities had to be rescaled.

    Raises:
        ImageError: It is no image, damaged, too large, of another size, or holds several images.
    """
    if not is_whole(data):
        raise ImageError("the image file is cut off or damaged: copy or export it again")
    divisor = _divisor(data, request)
    size = request.height // divisor, request.width // divisor
    flags = _flags(divisor, request.channels)
    image = _decode(data, flags)
    if image.shape[:2] != size:
        oriented, image = image, _decode(data, flags | cv2.IMREAD_IGNORE_ORIENTATION)
        if image.shape[:2] != size:
            if divisor > 1:
                return decode_image(data, replace(request, target_size=None))
            raise ImageSizeError(
                f"the image is {oriented.shape[1]} x {oriented.shape[0]} pixels, its annotation file says "
                f"{request.width} x {request.height}: scale the annotations, or restore the image they were drawn on",
                *((each.shape[0], each.shape[1]) for each in (oriented, image)),
            )
    if has_several_frames(data):
        raise ImageError("the image file holds several frames: export each as an image of its own")
    return _to_channels(_to_8_bit(image), request.channels), image.dtype != np.uint8


def _divisor(data: bytes, request: DecodeRequest) -> int:
    """Returns the largest number by which a JPEG's sides may be divided while it is decoded: 8, 4, 2, or 1.

    Height and width have to be multiples of it: else the last pixels would stand for a smaller area than the others,
    and image and mask would no longer be aligned.
    """
    if request.target_size is None or sorted(jpeg_size(data) or ()) != sorted((request.height, request.width)):
        return 1  # no JPEG, or one of another size, which is reported once it is decoded
    for divisor in _REDUCED:
        large_enough = (
            request.height >= divisor * request.target_size[0] and request.width >= divisor * request.target_size[1]
        )
        if large_enough and request.height % divisor == request.width % divisor == 0:
            return divisor
    return 1


def _flags(divisor: int, channels: int) -> int:
    """Returns OpenCV's flags; a JPEG that is reduced is decoded straight to gray where gray is asked for."""
    if divisor == 1:
        return _AS_STORED
    return _REDUCED[divisor] | (_AS_STORED if channels == 3 else cv2.IMREAD_ANYDEPTH)


def read_image_file(source: Source, name: str) -> bytes:
    """Reads an image's file.

    Args:
        source: Where the data set lies.
        name: The file in there.

    Returns:
        Its bytes.

    Raises:
        ImageError: The file is missing, cannot be read, or is larger than any image that is allowed.
    """
    try:
        return source.read(name, _MAX_BYTES)
    except FileNotFoundError as error:
        raise MissingImageError("the image file is missing: add it, or remove its entry") from error
    except OSError as error:
        raise ImageError(f"the image file cannot be read ({error.strerror}): check what it is") from error
    except ValueError as error:  # a name that no file can have
        raise ImageError(f"the image file cannot be read ({error}): rename it") from error


def resize_image(image: NDArray[np.uint8], height: int, width: int, reduced: bool = False) -> NDArray[np.uint8]:
    """Resizes an image: area averages along sides that shrink, linear interpolation along sides that grow.

    The pixels of an image that was decoded in reduced size are averages already. As long as no side shrinks to less
    than half, linear interpolation between them leaves out none, and averaging again would only blur and take longer.

    Args:
        image: uint8 (H, W, C).
        height: Height of the result.
        width: Width of the result.
        reduced: Whether the image was decoded in reduced size.

    Returns:
        uint8 (height, width, C).
    """
    smaller = (min(width, image.shape[1]), min(height, image.shape[0]))
    leaves_none_out = image.shape[1] <= 2 * smaller[0] and image.shape[0] <= 2 * smaller[1]
    interpolation = cv2.INTER_LINEAR if reduced and leaves_none_out else cv2.INTER_AREA
    resized = cv2.resize(image, smaller, interpolation=interpolation)
    if smaller != (width, height):
        resized = cv2.resize(resized, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8).reshape(height, width, image.shape[2])


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
    with np.errstate(invalid="ignore"):  # casting some kinds of NaN warns; they are refused below
        values: NDArray[np.floating] = image.astype(np.float32 if image.dtype.itemsize <= 2 else np.float64)
    low, high = float(values.min()), float(values.max())
    if not np.isfinite(high - low):
        raise ImageError("the image holds numbers that are not finite: export it again")
    scale = 255.0 / (high - low) if high > low else 0.0
    return np.rint((values - low) * scale).astype(np.uint8)


def _to_channels(image: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """Returns (H, W, 1) gray or (H, W, 3) red, green, blue from OpenCV's gray or blue, green, red."""
    is_gray = image.ndim == 2 or image.shape[2] == 1
    if channels == 1:
        gray = image if is_gray else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        return np.asarray(gray, np.uint8).reshape(*image.shape[:2], 1)
    colour = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB if is_gray else cv2.COLOR_BGR2RGB)
    return np.asarray(colour, np.uint8)
