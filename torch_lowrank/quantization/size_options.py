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
from torch_lowrank.quantization.expected_rounding import RoundingError, Side
from torch_lowrank.quantization.packing import packed_size
from torch_lowrank.quantization.thin_moments import even_out, first_moments, matrix_of, second_moments
from torch_lowrank.ranks.points import Points

_SCALE_BYTES = 2  # bfloat16
_RANK_STEP = 1.3  # ratio of the ranks for which the second factor's errors are computed
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
    columns = Side.of(moments.damped(layer)[1])  # of the layer as it is and of the channel scheme's first factor
    costs, errors, choices = ([], [], []) if ranks else _as_it_is(layer, moments, columns)
    for spectrum in spectra:
        found = _factorized(layer, spectrum, moments, columns, ranks)
        costs, errors, choices = costs + found[0], errors + found[1], choices + found[2]
    return Points.worth_making(costs, errors, choices)


def _as_it_is(layer: nn.Module, moments: Moments, columns: Side) -> tuple[list[int], list[float], list[StoredAs]]:
    if isinstance(layer, LowRank):
        parts = ((layer.first, first_moments(layer, moments)), (layer.second, second_moments(layer, moments)))
        tables = [_Rounded(part, *map(Side.of, own)) for part, own in parts]
    else:
        tables = [_Rounded(layer, Side.of(moments.damped(layer)[0]), columns)]
    costs, errors, choices = [], [], []
    for bits in np.ndindex(*[len(BITS)] * len(tables)):
        own = tuple(BITS[each] for each in bits)
        costs.append(sum(table.size(each) for table, each in zip(tables, own, strict=True)))
        errors.append(_RISE * sum(table.error(each) for table, each in zip(tables, own, strict=True)))
        choices.append(StoredAs(None, 0, own))
    return costs, errors, choices


class _Rounded:
    """A plain layer's weight in any number of bits."""

    def __init__(self, layer: nn.Module, rows: Side, columns: Side) -> None:
        matrix, taps = matrix_of(layer), _taps(layer)
        self.entries, self.scales = matrix.numel(), matrix.shape[0] * matrix.shape[1] // taps
        self.cost = RoundingError(matrix, rows, columns, taps)

    def size(self, bits: int) -> int:
        """Returns the bytes of codes and scales."""
        return packed_size(self.entries, bits) + _SCALE_BYTES * self.scales

    def error(self, bits: int) -> float:
        """Returns tr(R E C E^T) as expected with feedback."""
        return self.cost.total(bits)


def _factorized(
    layer: nn.Module, spectrum: Spectrum, moments: Moments, columns: Side, ranks: tuple[int, ...] | None
) -> tuple[list[int], list[float], list[StoredAs]]:
    """Returns bytes, predicted rise and description for all ranks and bits of a scheme."""
    groups, m, n = spectrum.shape
    largest = max(ranks) if ranks else m * n // (m + n)
    largest = min(largest, spectrum.full_rank)
    if largest < 1 or (ranks and min(ranks) > spectrum.full_rank):
        return [], [], []
    thin = LowRank.from_factors(layer, spectrum.scheme, *_balanced(spectrum, largest))
    even_out(thin)
    first, second = _errors_of_first(thin, moments, columns), _errors_of_second(thin, moments)
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


def _errors_of_first(thin: LowRank, moments: Moments, of_channel: Side) -> NDArray[np.float64]:
    """Returns the expected error of the first factor, (bits, ranks)."""
    rows, columns = first_moments(thin, moments)
    seen = of_channel if thin.scheme == "channel" else Side.of(columns)
    cost = RoundingError(matrix_of(thin.first), Side.of(rows), seen, _taps(thin.first))
    each = torch.stack([cost.of_rows(bits).sum(0) for bits in BITS])
    return each.unflatten(1, (thin.rank, -1)).sum(2).cumsum(1).numpy()


def _errors_of_second(thin: LowRank, moments: Moments) -> NDArray[np.float64]:
    """Returns the expected error of the second factor, (bits, ranks)."""
    rows, columns = (Side.of(each) for each in second_moments(thin, moments))
    matrix, taps = matrix_of(thin.second), _taps(thin.second)
    of_each = matrix.shape[2] // thin.rank  # columns for each rank
    ranks = sorted({min(thin.rank, math.ceil(_RANK_STEP**power)) for power in range(_powers(thin.rank) + 1)})
    table = np.empty((len(BITS), len(ranks)))
    for column, rank in enumerate(ranks):
        number = rank * of_each
        cost = RoundingError(matrix[:, :, :number], rows, columns.first(number), taps)
        table[:, column] = [cost.total(bits) for bits in BITS]
    return np.stack([np.interp(np.arange(1, thin.rank + 1), ranks, line) for line in table])


def _balanced(spectrum: Spectrum, rank: int) -> tuple[Tensor, Tensor]:
    return balanced(spectrum.left[:, :, :rank], spectrum.right[:, :rank])


def _powers(rank: int) -> int:
    return math.ceil(math.log(rank) / math.log(_RANK_STEP)) if rank > 1 else 0


def _kernel(layer: nn.Module) -> int:
    return math.prod(getattr(layer, "kernel_size", ()))


def _taps(layer: nn.Module) -> int:
    return _kernel(layer) if folding_of(layer, "channel").transposed else 1
