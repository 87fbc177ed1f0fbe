"""Rank rules: from spectra to ranks.

A rule for single layers says which rank one spectrum deserves (`LayerRule.rank`). A budget says which ranks a whole
network may have together; with a rule it solves the rule's parameter, without one it shares the budget out.
Rules are small, pure and comparable; none of them sees a network.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

_SLACK = 1e-12  # cumulative sums of float64 reach their own total only up to rounding
_BISECTIONS = 60  # halves an interval to below the resolution of float64


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A layer as a rule sees it.

    Attributes:
        name: The layer's name.
        singular_values: (k,), float64, descending.
        dense_params: Parameters of the weight as it is, m n.
        params_per_rank: Parameters of the factorised weight for each rank, m + n.
    """

    name: str
    singular_values: Tensor
    dense_params: int
    params_per_rank: int

    @property
    def largest_rank(self) -> int:
        """The largest rank that costs less than the dense weight; 0 where none does."""
        return min((self.dense_params - 1) // self.params_per_rank, self.singular_values.numel())

    def params(self, rank: int) -> int:
        """Parameters at a rank; a layer that would grow stays dense."""
        return rank * self.params_per_rank if rank <= self.largest_rank else self.dense_params


class BudgetError(ValueError):
    """A budget is smaller than the network can become."""


class RankRule(abc.ABC):
    """Decides the rank of every layer of a network."""

    @abc.abstractmethod
    def allocate(self, candidates: Sequence[Candidate], total_params: int) -> dict[str, int]:
        """Returns a rank a layer.

        Args:
            candidates: The layers that can be factorised.
            total_params: Parameters of the whole network, other layers included.

        Returns:
            Layer name to rank. A rank that would not make the layer smaller leaves it dense.
        """


class LayerRule(RankRule):
    """A rule that looks at one spectrum at a time."""

    @abc.abstractmethod
    def rank(self, singular_values: Tensor) -> int:
        """Returns the rank, 1 to k, for singular values (k,), descending."""

    def allocate(self, candidates: Sequence[Candidate], total_params: int) -> dict[str, int]:
        """Applies `rank` to each layer by itself."""
        return {candidate.name: self.rank(candidate.singular_values) for candidate in candidates}


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
        _check_share("ratio", self.ratio)

    def rank(self, singular_values: Tensor) -> int:
        """Returns ceil(ratio k)."""
        return max(1, math.ceil(self.ratio * singular_values.numel() * (1 - _SLACK)))


@dataclasses.dataclass(frozen=True)
class Energy(LayerRule):
    """The smallest k with sum_{i<=k} s_i^2 >= energy sum_i s_i^2."""

    energy: float

    def __post_init__(self) -> None:
        _check_share("energy", self.energy)

    def rank(self, singular_values: Tensor) -> int:
        """Returns the smallest rank that keeps the share of the energy."""
        return _smallest_reaching(singular_values.square(), self.energy)


@dataclasses.dataclass(frozen=True)
class Entropy(LayerRule):
    """Adaptive-rank SVD: the smallest k whose first k terms reach tau times the spectrum's entropy.

    H = sum_i h_i with h_i = -p_i ln p_i, where p_i = s_i^2 / sum_j s_j^2 (`energy`) or s_i / sum_j s_j (`sigma`).
    Source: Cherukuri and Lala, "Low-Rank Matrix Approximation for Neural Network Compression", arXiv 2504.20078.
    """

    tau: float
    distribution: str = "energy"

    def __post_init__(self) -> None:
        _check_share("tau", self.tau)
        if self.distribution not in ("energy", "sigma"):
            raise ValueError(f"distribution is {self.distribution!r}; it must be 'energy' or 'sigma'")

    def rank(self, singular_values: Tensor) -> int:
        """Returns the smallest rank that keeps the share of the entropy; 1 for a spectrum without entropy."""
        mass = singular_values.square() if self.distribution == "energy" else singular_values
        total = mass.sum()
        if total == 0:
            return 1
        return _smallest_reaching(torch.special.entr(mass / total), self.tau)


@dataclasses.dataclass(frozen=True)
class ParameterBudget(RankRule):
    """At most a fraction of the network's parameters, counted over the whole network and never exceeded.

    With a rule (`Entropy`, `Energy`, `RankRatio` or `FixedRank`) its parameter is solved by bisection; the value given
    in the rule does not matter. Without one, ranks are allocated over all layers: they minimise the sum of relative
    squared errors sum_l sum_{i>r_l} s_li^2 / sum_i s_li^2, by a Lagrange multiplier and a greedy rest.
    """

    fraction: float
    rule: LayerRule | None = None

    def __post_init__(self) -> None:
        _check_share("fraction", self.fraction)

    def allocate(self, candidates: Sequence[Candidate], total_params: int) -> dict[str, int]:
        """Returns the ranks.

        Raises:
            BudgetError: If even rank 1 everywhere exceeds the budget; it names the smallest fraction possible.
        """
        fixed = total_params - sum(candidate.dense_params for candidate in candidates)
        budget = math.floor(self.fraction * total_params * (1 + _SLACK)) - fixed
        smallest = sum(candidate.params(1) for candidate in candidates)
        if smallest > budget:
            raise BudgetError(
                f"a budget of {self.fraction:g} of {total_params:,} parameters cannot be met; "
                f"the smallest reachable is {math.ceil((smallest + fixed) / total_params * 1e4) / 1e4:g}"
            )
        if self.rule is None:
            return _allocate_globally(candidates, budget)
        rule = _solve(self.rule, lambda tried: _params(candidates, tried.allocate(candidates, total_params)) <= budget)
        return rule.allocate(candidates, total_params)


def _check_share(name: str, value: float) -> None:
    if not 0 < value <= 1:  # also false for nan
        raise ValueError(f"{name} is {value!r}; it must lie in (0, 1]")


def _smallest_reaching(terms: Tensor, share: float) -> int:
    """Returns the smallest k with sum of the first k terms >= share of their total; 1 where all are zero."""
    cumulative = terms.cumsum(0)
    return 1 + int((cumulative < share * cumulative[-1] * (1 - _SLACK)).sum())


def _params(candidates: Sequence[Candidate], ranks: dict[str, int]) -> int:
    return sum(candidate.params(ranks[candidate.name]) for candidate in candidates)


def _solve(rule: LayerRule, fits: Callable[[LayerRule], bool]) -> LayerRule:
    """Returns the rule with the largest parameter that fits; ranks grow with the parameter of every rule."""
    if isinstance(rule, FixedRank):
        low, high = 1, 2
        while high < 2**20 and fits(FixedRank(high)):
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if fits(FixedRank(middle)) else (low, middle)
        return FixedRank(low)
    field = dataclasses.fields(rule)[0].name  # type: ignore[arg-type]
    smallest, largest = 1e-12, 1.0
    for _ in range(_BISECTIONS):
        middle = (smallest + largest) / 2
        if fits(dataclasses.replace(rule, **{field: middle})):  # type: ignore[type-var]
            smallest = middle
        else:
            largest = middle
    return dataclasses.replace(rule, **{field: smallest})  # type: ignore[type-var]


def _allocate_globally(candidates: Sequence[Candidate], budget: int) -> dict[str, int]:
    gains = {candidate.name: _gain_per_param(candidate) for candidate in candidates}
    low, high = 0.0, max((float(gain.max()) for gain in gains.values()), default=0.0) * 2 + 1e-300

    def ranks_at(price: float) -> dict[str, int]:
        return {candidate.name: _rank_at_price(candidate, gains[candidate.name], price) for candidate in candidates}

    for _ in range(_BISECTIONS):
        price = (low + high) / 2
        if _params(candidates, ranks_at(price)) <= budget:
            high = price
        else:
            low = price
    return _spend_rest(candidates, gains, ranks_at(high), budget)


def _gain_per_param(candidate: Candidate) -> Tensor:
    """Returns (k,): what each rank takes off the relative squared error, for each of its parameters; descending."""
    energy = candidate.singular_values.square()
    return energy / energy.sum().clamp_min(1e-300) / candidate.params_per_rank


def _rank_at_price(candidate: Candidate, gain: Tensor, price: float) -> int:
    """Returns the rank that minimises error + price x parameters; past `largest_rank` the layer stays dense."""
    rank = max(1, int((gain > price).sum()))
    rank = min(rank, max(1, candidate.largest_rank))
    tail = float(gain[rank:].sum()) * candidate.params_per_rank
    saved = price * (candidate.dense_params - candidate.params(rank))
    return candidate.singular_values.numel() if tail > saved else rank


def _spend_rest(
    candidates: Sequence[Candidate], gains: dict[str, Tensor], ranks: dict[str, int], budget: int
) -> dict[str, int]:
    """Raises ranks one by one, the best gain for a parameter first, while the budget allows."""
    left = budget - _params(candidates, ranks)
    growing = {candidate.name: candidate for candidate in candidates}
    while growing:
        best = max(growing.values(), key=lambda layer: _next_gain(layer, gains[layer.name], ranks[layer.name]))
        rank = ranks[best.name]
        step = best.params(rank + 1) - best.params(rank)
        if rank >= best.singular_values.numel() or step > left:
            del growing[best.name]
            continue
        ranks[best.name] += 1
        left -= step
    return ranks


def _next_gain(candidate: Candidate, gain: Tensor, rank: int) -> float:
    return float(gain[rank]) if rank < min(candidate.largest_rank, gain.numel()) else -1.0
