"""Networks of a size beside what else fits into the same bytes, with intervals of the differences."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.intervals import Interval
from analysis.quality import paired
from analysis.ranking import JUDGED, baseline_of, metric
from models.evaluation.results import EvaluationResult


@dataclasses.dataclass(frozen=True)
class EqualBytes:
    """One network of a size.

    Attributes:
        result: The network.
        others: Method to its variant that is the best by the validation images of those whose file is no larger than
            the size allows; without those of which none is.
        gains: Method to the difference in Dice over the same images, the network minus the other.
    """

    result: EvaluationResult
    others: Mapping[str, EvaluationResult]
    gains: Mapping[str, Interval]

    def to_dict(self) -> dict[str, Any]:
        """Returns the comparison as JSON-like data."""
        others = [
            {
                "variant": other.name,
                "size_MB": other.cost.size_mb,
                JUDGED: metric(other, JUDGED),
                **({"gain": dataclasses.asdict(self.gains[method])} if method in self.gains else {}),
            }
            for method, other in self.others.items()
        ]
        return {"size": self.result.spec.size, "variant": self.result.name, "others": others}


def equal_bytes(results: Sequence[EvaluationResult]) -> list[EqualBytes]:
    """Returns one entry for each network of a size, the largest first; of the main training alone."""
    results = [result for result in results if not result.spec.training]
    baseline = baseline_of(results)
    sizes = {result.spec.size: result for result in results if result.spec.size is not None}
    if baseline is None:
        return []
    found = []
    for size, result in sorted(sizes.items(), reverse=True):
        others: dict[str, EvaluationResult] = {}
        for other in results:
            fits = other.spec.size is None and other.cost.size_bytes <= size * baseline.cost.size_bytes
            if fits and _by_valid(other) > (_by_valid(others[other.method]) if other.method in others else -1):
                others[other.method] = other
        gains = {method: gain for method, other in others.items() if (gain := paired(result, other, JUDGED))}
        found.append(EqualBytes(result, others, gains))
    return found


def _by_valid(result: EvaluationResult) -> float:
    value = metric(result, JUDGED, "valid")
    return value if math.isfinite(value) else 0
