"""Rank rules: from spectra to ranks.

A rule for single layers says which rank one spectrum deserves (`LayerRule.rank`); all of them are here. A budget says
what a whole network may cost; with a rule it solves the rule's parameter, without one it shares the budget out
(`models.budgets`). Rules are small, pure and comparable; none of them sees a network.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from models.budgets import BudgetError, JointBudget, MacBudget, ParameterBudget
from models.candidates import LayerRule, RankRule, check_share

__all__ = [
    "BudgetError",
    "Energy",
    "Entropy",
    "FixedRank",
    "JointBudget",
    "LayerRule",
    "MacBudget",
    "ParameterBudget",
    "RankRatio",
    "RankRule",
]

_SLACK = 1e-12  # cumulative sums of float64 reach their own total only up to rounding


@dataclasses.dataclass(frozen=True)
class FixedRank(LayerRule):
    """The same rank for every layer: plain truncated SVD."""

    value: int

    def __post_init__(self) -> None:
        if isinstance(self.value, bool) or not isinstance(self.value, int) or self.value < 1:
            raise ValueError(f"rank is {self.value!r}; it must be a whole number of 1 or more")

    def rank(self, singular_values: Tensor) -> int:
        """Returns min(rank, k)."""
        return min(self.value, singular_values.numel())


@dataclasses.dataclass(frozen=True)
class RankRatio(LayerRule):
    """A share of the full rank, the same for every layer: ceil(ratio k)."""

    ratio: float

    def __post_init__(self) -> None:
        check_share("ratio", self.ratio)

    def rank(self, singular_values: Tensor) -> int:
        """Returns ceil(ratio k)."""
        return max(1, math.ceil(self.ratio * singular_values.numel() * (1 - _SLACK)))


@dataclasses.dataclass(frozen=True)
class Energy(LayerRule):
    """The smallest k with sum_{i<=k} s_i^2 >= energy sum_i s_i^2."""

    energy: float

    def __post_init__(self) -> None:
        check_share("energy", self.energy)

    def rank(self, singular_values: Tensor) -> int:
        """Returns the smallest rank that keeps the share of the energy."""
        return _smallest_reaching(_scaled(singular_values).square(), self.energy)


@dataclasses.dataclass(frozen=True)
class Entropy(LayerRule):
    """Adaptive-rank SVD: the smallest k whose first k terms reach tau times the spectrum's entropy.

    H = sum_i h_i with h_i = -p_i ln p_i, where p_i = s_i^2 / sum_j s_j^2 (`energy`) or s_i / sum_j s_j (`sigma`).
    Source: Cherukuri and Lala, "Low-Rank Matrix Approximation for Neural Network Compression", arXiv 2504.20078.
    """

    tau: float
    distribution: str = "energy"

    def __post_init__(self) -> None:
        check_share("tau", self.tau)
        if self.distribution not in ("energy", "sigma"):
            raise ValueError(f"distribution is {self.distribution!r}; it must be 'energy' or 'sigma'")

    def rank(self, singular_values: Tensor) -> int:
        """Returns the smallest rank that keeps the share of the entropy; 1 for a spectrum without entropy."""
        mass = _scaled(singular_values)
        mass = mass.square() if self.distribution == "energy" else mass
        total = mass.sum()
        return 1 if total == 0 else _smallest_reaching(torch.special.entr(mass / total), self.tau)


def _scaled(singular_values: Tensor) -> Tensor:
    """Returns the values over the largest, as squares of very small ones leave the range of float64."""
    values = singular_values.double()
    return values / values.max().clamp_min(torch.finfo(torch.float64).tiny)


def _smallest_reaching(terms: Tensor, share: float) -> int:
    """Returns the smallest k with sum of the first k terms >= share of their total; 1 where all are zero."""
    cumulative = terms.cumsum(0)
    return 1 + int((cumulative < share * cumulative[-1] * (1 - _SLACK)).sum())
