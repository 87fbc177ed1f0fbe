"""Joint allocation: ranks that meet two budgets at once, of parameters and of multiply-accumulates.

Whoever meets both budgets meets every blend of them, w a / A + (1 - w) b / B <= 1 for costs a and b and budgets A and
B. The more a blend weighs a cost, the less of it the best choices for the blend spend; w is found by bisection, until
they meet both. Ranks are whole numbers, so there may be no such w: then the blend is held to a little less than 1, and
what is left over is spent greedily. What comes out is a good choice. In a network of a few layers, where rounding to
whole ranks is much, a better one may exist.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from torch_lowrank.ranks.allocation import allocate_closely
from torch_lowrank.ranks.options import Candidate, Choice, Option, smallest_cost, total_cost

# Units of a blended cost: many, so that rounding to whole units is small; a network's cost must fit into 64 bits.
_UNITS = 2**40
_BISECTIONS = 25
_RESERVES = (0.0, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.2, 0.35, 0.5, 0.65)  # of a blend, tried in turn


def allocate_jointly(
    candidates: tuple[Sequence[Candidate], Sequence[Candidate]], budgets: tuple[int, int]
) -> dict[str, Choice] | None:
    """Returns a choice for each layer that together meet two budgets; None where none were found.

    Args:
        candidates: The same layers with the same options, counted in the first cost and in the second.
        budgets: What they may cost together, in each.
    """
    for reserve in _RESERVES:
        choices = _bisect(candidates, budgets, round(_UNITS * (1 - reserve)))
        if choices is not None:
            return _filled(candidates, budgets, choices)
    return None


def _bisect(
    candidates: tuple[Sequence[Candidate], Sequence[Candidate]], budgets: tuple[int, int], limit: int
) -> dict[str, Choice] | None:
    """Returns the best choices for a blend within a limit that meet both budgets; None where no blend has such."""
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        weight = (low + high) / 2
        scales = weight * _UNITS / max(1, budgets[0]), (1 - weight) * _UNITS / max(1, budgets[1])
        blended = [_blend(*pair, scales) for pair in zip(*candidates, strict=True)]
        if smallest_cost(blended) > limit:
            return None
        choices = allocate_closely(blended, limit)
        left = _left(candidates, budgets, choices)
        if min(left) >= 0:
            return choices
        low, high = (weight, high) if left[0] < 0 else (low, weight)
    return None


def _blend(one: Candidate, other: Candidate, scales: tuple[float, float]) -> Candidate:
    """Returns a layer counted in a weighted sum of two costs."""

    def blended(first: int, second: int) -> int:
        return round(scales[0] * first + scales[1] * second)

    dense = blended(one.dense_cost, other.dense_cost)
    options = tuple(
        dataclasses.replace(a, cost_per_rank=max(1, blended(a.cost_per_rank, b.cost_per_rank)), dense_cost=dense)
        for a, b in zip(one.options, other.options, strict=True)
    )
    return Candidate(one.name, dense, options)


def _left(
    candidates: tuple[Sequence[Candidate], Sequence[Candidate]], budgets: tuple[int, int], choices: dict[str, Choice]
) -> list[int]:
    """Returns what is left of each budget."""
    return [budget - total_cost(each, choices) for each, budget in zip(candidates, budgets, strict=True)]


class _Layer:
    """All choices of a layer: (2, n) costs, and (n,) errors and choices."""

    def __init__(self, one: Candidate, other: Candidate) -> None:
        self.choices = [Choice(None, max(option.full_rank for option in one.options), "the budgets let it stay dense")]
        costs, errors = [[one.dense_cost], [other.dense_cost]], [0.0]
        for a, b in zip(one.options, other.options, strict=True):
            ranks = range(1, _useful_rank(a, b) + 1)
            self.choices += [Choice(a.scheme, rank) for rank in ranks]
            errors += a.errors[1 : len(ranks) + 1].tolist()
            costs[0] += [rank * a.cost_per_rank for rank in ranks]
            costs[1] += [rank * b.cost_per_rank for rank in ranks]
        self.costs: NDArray[np.int64] = np.array(costs)
        self.errors: NDArray[np.float64] = np.array(errors)

    def index_of(self, choice: Choice) -> int:
        """Returns where a choice stands; dense is the first, whatever the reason."""
        return 0 if choice.scheme is None else self.choices.index(Choice(choice.scheme, choice.rank))


def _useful_rank(one: Option, other: Option) -> int:
    """Returns the largest rank that is cheaper than the dense layer in at least one of two costs."""
    return max(one.largest_rank, other.largest_rank)


def _filled(
    candidates: tuple[Sequence[Candidate], Sequence[Candidate]], budgets: tuple[int, int], choices: dict[str, Choice]
) -> dict[str, Choice]:
    """Spends what is left, each time on the choice that lowers the error most for its share of the budgets."""
    layers = [_Layer(*pair) for pair in zip(*candidates, strict=True)]
    names = [candidate.name for candidate in candidates[0]]
    at = [layer.index_of(choices[name]) for layer, name in zip(layers, names, strict=True)]
    left, chosen = np.array(_left(candidates, budgets, choices)), dict(choices)
    while steps := _steps(layers, at, left, np.array(budgets)):
        _, number, position = max(steps)
        left -= layers[number].costs[:, position] - layers[number].costs[:, at[number]]
        at[number] = position
        chosen[names[number]] = layers[number].choices[position]
    return chosen


def _steps(
    layers: Sequence[_Layer], at: Sequence[int], left: NDArray[np.int64], budgets: NDArray[np.int64]
) -> list[tuple[float, int, int]]:
    """Returns each layer's best next choice that fits: (fall of the error per share of the budgets, layer, choice)."""
    found = []
    for number, layer in enumerate(layers):
        steps = layer.costs - layer.costs[:, [at[number]]]
        gains = layer.errors[at[number]] - layer.errors
        fits = (steps <= left[:, None]).all(0) & (gains > 0)
        if fits.any():
            shares = np.maximum((steps / np.maximum(budgets, 1)[:, None]).sum(0), 1e-12)
            worth = np.where(fits, gains / shares, 0.0)
            found.append((float(worth.max()), number, int(worth.argmax())))
    return found
