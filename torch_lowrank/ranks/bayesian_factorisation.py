"""Empirical variational Bayesian matrix factorisation: which components of a matrix it keeps, in closed form.

An L x M matrix, L <= M, is taken for a product of two factors in white noise of variance v. With alpha = L / M, a
component of singular value g is kept where x = g^2 / (M v) is above x_low = (1 + t)(1 + alpha / t), with t the zero of
phi(t) + phi(t / alpha), phi(z) = ln(z + 1) / z - 1 / 2. The variance minimises the free energy

    sum_h (x_h - ln x_h) + sum_{h: x_h > x_low} (ln(t_h + 1) + alpha ln(t_h / alpha + 1) - t_h),
    t_h = (x_h - 1 - alpha + sqrt((x_h - 1 - alpha)^2 - 4 alpha)) / 2.

Sources: Nakajima, Sugiyama, Babacan and Tomioka, "Global Analytic Solution of Fully-observed Variational Bayesian
Matrix Factorization", JMLR 14, 2013; in this form, with the bounds of the variance, Nakajima, Tomioka, Sugiyama and
Babacan, "Condition for Perfect Dimensionality Recovery by Variational Bayesian PCA", JMLR 16, 2015.
"""

from __future__ import annotations

import functools
import math

import numpy as np

_BISECTIONS = 100
_POINTS = 200  # of a search on a line, beside those where a component comes in
_ZOOMS = 5  # each makes the line 100 times shorter


@functools.lru_cache(maxsize=1024)  # a budget asks for the same spectrum at each step of its search
def signal_rank(singular_values: tuple[float, ...], rows: int, columns: int) -> int:
    """Returns how many components are kept, 0 to k, where the noise variance is not known.

    Args:
        singular_values: (k,), descending, all of an L x M matrix, k = L; not so large that squares overflow.
        rows: L, the smaller side.
        columns: M.
    """
    squares = np.square(np.asarray(singular_values, dtype=np.float64)) / columns
    variance = noise_variance(squares, rows / columns)
    return int((squares > variance * lowest_signal(rows / columns)).sum())


@functools.lru_cache(maxsize=1024)
def lowest_signal(alpha: float) -> float:
    """Returns x_low, for alpha in (0, 1]: in units of the noise variance, the g^2 / M above which components stay."""
    low, high = math.sqrt(alpha) * 1e-3, 10.0  # phi falls from 1/2 to -1/2
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if _phi(middle) + _phi(middle / alpha) > 0 else (low, middle)
    return (1 + low) * (1 + alpha / low)


def noise_variance(squares: np.ndarray, alpha: float) -> float:
    """Returns the noise variance that minimises the free energy.

    Args:
        squares: (L,), g_h^2 / M, descending.
        alpha: L / M.

    Returns:
        The variance; 0 where so few values are not 0 that there is no noise.
    """
    rows = len(squares)
    most = min(math.ceil(rows / (1 + alpha)) - 1, rows)  # components that can be kept
    entering = squares / lowest_signal(alpha)  # the variances below which each component is kept
    low, high = max(float(entering[most]), float(squares[most:].mean())), float(squares.mean())
    if low <= 0 or low >= high:
        return max(low, 0.0)
    points = np.geomspace(low, high, _POINTS)
    points = np.sort(np.concatenate([points, entering[(entering > low) & (entering < high)]]))
    for _ in range(_ZOOMS):
        best = int(np.argmin([_free_energy(point, squares, alpha) for point in points]))
        around = points[max(best - 1, 0)], points[min(best + 1, len(points) - 1)]
        points = np.linspace(*around, _POINTS)
    return float(points[_POINTS // 2])


def _free_energy(variance: float, squares: np.ndarray, alpha: float) -> float:
    """Returns the free energy but for factors and summands that do not depend on the variance."""
    x = squares / variance
    signal = x[x > lowest_signal(alpha)]
    excess = signal - (1 + alpha)
    t = (excess + np.sqrt(np.maximum(np.square(excess) - 4 * alpha, 0))) / 2
    gained = np.log1p(t) + alpha * np.log1p(t / alpha) - t
    return float(x.sum() + len(x) * math.log(variance) + gained.sum())


def _phi(z: float) -> float:
    return math.log1p(z) / z - 0.5
