"""Checks COCO segmentations before pycocotools sees them.

pycocotools trusts its input: a list of four numbers becomes a box, and run lengths that do not fill the image are read
past their end (a mask of random pixels, or a crash). What passes here is safe to hand over.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TypeAlias, TypedDict

import numpy as np
from numpy.typing import NDArray

from dataset.annotations.json_values import is_finite, is_number, whole_number
from dataset.images.decode import MAX_PIXELS
from dataset.message_text import quoted

MAX_OUTLINE = 2**21  # pycocotools holds 120 bytes for every pixel of an outline: 250 MB
NO_SEGMENTATION = "no segmentation: draw a polygon or a mask (a bounding box is not enough), or remove it"
_MAX_GROUPS = 6  # of 5 bits, more than any run of 2**26 pixels needs; pycocotools overflows beyond


class Rle(TypedDict):
    """Run lengths in column order, first of background; `counts` as list, or compressed by COCO's scheme."""

    size: list[int]
    counts: list[int] | str


Segmentation: TypeAlias = list[list[float]] | Rle


def check_segmentation(raw: object, height: int, width: int) -> Segmentation:
    """Checks a segmentation against the size of its image.

    Args:
        raw: The value of `segmentation` as read from JSON.
        height: The image's height in pixels; 0 where it is not known yet, which leaves out what depends on it.
        width: The image's width in pixels, or 0.

    Returns:
        The same segmentation, checked. The size of an RLE may differ from the image's by one pixel.

    Raises:
        ValueError: It is not valid; the message says why and what to do.
    """
    if isinstance(raw, Mapping):
        return _check_rle(raw, height, width)
    if isinstance(raw, list) and raw:
        polygons = [_check_polygon(polygon, height, width) for polygon in raw]
        if (length := sum(_outline(polygon) for polygon in polygons)) > MAX_OUTLINE:
            raise ValueError(f"the outline is {length:.0f} pixels long, the limit is {MAX_OUTLINE}: simplify it")
        return polygons
    raise ValueError(NO_SEGMENTATION)


def _check_polygon(raw: object, height: int, width: int) -> list[float]:
    if not isinstance(raw, list) or not all(is_number(value) for value in raw):
        raise ValueError("a polygon must be a list of numbers x1, y1, x2, y2, ...: correct it")
    if len(raw) % 2:
        raise ValueError(f"a polygon has {len(raw)} numbers, an odd count: give x and y of every point")
    if len(raw) < 6:
        raise ValueError(f"a polygon has {len(raw) // 2} points, at least 3 are needed: redraw or remove it")
    if not all(is_finite(value) for value in raw):
        raise ValueError("a polygon has numbers that are not finite: redraw it")
    # Tools draw a little beyond the border, which is clipped. Points a whole image away belong to another image size.
    for values, side, name in ((raw[0::2], width, "x"), (raw[1::2], height, "y")):
        if side and (min(values) < -side or max(values) > 2 * side):
            raise ValueError(
                f"a polygon reaches from {name} = {min(values):g} to {max(values):g} in an image of {side} pixels: "
                "scale the annotations to the image"
            )
    return [float(value) for value in raw]


def _outline(polygon: Sequence[float]) -> float:
    """Returns about how many pixels lie on a polygon's outline."""
    points = list(zip(polygon[0::2], polygon[1::2], strict=True))
    return sum(max(abs(a[0] - b[0]), abs(a[1] - b[1])) for a, b in pairwise([*points, points[0]]))


def _check_rle(raw: Mapping[str, object], height: int, width: int) -> Rle:
    rows, columns = size = _rle_size(raw.get("size"))
    if not (rows and columns and near_size(size, (height, width)) and rows * columns <= MAX_PIXELS):
        raise ValueError(
            f"the RLE has size {_shown_size(raw.get('size'))}, the image is [{height or '?'}, {width or '?'}]: "
            "encode the mask at the image's size"
        )
    counts = raw.get("counts")
    if isinstance(counts, str):
        runs = decompress_counts(counts).tolist()  # whose sum cannot overflow
    elif isinstance(counts, list):
        counts = runs = [_check_run(run) for run in counts]
    else:
        raise ValueError("the RLE's counts must be a list of whole numbers or a compressed string: encode it again")
    if any(run < 0 for run in runs) or sum(runs) != rows * columns:
        raise ValueError(
            f"the RLE's runs do not add up to {rows} x {columns} pixels (sum {sum(runs)}): encode the mask again"
        )
    return Rle(size=[rows, columns], counts=counts)


