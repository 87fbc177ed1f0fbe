"""What rounding a matrix with feedback will cost, from some of its rows and columns.

The errors of the entries are the smaller part of a step each, and independent: their sum, weighted by Cholesky's
diagonals (`rounding`), is known from a few thousand of them. Columns that count most, or would if their largest entry
were clipped, are always among these; the others, and the rows, are drawn, and stand for those that were not.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from torch_lowrank.curvature.moments import cholesky
from torch_lowrank.quantization.rounding import (
    choose_steps,
    damped_for_rounding,
    feedback_noise,
    round_to_nearest,
)

_SAMPLE = 128  # columns that count most, that cost most where clipped, and of the others; rows
_CLIPPINGS = 8  # fewer than in the end: errors near the best clipping differ little


@dataclasses.dataclass(frozen=True)
class Side:
    """What the moments of the rows or of the columns say of rounding with feedback.

    Attributes:
        variances: Of an entry's error what cannot be made up for, (groups, n): the squared diagonal of L.
        unit: L diag(L)^-1, (groups, n, n), of the Cholesky factor L.
    """

    variances: Tensor
    unit: Tensor

    @classmethod
    def of(cls, moments: Tensor) -> Side:
        """Returns the side of moments (groups, n, n), which are damped for rounding."""
        factor = cholesky(damped_for_rounding(moments.cpu()))
        diagonal = factor.diagonal(dim1=1, dim2=2)
        return cls(diagonal.square(), factor.div_(diagonal.clone()[:, None, :]))

    def first(self, number: int) -> Side:
        """Returns the same for the first entries alone, whose Cholesky factor is a part of the whole one."""
        return Side(self.variances[:, :number], self.unit[:, :number, :number])

    def fed_back(self) -> Tensor:
        """Returns how much more than its own error an entry is fed back, (groups, n), squared."""
        return self.unit.square().sum(1)


class RoundingError:
    """What rounding a matrix to any number of bits will cost.

    Args:
        matrix: (groups, m, n), float64.
        rows: What is known of its rows.
        columns: And of its columns.
        taps: So many rows that follow each other share a step.
    """

    def __init__(self, matrix: Tensor, rows: Side, columns: Side, taps: int) -> None:
        self._chosen, self._weights = _columns(matrix, columns.variances)
        self._matrix, self._taps = matrix, taps
        self._rows = rows.variances
        self._noise = feedback_noise(rows.fed_back(), columns.fed_back()[:, self._chosen])

    def of_rows(self, bits: int) -> Tensor:
        """Returns what the errors of each row cost, (groups, m): the sum is tr(R E C E^T) as expected."""
        return self._of_rows(bits, slice(None))

    def total(self, bits: int) -> float:
        """Returns tr(R E C E^T) as expected, from some rows."""
        outputs = self._matrix.shape[1] // self._taps
        drawn = _drawn(outputs, max(1, _SAMPLE // self._taps))
        rows = (drawn[:, None] * self._taps + torch.arange(self._taps, device="cpu")).reshape(-1)
        share = self._rows[:, rows].sum(1) / self._rows.sum(1)
        return float((self._of_rows(bits, rows).sum(1) / share).sum())

    def _of_rows(self, bits: int, rows: Tensor | slice) -> Tensor:
        whole = self._matrix[:, rows]
        some, noise = whole[:, :, self._chosen], self._noise[:, rows]
        steps = choose_steps(some, bits, self._weights, self._taps, _CLIPPINGS, whole).double()
        target = some + noise * steps
        error = round_to_nearest(target, steps, bits) * steps - target
        return (error.square() @ self._weights[:, :, None]).squeeze(2) * self._rows[:, rows]


def _columns(matrix: Tensor, variances: Tensor) -> tuple[Tensor, Tensor]:
    """Returns which columns are looked at, and what each counts, (groups, columns)."""
    size = variances.shape[1]
    if size <= 3 * _SAMPLE:
        return torch.arange(size, device="cpu"), variances
    count, cost_clipped = variances.sum(0), (variances * matrix.square().amax(1)).sum(0)
    chosen = torch.zeros(size, dtype=torch.bool, device="cpu")
    for each in (count, cost_clipped):
        chosen[each.topk(_SAMPLE).indices] = True
    most, others = chosen.nonzero().squeeze(1), (~chosen).nonzero().squeeze(1)
    drawn = others[_drawn(len(others), _SAMPLE)]
    more = variances[:, others].sum(1, keepdim=True) / variances[:, drawn].sum(1, keepdim=True)
    return torch.cat([most, drawn]), torch.cat([variances[:, most], variances[:, drawn] * more], 1)


def _drawn(size: int, number: int) -> Tensor:
    """Returns so many of the numbers below a size, ascending, always the same."""
    generator = torch.Generator("cpu").manual_seed(0)
    return torch.randperm(size, generator=generator, device="cpu")[:number].sort().values
