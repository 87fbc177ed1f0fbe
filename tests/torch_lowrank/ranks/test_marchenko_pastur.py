"""The constants of the optimal hard threshold, by the paper's table and by integrals."""

import math

import pytest
import torch
from scipy.integrate import quad

from torch_lowrank.ranks.marchenko_pastur import optimal_threshold, spectral_median

# beta: lambda(beta), where the noise is known, and omega(beta), where it is not; Gavish and Donoho 2014. Their medians
# are to three digits or so.
TABLE = {
    0.05: (1.5066, 1.5194),
    0.1: (1.5816, 1.6089),
    0.15: (1.6466, 1.6896),
    0.2: (1.7048, 1.7650),
    0.25: (1.7580, 1.8371),
    0.3: (1.8074, 1.9061),
    0.5: (1.9786, 2.1711),
    1.0: (2.3094, 2.8582),
}


@pytest.mark.parametrize("beta", TABLE)
def test_thresholds_are_those_of_the_paper(beta):
    known, unknown = TABLE[beta]
    assert optimal_threshold(beta) == pytest.approx(known, abs=6e-5)
    assert optimal_threshold(beta) / math.sqrt(spectral_median(beta)) == pytest.approx(unknown, abs=3e-4)


def test_the_threshold_of_square_matrices_has_its_name():
    assert optimal_threshold(1.0) == pytest.approx(4 / math.sqrt(3), rel=1e-15)


@pytest.mark.parametrize("beta", [1e-4, 0.01, 0.05, 0.3, 0.77, 0.999, 1.0])
def test_half_of_the_density_lies_below_the_median(beta):
    low, high, median = (1 - math.sqrt(beta)) ** 2, (1 + math.sqrt(beta)) ** 2, spectral_median(beta)

    def density(x):
        return math.sqrt(max((high - x) * (x - low), 0)) / (2 * math.pi * beta * x)

    above, error = quad(density, median, high, limit=200)
    assert (above, error < 1e-8) == (pytest.approx(0.5, abs=1e-8), True)
    if beta < 1:  # else the density has a pole
        assert quad(density, low, median, limit=200)[0] == pytest.approx(0.5, abs=1e-6)


def test_the_median_of_noise_is_that_of_the_distribution():
    generator = torch.Generator().manual_seed(0)
    values = torch.linalg.svdvals(torch.randn(400, 1000, generator=generator, dtype=torch.float64)).square() / 1000
    assert float(values.quantile(0.5)) == pytest.approx(spectral_median(0.4), rel=5e-3)
