"""Evaluates a network on a split, and predicts masks, batch by batch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from models.evaluation.hausdorff import hausdorff95
from models.evaluation.metrics import Counts, Metrics, count_pixels, label_count, predicted_labels, summarise
from models.preprocessing import Preprocessing
from models.variant import Variant
from torch_lowrank.modes import evaluating
from torch_lowrank.progress import tracked


def evaluate(  # noqa: PLR0913 - network, data, and how
    network: nn.Module,
    images: np.ndarray,
    masks: np.ndarray,
    preprocessing: Preprocessing,
    *,
    classes: int,
    batch_size: int,
    device: str | torch.device,
    groups: Sequence[str] = (),
    seen: Callable[[np.ndarray], None] | None = None,
) -> Metrics:
    """Evaluates a network on images with known masks; memory does not grow with the number of images.

    The metrics are those of `summarise` and `hausdorff95_px`, of every image and their mean.

    Args:
        network: Maps (N, C, H, W) to logits (N, classes, H, W). It ends in the mode and on the device it had before.
        images: Images uint8 (N, H, W, C), memory-mapped or not.
        masks: Labels uint8 (N, H, W).
        preprocessing: Turns stored images into network input.
        classes: 1 for foreground against background, else the number of labels.
        batch_size: Images a forward pass; no metric depends on it.
        device: Device to compute on.
        groups: The patient or volume that each image is of; none at all where that is not known.
        seen: Is given the predicted labels uint8 (n, H, W) of each batch, in the order of the images.

    Raises:
        ValueError: The shapes of images and masks do not match, there are none, a mask holds a label out of range, or
            there is not one group an image.
        FloatingPointError: The network returns logits that are not finite.
    """
    if images.shape[:3] != masks.shape:
        raise ValueError(f"images have shape {images.shape} and masks {masks.shape}; give (N, H, W, C) and (N, H, W)")
    parts, distances, labels = [], [], label_count(classes)
    with evaluating(network, device):
        for first, prediction in _predictions(network, images, preprocessing, classes, batch_size, device):
            truth = np.array(masks[first : first + len(prediction)])
            parts.append(count_pixels(prediction, torch.from_numpy(truth).to(prediction.device), labels))
            predicted = prediction.cpu().numpy()
            distances += hausdorff95(predicted, truth, labels)
            if seen is not None:
                seen(predicted.astype(np.uint8))
    measured = summarise(Counts.concatenate(parts), groups)
    return dataclasses.replace(
        measured,
        metrics={**measured.metrics, "hausdorff95_px": float(np.mean(distances))},
        per_image={**measured.per_image, "hausdorff95_px": distances},
    )


def evaluate_variant(
    variant: Variant,
    images: np.ndarray,
    masks: np.ndarray,
    batch_size: int,
    device: str | torch.device,
    groups: Sequence[str] = (),
    seen: Callable[[np.ndarray], None] | None = None,
) -> Metrics:
    """Evaluates a variant's network with its own preprocessing; see `evaluate`."""
    return evaluate(
        variant.network,
        images,
        masks,
        variant.preprocessing,
        classes=variant.classes,
        batch_size=batch_size,
        device=device,
        groups=groups,
        seen=seen,
    )


def predict(
    network: nn.Module,
    images: np.ndarray,
    preprocessing: Preprocessing,
    *,
    classes: int,
    batch_size: int,
    device: str | torch.device,
) -> np.ndarray:
    """Returns predicted labels uint8 (N, H, W) for images uint8 (N, H, W, C).

    Raises:
        FloatingPointError: The network returns logits that are not finite.
    """
    masks = np.zeros(images.shape[:3], dtype=np.uint8)
    with evaluating(network, device):
        for first, prediction in _predictions(network, images, preprocessing, classes, batch_size, device):
            masks[first : first + len(prediction)] = prediction.cpu().numpy()
    return masks


def _predictions(
    network: nn.Module,
    images: np.ndarray,
    preprocessing: Preprocessing,
    classes: int,
    batch_size: int,
    device: str | torch.device,
) -> Iterator[tuple[int, Tensor]]:
    """Yields the index of the first image and the predicted labels int64 (n, H, W) of each batch."""
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; give an integer of at least 1")
    for first in tracked(range(0, len(images), batch_size), "evaluate"):
        batch = torch.from_numpy(np.array(images[first : first + batch_size]))
        logits = network(preprocessing(batch.to(device)))
        if not bool(torch.isfinite(logits).all()):
            raise FloatingPointError(
                f"the network gives logits that are not finite for images {first} to {first + len(batch) - 1}; "
                "its weights have diverged or overflowed: train with a lower lr, or compress less"
            )
        yield first, predicted_labels(logits, classes)
