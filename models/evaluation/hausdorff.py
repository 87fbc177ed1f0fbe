"""The Hausdorff distance between the outlines of prediction and truth, in pixels."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

PERCENTILE = 95


def hausdorff95(prediction: NDArray, truth: NDArray, labels: int) -> list[float]:
    """Returns the 95th percentile Hausdorff distance of every image, in pixels.

    percentile_95 over a of (min over b of |a - b|), with a and b pixels of the two outlines; of both directions the
    larger value (Huttenlocher et al. 1993, with the percentile instead of the maximum, as is usual for tumors). Mean
    over the labels present in truth or prediction, as for Dice; 0 for an image without any. If only one of the two has
    a label, the distance is the diagonal of the image, so that a network that predicts nothing is not left out.

    Args:
        prediction: Integer labels (N, H, W).
        truth: Integer labels (N, H, W).
        labels: Number of labels, background included.
    """
    return [_image_distance(predicted, true, labels) for predicted, true in zip(prediction, truth, strict=True)]


def _image_distance(prediction: NDArray, truth: NDArray, labels: int) -> float:
    pairs = [(prediction == label, truth == label) for label in range(1, labels)]
    distances = [_mask_distance(*pair) for pair in pairs if pair[0].any() or pair[1].any()]
    return float(np.mean(distances)) if distances else 0.0


def _mask_distance(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    if not first.any() or not second.any():
        return math.hypot(*first.shape)
    from scipy.ndimage import binary_erosion  # noqa: PLC0415 - half a second, which prediction alone does not need
    from scipy.spatial import KDTree  # noqa: PLC0415

    outlines = [np.argwhere(mask & ~binary_erosion(mask)) for mask in (first, second)]
    directed = [
        KDTree(other).query(outline)[0] for outline, other in ((outlines[0], outlines[1]), (outlines[1], outlines[0]))
    ]
    return float(max(np.percentile(distances, PERCENTILE) for distances in directed))
