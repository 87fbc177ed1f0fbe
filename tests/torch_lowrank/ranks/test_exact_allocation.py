"""The best choices of small sets of layers, against trying all of them."""

import itertools

import numpy as np
import pytest

from torch_lowrank.ranks import exact_allocation
from torch_lowrank.ranks.exact_allocation import improve
from torch_lowrank.ranks.points import Points


def layers(seed: int) -> tuple[list[Points], int]:
    """Two to five layers of a few choices each, and a budget that they can meet."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(random.integers(2, 6)):
        number = int(random.integers(2, 8))
        costs, errors = np.cumsum(random.integers(1, 30, number)), np.sort(random.random(number))[::-1].copy()
        errors[-1] = 0
        made.append(Points.worth_making(costs.tolist(), errors.tolist(), list(range(number))))
    least, most = (sum(int(layer.cost[end]) for layer in made) for end in (0, -1))
    return made, int(random.integers(least, most + 1))


def error(points: list[Points], at) -> float:
    return sum(float(layer.error[position]) for layer, position in zip(points, at, strict=True))


def cost(points: list[Points], at) -> int:
    return sum(int(layer.cost[position]) for layer, position in zip(points, at, strict=True))


def best(points: list[Points], budget: int) -> float:
    every = itertools.product(*(range(len(layer.cost)) for layer in points))
    return min(error(points, at) for at in every if cost(points, at) <= budget)


@pytest.mark.parametrize("seed", range(40))
def test_no_allocation_is_better(seed: int) -> None:
    points, budget = layers(seed)
    known = [0] * len(points)  # the worst of all
    found = improve(points, known, budget) or known
    assert cost(points, found) <= budget
    assert error(points, found) == pytest.approx(best(points, budget), abs=1e-12)


def test_the_best_is_not_replaced() -> None:
    points, budget = layers(0)
    found = improve(points, [0] * len(points), budget)
    assert found is not None
    assert improve(points, found, budget) is None


def test_where_too_many_remain_the_known_one_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    points, budget = layers(0)
    monkeypatch.setattr(exact_allocation, "_MOST_SUMS", 1)
    assert improve(points, [0] * len(points), budget) is None


def test_no_layers_are_no_error() -> None:
    assert improve([], [], 0) is None
