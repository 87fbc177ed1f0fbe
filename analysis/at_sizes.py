"""Which network to take at a size, whatever its width and its method."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from analysis.over_trainings import by_variant
from analysis.ranking import (
    JUDGED,
    SAME_SIZE_FACTOR,
    SPLITS,
    TITLES,
    Split,
    baseline_of,
    candidates,
    is_useful,
    metric,
    without_repeats,
)
from models.evaluation.results import EvaluationResult


@dataclasses.dataclass(frozen=True)
class AtSize:
    """One size.

    Attributes:
        limit: What share of the baseline the network may have, a power of one half.
        share: What share it has.
        result: The network, the best by the validation images.
        dice: Its Dice on the test images with a lesion; of several seeds the mean over trainings.
        valid: The same on the validation images, by which it is the best.
    """

    limit: float
    share: float
    result: EvaluationResult
    dice: float
    valid: float

    @property
    def width(self) -> str:
        """For example `8 filters`, or `8 filters, distilled`."""
        spec = self.result.spec
        width = "the baseline's width" if spec.filters is None else f"{spec.filters} filters"
        return width if spec.distilled is None else f"{width}, distilled"

    @property
    def way(self) -> str:
        """How it was made small: the method, or `as trained`."""
        return "as trained" if self.result.spec.method == "baseline" else TITLES[self.result.method]

    def to_dict(self) -> dict[str, Any]:
        """Returns the line as JSON-like data."""
        spec = self.result.spec
        return {
            "limit": self.limit,
            "share": self.share,
            "variant": self.result.name,
            "method": spec.method,
            "filters": spec.filters,
            "distilled": spec.distilled,
            JUDGED: self.dice,
            f"valid_{JUDGED}": self.valid,
        }


def at_sizes(results: Sequence[EvaluationResult], cost: Callable[[EvaluationResult], float]) -> list[AtSize]:
    """Returns the best network of at most a half, a quarter, an eighth of the baseline's size, and so on.

    The best is the one with the highest Dice on the validation images, and among equals the smallest; it is useful on
    both splits, see `analysis.ranking.is_useful`. As a budget is met but for a few parameters, so is a size, up to
    `SAME_SIZE_FACTOR`. The line ends where nothing useful is as small.

    Args:
        results: The variants. Of several seeds, those of the first are taken, judged by the mean over trainings, and as
            large as the largest of them.
        cost: Their size.
    """
    baseline, repeats = baseline_of(results), by_variant(results)
    if baseline is None or not cost(baseline) > 0:
        return []
    useful = [
        result
        for result in without_repeats(candidates(results))
        if cost(result) > 0 and all(is_useful(result, baseline, split) for split in SPLITS)
    ]

    def size(result: EvaluationResult) -> float:
        return max(cost(each) for each in repeats[result.name])

    def dice(result: EvaluationResult, split: Split) -> float:
        return statistics.fmean(metric(each, JUDGED, split) for each in repeats[result.name])

    lines: list[AtSize] = []
    limit = 0.5
    while small := [each for each in useful if size(each) <= SAME_SIZE_FACTOR * limit * cost(baseline)]:
        best = min(small, key=lambda each: (-dice(each, "valid"), size(each), each.name))
        lines.append(AtSize(limit, size(best) / cost(baseline), best, dice(best, "test"), dice(best, "valid")))
        limit /= 2
    return lines
