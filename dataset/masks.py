"""Draws the annotations of one image into a mask, and resizes masks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from dataset.segmentation import Segmentation


@dataclass(frozen=True)
class Shape:
    """One object to draw.

    Attributes:
        segmentation: Polygons or RLE, checked.
        label: Value its pixels get, 1 to 255.
    """

    segmentation: Segmentation
    label: int


def draw_mask(shapes: Sequence[Shape], height: int, width: int) -> tuple[NDArray[np.uint8], int]:
    """Draws all objects of an image, the largest first, so that a small one is never hidden by a larger one.

    Args:
        shapes: The objects; of equal areas the later one ends on top.
        height: The image's height in pixels.
        width: The image's width in pixels.

    Returns:
        The mask, uint8 (height, width), 0 where no object is; and how many objects cover no pixel at all.
    """
    encoded = [(_encode(shape.segmentation, height, width), shape.label) for shape in shapes]
    areas = [int(coco_mask.area(rle)) for rle, _ in encoded]
    mask = np.zeros((height, width), np.uint8)
    for i in sorted(range(len(encoded)), key=lambda i: -areas[i]):
        rle, label = encoded[i]
        mask[coco_mask.decode(rle) > 0] = label
    return mask, areas.count(0)


def resize_mask(mask: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Resizes a mask by taking the nearest pixel, in exact integer arithmetic.

    The centre of target row i lies at (i + 1/2) H / h of the source; its row is the floor of that.

    Args:
        mask: uint8 (H, W).
        height: Rows wanted, h.
        width: Columns wanted.

    Returns:
        uint8 (height, width), with no value that the source does not have.
    """
    rows = (2 * np.arange(height) + 1) * mask.shape[0] // (2 * height)
    columns = (2 * np.arange(width) + 1) * mask.shape[1] // (2 * width)
    return mask[np.ix_(rows, columns)]


def _encode(segmentation: Segmentation, height: int, width: int) -> dict[str, object]:
    """Turns a segmentation into the compressed RLE that pycocotools works on; polygons are united."""
    if isinstance(segmentation, list):
        return coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    if isinstance(segmentation["counts"], list):
        return coco_mask.frPyObjects(segmentation, height, width)
    return {"size": [height, width], "counts": segmentation["counts"].encode("ascii")}
