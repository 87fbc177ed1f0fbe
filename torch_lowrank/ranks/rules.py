"""Rank rules: from spectra to ranks.

A rule for single layers computes a rank from one spectrum (`LayerRule.rank`). Those that keep a given number or share
are here; those that estimate a rank are in `ranks.estimates` and `ranks.noise`. A budget limits what a whole network
costs: with a rule it solves the rule's parameter, without one it allocates ranks over all layers (`ranks.budgets`).
Rules are small, pure and comparable; none of them sees a network.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Sequence
from typing import Any, ClassVar, Self, cast

import torch
from torch import Tensor

from torch_lowrank.ranks.options import Candidate, Choice, InputShape, Option

SLACK = 1e-12  # cumulative sums of float64 reach their own total only up to rounding


class RankRule(abc.ABC):
    """Decides the rank of every layer of a network."""

    @property
    def macs_for(self) -> InputShape | None:
        """Shape of the input for which multiply-accumulates are the cost; None where parameters are."""
        return None

    @abc.abstractmethod
    def allocate(self, candidates: Sequence[Candidate], total: int, rest: int) -> dict[str, Choice]:
        """Returns a choice for every candidate, by name.

        Args:
            candidates: The layers to decide on.
            total: Cost of the whole network as it is.
            rest: Cost of all that is not to decide on: other layers as they are, pinned layers at their rank.
        """


@dataclasses.dataclass(frozen=True)
class Parameter:
    """The field of a rule that a budget may solve. Ranks must grow with it, or stay.

    Attributes:
        name: The field's name.
        low: Its smallest value; by default 1e-12, or 1 for whole numbers.
        high: Its largest value; by default 1, or no limit for whole numbers: they end at the largest full rank at the
            latest.
        whole: Whether only whole numbers, `int`, are allowed.

    Raises:
        ValueError: If the bounds are no range, or those of whole numbers are not whole.
    """

    name: str
    low: float = None  # type: ignore[assignment]  # __post_init__ sets both
    high: float = None  # type: ignore[assignment]
    whole: bool = False

    def __post_init__(self) -> None:
        low, high = (1, math.inf) if self.whole else (1e-12, 1.0)
        low = low if self.low is None else self.low
        high = high if self.high is None else self.high
        if self.whole:
            low, high = _as_whole(low), _as_whole(high)
        if not low <= high or math.isinf(low) or (math.isinf(high) and not self.whole):  # not <= also for nan
            raise ValueError(f"{self.name} goes from {low!r} to {high!r}; give low and high of a range")
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)


class LayerRule(RankRule):
    """A rule that looks at one spectrum at a time; a subclass, a frozen dataclass, implements `rank`.

    Attributes:
        parameter: Which field a budget may solve, and its range; None where no budget can.
    """

    parameter: ClassVar[Parameter | None] = None

    @abc.abstractmethod
    def rank(self, singular_values: Tensor) -> int:
        """Returns the rank, 1 to k, for singular values (k,), float64, descending."""

    def rank_of(self, option: Option) -> int:
        """Returns the rank for one unfolding of a layer; a rule that needs more than its spectrum overrides this."""
        return self.rank(option.singular_values)

    def solvable(self) -> Parameter:
        """Returns the parameter that a budget may solve.

        Raises:
            ValueError: If the rule declares none, or one that is no field of a dataclass.
        """
        if self.parameter is None:
            raise ValueError(
                f"{self!r} has no parameter that a budget could solve; declare the field with which ranks grow, "
                "as in parameter = Parameter('tau')"
            )
        kind = type(self).__name__
        if not dataclasses.is_dataclass(self):
            raise ValueError(
                f"{kind} is no dataclass, so no budget can solve it; add @dataclasses.dataclass(frozen=True)"
            )
        names = [field.name for field in dataclasses.fields(self) if field.init]
        if self.parameter.name not in names:
            raise ValueError(
                f"the parameter {self.parameter.name!r} of {kind} is none of its fields ({', '.join(names)}); "
                "give Parameter the name of the field that a budget may solve"
            )
        return self.parameter

    def at(self, value: float) -> Self:
        """Returns the rule with another value of its parameter."""
        return cast(Self, dataclasses.replace(cast(Any, self), **{self.solvable().name: value}))

    def allocate(self, candidates: Sequence[Candidate], total: int, rest: int) -> dict[str, Choice]:
        """Returns what `choose` returns for each layer."""
        return {candidate.name: self.choose(candidate) for candidate in candidates}

    def choose(self, candidate: Candidate) -> Choice:
        """Returns the layer's scheme and rank.

        Among the schemes whose rank makes the layer cheaper, the one with the smaller error at equal cost: the cost
        of the first scheme's rank, for which the other gets as many ranks as it buys.
        """
        ranks = [max(1, min(self.rank_of(option), option.full_rank)) for option in candidate.options]
        cheaper = [
            (option, rank) for option, rank in zip(candidate.options, ranks, strict=True) if rank <= option.largest_rank
        ]
        if not cheaper:
            return Choice(None, ranks[0], _too_large(ranks[0], candidate.options[0].largest_rank))
        cost = cheaper[0][0].cost_per_rank * cheaper[0][1]
        chosen, rank = min(cheaper, key=lambda pair: _error_at(pair[0], cost))
        return Choice(chosen.scheme, rank)


def check_share(name: str, value: float) -> None:
    """Raises ValueError where a value is no share in (0, 1]."""
    if not 0 < value <= 1:  # also false for nan
        raise ValueError(f"{name} is {value!r}; it must lie in (0, 1]")


def _as_whole(bound: float) -> float:
    """Returns a bound of whole numbers as an int, infinity as it is."""
    if math.isinf(bound):
        return bound
    if bound != bound // 1:  # also for nan
        raise ValueError(f"a bound of whole numbers is {bound!r}; give a whole number")
    return int(bound)


def _error_at(option: Option, cost: int) -> float:
    return float(option.errors[min(cost // option.cost_per_rank, option.full_rank)])


def _too_large(rank: int, largest: int) -> str:
    return f"rank {rank} would not make it smaller " + (f"(up to {largest} would)" if largest else "(no rank would)")


@dataclasses.dataclass(frozen=True)
class FixedRank(LayerRule):
    """The same rank for every layer: plain truncated SVD."""

    value: int
    parameter = Parameter("value", whole=True)

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
    parameter = Parameter("ratio")

    def __post_init__(self) -> None:
        check_share("ratio", self.ratio)

    def rank(self, singular_values: Tensor) -> int:
        """Returns ceil(ratio k)."""
        return max(1, math.ceil(self.ratio * singular_values.numel() * (1 - SLACK)))


@dataclasses.dataclass(frozen=True)
class Energy(LayerRule):
    """The smallest k with sum_{i<=k} s_i^2 >= energy sum_i s_i^2."""

    energy: float
    parameter = Parameter("energy")

    def __post_init__(self) -> None:
        check_share("energy", self.energy)

    def rank(self, singular_values: Tensor) -> int:
        """Returns the smallest rank that keeps the share of the energy."""
        return _smallest_reaching(scaled(singular_values).square(), self.energy)


@dataclasses.dataclass(frozen=True)
class Entropy(LayerRule):
    """Adaptive-rank SVD: the smallest k whose first k terms reach tau times the spectrum's entropy.

    H = sum_i h_i with h_i = -p_i ln p_i, where p_i = s_i^2 / sum_j s_j^2 (`energy`) or s_i / sum_j s_j (`sigma`).
    Source: Cherukuri and Lala, "Low-Rank Matrix Approximation for Neural Network Compression", arXiv 2504.20078.
    """

    tau: float
    distribution: str = "energy"
    parameter = Parameter("tau")

    def __post_init__(self) -> None:
        check_share("tau", self.tau)
        if self.distribution not in ("energy", "sigma"):
            raise ValueError(f"distribution is {self.distribution!r}; it must be 'energy' or 'sigma'")

    def rank(self, singular_values: Tensor) -> int:
        """Returns the smallest rank that keeps the share of the entropy; 1 for a spectrum without entropy."""
        mass = scaled(singular_values)
        mass = mass.square() if self.distribution == "energy" else mass
        total = mass.sum()
        return 1 if total == 0 else _smallest_reaching(torch.special.entr(mass / total), self.tau)


def scaled(singular_values: Tensor) -> Tensor:
    """Returns the values over the largest, as squares of very small ones leave the range of float64."""
    values = singular_values.double()
    return values / values.max().clamp_min(torch.finfo(torch.float64).tiny)


def _smallest_reaching(terms: Tensor, share: float) -> int:
    """Returns the smallest k with sum of the first k terms >= share of their total; 1 where all are zero."""
    cumulative = terms.cumsum(0)
    return 1 + int((cumulative < share * cumulative[-1] * (1 - SLACK)).sum())
