"""Rules that estimate a rank from the spectrum, and the multiplier by which budgets scale their estimates."""

from __future__ import annotations

import abc
import dataclasses
import math

import torch
from torch import Tensor

from torch_lowrank.ranks.options import Option
from torch_lowrank.ranks.rules import SLACK, LayerRule, Parameter, check_share, scaled

_LARGEST = 1e6  # times an estimate of 1 or more is above the full rank of any layer


@dataclasses.dataclass(frozen=True)
class EstimatedRank(LayerRule):
    """A rule that estimates the rank by itself: ceil(scale estimate), of an estimate of 1 or more.

    It has no number to choose. A budget solves `scale`, one multiplier for all layers, so that ranks keep the
    proportions that the rule estimates.

    Attributes:
        scale: What estimates are multiplied by, from above 0 to a million.
    """

    scale: float = dataclasses.field(default=1.0, kw_only=True)
    parameter = Parameter("scale", high=_LARGEST)

    def __post_init__(self) -> None:
        _check_scale(self.scale)

    @abc.abstractmethod
    def estimate(self, singular_values: Tensor, shape: tuple[int, int] | None = None) -> float:
        """Returns an estimate of the rank, 0 to k.

        Args:
            singular_values: (k,), descending.
            shape: Rows and columns of the matrix, in either order; None where they are not known.
        """

    def rank(self, singular_values: Tensor, shape: tuple[int, int] | None = None) -> int:
        """Returns ceil(scale estimate), 1 to k.

        Args:
            singular_values: (k,), descending.
            shape: Rows and columns of the matrix; `EVBMF` and `HardThreshold` need them.

        Raises:
            ValueError: If a singular value is not finite, or the shape is missing or is none of such a matrix.
        """
        check_finite(singular_values)
        wanted = self.scale * max(1.0, self.estimate(singular_values, shape))
        return max(1, min(math.ceil(wanted * (1 - SLACK)), singular_values.numel()))

    def rank_of(self, option: Option) -> int:
        """Returns the rank for one unfolding of a layer; of groups, whose values are pooled, by their mean square."""
        if option.shape is None:
            return self.rank(option.singular_values)
        groups, rows, columns = option.shape
        return self.rank(option.singular_values / math.sqrt(groups), (rows, columns))


@dataclasses.dataclass(frozen=True)
class EffectiveRank(EstimatedRank):
    """The effective rank exp(-sum_i p_i ln p_i), p_i = s_i / sum_j s_j: as many equal values have that entropy.

    Source: Roy and Vetterli, "The effective rank: a measure of effective dimensionality", EUSIPCO 2007.
    """

    def estimate(self, singular_values: Tensor, shape: tuple[int, int] | None = None) -> float:
        """Returns the effective rank; 0 where all values are zero."""
        values = scaled(singular_values)
        total = values.sum()
        return 0.0 if total == 0 else float(torch.special.entr(values / total).sum().exp())


@dataclasses.dataclass(frozen=True)
class StableRank(EstimatedRank):
    """The stable (numerical) rank ||W||_F^2 / ||W||_2^2 = sum_i s_i^2 / s_1^2, which small values hardly change.

    Source: Rudelson and Vershynin, "Sampling from large matrices: an approach through geometric functional analysis",
    Journal of the ACM 54(4), 2007.
    """

    def estimate(self, singular_values: Tensor, shape: tuple[int, int] | None = None) -> float:
        """Returns the stable rank; 0 where all values are zero."""
        return float(scaled(singular_values).square().sum())


@dataclasses.dataclass(frozen=True)
class RelativeCut(LayerRule):
    """The singular values of at least a share of the largest: s_i >= cut / scale s_1.

    It is how numerical ranks are counted, with a larger share than the rounding of the numbers.
    Source: Golub and Van Loan, "Matrix Computations", 4th edition 2013, section 5.4.1.

    Attributes:
        cut: The share of the largest singular value, in (0, 1].
        scale: What the share is divided by, from above 0 to a million; a budget solves it.
    """

    cut: float
    scale: float = dataclasses.field(default=1.0, kw_only=True)
    parameter = Parameter("scale", high=_LARGEST)

    def __post_init__(self) -> None:
        check_share("cut", self.cut)
        _check_scale(self.scale)

    def rank(self, singular_values: Tensor) -> int:
        """Returns how many singular values reach the share; 1 where all are zero."""
        check_finite(singular_values)
        values = scaled(singular_values)
        reached = values >= self.cut / self.scale * (1 - SLACK)
        return max(1, int((reached & (values > 0)).sum()))


def check_finite(singular_values: Tensor) -> None:
    """Raises ValueError where a singular value is NaN or infinite."""
    if not bool(singular_values.isfinite().all()):
        bad = singular_values[~singular_values.isfinite()][0]
        raise ValueError(
            f"a singular value is {float(bad)}, so the matrix has no rank; look for what made its weights so"
        )


def _check_scale(scale: float) -> None:
    if not 0 < scale <= _LARGEST:  # also false for nan
        raise ValueError(f"scale is {scale!r}; it must lie in (0, {_LARGEST:g}]")
