"""Budgets: limits on what a whole network costs, in parameters, in multiply-accumulates, or in both."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from fractions import Fraction

from torch_lowrank.ranks.allocation import allocate_globally, fill
from torch_lowrank.ranks.options import (
    Candidate,
    Choice,
    InputShape,
    as_input_shape,
    several,
    smallest_cost,
    total_cost,
)
from torch_lowrank.ranks.rules import LayerRule, RankRule, check_share

_BISECTIONS = 60  # halves (0, 1] to below the resolution of float64
_ENOUGH = 1e-3  # share of a budget; where a rule leaves more, single layers get a larger parameter than the others


class BudgetError(ValueError):
    """A budget cannot be met.

    Attributes:
        smallest: The smallest fraction that can; None of two budgets that cannot be met together.
    """

    def __init__(self, message: str, smallest: float | None = None) -> None:
        super().__init__(message)
        self.smallest = smallest


class _Budget(RankRule):
    """A limit on the whole network's cost, as a fraction of it."""

    fraction: float
    rule: LayerRule | None

    def __post_init__(self) -> None:
        check_share("fraction", self.fraction)
        if self.rule is not None:
            if not isinstance(self.rule, LayerRule):
                raise TypeError(
                    f"the rule of a budget is a {type(self.rule).__name__}; give a rule for single layers, "
                    "as rule=Entropy(0.9), or none"
                )
            self.rule.solvable()

    def units(self, total: int) -> int:
        """Returns the fraction of a total, rounded down; the fraction as written, since 0.1 is no exact float64."""
        return math.floor(Fraction(str(self.fraction)) * total)

    def allocate(self, candidates: Sequence[Candidate], total: int, rest: int) -> dict[str, Choice]:
        """Returns the choices.

        Raises:
            BudgetError: If even the smallest ranks exceed the budget.
        """
        budget = self.units(total) - rest
        if self.rule is None:
            smallest = smallest_cost(candidates)
        else:
            path = _Path(self.rule, candidates)
            smallest = total_cost(candidates, path.choices(candidates, path.low))
        if smallest > budget:
            unit = "parameters" if self.macs_for is None else "multiply-accumulates"
            reachable = math.ceil((smallest + rest) / total * 1e4) / 1e4
            raise BudgetError(
                f"a budget of {self.fraction:g} of {total:,} {unit} cannot be met; "
                f"the smallest reachable is {reachable:g}",
                reachable,
            )
        return allocate_globally(candidates, budget) if self.rule is None else solve(self.rule, candidates, budget)

    def solved(self, candidates: Sequence[Candidate], total: int, rest: int) -> float | None:
        """Returns the value of the rule's parameter that `allocate` finds for all layers; None without a rule.

        It is the largest that fits. What is then left of the budget may give single layers a little more; see `solve`.
        """
        if self.rule is None:
            return None
        path, budget = _Path(self.rule, candidates), self.units(total) - rest
        return _last_fit(path, lambda value: total_cost(candidates, path.choices(candidates, value)), budget, path.low)[
            0
        ]


@dataclasses.dataclass(frozen=True)
class ParameterBudget(_Budget):
    """At most a fraction of the network's parameters, counted over the whole network and never exceeded.

    Without a rule, ranks are allocated over all layers: they minimise the sum of the layers' squared errors, see
    `allocation`. With a rule (`Entropy`, `Energy`, `RankRatio`, `FixedRank` or another `LayerRule`) the rule's
    parameter is solved, whatever value was given; see `solve`.
    """

    fraction: float
    rule: LayerRule | None = None


@dataclasses.dataclass(frozen=True)
class MacBudget(_Budget):
    """At most a fraction of the network's multiply-accumulates for one input, as torch's flop counter counts them.

    A layer is factorised where that saves multiply-accumulates. Else as `ParameterBudget`.

    Attributes:
        input_shape: Shape of one input without the batch, for example (channels, height, width); of a network of
            several inputs the shape of each, in order.
    """

    fraction: float
    input_shape: InputShape
    rule: LayerRule | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _keep_shape(self)

    @property
    def macs_for(self) -> InputShape:
        """The shape of the input."""
        return self.input_shape


