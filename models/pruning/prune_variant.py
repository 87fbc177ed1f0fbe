"""A pruned variant of a baseline."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.preprocessing import ImageBatches
from models.pruning.channels import PruningError
from models.pruning.importance import importances
from models.pruning.prune import Target, prune
from models.training.losses import build_loss
from models.training.options import Loss
from models.variant import Variant
from models.variant_spec import VariantSpec


@dataclasses.dataclass(frozen=True)
class Samples:
    """The images that importances are taken from.

    Attributes:
        images: uint8 (N, H, W, C).
        masks: uint8 (N, H, W), class indices.
        chosen: Which of them.
    """

    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    chosen: NDArray[np.intp]

    def __iter__(self) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
        """Yields each chosen one: its index, and its labels int64 (1, H, W)."""
        for index in self.chosen:
            yield np.array([index]), torch.from_numpy(np.array(self.masks[[index]])).long()


def prune_variant(baseline: Variant, samples: Samples, loss: Loss, spec: VariantSpec, device: str) -> Variant:
    """Returns the variant that pruning makes of a baseline, within the budgets of a description.

    Args:
        baseline: The network to prune; it is not changed.
        samples: Training images.
        loss: What the network was trained by.
        spec: What the variant is.
        device: Where to compute importances.

    Raises:
        PruningError: The network cannot be pruned, or the budgets not be met; the message names the variant.
    """
    height, width, channels = samples.images.shape[1:]
    if spec.budget is None:
        raise ValueError(f"{spec.name} has no budget")
    batches = ((ImageBatches(samples.images, index, baseline.preprocessing, 1)[0], labels) for index, labels in samples)
    try:
        importance = importances(baseline.network, batches, build_loss(loss, baseline.classes), device)
        target = Target(spec.budget, spec.mac_budget)
        network = prune(baseline.network, importance, target, (channels, height, width))
    except PruningError as error:
        raise PruningError(f"{spec.name}: {error}; ask for a larger share by --pruned, or leave it out") from error
    made = dataclasses.replace(spec, statistics_images=len(samples.chosen))
    return dataclasses.replace(baseline, spec=made, network=network)
