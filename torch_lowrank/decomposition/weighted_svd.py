"""Decomposition in the norm of the loss instead of that of the weights.

With moments R of rows and C of columns (`moments`), plain SVD's ||W - W_r|| becomes ||R^1/2 (W - W_r) C^1/2||. With
R = J J^T and C = L L^T the best W_r is J^-T (J^T W L)_r L^-1 (Eckart and Young in that norm). Here L is never formed:
with J^T W L = U S V^T, the second factor S V^T L^-1 is U^T J^T W, and U and S come from (J^T W) C (J^T W)^T, which is
as small as the smaller side of W. Where W is taller than wide, the same is done with its transpose.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torch_lowrank.curvature.moments import cholesky
from torch_lowrank.decomposition.svd import balanced

# S^2 comes from a Gram matrix, whose rounding is that share of the largest: smaller values are its noise.
_NOISE = 4.0


def factorize_weighted(matrices: Tensor, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Decomposes W = left right, the first r columns and rows of which are the best W_r in the weighted norm.

    Args:
        matrices: W, (groups, m, n), float64.
        rows: R, (groups, m, m), positive definite.
        columns: C, (groups, n, n), positive definite.

    Returns:
        left: (groups, m, k), k = min(m, n); its columns are as long as the rows of right, whatever the moments' scale,
            so that neither overflows in half precision.
        values: (groups, k), descending; sum_{i>r} values_i^2 = ||R^1/2 (W - W_r) C^1/2||^2.
        right: (groups, k, n).

    Raises:
        FloatingPointError: A moment is not finite, or not positive definite.
    """
    if matrices.shape[1] > matrices.shape[2]:
        left, values, right = factorize_weighted(matrices.mT, columns, rows)
        return right.mT, values, left.mT
    factor = cholesky(rows)
    weighted = factor.mT @ matrices
    squares, vectors = torch.linalg.eigh(weighted @ columns @ weighted.mT)
    squares, vectors = squares.flip(1), vectors.flip(2)
    noise = _NOISE * torch.finfo(torch.float64).eps * matrices.shape[2] * squares[:, :1]
    values = torch.where(squares > noise, squares, 0.0).sqrt()
    left = torch.linalg.solve_triangular(factor.mT, vectors, upper=True)
    left, right = balanced(left, vectors.mT @ weighted)
    return left, values, right
