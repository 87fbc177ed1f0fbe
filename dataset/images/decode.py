"""Decodes one image file: every kind that medical exports contain, and none that is damaged."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dataset.images.image_headers import TIFF_STARTS, JpegFrame, has_several_frames, is_whole, jpeg_frame
from dataset.images.orientation import UPRIGHT, Taken, orientation_of, swaps_sides, turned, turned_back
from dataset.options import Exif
from dataset.sources.source import Source

MAX_PIXELS = (
    2**26
)  # 8192 x 8192; larger ones are whole slides, to be cut into tiles; OPENCV_IO_MAX_IMAGE_PIXELS is the same
MAX_BYTES = 2**29  # 2**26 pixels of three 16-bit channels take 2**28.6 uncompressed
TOO_LARGE = f"the image has more pixels than {MAX_PIXELS // 10**6} million: cut it into tiles"
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
        sizes: Height and width that it has, turned as its orientation tag says and as stored; the likelier one first.
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
        average_to: Height and width that areas will be averaged to, so that fewer pixels may be decoded; None for all.
        exif: Whether an image with an orientation tag is turned where its size does not tell.
    """

    height: int
    width: int
    channels: int
    average_to: tuple[int, int] | None = None
    exif: Exif = "apply"


@dataclass(frozen=True)
class DecodedImage:
    """An image as its annotations were drawn on it.

    Attributes:
        pixels: uint8 (H, W, C); smaller than annotated where the areas of fewer pixels have the same averages.
        rescaled: Whether its intensities had to be rescaled.
        taken: How its orientation tag was taken; None where it has none.
    """

    pixels: NDArray[np.uint8]
    rescaled: bool
    taken: Taken | None


def decode_image(data: bytes, request: DecodeRequest) -> DecodedImage:
    """Decodes an image in the size that its annotations were drawn on, or smaller, where that is enough.

    Alpha is dropped. An orientation tag is applied where only the turned pixels have the annotated size, and not where
    only the stored ones have; else `request.exif` decides. Other depths than 8 bit are scaled by the image's own
    minimum and maximum, because MR intensities have no absolute unit.

    Args:
        data: The file's bytes.
        request: Its size, and what is needed of it.

    Raises:
        ImageError: It is no image, damaged, too large, of another size, or holds several images.
    """
    _check_whole(data)
    jpeg = jpeg_frame(data)
    divisor = _divisor(jpeg, request)
    orientation = orientation_of(data)
    image = _decode(data, _flags(divisor, request.channels, jpeg is not None), orientation)
    image, taken = _oriented(image, orientation, request, divisor)
    _check_single(data)
    return DecodedImage(to_channels(_to_8_bit(image), request.channels), image.dtype != np.uint8, taken)


def decode_any_size(data: bytes, channels: int, exif: Exif = "apply") -> DecodedImage:
    """Decodes all pixels of an image on which nothing was drawn, so that its size is what the file says.

    Args:
        data: The file's bytes.
        channels: 1 for gray, 3 for red, green, blue.
        exif: Whether an image with an orientation tag is turned.

    Raises:
        ImageError: It is no image, damaged, too large, or holds several images.
    """
    _check_whole(data)
    orientation = orientation_of(data)
    image = _decode(data, _flags(1, channels, jpeg_frame(data) is not None), orientation)
    _check_single(data)
    taken: Taken | None = None
    if orientation != UPRIGHT:
        taken = "turned_by_option" if exif == "apply" else "kept_by_option"
    shown = turned(image, orientation) if taken == "turned_by_option" else image
    return DecodedImage(to_channels(_to_8_bit(shown), channels), image.dtype != np.uint8, taken)


def decode_as_stored(data: bytes) -> NDArray[np.generic]:
    """Decodes a picture without turning, scaling or checking it.

    Args:
        data: The file's bytes.

    Returns:
        (H, W) or (H, W, C), of the depth that the file has; colours are blue, green, red.

    Raises:
        ImageError: It is no picture, or too large.
    """
    return _decode(data, _AS_STORED | cv2.IMREAD_IGNORE_ORIENTATION, orientation_of(data))


def _check_whole(data: bytes) -> None:
    if not is_whole(data):
        raise ImageError("the image file is cut off or damaged: copy or export it again")


def _check_single(data: bytes) -> None:
    if has_several_frames(data):
        raise ImageError("the image file holds several frames: export each as an image of its own")


