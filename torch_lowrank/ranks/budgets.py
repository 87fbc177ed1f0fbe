"""Budgets: what a whole network may cost, in parameters, in multiply-accumulates, or in both."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from fractions import Fraction

from torch_lowrank.ranks.allocation import allocate_globally, fill
from torch_lowrank.ranks.options import Candidate, Choice, smallest_cost, total_cost
from torch_lowrank.ranks.rules import LayerRule, RankRule, check_share

_SMALLEST_SHARE = 1e-12
_BISECTIONS = 60  # halves (0, 1] to below the resolution of float64
_ENOUGH = 1e-3  # of the budget: what may be left over under a rule before single layers get more than others


class BudgetError(ValueError):
    """A budget cannot be met.

    Attributes:
        smallest: The smallest fraction that can; None of two budgets that cannot be met together.
    """

    def __init__(self, message: str, smallest: float | None = None) -> None:
        super().__init__(message)
        self.smallest = smallest


class _Budget(RankRule):
    """At most a fraction of the whole network's cost."""

    fraction: float
    rule: LayerRule | None

    def __post_init__(self) -> None:
        check_share("fraction", self.fraction)

    def units(self, total: int) -> int:
        """Returns the fraction of a total, rounded down, as it was written: 0.1 is no exact float64."""
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
            smallest = total_cost(candidates, _path(self.rule, candidates)[0](candidates, _lowest(self.rule)))
        if smallest > budget:
            unit = "parameters" if self.macs_for is None else "multiply-accumulates"
            reachable = math.ceil((smallest + rest) / total * 1e4) / 1e4
            raise BudgetError(
                f"a budget of {self.fraction:g} of {total:,} {unit} cannot be met; "
                f"the smallest reachable is {reachable:g}",
                reachable,
            )
        return allocate_globally(candidates, budget) if self.rule is None else solve(self.rule, candidates, budget)


@dataclasses.dataclass(frozen=True)
class ParameterBudget(_Budget):
    """At most a fraction of the network's parameters, counted over the whole network and never exceeded.

    Without a rule, ranks are allocated over all layers: they minimise the sum of the layers' squared errors, see
    `allocation`. With a rule (`Entropy`, `Energy`, `RankRatio`, `FixedRank` or another `LayerRule`) the rule's
    parameter is solved, whatever its value; see `solve`.
    """

    fraction: float
    rule: LayerRule | None = None


@dataclasses.dataclass(frozen=True)
class MacBudget(_Budget):
    """At most a fraction of the network's multiply-accumulates for one input, as torch's flop counter counts them.

    A layer is factorised where that saves multiply-accumulates. Else as `ParameterBudget`.

    Attributes:
        input_shape: Shape of one input without the batch, for example (channels, height, width).
    """

    fraction: float
    input_shape: tuple[int, ...]
    rule: LayerRule | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _keep_shape(self)

    @property
    def macs_for(self) -> tuple[int, ...]:
        """The shape of the input."""
        return self.input_shape


@dataclasses.dataclass(frozen=True)
class JointBudget:
    """At most a fraction of the network's parameters, and at most a fraction of its multiply-accumulates.

    Ranks are allocated over all layers, see `joint`.

    Attributes:
        parameters: The fraction of the parameters.
        macs: The fraction of the multiply-accumulates.
        input_shape: Shape of one input without the batch, for example (channels, height, width).
    """

    parameters: float
    macs: float
    input_shape: tuple[int, ...]

    def __post_init__(self) -> None:
        check_share("parameters", self.parameters)
        check_share("macs", self.macs)
        _keep_shape(self)

    @property
    def parameter_budget(self) -> ParameterBudget:
        """The one budget by itself."""
        return ParameterBudget(self.parameters)

    @property
    def mac_budget(self) -> MacBudget:
        """The other."""
        return MacBudget(self.macs, self.input_shape)


