"""Scales the intensities of a volume to 8 bit, all slices alike."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dataset.images.decode import ImageError

LOW, HIGH = 0.5, 99.5  # percentiles; the brightest voxels of MR are vessels and artefacts, a few in a thousand


def scale_together(slices: Sequence[NDArray[np.generic]]) -> list[NDArray[np.uint8]]:
    """Scales arrays from the 0.5th to the 99.5th percentile of all their values together, clipped, to 0 to 255.

    A slice of its own would be stretched: an empty one to noise, one with a bright lesion until the rest is dark. Where
    the two percentiles are equal (nearly all is background), minimum and maximum take their place.

    Args:
        slices: Real numbers of any type and shape.

    Returns:
        uint8, of the same shapes.

    Raises:
        ImageError: There are numbers that are not finite.
    """
    values = np.concatenate([np.asarray(each, np.float32).ravel() for each in slices])
    if not np.isfinite(values).all():
        raise ImageError("the image holds numbers that are not finite: export it again")
    low, high = np.percentile(values, (LOW, HIGH), overwrite_input=True)
    if low == high:
        low, high = values.min(), values.max()
    scale = 255.0 / float(high - low) if high > low else 0.0
    return [_scaled(each, float(low), scale) for each in slices]


def _scaled(values: NDArray[np.generic], low: float, scale: float) -> NDArray[np.uint8]:
    return np.rint(np.clip((np.asarray(values, np.float32) - low) * scale, 0, 255)).astype(np.uint8)
