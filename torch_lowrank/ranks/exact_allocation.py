"""Exact allocation: the best choices of all layers within a budget, where few of them can be in the best.

The Lagrangian bound settles most choices: for a price on cost, no allocation has a smaller error than

    sum_l min_c (err_l(c) + price * cost_l(c)) - price * budget,

and one that holds a choice c has at least the regret of c more, which is by how much its error + price * cost lies
above the minimum of its layer. A choice whose regret exceeds the distance of a known allocation from the bound is in no
better one, and neither is a set of choices whose regrets add up to more. What is left is merged layer by layer; of the
sums of cost and error only those that no other one beats in both are kept (Nemhauser and Ullmann 1969).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from torch_lowrank.ranks.points import Points

_MOST_SUMS = 1_000_000  # made of a layer; beyond, the known allocation is kept: it is close to the best by then
_BISECTIONS = 60
_ROUNDING = 1e-12  # of an error, relative


def improve(points: Sequence[Points], at: Sequence[int], budget: int) -> list[int] | None:
    """Returns the positions with the smallest sum of errors within a budget.

    Args:
        points: The choices of each layer.
        at: The positions of a known allocation within the budget; the closer it is to the best, the less is to do.
        budget: What the choices may cost together.

    Returns:
        The positions; None where none is better than the known one, or too many remain to try.
    """
    known = sum(float(layer.error[position]) for layer, position in zip(points, at, strict=True))
    price = _price(points, budget)
    distance = known - _bound(points, price, budget) + _ROUNDING * known
    layers = [_Layer.within(each, price, distance) for each in points]
    merged = _merged(layers, distance, budget)
    if merged is None or not len(merged.cost):
        return None
    best = int(merged.error.argmin())
    return merged.positions[best].tolist() if merged.error[best] < known * (1 - _ROUNDING) else None


@dataclasses.dataclass(frozen=True)
class _Layer:
    """The choices of a layer that may be in the best allocation."""

    cost: NDArray[np.int64]
    error: NDArray[np.float64]
    regret: NDArray[np.float64]
    position: NDArray[np.int64]

    @classmethod
    def within(cls, points: Points, price: float, distance: float) -> _Layer:
        regret = _regret(points, price)
        kept = np.flatnonzero(regret <= distance)
        return cls(points.cost[kept], points.error[kept], regret[kept], kept)


@dataclasses.dataclass(frozen=True)
class _Sums:
    """Sums over the first layers: (n,) costs, errors and regrets, and (n, layers) positions."""

    cost: NDArray[np.int64]
    error: NDArray[np.float64]
    regret: NDArray[np.float64]
    positions: NDArray[np.int64]


def _regret(points: Points, price: float) -> NDArray[np.float64]:
    total = points.error + price * points.cost
    return total - total.min()


def _bound(points: Sequence[Points], price: float, budget: int) -> float:
    return sum(float((each.error + price * each.cost).min()) for each in points) - price * budget


def _price(points: Sequence[Points], budget: int) -> float:
    """Returns the price at which the layers' own best choices just fit, by bisection."""

    def spent(price: float) -> int:
        return sum(int(each.cost[(each.error + price * each.cost).argmin()]) for each in points)

    low, high = (
        0.0,
        max((float(each.error[0]) for each in points), default=0.0) + 1.0,
    )  # a unit of cost is worth no more
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if spent(middle) > budget else (low, middle)
    return high


def _merged(layers: Sequence[_Layer], distance: float, budget: int) -> _Sums | None:
    """Returns the sums over all layers that may be best; None where there are too many."""
    cheapest = [int(layer.cost.min()) if len(layer.cost) else 0 for layer in layers]
    sums = _Sums(np.zeros(1, np.int64), np.zeros(1), np.zeros(1), np.zeros((1, 0), np.int64))
    for number, layer in enumerate(layers):
        if len(sums.cost) * len(layer.cost) > _MOST_SUMS:
            return None
        before, chosen = (each.ravel() for each in np.indices((len(sums.cost), len(layer.cost))))
        cost, regret = sums.cost[before] + layer.cost[chosen], sums.regret[before] + layer.regret[chosen]
        fits = (regret <= distance) & (cost <= budget - sum(cheapest[number + 1 :]))
        before, chosen, cost, regret = before[fits], chosen[fits], cost[fits], regret[fits]
        error = sums.error[before] + layer.error[chosen]
        kept = _unbeaten(cost, error)
        positions = np.column_stack([sums.positions[before[kept]], layer.position[chosen[kept]]])
        sums = _Sums(cost[kept], error[kept], regret[kept], positions)
    return sums


def _unbeaten(cost: NDArray[np.int64], error: NDArray[np.float64]) -> NDArray[np.int64]:
    order = np.lexsort((error, cost))
    if not len(order):
        return order
    best_before = np.concatenate([[np.inf], np.minimum.accumulate(error[order])[:-1]])
    return order[error[order] < best_before]
