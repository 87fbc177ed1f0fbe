"""Global allocation: the ranks of all layers that together leave the smallest error within a budget.

Minimise sum_l err_l(c_l) subject to sum_l cost_l(c_l) <= budget over the choices c_l of each layer: every rank of
every scheme, or dense, with error 0. For a price on cost each layer decides by itself, and what it can choose at any
price are the corners of the lower convex hull of its points (cost, error). Walking all hulls at once, the steepest
edge first, passes through the optimum of every price (Everett 1963, generalised Lagrange multipliers). An edge that
does not fit is skipped, and what is left is spent greedily. From there, `exact_allocation` finds the best.

What a solved rule leaves of a budget is spent likewise; in small networks, where that leaves half a percent, one layer
gives up ranks so that another can gain some.
"""

from __future__ import annotations

import functools
import heapq
import math
from collections.abc import Sequence

import numpy as np

from torch_lowrank.ranks.exact_allocation import improve
from torch_lowrank.ranks.options import Candidate, Choice, total_cost
from torch_lowrank.ranks.points import Points

_GAP = 4e-3  # of the budget: what may be left over, with a margin to half a percent
_STEPS_BACK = 32  # so many points one layer may give up for another
_ROUNDING = 1e-12  # of errors; a smaller gain is none


def allocate_globally(candidates: Sequence[Candidate], budget: int) -> dict[str, Choice]:
    """Returns the best choices for all layers, or close to the best where `improve` cannot try all that may be.

    Args:
        candidates: The layers.
        budget: At least `smallest_cost(candidates)`.
    """
    points = [_points(candidate) for candidate in candidates]
    at = _allocated(points, budget)
    return _chosen(candidates, points, improve(points, at, budget) or at)


def allocate_closely(candidates: Sequence[Candidate], budget: int) -> dict[str, Choice]:
    """Returns choices close to the best, in a fraction of the time; see `allocate_globally`."""
    points = [_points(candidate) for candidate in candidates]
    return _chosen(candidates, points, _allocated(points, budget))


def _allocated(points: Sequence[Points], budget: int) -> list[int]:
    """Returns the position of each layer."""
    at = [0] * len(points)
    left = budget - sum(int(layer.cost[0]) for layer in points)
    _spend_rest(points, at, _walk_hulls(points, at, left))
    return at


def fill(candidates: Sequence[Candidate], choices: dict[str, Choice], budget: int) -> dict[str, Choice]:
    """Returns the choices with what is left of the budget spent, if that is much; see `_close_gap`."""
    left = budget - total_cost(candidates, choices)
    if left <= _GAP * budget:
        return choices
    points = [_points(candidate) for candidate in candidates]
    if not all(choices[each.name] in layer.choices for each, layer in zip(candidates, points, strict=True)):
        return choices
    at = [layer.choices.index(choices[each.name]) for each, layer in zip(candidates, points, strict=True)]
    _close_gap(points, at, left, budget)
    return _chosen(candidates, points, at)


def _chosen(candidates: Sequence[Candidate], points: Sequence[Points], at: list[int]) -> dict[str, Choice]:
    return {
        candidate.name: layer.choices[position]
        for candidate, layer, position in zip(candidates, points, at, strict=True)
    }


def _points(candidate: Candidate) -> Points:
    """Returns the choices worth making."""
    costs, errors, choices = [], [], []
    for option in candidate.options:
        ranks = range(1, option.largest_rank + 1)
        costs += [rank * option.cost_per_rank for rank in ranks]
        errors += option.errors[1 : len(ranks) + 1].tolist()
        choices += [_choice(option.scheme, rank) for rank in ranks]
    reason = "the budget lets it stay dense" if choices else "no rank would make it smaller"
    costs.append(candidate.dense_cost)
    errors.append(0.0)
    choices.append(Choice(None, max(option.full_rank for option in candidate.options), reason))
    return Points.worth_making(costs, errors, choices)


@functools.lru_cache(maxsize=2**14)
def _choice(scheme: str, rank: int) -> Choice:
    """Returns a choice, the same object each time: to create thousands for each budget would take most of its time."""
    return Choice(scheme, rank)


