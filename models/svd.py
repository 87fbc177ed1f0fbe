"""The singular value decomposition behind all spectra: U and s of a matrix, and U^T W in the place of S V^T."""

from __future__ import annotations

import torch
from torch import Tensor

# The Gram matrix squares singular values, and its rounding (1e-16 of the largest) turns the vectors of small ones by
# 1e-16 (s_1 / s_i)^2. Values below this share of the largest are decomposed again, which leaves errors of 1e-12 of it.
_LOST_IN_GRAM = 1e-4
# What torch.linalg.svd uses on CUDA; None lets torch take gesvdj, and gesvd where that does not converge.
CUDA_DRIVER: str | None = None


def factorize(matrices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Decomposes a batch of matrices W = U (U^T W).

    On CUDA by `torch.linalg.svd` of the triangle that QR leaves of each matrix. On the CPU through the eigenvectors
    of the smaller Gram matrix, many times faster for the wide matrices of convolutions. U is orthonormal to machine
    precision, so U U^T W is as exact as with LAPACK's SVD. Squaring loses the small singular values; the rows of
    U^T W that belong to them are decomposed again among themselves, so that they, too, are right to about 1e-12 of
    the largest.

    Args:
        matrices: (batch, m, n), float64.

    Returns:
        left: U, (batch, m, k), orthonormal columns, k = min(m, n).
        values: Singular values (batch, k), descending.
        right: U^T W, (batch, k, n).
    """
    scale = matrices.abs().amax((1, 2), keepdim=True)  # squares of huge or tiny weights leave the range of float64
    scale = torch.where(scale > 0, scale, 1.0)
    scaled = matrices / scale
    left = _left_cuda(scaled) if matrices.is_cuda else _left_cpu(scaled)
    right = left.mT @ scaled
    values, order = torch.linalg.vector_norm(right, dim=2).sort(dim=1, descending=True, stable=True)
    left = left.gather(2, order[:, None, :].expand_as(left))
    right = right.gather(1, order[:, :, None].expand_as(right))
    return left, values * scale[:, 0], right * scale


def frobenius_norm(tensor: Tensor, dim: int | None = None) -> Tensor:
    """Returns the root of the sum of squares, over all axes or over one, also where squares leave float64."""
    scale = tensor.abs().max().double()
    if scale == 0:
        scale = scale + 1
    return torch.linalg.vector_norm(tensor.double() / scale, dim=dim) * scale


def _left_cuda(matrices: Tensor) -> Tensor:
    rows, columns = matrices.shape[1:]
    if rows > columns:
        return torch.linalg.svd(matrices, full_matrices=False, driver=CUDA_DRIVER)[0]
    triangles = torch.linalg.qr(matrices.mT, mode="r")[1]  # W = R^T Q^T has the left vectors of R^T
    return torch.linalg.svd(triangles.mT, full_matrices=False, driver=CUDA_DRIVER)[0]


def _left_cpu(matrices: Tensor) -> Tensor:
    rows, columns = matrices.shape[1:]
    if rows > columns:
        basis, triangles = torch.linalg.qr(matrices)
        return basis @ _left_cpu(triangles)
    left = torch.linalg.eigh(matrices @ matrices.mT)[1].flip(2)
    right = left.mT @ matrices
    values = torch.linalg.vector_norm(right, dim=2)
    largest = values[:, :1]
    kept = int(((values > _LOST_IN_GRAM * largest) | (largest == 0)).sum(1).min())
    if 0 < kept < rows and bool(values[:, kept:].any()):
        left[:, :, kept:] = left[:, :, kept:] @ _left_cpu(right[:, kept:])
    return left
