"""Recalibration of a variant, by the step that does it and by those that judge networks as it will leave them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from models.preprocessing import ImageBatches
from models.variant import Variant
from torch_lowrank.recalibration import recalibrate


def recalibrate_variant(
    variant: Variant, images: NDArray[np.uint8], chosen: NDArray[np.intp], batch_size: int, device: str
) -> Variant:
    """Estimates BatchNorm's statistics of a variant's network, which is changed, from some images.

    Args:
        variant: The variant.
        images: Stored images uint8 (N, H, W, C).
        chosen: Which of them.
        batch_size: Images a forward pass.
        device: Where to compute.

    Raises:
        FloatingPointError: The statistics are not finite; the network is as it was.

    Returns:
        The variant, whose description says so; as it was, where its network has no BatchNorm.
    """
    if not has_batch_norm(variant.network):
        return variant
    batches = ImageBatches(images, chosen, variant.preprocessing, batch_size, min_batch=2)
    recalibrate(variant.network, batches, device=device)
    return variant.with_spec(recalibrated=len(chosen))


def has_batch_norm(network: nn.Module) -> bool:
    """Returns whether a network has a BatchNorm that keeps statistics, which recalibration would estimate anew."""
    return any(isinstance(module, _BatchNorm) and module.running_mean is not None for module in network.modules())
