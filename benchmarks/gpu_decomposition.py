"""Decomposition of matrices by driver and size, for `benchmarks/gpu.py`."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.gpu_timing import Setup, in_turns
from torch_lowrank.decomposition import svd

DRIVERS = (None, "gesvd", "gesvdj", "gesvda")
_SHARES = (1, 2, 4, 8)  # of the first level's filters


def measure_decomposition(setup: Setup) -> list[dict[str, Any]]:
    """Returns a row for each size of matrix: seconds on the CPU, and on CUDA by driver.

    A row of the weight is an output channel, so the U-Net's 3x3 convolutions give (m, 9 n); the last size is that of
    its largest one.
    """
    rows = []
    filters = setup.base_filters
    sizes = [(filters * share, 9 * filters * share) for share in _SHARES] + [(8 * filters, 9 * 16 * filters)]
    for size in sizes:
        matrix = torch.randn(1, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        row: dict[str, Any] = {"rows": size[0], "columns": size[1]}
        row["cpu"] = in_turns({"": lambda matrix=matrix: svd.factorize(matrix)}, setup.rounds, "cpu")[""]  # type: ignore[misc]
        if setup.device == "cuda":
            row |= _by_driver(matrix.cuda(), setup.rounds)
        rows.append(row)
    return rows


def _by_driver(matrix: torch.Tensor, rounds: int) -> dict[str, float]:
    def decomposed(driver: str | None) -> None:
        svd.CUDA_DRIVER = driver
        svd.factorize(matrix)

    before = svd.CUDA_DRIVER
    try:
        works = {f"cuda {driver or 'default'}": lambda driver=driver: decomposed(driver) for driver in DRIVERS}  # type: ignore[misc]
        return in_turns(works, rounds, "cuda")
    finally:
        svd.CUDA_DRIVER = before
