"""Resizes images by the filter that is asked for."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dataset.options import Interpolation

# The rows and columns that `nearest` takes are those of the masks; OpenCV's older INTER_NEAREST takes others.
_FILTERS = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "nearest": cv2.INTER_NEAREST_EXACT}


def resize_image(
    image: NDArray[np.uint8], height: int, width: int, interpolation: Interpolation = "area"
) -> NDArray[np.uint8]:
    """Resizes an image.

    `area` averages the pixels that fall into a stored one, along sides that shrink; along sides that grow there is
    nothing to average, and it is `linear`. `linear` and `cubic` read the 2x2 or 4x4 pixels around the centre of a stored
    one, however many lie between them and the next, as OpenCV does; `nearest` reads one.

    Args:
        image: uint8 (H, W, C).
        height: Height of the result.
        width: Width of the result.
        interpolation: The filter.

    Returns:
        uint8 (height, width, C).
    """
    resized: Any = image
    if interpolation == "area":
        smaller = (min(width, image.shape[1]), min(height, image.shape[0]))
        resized = cv2.resize(image, smaller, interpolation=cv2.INTER_AREA)
        interpolation = "linear"
    if resized.shape[:2] != (height, width):
        resized = cv2.resize(resized, (width, height), interpolation=_FILTERS[interpolation])
    return np.asarray(resized, np.uint8).reshape(height, width, image.shape[2])
