"""What a rank rule is given of a network, and what it returns. The rules are in `ranks.rules` and `ranks.budgets`."""

from __future__ import annotations

import dataclasses
import functools
import numbers
import operator
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

InputShape = tuple[int, ...] | tuple[tuple[int, ...], ...]  # of one input without the batch, or of each of several


@dataclasses.dataclass(frozen=True)
class Option:
    """One scheme in which a layer can be factorised.

    Attributes:
        scheme: `channel` or `spatial`.
        singular_values: (k,), float64, descending.
        cost_per_rank: Parameters (or multiply-accumulates) of the factorised weight for each rank.
        dense_cost: The same of the weight as it is.
        absolute: See `spectra.Spectrum`.
        shape: Of the unfolded weight, (groups, rows, columns); None where the rule needs the spectrum alone.
    """

    scheme: str
    singular_values: Tensor
    cost_per_rank: int
    dense_cost: int
    absolute: bool = False
    shape: tuple[int, int, int] | None = None

    @property
    def full_rank(self) -> int:
        """Number of singular values, k."""
        return self.singular_values.numel()

    @property
    def largest_rank(self) -> int:
        """The largest rank that costs less than the dense weight; 0 where none does."""
        return min((self.dense_cost - 1) // self.cost_per_rank, self.full_rank) if self.dense_cost else 0

    @functools.cached_property
    def errors(self) -> Tensor:
        """(k + 1,): the squared error of rank 0, 1, ... k: sum_{i>r} s_i^2, relative to their sum if not absolute."""
        largest = 1.0 if self.absolute else float(self.singular_values[0]) or 1.0
        energy = (self.singular_values / largest).square()
        tails = torch.cat([energy.flip(0).cumsum(0).flip(0), energy.new_zeros(1)])
        return tails if self.absolute or tails[0] == 0 else tails / tails[0]


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A layer that may be factorised, as a rule sees it.

    Attributes:
        name: The layer's name.
        dense_cost: Cost of the weight as it is.
        options: The schemes to choose from, at least one.
    """

    name: str
    dense_cost: int
    options: tuple[Option, ...]

    def cost(self, choice: Choice) -> int:
        """Returns what the layer costs after a choice."""
        return self.option(choice.scheme).cost_per_rank * choice.rank if choice.scheme else self.dense_cost

    def error(self, choice: Choice) -> float:
        """Returns the squared error of a choice."""
        return float(self.option(choice.scheme).errors[choice.rank]) if choice.scheme else 0.0

    def option(self, scheme: str) -> Option:
        """Returns the option of a scheme."""
        return next(option for option in self.options if option.scheme == scheme)


@dataclasses.dataclass(frozen=True)
class Choice:
    """What is done to a layer.

    Attributes:
        scheme: The scheme to factorise it by, None to leave it dense.
        rank: The rank; where the layer stays dense, the rank that was asked for.
        reason: Why it stays dense.
    """

    scheme: str | None
    rank: int
    reason: str | None = None


def total_cost(candidates: Sequence[Candidate], choices: dict[str, Choice]) -> int:
    """Returns what the candidates cost together."""
    return sum(candidate.cost(choices[candidate.name]) for candidate in candidates)


def as_input_shape(shape: Iterable[Any]) -> InputShape:
    """Returns a shape, or the shapes of several inputs, as tuples of `int`; from lists, numpy's integers, and so on.

    Raises:
        ValueError: If a size is no whole number.
    """
    try:
        sizes = list(shape)
        if any(isinstance(each, numbers.Integral) for each in sizes):
            return tuple(operator.index(each) for each in sizes)
        return tuple(tuple(operator.index(size) for size in each) for each in sizes)
    except TypeError as error:
        raise ValueError(f"input_shape is {shape!r}; give the shape of one input, as (3, 256, 256)") from error


def several(shape: InputShape) -> tuple[tuple[int, ...], ...]:
    """Returns the shapes of all inputs, also where there is one."""
    return shape if shape and not isinstance(shape[0], int) else (shape,)  # type: ignore[return-value]


def smallest_cost(candidates: Sequence[Candidate]) -> int:
    """Returns the smallest cost that the candidates can have together."""
    return sum(
        min([layer.dense_cost, *(option.cost_per_rank for option in layer.options if option.largest_rank)])
        for layer in candidates
    )
