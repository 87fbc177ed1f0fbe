"""The test images as a page holds them: compressed pictures, and the masks of every variant as run-length code.

A page holds at most `MOST_IMAGES`, whose pictures have at most `PICTURE_BYTES`: first pictures are made coarser, then
the images that tell least are left out. Memory holds the pictures, and of arrays one image after the other.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from analysis.comparison import Comparison
from models.evaluation.coded_masks import CodedMasks, encoded

MOST_IMAGES = 1_000
PICTURE_BYTES = 2_600_000  # of all pictures together, as base64
MASK_BYTES = 8_000_000  # of all masks together, before the page is compressed: about a fifth of it after
_LONGEST_SIDE = 512  # pixels of a picture; masks have all pixels that were evaluated
_QUALITIES = (85, 70, 50, 30)  # of WebP
_TRIED = 12  # pictures by which a quality is chosen


@dataclasses.dataclass(frozen=True)
class SeenImages:
    """The test images, and what every variant predicts on them.

    Attributes:
        images: uint8 (N, H, W, C); may lie on disk, memory-mapped.
        truth: Labels uint8 (N, H, W), likewise.
        masks: Variant to its predicted masks.
    """

    images: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    masks: Mapping[str, CodedMasks]

    def __post_init__(self) -> None:
        """Checks that all are of the same images.

        Raises:
            ValueError: They are not.
        """
        counts = {"images": len(self.images), "true masks": len(self.truth)}
        counts |= {f"masks of {name}": len(masks) for name, masks in self.masks.items()}
        if len(set(counts.values())) > 1:
            found = ", ".join(f"{number} {what}" for what, number in counts.items())
            raise ValueError(f"images and masks of a page must be of the same images, got {found}")


def images_of_page(comparison: Comparison, seen: SeenImages) -> dict[str, Any]:
    """Returns pictures and masks of the images that a page holds, as JSON-like data.

    Where they are too many, those are left out on which the Dice of every variant differs least from the baseline's.

    Returns:
        `rows`: which images of the split, ascending. `pictures`: an address `data:` for each. `size`: height and width
        of the masks. `labels`: how many there are, without the background. `truth`: for each image the code of each
        label. `masks`: for each image the same of each variant, in the order of the comparison; None for one whose
        masks are not known.
    """
    number = min(len(seen.images), MOST_IMAGES, _most_by_masks(seen))
    pictures = _fitting(seen.images, _telling_first(comparison, len(seen.images))[:number])
    rows = sorted(pictures)
    labels = next((each.labels for each in seen.masks.values()), 1)
    return {
        "rows": rows,
        "pictures": [pictures[row] for row in rows],
        "size": list(seen.truth.shape[1:]),
        "labels": labels,
        "truth": [
            [encoded(seen.truth[row] == label).decode("ascii") for label in range(1, labels + 1)] for row in rows
        ],
        "masks": [
            [seen.masks[result.name].codes(row) if result.name in seen.masks else None for result in comparison.results]
            for row in rows
        ],
    }


def images_known(comparison: Comparison) -> int:
    """Returns of how many test images the Dice is known."""
    return max((len(result.per_image.get("dice", [])) for result in comparison.results), default=0)


def rows_without_pictures(comparison: Comparison) -> list[int]:
    """Returns the images whose numbers a page without pictures holds, ascending: as many, chosen alike."""
    return sorted(_telling_first(comparison, images_known(comparison))[:MOST_IMAGES])


def held_sentence(shown: int, number: int) -> str:
    """Returns how many of the test images a page holds, and which."""
    if shown == number:
        return f"All {number} test images." if number > 1 else "The test image."
    return (
        f"{shown:,} of the {number:,} test images, so that the page stays small: those on which some variant's Dice "
        "differs most from the baseline's. per_image.csv has the numbers of all."
    )


def picture(image: NDArray[np.uint8], quality: int) -> str:
    """Returns an image uint8 (H, W, C) as the address of a WebP file; a large one is made smaller."""
    scale = _LONGEST_SIDE / max(image.shape[:2])
    shown: NDArray[Any] = image
    if scale < 1:
        shown = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    if shown.ndim == 3 and shown.shape[2] == 3:
        shown = cv2.cvtColor(shown, cv2.COLOR_RGB2BGR)
    return as_address(cv2.imencode(".webp", shown, [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes())


def as_address(webp: bytes) -> str:
    """Returns a WebP file as an address that holds it."""
    return "data:image/webp;base64," + base64.b64encode(webp).decode("ascii")


def _fitting(images: NDArray[np.uint8], order: Sequence[int]) -> dict[int, str]:
    """Returns pictures of as many images as fit, the first of the order before others."""
    quality, left = _quality(images, order), PICTURE_BYTES
    pictures: dict[int, str] = {}
    for row in order:
        made = picture(images[row], quality)
        left -= len(made)
        if left < 0:
            break
        pictures[row] = made
    return pictures


def _quality(images: NDArray[np.uint8], order: Sequence[int]) -> int:
    """Returns the highest quality at which pictures of these images fit, judged by a few of them."""
    tried = order[:: -(-len(order) // _TRIED)] if order else []
    for quality in _QUALITIES:
        mean = sum(len(picture(images[row], quality)) for row in tried) / max(len(tried), 1)
        if mean * len(order) <= PICTURE_BYTES:
            return quality
    return _QUALITIES[-1]


def _most_by_masks(seen: SeenImages) -> int:
    """Returns of how many images the masks of all variants fit."""
    bytes_an_image = sum(masks.runs.nbytes for masks in seen.masks.values()) / max(len(seen.images), 1)
    return max(1, int(MASK_BYTES / max(bytes_an_image, 1.0)))


def _telling_first(comparison: Comparison, number: int) -> list[int]:
    """Returns all rows, those first on which some variant's Dice differs most from the baseline's."""
    full = comparison.baseline.per_image.get("dice", []) if comparison.baseline is not None else []
    if len(full) != number:
        return list(range(number))
    largest = np.zeros(number)
    for result in comparison.compressed:
        own = result.per_image.get("dice", [])
        if len(own) == number:
            largest = np.maximum(largest, np.abs(np.subtract(own, full)))
    return np.argsort(-largest, kind="stable").tolist()