@dataclasses.dataclass(frozen=True)
class JointBudget:
    """At most a fraction of the network's parameters, and at most a fraction of its multiply-accumulates.

    Ranks are allocated over all layers, see `joint_allocation`.

    Attributes:
        parameters: The fraction of the parameters.
        macs: The fraction of the multiply-accumulates.
        input_shape: As for `MacBudget`.
    """

    parameters: float
    macs: float
    input_shape: InputShape

    def __post_init__(self) -> None:
        check_share("parameters", self.parameters)
        check_share("macs", self.macs)
        _keep_shape(self)

    @property
    def parameter_budget(self) -> ParameterBudget:
        """The budget of parameters by itself."""
        return ParameterBudget(self.parameters)

    @property
    def mac_budget(self) -> MacBudget:
        """The budget of multiply-accumulates by itself."""
        return MacBudget(self.macs, self.input_shape)


def _keep_shape(budget: MacBudget | JointBudget) -> None:
    shape = as_input_shape(budget.input_shape)
    object.__setattr__(budget, "input_shape", shape)  # a list, as from JSON, cannot be hashed
    for each in several(shape):
        if not each or min(each) < 1:
            raise ValueError(f"input_shape is {shape}; give the shape of one input, as (3, 256, 256)")


def solve(rule: LayerRule, candidates: Sequence[Candidate], budget: int) -> dict[str, Choice]:
    """Returns what a rule chooses at the largest value of its parameter that fits the budget, and a little more.

    The next larger value does not fit, as it lets one layer or many grow at once. What is left of the budget goes to
    single layers: those that would grow next do so, the best error for the cost first, while they fit; layers that do
    not fit stay as they are, and the parameter keeps growing for the others, until a thousandth of the budget is left.
    In small networks, where half a percent may still be left, one layer gives up a rank for another to gain one.
    """
    path = _Path(rule, candidates)
    low = path.low
    choices = path.choices(candidates, low)
    growing = list(candidates)
    left = budget - total_cost(candidates, choices)

    def cost_at(value: float) -> int:
        return total_cost(growing, path.choices(growing, value))

    while growing:
        spent = left + total_cost(growing, choices)  # what the growing layers may cost together
        low, high = _last_fit(path, cost_at, spent, low)
        choices.update(path.choices(growing, low))
        left = spent - total_cost(growing, choices)
        if high is None or left <= _ENOUGH * budget:
            break
        wanted = path.choices(growing, high)
        for candidate in sorted(growing, key=lambda each: _worth(each, choices[each.name], wanted[each.name])):
            step = candidate.cost(wanted[candidate.name]) - candidate.cost(choices[candidate.name])
            if step <= left:
                choices[candidate.name] = wanted[candidate.name]
                left -= step
            else:
                growing.remove(candidate)
        low = high
    return fill(candidates, choices, budget)


class _Path:
    """A rule's choices as a function of its parameter.

    Attributes:
        low: The parameter's smallest value.
        high: Its largest value that matters.
        whole: Whether only whole numbers are allowed.
    """

    def __init__(self, rule: LayerRule, candidates: Sequence[Candidate]) -> None:
        parameter = rule.solvable()
        self._rule = rule
        self.low, self.high, self.whole = parameter.low, parameter.high, parameter.whole
        if self.whole:
            full_ranks = (option.full_rank for layer in candidates for option in layer.options)
            self.high = min(parameter.high, max(full_ranks, default=1))

    def choices(self, candidates: Sequence[Candidate], value: float) -> dict[str, Choice]:
        """Returns the rule's choices for some of the layers."""
        return self._rule.at(value).allocate(candidates, 0, 0)

    def middle(self, low: float, high: float) -> float:
        """Returns a value between two others, one of them where there is none between."""
        return (low + high) // 2 if self.whole else (low + high) / 2


def _last_fit(path: _Path, cost_at: Callable[[float], int], budget: int, low: float) -> tuple[float, float | None]:
    """Returns the largest value found that fits, and the next one, None where all fit; `low` fits."""
    high = path.high
    if low >= high or cost_at(high) <= budget:
        return high, None
    for _ in range(_BISECTIONS):
        middle = path.middle(low, high)
        if not low < middle < high:
            break
        low, high = (middle, high) if cost_at(middle) <= budget else (low, middle)
    return low, high


def _worth(candidate: Candidate, before: Choice, after: Choice) -> float:
    """Returns a sort key for layers that would grow: first those whose error falls furthest for the cost."""
    step = candidate.cost(after) - candidate.cost(before)
    return -(candidate.error(before) - candidate.error(after)) / max(step, 1)
