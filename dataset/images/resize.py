"""Resizes images by the filter that is asked for."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dataset.options import Interpolation

_FILTERS = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}


def resize_image(
    image: NDArray[np.uint8], height: int, width: int, interpolation: Interpolation = "area"
) -> NDArray[np.uint8]:
    """Resizes an image.

    `area` averages the pixels that fall into a stored one, along sides that shrink; along sides that grow there is
    nothing to average, and it is `linear`. `linear` and `cubic` read the 2x2 or 4x4 pixels around the centre of a
    stored one, however far apart the centres are, as OpenCV does; `nearest` takes the pixels that masks take.

    Args:
        image: uint8 (H, W, C).
        height: Height of the result.
        width: Width of the result.
        interpolation: The filter.

    Returns:
        uint8 (height, width, C).
    """
    resized: Any = image
    if interpolation == "nearest":
        return image[np.ix_(*(nearest_pixels(*sides) for sides in zip(image.shape, (height, width), strict=False)))]
    if interpolation == "area":
        smaller = (min(width, image.shape[1]), min(height, image.shape[0]))
        resized = cv2.resize(image, smaller, interpolation=cv2.INTER_AREA)
        interpolation = "linear"
    if resized.shape[:2] != (height, width):
        resized = cv2.resize(resized, (width, height), interpolation=_FILTERS[interpolation])
    return np.asarray(resized, np.uint8).reshape(height, width, image.shape[2])


def nearest_pixels(side: int, wanted: int) -> NDArray[np.int64]:
    """Returns which row or column of an image each stored one takes.

    The centre of stored row i lies at (i + 1/2) side / wanted of the image, and its row is the floor of that, in exact
    integer arithmetic.

    Args:
        side: How many the image has.
        wanted: How many are stored.

    Returns:
        int64 (wanted,).
    """
    return (2 * np.arange(wanted, dtype=np.int64) + 1) * side // (2 * wanted)
