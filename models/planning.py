"""Plans a compression: what becomes of each layer, from its spectra, what ranks cost, and a rule."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Collection, Mapping, Sequence

from torch import nn

from models.allocation import allocate_globally
from models.budgets import BudgetError, JointBudget, MacBudget, ParameterBudget, whole_units
from models.candidates import Candidate, Choice, Option, RankRule, smallest_cost
from models.costs import Costs, blended, mac_costs, parameter_costs
from models.ranks import FixedRank
from models.spectra import Spectra

_NAMES_SHOWN = 5
# Of a blended cost, in whole units. The more there are, the less rounding; all of a network must fit into 64 bits.
_UNITS = 2**40
_BISECTIONS = 25
_RESERVES = (0.0, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)  # of a joint budget: what ranks, being whole numbers, may need


def plan(
    network: nn.Module,
    spectra: Spectra,
    rule: RankRule | JointBudget,
    exclude: Collection[str] = (),
    pin: Mapping[str, int] | None = None,
) -> dict[str, Choice]:
    """Returns a choice for every layer that has a spectrum; for the arguments see `compression.compress`.

    Raises:
        ValueError: A pattern matches no layer, or two settings contradict.
        BudgetError: A budget cannot be met.
    """
    settled = _check_exclude(exclude, spectra), _check_pin(pin or {}, spectra)
    schemes = {name: [spectrum.scheme for spectrum in spectra.options(name)] for name in spectra.layers}
    if isinstance(rule, JointBudget):
        measures = parameter_costs(network, spectra), mac_costs(network, schemes, rule.input_shape)
        return _plan_jointly(rule, [_Task(spectra, costs, *settled) for costs in measures])
    shape = rule.macs_for
    costs = parameter_costs(network, spectra) if shape is None else mac_costs(network, schemes, shape)
    return _Task(spectra, costs, *settled).solve(rule)


class _Task:
    """The layers of a network under one kind of cost.

    Attributes:
        costs: What they are counted in.
        settled: The choices that are made before a rule is asked.
        rest: What everything costs that no rule decides on.
        open: The layers that one does.
    """

    def __init__(self, spectra: Spectra, costs: Costs, excluded: dict[str, str], pinned: dict[str, int]) -> None:
        self.costs = costs
        self._given = spectra, excluded, pinned
        self._candidates = {name: _candidate(name, spectra, costs) for name in spectra.layers}
        self.settled = _settled(self._candidates, excluded, pinned)
        self.open = [candidate for name, candidate in self._candidates.items() if name not in self.settled]
        self.rest = costs.total - sum(costs.dense.values())
        self.rest += sum(self._candidates[name].cost(choice) for name, choice in self.settled.items())

    def solve(self, rule: RankRule) -> dict[str, Choice]:
        """Returns what a rule chooses."""
        return {**self.settled, **rule.allocate(self.open, self.costs.total, self.rest)}

    def spent(self, choices: dict[str, Choice]) -> int:
        """Returns what the network costs after these choices."""
        return self.rest + sum(each.cost(choices[each.name]) for each in self.open)

    def counted_in(self, costs: Costs) -> _Task:
        """Returns the same task under another cost."""
        spectra, excluded, pinned = self._given
        return _Task(spectra, costs, excluded, pinned)


def _plan_jointly(rule: JointBudget, tasks: list[_Task]) -> dict[str, Choice]:
    """Returns the choices that meet two budgets with the smallest error.

    A choice that meets both also meets every blend of them, w params / P + (1 - w) macs / M <= 1. Of the best choices
    for each blend, the one that meets both is the best of all; w is found by bisection, as with more weight on a cost
    less of it is spent. Ranks are whole numbers, so that one of the two may stay a little above at any w: then the
    blend's budget is made a little smaller.
    """
    alone: list[RankRule] = [ParameterBudget(rule.parameters), MacBudget(rule.macs, rule.input_shape)]
    budgets = [whole_units(one.fraction, task.costs.total) for one, task in zip(alone, tasks, strict=True)]  # type: ignore[attr-defined]
    for one, task in zip(alone, tasks, strict=True):
        choices = task.solve(one)
        if not _exceeded(choices, tasks, budgets):
            return choices
    for reserve in _RESERVES:
        low, high = 0.0, 1.0
        for _ in range(_BISECTIONS):
            weight = (low + high) / 2
            scales = [weight * _UNITS / budgets[0], (1 - weight) * _UNITS / budgets[1]]
            found = _within(tasks[0].counted_in(blended([task.costs for task in tasks], scales)), reserve)
            if found is None:
                break
            exceeded = _exceeded(found, tasks, budgets)
            if not exceeded:
                return found
            low, high = (weight, high) if exceeded == [0] else (low, weight)
    raise BudgetError(
        f"a budget of {rule.parameters:g} of the parameters and {rule.macs:g} of the multiply-accumulates cannot be "
        "met, though each of the two by itself can"
    )


def _within(task: _Task, reserve: float) -> dict[str, Choice] | None:
    """Returns the best choices within all units but a reserve; None where there are none."""
    budget = math.floor(_UNITS * (1 - reserve)) - task.rest
    if smallest_cost(task.open) > budget:
        return None
    return {**task.settled, **allocate_globally(task.open, budget)}


def _exceeded(choices: dict[str, Choice], tasks: Sequence[_Task], budgets: Sequence[int]) -> list[int]:
    """Returns which budgets are not met."""
    return [number for number, task in enumerate(tasks) if task.spent(choices) > budgets[number]]


def _candidate(name: str, spectra: Spectra, costs: Costs) -> Candidate:
    dense = costs.dense[name]
    options = tuple(
        Option(
            spectrum.scheme, spectrum.singular_values, costs.per_rank[name, spectrum.scheme], dense, spectrum.absolute
        )
        for spectrum in spectra.options(name)
    )
    return Candidate(name, dense, options)


def _settled(candidates: dict[str, Candidate], excluded: dict[str, str], pinned: dict[str, int]) -> dict[str, Choice]:
    """Returns the choices that are made before the rule is asked."""
    both = [name for name in pinned if name in excluded]
    if both:
        raise ValueError(f"layer {both[0]!r} is both excluded and pinned; drop one of the two patterns")
    choices = {name: Choice(None, 0, f"excluded by {pattern!r}") for name, pattern in excluded.items()}
    choices.update({name: FixedRank(rank).choose(candidates[name]) for name, rank in pinned.items()})
    return choices


def _check_exclude(patterns: Collection[str], spectra: Spectra) -> dict[str, str]:
    """Returns, for each layer that is excluded, the pattern that says so."""
    if isinstance(patterns, str):
        raise ValueError(f"exclude is the string {patterns!r}; give a list of patterns, as [{patterns!r}]")
    found = {name: pattern for pattern in reversed(list(patterns)) for name in _matches(pattern, spectra)}
    return {name: pattern for name, pattern in found.items() if name in spectra.layers}


def _check_pin(ranks: Mapping[str, int], spectra: Spectra) -> dict[str, int]:
    """Returns, for each pinned layer, the rank.

    Raises:
        ValueError: If a pattern matches layers, but none that can be factorised.
    """
    pinned: dict[str, int] = {}
    for pattern, rank in reversed(list(ranks.items())):
        names = [name for name in _matches(pattern, spectra) if name in spectra.layers]
        if not names:
            name = _matches(pattern, spectra)[0]
            raise ValueError(f"pin {pattern!r}: layer {name!r} cannot be factorised: {spectra.skipped[name]}")
        pinned.update(dict.fromkeys(names, FixedRank(rank).value))
    return pinned


def _matches(pattern: str, spectra: Spectra) -> list[str]:
    names = [*spectra.layers, *spectra.skipped]
    found = [name for name in names if fnmatch.fnmatchcase(name, pattern)]
    if not found:
        shown = ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
        raise ValueError(f"the pattern {pattern!r} matches no layer; the layers are {shown or 'none'}")
    return found
