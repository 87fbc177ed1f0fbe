"""The smallest share of a network's parameters that is good enough, searched for."""

from __future__ import annotations

import math
from collections.abc import Callable

EVALUATIONS = 8


def smallest_share_that(is_good: Callable[[float], bool], lowest: float, evaluations: int = EVALUATIONS) -> float:
    """Returns the smallest share found that is good; 1 where none below is.

    Halves the interval between `lowest` and 1 on a logarithmic scale, as sizes are compared by their ratio: after eight
    evaluations the next smaller share that was tried is less than 2 % smaller where `lowest` is 1/100. It takes for
    granted that what is good stays so at a larger share, which holds nearly; a share
    below 1 that is returned was tried.

    Args:
        is_good: Whether a network of that share of the parameters is good enough; called `evaluations` times.
        lowest: The smallest share that can be, above 0.
        evaluations: How often a network is tried.

    Raises:
        ValueError: `lowest` is not in (0, 1].
    """
    if not 0 < lowest <= 1:
        raise ValueError(f"lowest is {lowest}; it must lie in (0, 1]")
    low, high = lowest, 1.0
    for _ in range(evaluations):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if is_good(middle) else (middle, high)
    return high