def _keep_shape(budget: MacBudget | JointBudget) -> None:
    shape = tuple(budget.input_shape)
    object.__setattr__(budget, "input_shape", shape)  # a list, as from JSON, cannot be hashed
    if not shape or min(shape) < 1:
        raise ValueError(f"input_shape is {shape}; give the shape of one input, as (3, 256, 256)")


def solve(rule: LayerRule, candidates: Sequence[Candidate], budget: int) -> dict[str, Choice]:
    """Returns what a rule chooses at the largest parameter that fits the budget, and a little more.

    The next larger parameter does not fit, as it lets one layer or many grow at once. What is left up to then goes to
    single layers: those that would grow next do so, the best error for the cost first, while they fit; layers that do
    not fit stay as they are, and the parameter rises on for the others, until a thousandth of the budget is left.
    In small networks, where half a percent may still be left, one layer gives up a rank for another to gain one.
    """
    choices_at, largest = _path(rule, candidates)
    low = _lowest(rule)
    choices = choices_at(candidates, low)
    growing = list(candidates)
    left = budget - total_cost(candidates, choices)

    def cost_at(value: float) -> int:
        return total_cost(growing, choices_at(growing, value))

    while growing:
        spent = left + total_cost(growing, choices)  # what the growing layers may cost together
        low, high = _last_fit(cost_at, spent, low, largest)
        choices.update(choices_at(growing, low))
        left = spent - total_cost(growing, choices)
        if high is None or left <= _ENOUGH * budget:
            break
        wanted = choices_at(growing, high)
        for candidate in sorted(growing, key=lambda each: _worth(each, choices[each.name], wanted[each.name])):
            step = candidate.cost(wanted[candidate.name]) - candidate.cost(choices[candidate.name])
            if step <= left:
                choices[candidate.name] = wanted[candidate.name]
                left -= step
            else:
                growing.remove(candidate)
        low = high
    return fill(candidates, choices, budget)


def _lowest(rule: LayerRule) -> float:
    return 1 if isinstance(_parameter(rule)[1], int) else _SMALLEST_SHARE


def _path(
    rule: LayerRule, candidates: Sequence[Candidate]
) -> tuple[Callable[[Sequence[Candidate], float], dict[str, Choice]], float]:
    """Returns the rule's choices as a function of its parameter, and the largest parameter that matters."""
    name, value = _parameter(rule)

    def choices(layers: Sequence[Candidate], parameter: float) -> dict[str, Choice]:
        return dataclasses.replace(rule, **{name: parameter}).allocate(layers, 0, 0)  # type: ignore[type-var]

    largest = max((option.full_rank for layer in candidates for option in layer.options), default=1)
    return choices, largest if isinstance(value, int) else 1.0


def _parameter(rule: LayerRule) -> tuple[str, float]:
    """Returns name and value of the rule's first field."""
    if not dataclasses.is_dataclass(rule) or not dataclasses.fields(rule):
        raise ValueError(f"{rule!r} has no parameter that a budget could solve; make it a dataclass with one")
    name = dataclasses.fields(rule)[0].name
    return name, getattr(rule, name)


def _last_fit(cost_at: Callable[[float], int], budget: int, low: float, largest: float) -> tuple[float, float | None]:
    """Returns the largest parameter found that fits, and the next one, None where all fit; `low` fits."""
    if low >= largest or cost_at(largest) <= budget:
        return largest, None
    high = largest
    for _ in range(_BISECTIONS):
        middle = (low + high) // 2 if isinstance(low, int) else (low + high) / 2
        if not low < middle < high:
            break
        low, high = (middle, high) if cost_at(middle) <= budget else (low, middle)
    return low, high


def _worth(candidate: Candidate, before: Choice, after: Choice) -> float:
    """Orders the layers that would grow: the most error taken off for the cost first."""
    step = candidate.cost(after) - candidate.cost(before)
    return -(candidate.error(before) - candidate.error(after)) / max(step, 1)
