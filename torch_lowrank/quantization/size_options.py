"""What each layer can be stored as, with its bytes and the rise of the loss that is predicted for it.

A layer stays as it is or is factorised by a scheme at a rank, and each weight that it then has is rounded to a number
of bits. Truncation costs half of the squared tail of the weighted spectrum, rounding half of what the errors of all
entries cost where feedback makes up for the rest (`rounding`): both in the currency of the loss, so they can be added,
and compared between layers.

Nothing is factorised or rounded for each rank and each number of bits. The rows of the first factor are rounded each by
itself, so that the errors of rank r are the first r of those at full rank; and so are Cholesky's diagonals, in which
row i only knows the rows before. Only the scales of the second factor see all of a row; its errors are computed for a
few ranks, and interpolated between.
"""

from __future__ import annotations

import copy
import dataclasses
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from torch_lowrank.curvature.moments import Moments
from torch_lowrank.decomposition.spectra import Spectrum
from torch_lowrank.decomposition.svd import balanced
from torch_lowrank.layers.factorized import LowRank
from torch_lowrank.layers.unfolding import folding_of
from torch_lowrank.quantization.bits import BITS
from torch_lowrank.quantization.packing import packed_size
from torch_lowrank.quantization.rounding import (
    choose_steps,
    conditional_variances,
    damped_for_rounding,
    feedback_noise,
    round_to_nearest,
    unit_factor,
)
from torch_lowrank.quantization.thin_moments import even_out, first_moments, matrix_of, second_moments
from torch_lowrank.ranks.allocation import Points

_SCALE_BYTES = 2  # bfloat16
_RANK_STEP = 1.3  # ratio of the ranks for which the second factor's errors are computed
_CLIPPINGS = 8  # fewer than in the end: errors near the best clipping differ little
_RISE = 0.5  # the loss rises by half of the squared norm of a change


@dataclasses.dataclass(frozen=True)
class StoredAs:
    """How a layer is stored.

    Attributes:
        scheme: The scheme to factorise it by, None to leave it as it is.
        rank: Its rank then, else 0.
        bits: Of its weight, or of its two weights.
    """

    scheme: str | None
    rank: int
    bits: tuple[int, ...]


@torch.no_grad()
def options_of(
    layer: nn.Module, spectra: tuple[Spectrum, ...], moments: Moments, ranks: tuple[int, ...] | None = None
) -> Points[StoredAs]:
    """Returns the ways to store a layer that are worth it.

    Args:
        layer: The layer, dense or factorised.
        spectra: Its spectra, weighted by curvature, one for each scheme; none leaves the layer as it is.
        moments: Its moments.
        ranks: The ranks that are allowed; None is all, and to leave the layer as it is.
    """
    costs, errors, choices = ([], [], []) if ranks else _as_it_is(layer, moments)
    for spectrum in spectra:
        found = _factorized(layer, spectrum, moments, ranks)
        costs, errors, choices = costs + found[0], errors + found[1], choices + found[2]
    return Points.worth_making(costs, errors, choices)


def _as_it_is(layer: nn.Module, moments: Moments) -> tuple[list[int], list[float], list[StoredAs]]:
    if isinstance(layer, LowRank):
        pairs = ((layer.first, first_moments(layer, moments)), (layer.second, second_moments(layer, moments)))
    else:
        pairs = ((layer, moments.damped(layer)),)  # type: ignore[assignment]
    tables = [_Rounded(part, *own) for part, own in pairs]
    costs, errors, choices = [], [], []
    for bits in np.ndindex(*[len(BITS)] * len(tables)):
        own = tuple(BITS[each] for each in bits)
        costs.append(sum(table.size(each) for table, each in zip(tables, own, strict=True)))
        errors.append(_RISE * sum(table.error(each) for table, each in zip(tables, own, strict=True)))
        choices.append(StoredAs(None, 0, own))
    return costs, errors, choices


class _Rounded:
    """A plain layer's weight in any number of bits."""

    def __init__(self, layer: nn.Module, rows: Tensor, columns: Tensor) -> None:
        self.matrix = matrix_of(layer)
        self.sides = _Sides(rows, columns)
        self.taps = _taps(layer)

    def size(self, bits: int) -> int:
        """Returns the bytes of codes and scales."""
        groups, m, _ = self.matrix.shape
        return packed_size(self.matrix.numel(), bits) + _SCALE_BYTES * groups * m // self.taps

    def error(self, bits: int) -> float:
        """Returns tr(R E C E^T) as expected with feedback."""
        return float(self.sides.row_errors(self.matrix, bits, self.taps).sum())


