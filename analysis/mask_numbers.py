"""What can be counted in a predicted mask."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from numpy.typing import NDArray

_CONNECTIVITY = 8  # pixels that touch at a corner belong together


@dataclasses.dataclass(frozen=True)
class MaskNumbers:
    """Numbers of an area in a mask.

    Attributes:
        area_px: Its pixels.
        share: The same as a share of the image.
        components: How many separate areas it consists of; pixels that touch at a corner belong together.
        mean_probability: Mean of the network's probability in it; None where it is empty.
    """

    area_px: int
    share: float
    components: int
    mean_probability: float | None


def mask_numbers(area: NDArray[np.bool_], probability: NDArray[np.float32]) -> MaskNumbers:
    """Counts an area.

    Args:
        area: (H, W).
        probability: (H, W), what the network gives each pixel.
    """
    pixels = int(area.sum())
    if pixels == 0:
        return MaskNumbers(0, 0.0, 0, None)
    components = cv2.connectedComponents(area.astype(np.uint8), connectivity=_CONNECTIVITY)[0] - 1
    return MaskNumbers(pixels, pixels / area.size, components, float(probability[area].mean(dtype=np.float64)))
