"""Rules that take a weight for a matrix of low rank in noise, and keep what is above the noise.

The noise is white, with a variance that is estimated from the spectrum; how large its singular values are follows from
the matrix's shape. Theory is in `ranks.marchenko_pastur` and `ranks.bayesian_factorisation`.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from torch_lowrank.ranks.bayesian_factorisation import signal_rank
from torch_lowrank.ranks.estimates import EstimatedRank
from torch_lowrank.ranks.marchenko_pastur import optimal_threshold, spectral_median
from torch_lowrank.ranks.rules import scaled


@dataclasses.dataclass(frozen=True)
class HardThreshold(EstimatedRank):
    """The singular values above the threshold at which truncation loses least, for large matrices in white noise.

    With rows m <= columns n and beta = m / n, the threshold is lambda(beta) sqrt(n) noise where the noise is known,
    and omega(beta) median(s) where it is not: omega(beta) = lambda(beta) / sqrt(mu(beta)), with the median mu(beta) of
    the Marchenko-Pastur distribution.
    Source: Gavish and Donoho, "The Optimal Hard Threshold for Singular Values is 4/sqrt(3)", IEEE Transactions on
    Information Theory 60(8), 2014.

    Attributes:
        noise: Standard deviation of the noise in each entry, above 0; None where it is not known.
        scale: What the number of these values is multiplied by; a budget solves it.
    """

    noise: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.noise is not None and not 0 < self.noise < math.inf:  # also false for nan
            raise ValueError(f"noise is {self.noise!r}; give a standard deviation above 0, or None to estimate it")

    def estimate(self, singular_values: Tensor, shape: tuple[int, int] | None = None) -> float:
        """Returns how many singular values are above the threshold."""
        rows, columns = _checked(self, singular_values, shape)
        values, beta = singular_values.double(), rows / columns
        if self.noise is not None:
            threshold = optimal_threshold(beta) * math.sqrt(columns) * self.noise
        else:
            factor = optimal_threshold(beta) / math.sqrt(spectral_median(beta))
            threshold = factor * float(torch.quantile(values, 0.5))
        return float((values > threshold).sum())


@dataclasses.dataclass(frozen=True)
class EVBMF(EstimatedRank):
    """The rank of empirical variational Bayesian matrix factorisation, with a noise variance that it estimates.

    The posterior of the factors A and B of W = B A^T + noise is approximated by one in which A and B are independent;
    their prior variances and the noise variance are those that minimise the free energy. The minimum is known in closed
    form but for the noise variance, which is found by a search on a line; see `bayesian_factorisation`.
    Source: Nakajima, Sugiyama, Babacan and Tomioka, "Global Analytic Solution of Fully-observed Variational Bayesian
    Matrix Factorization", Journal of Machine Learning Research 14, 2013.
    """

    def estimate(self, singular_values: Tensor, shape: tuple[int, int] | None = None) -> float:
        """Returns how many components the posterior keeps."""
        rows, columns = _checked(self, singular_values, shape)
        return float(signal_rank(tuple(scaled(singular_values).tolist()), rows, columns))


def _checked(rule: EstimatedRank, singular_values: Tensor, shape: tuple[int, int] | None) -> tuple[int, int]:
    """Returns the shape, its smaller number first.

    Raises:
        ValueError: If there is none, or it is that of a matrix with another number of singular values.
    """
    kind = type(rule).__name__
    if shape is None:
        raise ValueError(f"{kind} needs the matrix's shape beside its spectrum; give rank(values, (rows, columns))")
    rows, columns = sorted(shape)
    if rows != singular_values.numel():
        raise ValueError(
            f"{kind} was given {singular_values.numel()} singular values of a matrix of shape {tuple(shape)}; "
            "give all of them, zeros included: as many as the shorter side"
        )
    return rows, columns