def _factorized(
    layer: nn.Module, spectrum: Spectrum, moments: Moments, ranks: tuple[int, ...] | None
) -> tuple[list[int], list[float], list[StoredAs]]:
    """Returns bytes, predicted rise and description for all ranks and bits of a scheme."""
    groups, m, n = spectrum.shape
    largest = max(ranks) if ranks else m * n // (m + n)
    largest = min(largest, spectrum.full_rank)
    if largest < 1 or (ranks and min(ranks) > spectrum.full_rank):
        return [], [], []
    thin = LowRank.from_factors(layer, spectrum.scheme, *_balanced(spectrum, largest))
    even_out(thin)
    first, second = _errors_of_first(thin, moments), _errors_of_second(thin, moments)
    tails = [*spectrum.singular_values.square().flip(0).cumsum(0).flip(0).tolist(), 0.0]
    outputs = thin.second.get_parameter("weight").numel() // (largest * _kernel(thin.second))
    costs, errors, choices = [], [], []
    for rank in ranks or range(1, largest + 1):
        for i, one in enumerate(BITS):
            for j, two in enumerate(BITS):
                size = packed_size(groups * rank * n, one) + packed_size(groups * rank * m, two)
                costs.append(size + _SCALE_BYTES * (groups * rank + outputs))
                errors.append(_RISE * (tails[rank] + first[i, rank - 1] + second[j, rank - 1]))
                choices.append(StoredAs(spectrum.scheme, rank, (one, two)))
    return costs, errors, choices


def _errors_of_first(thin: LowRank, moments: Moments) -> NDArray[np.float64]:
    """Returns the expected error of the first factor, (bits, ranks)."""
    side = _Sides(*first_moments(thin, moments))
    matrix, taps = matrix_of(thin.first), _taps(thin.first)
    each = torch.stack([side.row_errors(matrix, bits, taps).sum(0) for bits in BITS])
    return each.unflatten(1, (thin.rank, -1)).sum(2).cumsum(1).numpy()


def _errors_of_second(thin: LowRank, moments: Moments) -> NDArray[np.float64]:
    """Returns the expected error of the second factor, (bits, ranks)."""
    side = _Sides(*second_moments(thin, moments))
    matrix, taps = matrix_of(thin.second), _taps(thin.second)
    of_each = matrix.shape[2] // thin.rank  # columns for each rank
    ranks = sorted({min(thin.rank, math.ceil(_RANK_STEP**power)) for power in range(_powers(thin.rank) + 1)})
    table = np.empty((len(BITS), len(ranks)))
    for column, rank in enumerate(ranks):
        part = side.of_columns(rank * of_each)
        for line, bits in enumerate(BITS):
            table[line, column] = float(part.row_errors(matrix[:, :, : rank * of_each], bits, taps).sum())
    return np.stack([np.interp(np.arange(1, thin.rank + 1), ranks, line) for line in table])


class _Sides:
    """What the moments of rows and columns say of rounding with feedback: of what is fed back, and what it leaves."""

    def __init__(self, rows: Tensor, columns: Tensor) -> None:
        rows, columns = (damped_for_rounding(each.cpu()) for each in (rows, columns))
        self._of_rows, self._of_columns = conditional_variances(rows), conditional_variances(columns)
        self._rows, self._columns = unit_factor(rows), unit_factor(columns)
        self._noise = feedback_noise(self._rows, self._columns)

    def of_columns(self, number: int) -> _Sides:
        """Returns the same for the first columns alone, whose Cholesky factor is a part of the whole one."""
        part = copy.copy(self)
        part._of_columns = self._of_columns[:, :number]
        part._noise = feedback_noise(self._rows, self._columns[:, :number, :number])
        return part

    def row_errors(self, matrix: Tensor, bits: int, taps: int) -> Tensor:
        """Returns what the errors of each row cost, (groups, m), so that their sum is tr(R E C E^T) as expected."""
        steps = choose_steps(matrix, bits, self._of_columns, taps, _CLIPPINGS).double()
        target = matrix + self._noise * steps
        error = round_to_nearest(target, steps, bits) * steps - target
        return (error.square() @ self._of_columns[:, :, None]).squeeze(2) * self._of_rows


def _balanced(spectrum: Spectrum, rank: int) -> tuple[Tensor, Tensor]:
    return balanced(spectrum.left[:, :, :rank], spectrum.right[:, :rank])


def _powers(rank: int) -> int:
    return math.ceil(math.log(rank) / math.log(_RANK_STEP)) if rank > 1 else 0


def _kernel(layer: nn.Module) -> int:
    return math.prod(getattr(layer, "kernel_size", ()))


def _taps(layer: nn.Module) -> int:
    return _kernel(layer) if folding_of(layer, "channel").transposed else 1