def _hull(points: Points) -> list[int]:
    """Returns the corners of the lower convex hull, by Andrew's monotone chain."""
    corners: list[int] = []
    cost, error = points.cost.tolist(), points.error.tolist()
    for new in range(len(cost)):
        while len(corners) > 1:
            first, middle = corners[-2:]
            drop = (error[first] - error[new]) * (cost[middle] - cost[first])
            if (error[first] - error[middle]) * (cost[new] - cost[first]) > drop:
                break
            corners.pop()
        corners.append(new)
    return corners


def _walk_hulls(points: Sequence[Points], at: list[int], left: int) -> int:
    """Moves each layer along its hull while the budget lasts; returns what is left of it."""
    hulls = [_hull(layer) for layer in points]
    queue: list[tuple[float, int, int]] = []

    def push(layer: int, corner: int) -> None:
        if corner + 1 < len(hulls[layer]):
            here, there = hulls[layer][corner : corner + 2]
            cost, error = points[layer].cost, points[layer].error
            heapq.heappush(queue, (-float((error[here] - error[there]) / (cost[there] - cost[here])), layer, corner))

    for layer in range(len(points)):
        push(layer, 0)
    while queue:
        _, layer, corner = heapq.heappop(queue)
        here, there = hulls[layer][corner : corner + 2]
        step = int(points[layer].cost[there] - points[layer].cost[here])
        if step <= left:
            at[layer] = there
            left -= step
            push(layer, corner + 1)
    return left


def _spend_rest(points: Sequence[Points], at: list[int], left: int) -> int:
    """Spends what no edge of a hull fits into: again and again the point with the best error for its cost."""
    while True:
        best, best_gain = None, 0.0
        for layer, position in enumerate(at):
            cost, error = points[layer].cost, points[layer].error
            end = int(np.searchsorted(cost, cost[position] + left, side="right"))
            if end <= position + 1:
                continue
            gains = (error[position] - error[position + 1 : end]) / (cost[position + 1 : end] - cost[position])
            if gains.max() > best_gain:
                best, best_gain = (layer, position + 1 + int(gains.argmax())), float(gains.max())
        if best is None:
            return left
        layer, position = best
        left -= int(points[layer].cost[position] - points[layer].cost[at[layer]])
        at[layer] = position


def _close_gap(points: Sequence[Points], at: list[int], left: int, budget: int) -> None:
    """Moves ranks from one layer to another while that lowers the error or spends what is left of the budget."""
    while left > _GAP * budget:
        found = _exchange(points, at, left, -math.inf)
        closing = found is None or found[0] <= _ROUNDING
        if closing:
            found = _exchange(points, at, left, left - _GAP * budget)
        if found is None:
            return
        for layer, position in found[1].items():
            left -= int(points[layer].cost[position] - points[layer].cost[at[layer]])
            at[layer] = position
        if closing:
            return
        left = _spend_rest(points, at, left)


def _exchange(
    points: Sequence[Points], at: list[int], left: int, min_spent: float
) -> tuple[float, dict[int, int]] | None:
    """Returns the best move of two layers, one to fewer ranks and one to more, within what is left of the budget.

    Args:
        points: The choices of each layer.
        at: Position of each layer in its choices.
        left: What is left of the budget.
        min_spent: What the move must spend of it at least.

    Returns:
        The error taken off, and the layers' new positions; None where there is no such move.
    """
    best: tuple[float, dict[int, int]] | None = None
    for giver, source in enumerate(points):
        for back in range(max(0, at[giver] - _STEPS_BACK), at[giver]):
            freed = int(source.cost[at[giver]] - source.cost[back])
            loss = float(source.error[back] - source.error[at[giver]])
            for taker, other in enumerate(points):
                here = at[taker]
                there = int(np.searchsorted(other.cost, other.cost[here] + left + freed, side="right")) - 1
                gain = float(other.error[here] - other.error[there]) - loss
                spends = int(other.cost[there] - other.cost[here]) - freed >= min_spent
                if taker != giver and there > here and spends and (best is None or gain > best[0]):
                    best = gain, {giver: back, taker: there}
    return best
