"""Rounding a matrix so that the loss rises least: each error is made up for by the weights that are rounded after it.

Rounding W (m x n) to W + E raises the loss by about 1/2 tr(R E C E^T) (`curvature.moments`). With R = K K^T and
C = L L^T (Cholesky) that is 1/2 ||K^T E L||^2. Entry (i, j) of K^T E L is k_ii l_jj (e_ij + f_ij), where f_ij holds
errors of later rows and columns only. So, from the last entry to the first, w_ij - f_ij is rounded in the place of
w_ij, which leaves in each entry nothing but the rounding of one number. Entries of the same i + j do not depend on each
other, and are rounded together.

With R = I this is the rounding of GPTQ (Frantar et al. 2022, arXiv 2210.17323), in the form of LDLQ (Chee et al. 2023,
arXiv 2307.13304); with both it is that of YAQA (Tseng et al. 2025, arXiv 2505.22988).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from torch_lowrank.curvature.moments import cholesky
from torch_lowrank.quantization.coding import code_range

_CLIPPINGS = 25  # shares of the largest value that are tried as the largest code
_SMALLEST_CLIPPING = 0.3
_BLOCK = 64  # columns; what blocks feed back to earlier ones is a matrix product
# Share of the mean diagonal that is added to moments before rounding. Feedback moves errors to where the moments say
# that they cost nothing, much more so than truncation, and moments of few images must not be trusted that far.
_DAMPING = 1e-2


def damped_for_rounding(moments: Tensor) -> Tensor:
    """Returns moments (groups, n, n) with more on the diagonal."""
    damped = moments.clone()
    diagonal = damped.diagonal(dim1=1, dim2=2)
    diagonal.add_(_DAMPING * diagonal.mean(1, keepdim=True))
    return damped


def choose_steps(
    matrices: Tensor,
    bits: int,
    importance: Tensor | None = None,
    per: int = 1,
    clippings: int = _CLIPPINGS,
    whole: Tensor | None = None,
) -> Tensor:
    """Returns the step of each row that leaves the smallest sum of squared errors when all entries are rounded.

    Args:
        matrices: (groups, m, n).
        bits: Of the codes.
        importance: Factors of the columns' squared errors, (groups, n); None is 1.
        per: So many rows that follow each other share a step.
        clippings: So many shares of the largest value are tried as the largest code.
        whole: What `matrices` are some of the columns of: the largest value is sought in all of them.

    Returns:
        (groups, m, 1), values that bfloat16 holds. Negative where the largest entry is positive: there is one code more
        below zero than above. 0 for rows of zeros.
    """
    low, high = code_range(bits)
    together = matrices.float().unflatten(1, (-1, per)).flatten(2)
    factor = torch.ones_like(together[:, 0]) if importance is None else importance.repeat(1, per).float()
    every = together if whole is None else whole.float().unflatten(1, (-1, per)).flatten(2)
    lowest, highest = every.amin(2), every.amax(2)
    largest = torch.maximum(-lowest, highest)
    signed = torch.where(highest > -lowest, -largest, largest)[:, :, None] / high
    unit = torch.where(largest > 0, largest, 1.0)[:, :, None]  # so that squares stay within float32
    together = together / unit
    best, smallest = torch.zeros_like(signed), torch.full_like(signed, torch.inf)
    for share in np.linspace(1, _SMALLEST_CLIPPING, clippings).tolist():
        step = (signed * share).bfloat16().float()
        share_of_unit = step / unit
        rounded = (together / share_of_unit).nan_to_num_(0).round_().clamp_(low, high).mul_(share_of_unit)
        error = rounded.sub_(together).square_() @ (factor / factor.mean(1, keepdim=True))[:, :, None]
        better = error < smallest
        best, smallest = torch.where(better, step, best), torch.where(better, error, smallest)
    return best.repeat_interleave(per, dim=1)


def round_to_nearest(matrices: Tensor, steps: Tensor, bits: int) -> Tensor:
    """Returns the codes (groups, m, n), int8, of the values that lie next."""
    quotient = (matrices.double() / steps.double()).nan_to_num(0)
    return quotient.round().clamp(*code_range(bits)).to(torch.int8)


def round_with_feedback(matrices: Tensor, steps: Tensor, bits: int, rows: Tensor, columns: Tensor) -> Tensor:
    """Returns the codes (groups, m, n), int8, for the smallest rise of the loss.

    Args:
        matrices: W, (groups, m, n).
        steps: Of each row, (groups, m, 1); entry (i, j) becomes its code times the step of row i.
        bits: Of the codes.
        rows: R, (groups, m, m), float64, positive definite.
        columns: C, (groups, n, n), likewise.
    """
    target, steps = matrices.float(), steps.float().squeeze(2)
    of_rows, of_columns = _later(rows), _later(columns)
    codes = target.new_zeros(target.shape, dtype=torch.int8)
    spread = target.new_zeros(target.shape)  # K'^T E, with the unit diagonal of K' = K diag(K)^-1
    for start in range((target.shape[2] - 1) // _BLOCK * _BLOCK, -1, -_BLOCK):
        block, after = slice(start, start + _BLOCK), slice(start + _BLOCK, None)
        feedback = spread[:, :, after] @ of_columns[:, block, after].mT
        codes[:, :, block], spread[:, :, block] = _round_block(
            target[:, :, block], feedback, steps, code_range(bits), of_rows, of_columns[:, block, block]
        )
    return codes


def _round_block(
    target: Tensor,
    feedback: Tensor,
    steps: Tensor,
    limits: tuple[int, int],
    of_rows: Tensor,
    of_columns: Tensor,
) -> tuple[Tensor, Tensor]:
    """Returns codes and K'^T E of a few columns, given what the columns after them feed back."""
    groups, m, n = target.shape
    codes, spread = target.new_zeros(groups, m, n, dtype=torch.int8), target.new_zeros(groups, m, n)
    errors = target.new_zeros(groups, n, m)  # E^T
    for diagonal in range(m + n - 2, -1, -1):
        i = torch.arange(max(0, diagonal - n + 1), min(m - 1, diagonal) + 1, device=target.device)
        j = diagonal - i
        from_rows = (errors[:, j] * of_rows[:, i]).sum(2)
        fed_back = feedback[:, i, j] + from_rows + (spread[:, i] * of_columns[:, j]).sum(2)
        here, step = target[:, i, j], steps[:, i]
        code = ((here - fed_back) / step).nan_to_num(0, 0, 0).round().clamp(*limits)
        error = code * step - here
        codes[:, i, j] = code.to(torch.int8)
        errors[:, j, i] = error
        spread[:, i, j] = error + from_rows
    return codes, spread


