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
    values = np.empty(sum(each.size for each in slices), np.float32)
    filled = 0
    for each in slices:
        values[filled : filled + each.size] = each.ravel(order="K")  # in any order, without another copy
        filled += each.size
    if not np.isfinite(values).all():
        raise ImageError("the image holds numbers that are not finite: export it again")
    low, high = np.percentile(values, (LOW, HIGH), overwrite_input=True)
    if low == high:
        low, high = values.min(), values.max()
    del values  # as large as all slices together
    scale = 255.0 / float(high - low) if high > low else 0.0
    return [_scaled(each, float(low), scale) for each in slices]


def _scaled(values: NDArray[np.generic], low: float, scale: float) -> NDArray[np.uint8]:
    """Scales piece by piece, so that a volume needs no other arrays of float32."""
    scaled = np.empty_like(values, np.uint8)
    axis = 0 if values.flags.c_contiguous else -1  # along which pieces lie together in memory
    source, target = np.moveaxis(values, axis, 0), np.moveaxis(scaled, axis, 0)
    for piece in range(len(source)):
        target[piece] = np.rint(np.clip((np.asarray(source[piece], np.float32) - low) * scale, 0, 255))
    return scaled
