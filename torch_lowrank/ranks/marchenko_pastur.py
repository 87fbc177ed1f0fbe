"""The Marchenko-Pastur distribution, and the threshold for singular values that follows from it.

For an m x n matrix of independent noise of variance 1 / n, m <= n and beta = m / n, it is the limit of the distribution
of the squared singular values: on [(1 - sqrt(beta))^2, (1 + sqrt(beta))^2], with density
sqrt((b - x) (x - a)) / (2 pi beta x).
"""

from __future__ import annotations

import functools
import math

_BISECTIONS = 60


@functools.lru_cache(maxsize=1024)
def spectral_median(beta: float) -> float:
    """Returns the median mu(beta) of the squared singular values, for beta in (0, 1].

    With x = 1 + beta + 2 sqrt(beta) cos(t), the share of the values above x has a closed form in t, see `_above`.
    """
    low, high = 0.0, math.pi  # shares 0 and 1
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if _above(middle, beta) < 0.5 else (low, middle)
    return 1 + beta + 2 * math.sqrt(beta) * math.cos((low + high) / 2)


def optimal_threshold(beta: float) -> float:
    """Returns lambda(beta): where singular values are best cut, in units of sqrt(n) times the noise.

    It is 4 / sqrt(3) for square matrices. Source: Gavish and Donoho, see `noise.HardThreshold`.
    """
    total = beta + 1
    return math.sqrt(2 * total + 8 * beta / (total + math.sqrt(beta * beta + 14 * beta + 1)))


def _above(t: float, beta: float) -> float:
    """Returns the integral of the density, 2 sin(u)^2 / (pi (1 + beta + 2 sqrt(beta) cos(u))), over u from 0 to t."""
    root = math.sqrt(beta)
    # tan(t / 2) as a quotient, so that it is infinite at pi without an error
    angle = math.atan2((1 - root) * math.sin(t / 2), (1 + root) * math.cos(t / 2))
    return ((1 + beta) * t / 2 - root * math.sin(t) - (1 - beta) * angle) / (math.pi * beta)