def expected_error(steps: Tensor, rows: Tensor, columns: Tensor, *, feedback: bool = True) -> float:
    """Returns what tr(R E C E^T) is on average where nothing is clipped: a rounding leaves step^2 / 12.

    Args:
        steps: Of each row, (groups, m, 1).
        rows: R, (groups, m, m).
        columns: C, (groups, n, n).
        feedback: For `round_with_feedback`, else for `round_to_nearest`.
    """
    factors = [conditional_variances(each) if feedback else each.diagonal(dim1=1, dim2=2) for each in (rows, columns)]
    of_rows = (factors[0] * steps.double().squeeze(2).square()).sum(1)
    return float((of_rows * factors[1].sum(1)).sum()) / 12


def feedback_noise(of_rows: Tensor, of_columns: Tensor) -> Tensor:
    """Draws what feedback adds to each entry, (groups, m, n), float32, in steps: normal, always the same numbers.

    An entry is fed back the errors of all later ones, step / sqrt(12) each, times their entries in the unit triangular
    factors K' and L'. Where moments are strongly correlated that is more than few codes reach, so that far more is
    clipped than of the weights alone.

    Args:
        of_rows: The squared norms of the columns of K', (groups, m), see `unit_factor`.
        of_columns: Those of L', (groups, n).
    """
    deviation = ((of_rows[:, :, None] * of_columns[:, None, :] - 1).clamp_min(0) / 12).sqrt().float()
    generator = torch.Generator("cpu").manual_seed(0)
    return deviation * torch.randn(deviation.shape, generator=generator, dtype=torch.float32, device="cpu")


def unit_factor(moments: Tensor) -> Tensor:
    """Returns L' = L diag(L)^-1 of the Cholesky factor L, (groups, n, n), float64."""
    factor = cholesky(moments)
    return factor / factor.diagonal(dim1=1, dim2=2)[:, None, :]


def conditional_variances(moments: Tensor) -> Tensor:
    """Returns diag(L)^2, (groups, n), of the Cholesky factor: what of an entry's error cannot be made up for."""
    return cholesky(moments).diagonal(dim1=1, dim2=2).square()


def _later(moments: Tensor) -> Tensor:
    """Returns the transpose of L diag(L)^-1 without its diagonal: row i has what later entries add to entry i."""
    return unit_factor(moments).tril(-1).mT.float().contiguous()
