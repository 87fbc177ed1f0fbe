"""What the first screen shows without a script: one image with truth, baseline and the network in question."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from numpy.typing import NDArray

from analysis.comparison import Comparison
from analysis.examples import in_question, telling_images
from reporting.html.seen_images import SeenImages, as_address

# What is found, missed, false, or taken for another class: green, orange, blue and purple that every kind of colour
# blindness tells apart, brighter than those of Okabe and Ito ("Color Universal Design", 2008), as MRI is dark.
COLORS = {"found": "#00B98A", "missed": "#FFB000", "false": "#3D7BFF", "confused": "#F0559F"}
ALPHAS = {"found": 0.45, "missed": 0.9, "false": 0.9, "confused": 0.9}
_SIDE = 360  # pixels of a panel at least
_QUALITY = 88


@dataclasses.dataclass(frozen=True)
class Panel:
    """One picture of the first screen.

    Attributes:
        title: What it shows.
        note: Its Dice, or what else is to be known.
        source: An address `data:`.
    """

    title: str
    note: str
    source: str


def opening_panels(comparison: Comparison, seen: SeenImages | None) -> tuple[int, list[Panel]]:
    """Returns which image is shown first, and its panels; none where images or masks are not known.

    It is the baseline's typical one: that of the median Dice among those with a lesion.
    """
    baseline, other = comparison.baseline, in_question(comparison)
    row = next((row for row, kind in telling_images(comparison).items() if kind == "typical"), None)
    if row is None:  # with few images the typical one is also the best
        row = next(iter(telling_images(comparison)), None)
    if seen is None or row is None or baseline is None or row >= len(seen.images):
        return 0, []
    image, truth = seen.images[row], seen.truth[row]
    panels = [Panel("Truth", "the true mask", _drawn(image, truth, truth))]
    for result in (baseline, other):
        if result is not None and result.name in seen.masks:
            note = f"Dice {result.per_image['dice'][row]:.3f}" if "dice" in result.per_image else ""
            panels.append(Panel(result.name, note, _drawn(image, truth, seen.masks[result.name].decoded(row))))
    return row, panels


def error_overlay(
    image: NDArray[np.uint8], truth: NDArray[np.uint8], predicted: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Colours what is found, missed, and marked although it is not there.

    Args:
        image: uint8 (H, W, 1) gray or (H, W, 3) red, green, blue.
        truth: Labels uint8 (H, W), 0 for the background.
        predicted: Likewise.

    Returns:
        uint8 (H, W, 3), red, green, blue.
    """
    shown = (np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image).astype(np.float32)
    both = (truth > 0) & (predicted > 0)
    areas = {
        "found": both & (truth == predicted),
        "confused": both & (truth != predicted),
        "missed": (truth > 0) & (predicted == 0),
        "false": (truth == 0) & (predicted > 0),
    }
    for name, area in areas.items():
        color = np.array([int(COLORS[name][place : place + 2], 16) for place in (1, 3, 5)], np.float32)
        shown[area] = (1 - ALPHAS[name]) * shown[area] + ALPHAS[name] * color
    return np.rint(shown).astype(np.uint8)


def _drawn(image: NDArray[np.uint8], truth: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> str:
    """Returns the overlay as an address, large enough to be looked at; masks keep their pixels."""
    scale = max(1, -(-_SIDE // max(image.shape[:2])))
    size = (image.shape[1] * scale, image.shape[0] * scale)
    large = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8).reshape(size[1], size[0], -1)
    resized = (cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST) for mask in (truth, predicted))
    masks = [np.asarray(mask, np.uint8) for mask in resized]
    overlay = cv2.cvtColor(error_overlay(large, *masks), cv2.COLOR_RGB2BGR)
    return as_address(cv2.imencode(".webp", overlay, [cv2.IMWRITE_WEBP_QUALITY, _QUALITY])[1].tobytes())
