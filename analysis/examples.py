"""Which images and which networks' predictions are shown to people."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from analysis.comparison import Comparison
from analysis.ranking import JUDGED, metric
from models.evaluation.results import EvaluationResult
from models.variant_spec import METHODS

MAX_VARIANTS = 8  # side by side
WORST_CHANGES = 2  # images that lose most by compression
LISTED_FAILURES = 10


@dataclasses.dataclass(frozen=True)
class Examples:
    """Predictions of some variants on a few images.

    Attributes:
        rows: Index of each image in the split.
        kinds: Why each image was chosen, for example `best`.
        file_names: File name of each image.
        images: uint8 (N, H, W, C).
        truth: Labels uint8 (N, H, W).
        predictions: Variant to its predicted labels uint8 (N, H, W).
    """

    rows: list[int]
    kinds: list[str]
    file_names: list[str]
    images: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    predictions: dict[str, NDArray[np.uint8]]


@dataclasses.dataclass(frozen=True)
class ImagePair:
    """An image as the baseline and a compressed network see it.

    Attributes:
        row: Its index in the split.
        lesion_px: Pixels of the true mask; NaN where that is not known.
        baseline_dice: Dice of the baseline.
        dice: Dice of the compressed network.
    """

    row: int
    lesion_px: float
    baseline_dice: float
    dice: float

    @property
    def has_lesion(self) -> bool:
        """Whether there is something to find, as far as is known."""
        return self.lesion_px != 0

    @property
    def fails(self) -> bool:
        """Whether the compressed network finds nothing of a lesion, or something where there is none."""
        return self._is_failure(self.dice)

    @property
    def baseline_fails(self) -> bool:
        """Whether the baseline does."""
        return self._is_failure(self.baseline_dice)

    def _is_failure(self, dice: float) -> bool:
        return dice == 0 if self.has_lesion else dice < 1  # between them where one of several classes is a false alarm

    @property
    def change(self) -> float:
        """Dice of the compressed network minus the baseline's."""
        return self.dice - self.baseline_dice


def telling_images(comparison: Comparison) -> dict[int, str]:
    """Chooses images of the evaluated split: row to why it was chosen.

    The baseline's best, typical (median Dice) and worst images with a lesion, and those that the variant in question
    loses most on: `lost most`, or `false alarm` where there is no lesion that could be lost.
    """
    baseline = comparison.baseline
    dice = np.asarray(baseline.per_image.get("dice", [])) if baseline is not None else np.zeros(0)
    if baseline is None or not dice.size:
        return {}
    with_lesion = np.flatnonzero(np.asarray(baseline.per_image.get("lesion_px", dice)) > 0)
    rows = with_lesion if with_lesion.size else np.arange(dice.size)
    order = rows[np.argsort(dice[rows], kind="stable")]
    chosen: dict[int, str] = {}
    for kind, row in (("best", order[-1]), ("typical", order[order.size // 2]), ("worst", order[0])):
        chosen.setdefault(int(row), kind)
    variant = in_question(comparison)
    if variant is not None:
        for failure in failures(comparison, variant)[:WORST_CHANGES]:
            chosen.setdefault(failure.row, "lost most" if failure.has_lesion else "false alarm")
    return chosen


def telling_variants(comparison: Comparison) -> list[str]:
    """Chooses the networks whose predictions are shown.

    First the baseline and the recommended one, then the smallest of each method, then the best trade-offs, then
    any.
    """
    smallest = [
        min(group, key=lambda r: r.cost.params) for method in METHODS if (group := comparison.of_methods(method))
    ]
    front = [result for result in comparison.results if result.name in comparison.front]
    chosen = [result for result in (comparison.baseline, comparison.recommended) if result is not None]
    names = dict.fromkeys(result.name for result in [*chosen, *smallest, *front, *comparison.results])
    return list(names)[:MAX_VARIANTS]


def in_question(comparison: Comparison) -> EvaluationResult | None:
    """Returns the compressed network that a reader wants to know most of: the recommended one, else the best."""
    best = max(comparison.eligible, key=lambda r: (metric(r, JUDGED), -r.cost.size_bytes), default=None)
    return comparison.recommended or best


def failures(comparison: Comparison, variant: EvaluationResult) -> list[ImagePair]:
    """Returns the images on which a variant has a lower Dice than the baseline, the largest loss first."""
    worse = [pair for pair in paired_images(comparison, variant) if pair.change < 0]
    return sorted(worse, key=lambda pair: (pair.change, pair.row))


def paired_images(comparison: Comparison, variant: EvaluationResult) -> list[ImagePair]:
    """Returns all test images with the Dice of the baseline and of a variant; none where these are not known."""
    baseline = comparison.baseline
    own = variant.per_image.get("dice", [])
    full = baseline.per_image.get("dice", []) if baseline is not None else []
    if baseline is None or not own or len(own) != len(full):
        return []
    areas = baseline.per_image.get("lesion_px") or [float("nan")] * len(own)
    return [ImagePair(*values) for values in zip(range(len(own)), areas, full, own, strict=True)]
