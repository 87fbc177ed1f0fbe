"""Plans a compression: a choice for each layer, from spectra, costs and a rule."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Mapping

from torch import nn

from torch_lowrank.decomposition.spectra import Spectra
from torch_lowrank.layers.factorized import count_parameters, kind_name
from torch_lowrank.ranks.budgets import BudgetError, JointBudget, MacBudget, ParameterBudget
from torch_lowrank.ranks.costs import Costs, mac_costs, parameter_costs
from torch_lowrank.ranks.joint_allocation import allocate_jointly
from torch_lowrank.ranks.options import Candidate, Choice, Option, total_cost
from torch_lowrank.ranks.rules import FixedRank, RankRule

_NAMES_SHOWN = 5


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
    excluded, pinned = excluded_layers(exclude, spectra), pinned_layers(pin or {}, spectra)
    counted = _counted(network, spectra, rule)
    settled = _settled(counted[0][0], excluded, pinned)
    layers = [_Layers(candidates, costs, settled) for candidates, costs in counted]
    try:
        decided = _meet_both(rule, *layers) if isinstance(rule, JointBudget) else layers[0].decide(rule)
    except BudgetError as error:
        if not spectra.skipped:
            raise
        raise BudgetError(f"{error}; not factorised are {_skipped(network, spectra)}", error.smallest) from error
    return {**settled, **decided}


def solved_parameter(network: nn.Module, spectra: Spectra, budget: ParameterBudget | MacBudget) -> float | None:
    """Returns the value of its rule's parameter (a rank, a tau) that a budget is met by, as `plan` solves it.

    None for a budget without a rule, which gives each layer a rank of its own.
    """
    candidates, costs = _counted(network, spectra, budget)[0]
    layers = _Layers(candidates, costs, {})
    return budget.solved(layers.undecided, layers.total, layers.rest)


class _Layers:
    """The layers that a rule is to decide on, counted in one cost.

    Attributes:
        undecided: These layers.
        total: What the whole network costs as it is.
        rest: What all that is not to decide on costs.
    """

    def __init__(self, candidates: dict[str, Candidate], costs: Costs, settled: dict[str, Choice]) -> None:
        self.undecided = [candidate for name, candidate in candidates.items() if name not in settled]
        self.total = costs.total
        self.rest = costs.total - sum(costs.dense.values())
        self.rest += sum(candidates[name].cost(choice) for name, choice in settled.items())

    def decide(self, rule: RankRule) -> dict[str, Choice]:
        """Returns what a rule chooses."""
        return rule.allocate(self.undecided, self.total, self.rest)


def _meet_both(rule: JointBudget, small: _Layers, fast: _Layers) -> dict[str, Choice]:
    """Returns choices that meet both budgets of a rule; those for one budget alone where they meet the other, too."""
    single = rule.parameter_budget, rule.mac_budget
    budgets = single[0].units(small.total) - small.rest, single[1].units(fast.total) - fast.rest
    for budget, layers in zip(single, (small, fast), strict=True):
        choices = layers.decide(budget)
        costs = total_cost(small.undecided, choices), total_cost(fast.undecided, choices)
        if costs[0] <= budgets[0] and costs[1] <= budgets[1]:
            return choices
    found = allocate_jointly((small.undecided, fast.undecided), budgets)
    if found is None:
        raise BudgetError(
            f"no ranks were found that meet both a budget of {rule.parameters:g} of the parameters and one of "
            f"{rule.macs:g} of the multiply-accumulates, though each can be met by itself"
        )
    return found


def _counted(
    network: nn.Module, spectra: Spectra, rule: RankRule | JointBudget
) -> list[tuple[dict[str, Candidate], Costs]]:
    """Returns all layers by name, counted in each cost that a rule limits: parameters, multiply-accumulates."""
    schemes = {name: [spectrum.scheme for spectrum in spectra.options(name)] for name in spectra.layers}
    shape = rule.input_shape if isinstance(rule, JointBudget) else rule.macs_for
    costs = [] if shape is None else [mac_costs(network, schemes, shape)]
    if isinstance(rule, JointBudget) or shape is None:
        costs = [parameter_costs(network, schemes), *costs]
    return [({name: _candidate(name, spectra, each) for name in spectra.layers}, each) for each in costs]


def _candidate(name: str, spectra: Spectra, costs: Costs) -> Candidate:
    dense = costs.dense[name]
    options = tuple(
        Option(
            spectrum.scheme,
            spectrum.singular_values,
            costs.per_rank[name, spectrum.scheme],
            dense,
            spectrum.absolute,
            spectrum.shape,
        )
        for spectrum in spectra.options(name)
    )
    return Candidate(name, dense, options)


def _settled(candidates: dict[str, Candidate], excluded: dict[str, str], pinned: dict[str, int]) -> dict[str, Choice]:
    """Returns the choices for layers that are excluded or pinned."""
    both = [name for name in pinned if name in excluded]
    if both:
        raise ValueError(f"layer {both[0]!r} is both excluded and pinned; drop one of the two patterns")
    choices = {name: Choice(None, 0, f"excluded by {pattern!r}") for name, pattern in excluded.items()}
    choices.update({name: FixedRank(rank).choose(candidates[name]) for name, rank in pinned.items()})
    return choices


def excluded_layers(patterns: Collection[str], spectra: Spectra) -> dict[str, str]:
    """Returns, for each layer that is excluded, the pattern that matches it."""
    if isinstance(patterns, str):
        raise ValueError(f"exclude is the string {patterns!r}; give a list of patterns, as [{patterns!r}]")
    found = {name: pattern for pattern in reversed(list(patterns)) for name in _matches(pattern, spectra)}
    return {name: pattern for name, pattern in found.items() if name in spectra.layers}


def pinned_layers(ranks: Mapping[str, int], spectra: Spectra) -> dict[str, int]:
    """Returns, for each pinned layer, the rank.

    Raises:
        ValueError: If a pattern matches layers, but none that can be factorised, or a rank is above the full rank.
    """
    pinned: dict[str, int] = {}
    for pattern, rank in reversed(list(ranks.items())):
        names = [name for name in _matches(pattern, spectra) if name in spectra.layers]
        if not names:
            name = _matches(pattern, spectra)[0]
            raise ValueError(f"pin {pattern!r}: layer {name!r} cannot be factorised: {spectra.skipped[name]}")
        pinned.update(dict.fromkeys(names, FixedRank(rank).value))
    for name, rank in pinned.items():
        largest = max(spectrum.full_rank for spectrum in spectra.options(name))
        if rank > largest:
            raise ValueError(f"pin: layer {name!r} has a full rank of {largest}; rank {rank} is more than it can have")
    return pinned


def _skipped(network: nn.Module, spectra: Spectra) -> str:
    """Returns which layers have no spectrum and why, those of one class and reason together, the largest first."""
    groups: dict[tuple[str, str], list[int]] = {}
    for name, reason in spectra.skipped.items():
        layer = network.get_submodule(name)
        groups.setdefault((kind_name(layer), reason), []).append(count_parameters(layer))
    shown = sorted(groups.items(), key=lambda group: -sum(group[1]))[:_NAMES_SHOWN]
    texts = [
        f"{len(sizes)} layer{'s' if len(sizes) > 1 else ''} of type {kind} with {sum(sizes):,} parameters ({reason})"
        for (kind, reason), sizes in shown
    ]
    others = len(spectra.skipped) - sum(len(sizes) for _, sizes in shown)
    return ", ".join(texts) + (f" and {others} more" if others else "")


def _matches(pattern: str, spectra: Spectra) -> list[str]:
    names = [*spectra.layers, *spectra.skipped]
    found = [name for name in names if fnmatch.fnmatchcase(name, pattern)]
    if not found:
        shown = ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
        raise ValueError(f"the pattern {pattern!r} matches no layer; the layers are {shown or 'none'}")
    return found