def _rle_size(raw: object) -> tuple[int, int]:
    """Returns height and width, 0 for what is no side."""
    if not isinstance(raw, list) or len(raw) != 2:
        return 0, 0
    rows, columns = (max(whole_number(side) or 0, 0) for side in raw)
    return rows, columns


def near_size(size: tuple[int, int], said: tuple[int, int]) -> bool:
    """Returns whether a size is the one that an annotation file says, up to one pixel; 0 stands for what it omits."""
    return all(not wanted or abs(side - wanted) <= 1 for side, wanted in zip(size, said, strict=True))


def _check_run(raw: object) -> int:
    run = whole_number(raw)
    if run is None:
        raise ValueError(f"the RLE's counts must be a list of whole numbers, not {quoted(raw)}: encode it again")
    return run


def _shown_size(raw: object) -> str:
    if isinstance(raw, list) and len(raw) == 2:
        return f"[{', '.join(quoted(side) for side in raw)}]"
    return quoted(raw)


def decompress_counts(text: str) -> NDArray[np.int64]:
    """Decodes COCO's compressed run lengths.

    Each number is written in groups of 5 bits, lowest first, one character (code 48 + bits) a group, with bit 32 set
    where another group follows; the last group's bit 16 is the sign. From the fourth number on, the difference to the
    number two before is written.

    pycocotools decodes these only into the pixels of the whole image, which the callers avoid, and trusts what it gets.

    Args:
        text: The compressed string.

    Returns:
        The run lengths, int64 (runs,).

    Raises:
        ValueError: A character outside the code, an unfinished number, or one that is too large.
    """
    groups = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8).astype(np.int64) - 48
    if ((groups < 0) | (groups >= 64)).any():
        character = next(character for character in text if not 48 <= ord(character) < 48 + 64)
        raise ValueError(f"the RLE's counts hold the character {character!r}, no compressed run: encode it again")
    ends = np.flatnonzero(groups < 32)
    lengths = np.diff(ends, prepend=-1)
    if lengths.max(initial=0) > _MAX_GROUPS:
        raise ValueError("the RLE's counts hold a number of more than 30 bit: encode it again")
    if lengths.sum() < len(groups):
        raise ValueError("the RLE's counts end within a number: encode it again")
    if not len(groups):
        return groups
    starts = ends - lengths + 1
    shifts = 5 * (np.arange(len(groups)) - np.repeat(starts, lengths))
    runs = np.add.reduceat((groups & 31) << shifts, starts)
    runs -= ((groups[ends] & 16) > 0) * (np.int64(1) << (5 * lengths))
    for parity in (1, 2):
        runs[parity::2] = np.cumsum(runs[parity::2])
    return runs


def is_rectangle(segmentation: Segmentation) -> bool:
    """Returns whether a segmentation is one axis-aligned rectangle, that is, a box drawn as a polygon.

    Args:
        segmentation: A valid segmentation.

    Returns:
        True for a single polygon of four corners (closed or not) whose sides alternate between horizontal and vertical.
    """
    if not isinstance(segmentation, list) or len(segmentation) != 1:
        return False
    points = list(zip(segmentation[0][0::2], segmentation[0][1::2], strict=True))
    if len(points) == 5 and _same(points[0], points[4]):
        points.pop()
    if len(points) != 4:
        return False
    sides = [(abs(a[0] - b[0]) < 1e-6, abs(a[1] - b[1]) < 1e-6) for a, b in pairwise([*points, points[0]])]
    upright = [vertical and not horizontal for vertical, horizontal in sides]
    level = [horizontal and not vertical for vertical, horizontal in sides]
    return all(u or v for u, v in zip(upright, level, strict=True)) and upright in (
        [True, False, True, False],
        [False, True, False, True],
    )


def _same(a: Sequence[float], b: Sequence[float]) -> bool:
    return abs(a[0] - b[0]) < 1e-6 and abs(a[1] - b[1]) < 1e-6