def _divisor(jpeg: JpegFrame | None, request: DecodeRequest) -> int:
    """Returns the number by which a JPEG's sides may be divided while it is decoded: 8, 4, 2, or 1.

    The pixels of a JPEG that libjpeg reduces are averages of squares, but for the finest detail within them. They
    replace their pixels where each stored pixel stands for whole squares, and not for colours that have fewer pixels
    than the brightness: what is stored must not depend on the kind of file. tests/dataset/images/test_file_kinds.py
    says how nearly.
    """
    size = request.height, request.width
    if request.average_to is None or jpeg is None or (jpeg.subsampled and request.channels == 3):
        return 1
    if sorted((jpeg.height, jpeg.width)) != sorted(size):
        return 1  # of another size, which is reported once it is decoded
    areas = [divmod(side, stored) for side, stored in zip(size, request.average_to, strict=True)]
    if any(rest for _, rest in areas):
        return 1
    return next((divisor for divisor in _REDUCED if all(side % divisor == 0 for side, _ in areas)), 1)


def _flags(divisor: int, channels: int, jpeg: bool) -> int:
    """Returns OpenCV's flags; of a JPEG's brightness and colours only what is asked for is decoded."""
    wanted = cv2.IMREAD_ANYDEPTH if jpeg and channels == 1 else _AS_STORED
    return wanted | _REDUCED.get(divisor, 0) | cv2.IMREAD_IGNORE_ORIENTATION


def _oriented(
    image: NDArray[np.generic], orientation: int, request: DecodeRequest, divisor: int
) -> tuple[NDArray[np.generic], Taken | None]:
    """Returns an image as its annotations were drawn on it, and how its tag was taken.

    Args:
        image: As stored.
        orientation: Its tag.
        request: The size that is annotated, and what decides where size does not tell.
        divisor: By which the image is smaller.

    Raises:
        ImageError: It has another size, turned or not.
    """
    size = request.height // divisor, request.width // divisor
    shape: tuple[int, ...] = image.shape[:2]
    shown = shape[::-1] if swaps_sides(orientation) else shape
    if size not in (shape, shown):
        sizes = [(divisor * height, divisor * width) for height, width in (shown, shape)]
        raise ImageSizeError(
            f"the image is {sizes[0][1]} x {sizes[0][0]} pixels, its annotation file says "
            f"{request.width} x {request.height}: scale the annotations, or restore the image they were drawn on",
            *(sizes if request.exif == "apply" else reversed(sizes)),
        )
    if orientation == UPRIGHT:
        return image, None
    if shape != shown:
        return (turned(image, orientation), "turned_by_size") if size == shown else (image, "kept_by_size")
    if request.exif == "apply":
        return turned(image, orientation), "turned_by_option"
    return image, "kept_by_option"


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
        return source.read(name, MAX_BYTES)
    except FileNotFoundError as error:
        raise MissingImageError("the image file is missing: add it, or remove its entry") from error
    except OSError as error:
        raise ImageError(f"the image file cannot be read ({error.strerror}): check what it is") from error
    except ValueError as error:  # a name that no file can have
        raise ImageError(f"the image file cannot be read ({error}): rename it") from error


def _decode(data: bytes, flags: int, orientation: int) -> NDArray[np.generic]:
    """Returns a picture's pixels as stored, whatever its orientation tag says."""
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        if "CV_IO_MAX_IMAGE_" in str(error):  # ..._PIXELS, _WIDTH or _HEIGHT: OpenCV looked at the header alone
            raise ImageError(TOO_LARGE) from error
        raise ImageError("the image file cannot be decoded: export it again as PNG or JPEG") from error
    if image is None:
        raise ImageError("the image file is empty, damaged or of an unknown kind: export it again as PNG or JPEG")
    if image.shape[0] * image.shape[1] > MAX_PIXELS:
        raise ImageError(TOO_LARGE)
    # OpenCV turns TIFFs whatever the flags say.
    return turned_back(image, orientation) if data[:4] in TIFF_STARTS else image


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


def to_channels(image: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """Returns (H, W, 1) gray or (H, W, 3) red, green, blue from OpenCV's gray or blue, green, red."""
    is_gray = image.ndim == 2 or image.shape[2] == 1
    if channels == 1:
        gray = image if is_gray else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        return np.asarray(gray, np.uint8).reshape(*image.shape[:2], 1)
    colour = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB if is_gray else cv2.COLOR_BGR2RGB)
    return np.asarray(colour, np.uint8)
