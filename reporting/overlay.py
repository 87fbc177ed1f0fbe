"""An image with its mask on it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from reporting.label_colors import label_color

_FILL = 0.3  # share of the colour within a label; the image shows through
_PIXELS_A_LINE = 400  # of the shorter side: an outline of a pixel, of two from twice as many on


def overlay(image: NDArray[np.uint8], labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Fills each label with its colour, and outlines it: the outermost pixels in the colour alone, within the label.

    Args:
        image: uint8 (H, W, 1) gray or (H, W, 3) red, green, blue.
        labels: uint8 (H, W), 0 for the background.

    Returns:
        uint8 (H, W, 3), red, green, blue.
    """
    shown: NDArray[np.uint8] = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image.copy()
    width = 1 + min(labels.shape) // (2 * _PIXELS_A_LINE)
    kernel = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    for label in np.unique(labels[labels > 0]):
        color = np.array([int(label_color(int(label))[place : place + 2], 16) for place in (1, 3, 5)], np.float32)
        area = (labels == label).astype(np.uint8)
        inner = cv2.erode(area, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=1).astype(bool)
        filled = (1 - _FILL) * shown[inner] + _FILL * color
        shown[area.astype(bool) & ~inner] = color
        shown[inner] = np.rint(filled)
    return shown
