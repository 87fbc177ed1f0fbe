"""Singular value decomposition in the form W = U (U^T W), which needs no right singular vectors."""

from __future__ import annotations

import torch
from torch import Tensor

# The Gram matrix squares singular values, and its rounding (1e-16 of the largest) turns the vectors of small ones by
# 1e-16 (s_1 / s_i)^2. Values below this share of the largest are decomposed again, which leaves errors of 1e-12 of it.
_LOST_IN_GRAM = 1e-4
_SMALLEST_BLOCK = 32  # rows of a stripe of the Gram matrix
# What torch.linalg.svd uses on CUDA; None lets torch take gesvdj, and gesvd where that does not converge.
CUDA_DRIVER: str | None = None


def factorize(matrices: Tensor, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """Decomposes a batch of matrices W = U (U^T W).

    On CUDA by `torch.linalg.svd` of the triangle that QR leaves of each matrix. On the CPU through the eigenvectors
    of the smaller Gram matrix, many times faster for the wide matrices of convolutions. U is orthonormal to machine
    precision, so U U^T W is as exact as with LAPACK's SVD. Squaring loses the small singular values; the rows of
    U^T W that belong to them are decomposed again among themselves, so that they, too, are right to about 1e-12 of
    the largest.

    Args:
        matrices: (batch, m, n), float64.
        dtype: Of the factors; U^T W is computed in it.

    Returns:
        left: U, (batch, m, k), orthonormal columns, k = min(m, n).
        values: Singular values (batch, k), descending.
        right: U^T W, (batch, k, n).
    """
    scale = _power_of_range(matrices)
    scaled = matrices if scale == 1 else matrices / scale
    left, values = _left_cuda(scaled) if matrices.is_cuda else _left_cpu(scaled)
    values, order = values.sort(dim=1, descending=True, stable=True)
    if bool((order.diff(dim=1) < 0).any()):
        left = left.gather(2, order[:, None, :].expand_as(left))
    factor = left.to(dtype)
    right = factor.mT @ matrices.to(dtype)
    return factor, values * scale, right


def _power_of_range(tensor: Tensor) -> float:
    """Returns a divisor that keeps squares within the range of float64; nearly always 1."""
    low, high = (float(bound) for bound in tensor.aminmax())
    largest = max(-low, high)
    return 1.0 if largest == 0 or 1e-100 < largest < 1e100 else largest


def frobenius_norm(tensor: Tensor, dim: int | None = None) -> Tensor:
    """Returns the root of the sum of squares, over all axes or over one, also where squares leave float64."""
    scale = _power_of_range(tensor) if tensor.dtype == torch.float64 else 1.0
    scaled = tensor if scale == 1 else tensor / scale
    return torch.linalg.vector_norm(scaled, dim=dim, dtype=torch.float64) * scale


def balanced(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Returns factors of the same product in which column i of left is as long as row i of right.

    Otherwise one factor may be a thousand times as large as the other, so that no step size of an optimiser suits both,
    and in half precision one of them may overflow.

    Args:
        left: (groups, m, r).
        right: (groups, r, n).

    Returns:
        New factors, in the types of those given.
    """
    columns, rows = left.double().norm(dim=1), right.double().norm(dim=2)
    scale = (rows / columns).sqrt()
    scale = torch.where(scale.isfinite() & (scale > 0), scale, 1.0)
    return (left * scale[:, None, :]).to(left.dtype), (right / scale[:, :, None]).to(right.dtype)


def _left_cuda(matrices: Tensor) -> tuple[Tensor, Tensor]:
    rows, columns = matrices.shape[1:]
    if rows <= columns:  # W = R^T Q^T has the left vectors and the singular values of R^T
        matrices = torch.linalg.qr(matrices.mT, mode="r")[1].mT
    left, values, _ = torch.linalg.svd(matrices, full_matrices=False, driver=CUDA_DRIVER)
    return left, values


def _left_cpu(matrices: Tensor) -> tuple[Tensor, Tensor]:
    rows, columns = matrices.shape[1:]
    if rows > columns:
        basis, triangles = torch.linalg.qr(matrices)
        left, values = _left_cpu(triangles)
        return basis @ left, values
    squares, left = torch.linalg.eigh(_lower_gram(matrices))
    squares, left = squares.flip(1).clamp_min(0), left.flip(2)
    values, largest = squares.sqrt(), squares[:, :1]
    kept = int(((squares > _LOST_IN_GRAM**2 * largest) | (largest == 0)).sum(1).min())
    if 0 < kept < rows:
        rest = left[:, :, kept:].mT @ matrices
        turn, values[:, kept:] = _left_cpu(rest)
        left[:, :, kept:] = left[:, :, kept:] @ turn
    return left, values


def _lower_gram(matrices: Tensor) -> Tensor:
    """Returns W W^T with only the blocks on and below the diagonal computed: `eigh` reads no others."""
    batch, rows, _ = matrices.shape
    gram = matrices.new_zeros(batch, rows, rows)
    step = max(_SMALLEST_BLOCK, -(-rows // 4))  # four stripes take 5/8 of the multiplications
    for start in range(0, rows, step):
        end = min(start + step, rows)
        gram[:, start:end, :end] = matrices[:, start:end] @ matrices[:, :end].mT
    return gram
