"""Methods side by side where they have the same budget, with intervals of their differences."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from models.results import EvaluationResult
from tracking.bootstrap import Interval, paired_interval
from tracking.tradeoffs import PARAMETER, metric

OURS = "budget"
OTHERS = tuple(method for method in PARAMETER if method != OURS)


@dataclasses.dataclass(frozen=True)
class EqualSize:
    """One budget.

    Attributes:
        budget: Share of the baseline's parameters.
        dice: Method to mean Dice over images, of the methods that were evaluated.
        gains: Method to the paired difference, `budget` minus the method, over the same images.
    """

    budget: float
    dice: Mapping[str, float]
    gains: Mapping[str, Interval]


def equal_sizes(results: Sequence[EvaluationResult]) -> list[EqualSize]:
    """Returns one line for each budget that several methods have, the largest first."""
    groups: dict[float, dict[str, EvaluationResult]] = {}
    for result in results:
        if "budget" in result.setting:
            groups.setdefault(float(result.setting["budget"]), {})[result.method] = result
    lines = []
    for budget, group in sorted(groups.items(), reverse=True):
        if len(group) > 1:
            dice = {method: metric(group[method], "dice") for method in PARAMETER if method in group}
            lines.append(EqualSize(budget, dice, _gains(group)))
    return lines


def equal_sizes_data(results: Sequence[EvaluationResult]) -> list[dict[str, Any]]:
    """Returns the same as JSON-like data."""
    return [dataclasses.asdict(line) for line in equal_sizes(results)]


def gain_text(interval: Interval | None) -> str:
    """Returns a difference with its interval; a star where the interval excludes zero."""
    if interval is None:
        return "-"
    star = " *" if interval.excludes_zero else ""
    return f"{interval.mean:+.3f} ({interval.low:+.3f} to {interval.high:+.3f}){star}"


def _gains(group: Mapping[str, EvaluationResult]) -> dict[str, Interval]:
    if OURS not in group:
        return {}
    ours = group[OURS].per_image.get("dice", [])
    return {
        method: paired_interval(ours, group[method].per_image["dice"])
        for method in OTHERS
        if method in group and ours and len(group[method].per_image.get("dice", [])) == len(ours)
    }
