"""Methods compared at the same budget, with intervals of their differences."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.intervals import TOO_FEW, Interval
from analysis.over_trainings import by_variant, paired_over_trainings
from analysis.quality import MEASURED, paired
from analysis.ranking import AT_BUDGETS, JUDGED, OTHER_RULES, TITLES, baseline_of, is_useful, metric
from analysis.signed_numbers import signed, signed_ends
from models.evaluation.results import EvaluationResult
from models.variant_spec import Method

# (method, what it is compared with), in the order of reading
PAIRS: tuple[tuple[Method, Method], ...] = (
    ("arsvd", "svd"),
    ("budget", "svd"),
    ("budget", "arsvd"),
    ("budget", "pruned"),
    *(("budget", rule) for rule in OTHER_RULES),
    *(("arsvd", rule) for rule in OTHER_RULES),
)
TWO = 2  # trainings: by Student's t with one degree of freedom, they find no difference but a very large one


@dataclasses.dataclass(frozen=True)
class EqualSize:
    """One budget.

    Attributes:
        budget: Share of the baseline's parameters.
        weight_bits: Bits of a weight, where they are few.
        variants: Method to its variant, of the methods that were evaluated.
        useful: The methods whose variant is useful.
        gains: Each of `MEASURED` to pairs of methods to the difference over the same images, the first minus the
            second; of several seeds over all trainings.
        repeats: Method to its variant of each seed, where there are several.
    """

    budget: float
    weight_bits: int | None
    variants: Mapping[str, EvaluationResult]
    useful: frozenset[str]
    gains: Mapping[str, Mapping[tuple[str, str], Interval]]
    repeats: Mapping[str, Sequence[EvaluationResult]] = dataclasses.field(default_factory=dict)

    @property
    def title(self) -> str:
        """For example `25 %`, or `25 %, 8 bits`."""
        return f"{100 * self.budget:.4g} %{'' if self.weight_bits is None else f', {self.weight_bits} bits'}"

    @property
    def dice_gains(self) -> Mapping[tuple[str, str], Interval]:
        """Pairs of methods to the difference in the Dice that networks are judged by."""
        return self.gains[JUDGED]

    def dice_of(self, method: str) -> float | None:
        """Returns the Dice that a method's variant is judged by, None where there is none."""
        value = self._mean(method, JUDGED) if method in self.variants else math.nan
        return value if math.isfinite(value) else None

    def _mean(self, method: str, name: str) -> float:
        """Returns a metric of a method's variant, of several seeds the mean over trainings."""
        return statistics.fmean(metric(each, name) for each in self.repeats.get(method) or (self.variants[method],))

    def to_dict(self) -> dict[str, Any]:
        """Returns the line as JSON-like data."""
        gains = [
            {"metric": name, "method": method, "over": other, **dataclasses.asdict(gain)}
            for name, found in self.gains.items()
            for (method, other), gain in found.items()
        ]
        means = {
            name: {method: self._mean(method, name) for method in AT_BUDGETS if method in self.variants}
            for name in ("dice", JUDGED)
        }
        bits = {} if self.weight_bits is None else {"weight_bits": self.weight_bits}
        return {"budget": self.budget, **bits, **means, "gains": gains}

    def numbers_of(self, variant: str) -> dict[str, float]:
        """Returns the differences of one variant to those of other methods, and the ends of their intervals, by name.

        Empty where the variant is none of those that are compared here.
        """
        numbers: dict[str, float] = {}
        for name, found in self.gains.items():
            for (ours, other), gain in found.items():
                if self.variants[ours].name == variant:
                    key = f"{name}_over_{other}"
                    numbers |= {key: gain.mean, f"{key}_low": gain.low, f"{key}_high": gain.high}
        return numbers


