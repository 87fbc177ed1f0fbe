"""The Hausdorff distance between outlines: how far off a prediction's border is, in pixels."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

PERCENTILE = 95


def hausdorff95(prediction: NDArray, truth: NDArray, labels: int) -> list[float]:
    """Returns the 95th percentile Hausdorff distance of every image, in pixels.

    The larger of both directions of percentile_95(min_b |a - b|), a and b pixels of the outlines (Huttenlocher et al.
    1993, with the percentile in place of the maximum, as is usual for tumors). Mean over the labels that truth or
    prediction has, as for Dice; an image where neither has any counts 0. A label that only one of both has counts the
    image's diagonal, so that a network which predicts nothing is not left out of the mean.

    Args:
        prediction: Integer labels (N, H, W).
        truth: Integer labels (N, H, W).
        labels: Number of labels, background included.
    """
    return [_of_image(predicted, true, labels) for predicted, true in zip(prediction, truth, strict=True)]


def _of_image(prediction: NDArray, truth: NDArray, labels: int) -> float:
    pairs = [(prediction == label, truth == label) for label in range(1, labels)]
    distances = [_of_masks(*pair) for pair in pairs if pair[0].any() or pair[1].any()]
    return float(np.mean(distances)) if distances else 0.0


def _of_masks(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    if not first.any() or not second.any():
        return math.hypot(*first.shape)
    from scipy.ndimage import binary_erosion  # noqa: PLC0415 - half a second, also for those who only predict
    from scipy.spatial import KDTree  # noqa: PLC0415

    outlines = [np.argwhere(mask & ~binary_erosion(mask)) for mask in (first, second)]
    directed = [
        KDTree(other).query(outline)[0] for outline, other in ((outlines[0], outlines[1]), (outlines[1], outlines[0]))
    ]
    return float(max(np.percentile(distances, PERCENTILE) for distances in directed))
