"""Variational Bayesian factorisation in closed form, against a numerical search over all that it integrates over."""

import functools
import math

import numpy as np
import pytest
from scipy.optimize import brentq, minimize, minimize_scalar

from torch_lowrank.ranks.bayesian_factorisation import lowest_signal, noise_variance, signal_rank


def component(parameters, value, rows, columns, variance):
    """Twice a component's free energy, of means and variances of both factors and with the best prior variances.

    The posterior of a column of A, of `columns` entries, is normal with a mean of norm a and covariance var_a I, and so
    is that of B, of `rows` entries. The best prior variances are (a^2 + columns var_a) / columns and alike. A component
    that is left out has 0.
    """
    mean_a, mean_b, var_a, var_b = np.exp(parameters)
    second_a, second_b = mean_a**2 + columns * var_a, mean_b**2 + rows * var_b
    divergence = columns * math.log(second_a / columns / var_a) + rows * math.log(second_b / rows / var_b)
    return divergence + (second_a * second_b - 2 * mean_a * mean_b * value) / variance


@functools.cache
def searched(value, rows, columns, variance):
    """The lowest free energy of a component that is kept, from several starts."""
    starts = [[math.log(math.sqrt(value) * share)] * 2 + [math.log(variance / value)] * 2 for share in (0.7, 1.0)]
    found = (
        minimize(component, start, (value, rows, columns, variance), method="L-BFGS-B", bounds=[(-8, 8)] * 4)
        for start in starts
    )
    return min(result.fun for result in found)


@pytest.mark.parametrize(("rows", "columns"), [(10, 10), (10, 40), (30, 45)])
def test_a_component_is_kept_where_that_lowers_the_free_energy(rows, columns):
    threshold = math.sqrt(columns * lowest_signal(rows / columns))
    assert searched(threshold * 1.01, rows, columns, 1.0) < -1e-3
    assert searched(threshold * 0.99, rows, columns, 1.0) > -1e-6


@pytest.mark.parametrize("alpha", [1e-4, 0.01, 0.3, 1.0])
def test_the_lowest_signal_is_the_zero_of_its_equation(alpha):
    def phi(z):
        return math.log(z + 1) / z - 0.5

    zero = brentq(lambda t: phi(t) + phi(t / alpha), 1e-6, 100, xtol=1e-15)
    assert lowest_signal(alpha) == pytest.approx((1 + zero) * (1 + alpha / zero), rel=1e-9)


def matrix(rows, columns, strengths, seed):
    """Singular values of noise of variance 1 with components of so many times sqrt(columns)."""
    draw = np.random.default_rng(seed)
    left = np.linalg.qr(draw.normal(size=(rows, len(strengths))))[0]
    right = np.linalg.qr(draw.normal(size=(columns, len(strengths))))[0]
    signal = left * strengths * math.sqrt(columns) @ right.T
    return np.linalg.svd(draw.normal(size=(rows, columns)) + signal, compute_uv=False)


@pytest.mark.parametrize(("rows", "columns", "strengths", "seed"), [(8, 8, [4.0], 0), (6, 18, [2.5, 1.8], 1)])
def test_the_noise_and_the_rank_are_those_of_a_numerical_search(rows, columns, strengths, seed):
    values = matrix(rows, columns, strengths, seed)
    squares = values**2 / columns

    def energy(log_variance):
        variance = math.exp(log_variance)
        parts = sum(min(0.0, searched(float(value), rows, columns, variance)) for value in values)
        return rows * columns * log_variance + float(values @ values) / variance + parts

    grid = np.linspace(math.log(squares.mean() / 30), math.log(squares.mean()), 24)
    place = int(np.argmin([energy(point) for point in grid]))
    best = minimize_scalar(energy, bounds=(grid[max(place - 1, 0)], grid[min(place + 1, 23)]), method="bounded")
    variance = math.exp(best.x)
    assert noise_variance(squares, rows / columns) == pytest.approx(variance, rel=2e-3)
    kept = sum(searched(float(value), rows, columns, variance) < 0 for value in values)
    assert signal_rank(tuple(values.tolist()), rows, columns) == kept == sum(each > 1 for each in strengths)


@pytest.mark.parametrize(
    ("rows", "columns", "strengths"), [(60, 60, []), (40, 200, [2.0] * 5), (100, 150, [3.0] * 10), (200, 900, [3.0])]
)
def test_what_was_put_into_noise_is_found(rows, columns, strengths):
    values = matrix(rows, columns, strengths, 3)
    assert signal_rank(tuple(values.tolist()), rows, columns) == len(strengths)
    noise = noise_variance(values**2 / columns, rows / columns)
    assert noise == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize(
    ("values", "columns", "rank"),
    [
        ((0.0, 0.0, 0.0), 5, 0),
        ((2.0,), 1, 0),
        ((2.0,), 100, 0),
        ((1.0, 0.5, 0.0, 0.0, 0.0), 5, 2),  # there is no noise
        ((1.0, 1.0, 1.0, 1.0), 4, 0),  # and here nothing but noise
    ],
)
def test_ranks_at_the_limits(values, columns, rank):
    assert signal_rank(values, len(values), columns) == rank