def equal_sizes(results: Sequence[EvaluationResult]) -> list[EqualSize]:
    """Returns one line for each budget that several methods have, the largest first; twins in few bits have their own.

    Variants that also keep a budget of multiply-accumulates are left out: the other methods have no such constraint.
    Those of other widths are, too: the same share is another size there.
    """
    baseline, groups = baseline_of(results), dict[tuple[float, int | None], dict[str, EvaluationResult]]()
    own = [result for result in results if result.spec.filters is None]
    for result in own:
        spec = result.spec
        if spec.sized_by == "budget" and spec.budget is not None and spec.mac_budget is None and spec.seed is None:
            groups.setdefault((spec.budget, spec.weight_bits), {})[result.method] = result
    repeated = {name: group for name, group in by_variant(own).items() if len(group) > 1}
    return [
        EqualSize(
            budget,
            bits,
            group,
            frozenset(method for method, result in group.items() if is_useful(result, baseline)),
            {name: _gains(group, repeated, name) for name in MEASURED},
            {method: repeated[result.name] for method, result in group.items() if result.name in repeated},
        )
        for (budget, bits), group in sorted(groups.items(), key=lambda line: (-line[0][0], -(line[0][1] or math.inf)))
        if len(group) > 1
    ]


def gain_text(interval: Interval | None) -> str:
    """Returns a difference with its interval; a star where the interval excludes zero."""
    if interval is None:
        return "-"
    if interval.too_few:
        return f"{signed(interval.mean)} ({TOO_FEW})"
    mean, low, high = signed_ends(interval)
    return f"{mean} ({low} to {high}){' *' if interval.excludes_zero else ''}"


def methods_in(lines: Sequence[EqualSize]) -> list[Method]:
    """Returns the methods that have a variant in any line, in reading order."""
    return [method for method in AT_BUDGETS if any(method in line.variants for line in lines)]


def verdict(lines: Sequence[EqualSize], method: Method, other: Method) -> str:
    """Returns a sentence: at which budgets a method is better or worse than another beyond chance.

    Args:
        lines: The methods at each budget.
        method: The method.
        other: The method that it is compared with. Where both are useless, neither is called better.

    Returns:
        The sentence; empty where no budget has both methods.
    """
    ours, theirs = TITLES[method], TITLES[other]
    trainings = next((gain.trainings for line in lines for gain in line.dice_gains.values()), None)
    undecided = f"no difference of {ours} and {theirs} is found"
    if trainings == TWO:
        undecided = f"two trainings cannot tell {ours} and {theirs} apart"
    unit = next((gain.unit for line in lines for gain in line.dice_gains.values()), "images")
    budgets: dict[str, list[float]] = {
        f"{ours} is better than {theirs}": [],
        f"{ours} is worse than {theirs}": [],
        undecided: [],
        f"{ours} and {theirs} are both useless": [],
        f"the {unit} are {TOO_FEW} {ours} against {theirs}": [],
    }
    better, worse, same, useless, too_few = budgets
    for line in lines:
        gain = line.dice_gains.get((method, other))
        if gain is None or line.weight_bits is not None:
            continue
        if not {method, other} & line.useful:
            words = useless
        elif gain.too_few:
            words = too_few
        else:
            words = same if not gain.excludes_zero else better if gain.mean > 0 else worse
        budgets[words].append(line.budget)
    parts = [f"{words} at {_percents(found)} of the parameters" for words, found in budgets.items() if found]
    over = "" if trainings is None else f" and over {trainings} trainings"
    return f"At equal size{over}, {'; '.join(parts)}." if parts else ""


def _percents(budgets: Sequence[float]) -> str:
    *first, last = (f"{100 * budget:.4g} %" for budget in budgets)
    return f"{', '.join(first)} and {last}" if first else last


def _gains(
    group: Mapping[str, EvaluationResult], repeated: Mapping[str, Sequence[EvaluationResult]], name: str
) -> dict[tuple[str, str], Interval]:
    found: dict[tuple[str, str], Interval] = {}
    for method, other in PAIRS:
        if method in group and other in group:
            ours, theirs = group[method], group[other]
            if ours.name in repeated and theirs.name in repeated:
                gain = paired_over_trainings(repeated[ours.name], repeated[theirs.name], name)
            else:
                gain = paired(ours, theirs, name)
            if gain is not None:
                found[method, other] = gain
    return found
