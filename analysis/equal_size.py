"""Methods compared at the same budget, with intervals of their differences."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.intervals import Interval, paired_interval
from analysis.ranking import PARAMETER, TITLES, metric
from models.evaluation.results import EvaluationResult

# (method, what it is compared with), in the order of reading
PAIRS = (("arsvd", "svd"), ("budget", "svd"), ("budget", "arsvd"))


@dataclasses.dataclass(frozen=True)
class EqualSize:
    """One budget.

    Attributes:
        budget: Share of the baseline's parameters.
        variants: Method to the name of its variant.
        dice: Method to mean Dice over images, of the methods that were evaluated.
        gains: Pair of methods to the difference of Dice over the same images, the first minus the second.
        iou_gains: The same of IoU.
    """

    budget: float
    variants: Mapping[str, str]
    dice: Mapping[str, float]
    gains: Mapping[tuple[str, str], Interval]
    iou_gains: Mapping[tuple[str, str], Interval]

    def to_dict(self) -> dict[str, Any]:
        """Returns the line as JSON-like data."""
        gains = [
            {"metric": name, "method": method, "over": other, **dataclasses.asdict(gain)}
            for name, found in self._by_metric()
            for (method, other), gain in found.items()
        ]
        return {"budget": self.budget, "dice": dict(self.dice), "gains": gains}

    def numbers_of(self, variant: str) -> dict[str, float]:
        """Returns the differences of one variant to those of other methods, and the ends of their intervals, by name.

        Empty where the variant is none of those that are compared here.
        """
        numbers: dict[str, float] = {}
        for name, found in self._by_metric():
            for (ours, other), gain in found.items():
                if self.variants[ours] == variant:
                    key = f"{name}_over_{other}"
                    numbers |= {key: gain.mean, f"{key}_low": gain.low, f"{key}_high": gain.high}
        return numbers

    def _by_metric(self) -> tuple[tuple[str, Mapping[tuple[str, str], Interval]], ...]:
        return ("dice", self.gains), ("iou", self.iou_gains)


def equal_sizes(results: Sequence[EvaluationResult]) -> list[EqualSize]:
    """Returns one line for each budget that several methods have, the largest first.

    Variants that also keep a budget of multiply-accumulates are left out: the other methods have no such constraint.
    """
    groups: dict[float, dict[str, EvaluationResult]] = {}
    for result in results:
        if result.spec.budget is not None and result.spec.mac_budget is None:
            groups.setdefault(result.spec.budget, {})[result.method] = result
    lines = []
    for budget, group in sorted(groups.items(), reverse=True):
        if len(group) > 1:
            dice = {method: metric(group[method], "dice") for method in PARAMETER if method in group}
            names = {method: result.name for method, result in group.items()}
            lines.append(EqualSize(budget, names, dice, _gains(group, "dice"), _gains(group, "iou")))
    return lines


def gain_text(interval: Interval | None) -> str:
    """Returns a difference with its interval; a star where the interval excludes zero."""
    if interval is None:
        return "-"
    star = " *" if interval.excludes_zero else ""
    return f"{interval.mean:+.3f} ({interval.low:+.3f} to {interval.high:+.3f}){star}"


def verdict(lines: Sequence[EqualSize], method: str, other: str, min_dice: float) -> str:
    """Returns a sentence: at which budgets a method is better or worse than another beyond chance.

    Args:
        lines: The methods at each budget.
        method: The method.
        other: The method that it is compared with.
        min_dice: Dice below which a network is useless; where both are below, neither is called better.

    Returns:
        The sentence; empty where no budget has both methods.
    """
    met = [line for line in lines if (method, other) in line.gains]
    useless = [line.budget for line in met if max(line.dice[method], line.dice[other]) < min_dice]
    gains = {line.budget: line.gains[method, other] for line in met if line.budget not in useless}
    ours, theirs = TITLES[method], TITLES[other]
    parts = [
        f"{words} at {_percents(budgets)} of the parameters"
        for words, budgets in (
            (
                f"{ours} is better than {theirs}",
                [b for b, gain in gains.items() if gain.excludes_zero and gain.mean > 0],
            ),
            (
                f"{ours} is worse than {theirs}",
                [b for b, gain in gains.items() if gain.excludes_zero and gain.mean < 0],
            ),
            (
                f"no difference of {ours} and {theirs} is found",
                [b for b, gain in gains.items() if not gain.excludes_zero],
            ),
            (f"{ours} and {theirs} are both useless", useless),
        )
        if budgets
    ]
    return f"At equal size, {'; '.join(parts)}." if parts else ""


def _percents(budgets: Sequence[float]) -> str:
    *first, last = (f"{100 * budget:.4g} %" for budget in budgets)
    return f"{', '.join(first)} and {last}" if first else last


def _gains(group: Mapping[str, EvaluationResult], name: str) -> dict[tuple[str, str], Interval]:
    found = {}
    for method, other in PAIRS:
        if method in group and other in group:
            values, others = (group[each].per_image.get(name, []) for each in (method, other))
            if values and len(values) == len(others):
                found[method, other] = paired_interval(values, others)
    return found
