"""Draws the annotations of one image into a mask of the stored size."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypedDict

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from dataset.annotations.segmentation import Segmentation, decompress_counts
from dataset.images.resize import nearest_pixels

Size = tuple[int, int]


class _CompressedRle(TypedDict):
    """What pycocotools works on."""

    size: list[int]
    counts: bytes


class DrawnMask(NamedTuple):
    """A mask as it is stored.

    Attributes:
        pixels: uint8 (h, w), 0 where no object is.
        empty: Objects that cover no pixel of the image.
        vanished: Objects that, drawn alone, have no pixel of the stored mask; the empty ones are among them.
    """

    pixels: NDArray[np.uint8]
    empty: int
    vanished: int


@dataclass(frozen=True)
class LabelledObject:
    """One object to draw.

    Attributes:
        segmentation: Polygons or RLE, checked.
        label: Value its pixels get, 1 to 255.
    """

    segmentation: Segmentation
    label: int


def draw_mask(shapes: Sequence[LabelledObject], size: Size, stored: Size) -> DrawnMask:
    """Draws all objects of an image, the largest first, so that a small one is never hidden by a larger one.

    Objects are drawn at the image's size, and each pixel of the stored mask takes the value of the nearest pixel there
    (`dataset.images.resize.nearest_pixels`). No mask of the image's size is ever made: the few numbers of the run
    lengths are converted instead.

    Args:
        shapes: The objects; of equal areas the later one ends on top.
        size: The image's height H and width W in pixels.
        stored: Height h and width w of the stored mask.
    """
    encoded = [(_encode(shape.segmentation, *size), shape.label) for shape in shapes]
    areas = [int(coco_mask.area(rle)) for rle, _ in encoded]
    grid = _grid(size, stored)
    mask = np.zeros(stored[::-1], np.uint8)  # columns first, as in RLE
    vanished = 0
    for i in sorted(range(len(encoded)), key=lambda i: -areas[i]):
        rle, label = encoded[i]
        drawn = grid.draw(decompress_counts(rle["counts"].decode("ascii")))
        vanished += not drawn.any()
        np.copyto(mask, label, where=drawn)
    return DrawnMask(np.asarray(cv2.transpose(mask), np.uint8), areas.count(0), vanished)


@dataclass(frozen=True)
class _Grid:
    """Which pixels of an image a stored mask takes.

    Attributes:
        height: The image's.
        rows_before: For every row of the image, how many rows above it are taken.
        columns_before: For every column and the end, how many columns to its left are taken.
        shape: Columns and rows taken, each once.
        repeats: For a stored mask larger than the image: which of these each of its columns and rows shows; else None.
    """

    height: int
    rows_before: NDArray[np.intp]
    columns_before: NDArray[np.intp]
    shape: tuple[int, int]
    repeats: tuple[NDArray[np.intp], NDArray[np.intp]] | None

    def draw(self, runs: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Draws an object from its run lengths in the image (background first, down the columns).

        Args:
            runs: int64 (runs,).

        Returns:
            bool (columns, rows) of the stored mask.
        """
        columns, rows = np.divmod(np.cumsum(runs), self.height)
        before = self.columns_before[columns]
        taken = self.columns_before[np.minimum(columns + 1, len(self.columns_before) - 1)] > before
        ends = before * self.shape[1] + taken * self.rows_before[rows]
        inside = np.arange(len(runs)) % 2 == 1
        drawn = np.repeat(inside, np.diff(ends, prepend=0)).reshape(self.shape)
        return drawn if self.repeats is None else drawn[np.ix_(*self.repeats)]


@functools.lru_cache(maxsize=64)
def _grid(size: Size, stored: Size) -> _Grid:
    rows, columns = (nearest_pixels(side, wanted) for side, wanted in zip(size, stored, strict=True))
    taken_rows, row_of = np.unique(rows, return_inverse=True)
    taken_columns, column_of = np.unique(columns, return_inverse=True)
    shape = len(taken_columns), len(taken_rows)
    return _Grid(
        height=size[0],
        rows_before=np.searchsorted(taken_rows, np.arange(size[0])),
        columns_before=np.searchsorted(taken_columns, np.arange(size[1] + 1)),
        shape=shape,
        repeats=None if shape == stored[::-1] else (column_of, row_of),
    )


def _encode(segmentation: Segmentation, height: int, width: int) -> _CompressedRle:
    """Turns a segmentation into the compressed RLE that pycocotools works on; polygons are united.

    An RLE of another size keeps its place: what is beyond the image is cut off, what is missing is background.
    """
    if isinstance(segmentation, list):
        encoded = coco_mask.frPyObjects(segmentation, height, width)
        return encoded[0] if len(encoded) == 1 else coco_mask.merge(encoded)
    rows, columns = segmentation["size"]
    if isinstance(segmentation["counts"], list):
        rle = coco_mask.frPyObjects(segmentation, rows, columns)
    else:
        rle = {"size": [rows, columns], "counts": segmentation["counts"].encode("ascii")}
    if (rows, columns) == (height, width):
        return rle
    pixels = np.zeros((height, width), np.uint8, order="F")
    pixels[:rows, :columns] = coco_mask.decode(rle)[:height, :width]
    return coco_mask.encode(pixels)
