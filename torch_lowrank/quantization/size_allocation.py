"""One choice for each layer, so that the sum of errors is the smallest within a budget of bytes.

This is the multiple-choice knapsack problem, solved by dynamic programming over the bytes spent (Kellerer, Pferschy and
Pisinger 2004, Knapsack Problems, section 11.5): the smallest error of the first l layers within u units is the smallest
over the choices of layer l of its error plus that of the layers before within what is left. Walking hulls, as for ranks
alone (`ranks.allocation`), leaves too much: it skips the large steps that one more bit for all of a layer takes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from torch_lowrank.ranks.points import Points

_UNITS = 2**13  # into which a budget is divided; costs are rounded up to whole ones


def allocate_bytes(points: Sequence[Points], budget: int) -> list[int]:
    """Returns the position of each layer in its choices.

    Args:
        points: The choices of each layer.
        budget: Bytes; at least the sum of the layers' smallest costs.
    """
    spare = budget - sum(int(layer.cost[0]) for layer in points)
    unit = max(1, spare // _UNITS)
    units = spare // unit
    best = np.zeros(units + 1)
    taken: list[NDArray[np.int32]] = []
    costs = [-(-(layer.cost - layer.cost[0]) // unit) for layer in points]
    for layer, cost in zip(points, costs, strict=True):
        best, positions = _with_layer(best, cost, layer.error)
        taken.append(positions)
    at, left = [], units
    for positions, cost in zip(reversed(taken), reversed(costs), strict=True):
        at.append(int(positions[left]))
        left -= int(cost[at[-1]])
    return at[::-1]


def _with_layer(
    before: NDArray[np.float64], cost: NDArray[np.int64], error: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Returns the smallest errors with one layer more, for every number of units, and its position in each."""
    best, positions = before + error[0], np.zeros(len(before), np.int32)
    last_of_unit = np.flatnonzero(np.append(cost[1:] != cost[:-1], True))  # errors fall with cost: the last is best
    for position in last_of_unit[cost[last_of_unit] < len(before)]:
        spent = int(cost[position])
        found = before[: len(before) - spent] + error[position]
        better = found < best[spent:]
        best[spent:][better] = found[better]
        positions[spent:][better] = position
    return best, positions
