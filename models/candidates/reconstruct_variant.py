"""Reconstruction of a variant: its factors are fitted to what the baseline's layers compute."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from models.preprocessing import ImageBatches
from models.variant import Variant
from torch_lowrank.curvature.moments import Statistics
from torch_lowrank.reconstruction import reconstruct


def reconstruct_variant(
    variant: Variant,
    baseline: Variant,
    images: NDArray[np.uint8],
    chosen: NDArray[np.intp],
    *,
    statistics: Statistics,
    batch_size: int,
    device: str,
) -> Variant:
    """Returns a variant of the same ranks that is fitted to the baseline; see `torch_lowrank.reconstruct`.

    Args:
        variant: The compressed network; it is not changed.
        baseline: What it was compressed from.
        images: Stored images uint8 (N, H, W, C).
        chosen: Which of them; two or more, for BatchNorm.
        statistics: Of the baseline.
        batch_size: Images a forward pass.
        device: Where to compute.

    Raises:
        FloatingPointError: A layer's inputs are not finite.
    """
    batches = ImageBatches(images, chosen, variant.preprocessing, batch_size, min_batch=2)
    network = reconstruct(baseline.network, variant.network, batches, statistics=statistics, device=device)
    return dataclasses.replace(variant, network=network).with_spec(reconstructed=len(chosen))
