"""Masks of images of any size: the network sees them as in training, and its probabilities are resized back."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from models.evaluation.metrics import predicted_labels
from models.networks.errors import code_of_others
from models.predicted import Predicted
from models.variant import Variant, VariantError
from torch_lowrank.modes import evaluating, evaluation_mode


class Readable(Protocol):
    """An image, as `dataset.pictures.read` reads it."""

    @property
    def name(self) -> str:
        """Its file."""
        ...

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The image in its own size, uint8 (H, W, C)."""
        ...

    @property
    def stored(self) -> NDArray[np.uint8]:
        """The image in the network's size, uint8 (h, w, C)."""
        ...


def predict_masks(
    variant: Variant, pictures: Iterable[Readable], *, batch_size: int = 8, device: str | torch.device = "cpu"
) -> Iterator[Predicted]:
    """Predicts the masks of images; memory does not grow with their number.

    Probabilities are resized to the image's size (bilinear, with anti-aliasing where they shrink) before they become
    labels: above one half, or the largest. An image that has the network's size gets the labels of the logits
    themselves, those that evaluation counts.

    Args:
        variant: The network; it ends in the mode and on the device it had before.
        pictures: The images, read as `variant.preprocessing` says.
        batch_size: Images a forward pass.
        device: Where to compute.

    Yields:
        A mask an image, in their order.

    Raises:
        ValueError: `batch_size` is below 1.
        FloatingPointError: The network returns logits that are not finite.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; give an integer of at least 1")
    waiting = iter(pictures)
    with evaluation_mode(variant.network, device):
        while batch := list(islice(waiting, batch_size)):
            for picture, logits in zip(batch, _logits(variant, batch, device), strict=True):
                yield _labelled(picture, logits, variant.classes)


def read_as(
    variant: Variant,
    image_size: tuple[int, int] | None = None,
    channels: int | None = None,
    interpolation: str | None = None,
) -> Variant:
    """Returns a variant whose preprocessing says all of how its images are read.

    Args:
        variant: The variant; networks that were saved by older versions do not say it.
        image_size: Height and width to use; None is what the variant says.
        channels: 1 or 3, where the variant does not say it.
        interpolation: The filter to use; None is what the variant says.

    Raises:
        VariantError: The variant says other channels, or nobody says channels or size.
    """
    known = variant.preprocessing
    takes = known.channels or _in_channels(variant)
    if channels is not None and takes is not None and channels != takes:
        raise VariantError(f"the network takes {takes} channels: leave out --channels {channels}")
    channels, image_size = takes or channels, image_size or known.image_size
    for name, value, example in (("image_size", image_size, "256 256"), ("channels", channels, "1")):
        if value is None:
            raise VariantError(
                f"the network's folder does not say the {name} that it was trained with, as it was saved by an older "
                f"version: give it, as --{name} {example}"
            )
    if channels not in (1, 3):
        raise VariantError(f"the network takes {channels} channels, and images are read as gray (1) or colour (3)")
    read = dataclasses.replace(
        known, channels=channels, image_size=image_size, interpolation=interpolation or known.interpolation
    )
    return dataclasses.replace(variant, preprocessing=read)


def check_runs(variant: Variant, image_size: tuple[int, int], channels: int) -> None:
    """Runs a network on a black image.

    Args:
        variant: The network.
        image_size: Height and width of the image.
        channels: Its channels.

    Raises:
        VariantError: It does not give one logit map a class, of that size.
        NetworkError: It fails.
    """
    black = torch.zeros(1, *image_size, channels, dtype=torch.uint8)
    doing = f"the network cannot be run on images of {image_size[0]}x{image_size[1]} with {channels} channels"
    with code_of_others(doing, "; give the size that it was trained with by --image_size"), evaluating(variant.network):
        logits = variant.network(variant.preprocessing(black))
    wanted = (1, variant.classes, *image_size)
    if not isinstance(logits, Tensor) or tuple(logits.shape) != wanted:
        given = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise VariantError(f"the network gives {given} for an image, not logits {wanted}: its folder is damaged")


def _in_channels(variant: Variant) -> Any:
    arguments = variant.recipe.arguments if variant.recipe is not None else getattr(variant.network, "arguments", {})
    return arguments.get("in_channels")


@torch.inference_mode()
def _logits(variant: Variant, pictures: list[Readable], device: str | torch.device) -> Tensor:
    images = torch.from_numpy(np.stack([picture.stored for picture in pictures]))
    logits: Tensor = variant.network(variant.preprocessing(images.to(device)))
    for picture, own in zip(pictures, logits, strict=True):
        if not bool(torch.isfinite(own).all()):
            raise FloatingPointError(
                f"the network gives logits that are not finite for {picture.name}: its weights have diverged or "
                "overflowed; use another network"
            )
    return logits


@torch.inference_mode()
def _labelled(picture: Readable, logits: Tensor, classes: int) -> Predicted:
    size, logits = picture.pixels.shape[:2], logits[None].float()
    probabilities = logits.sigmoid() if classes == 1 else logits.softmax(dim=1)
    if size == tuple(logits.shape[2:]):
        labels = predicted_labels(logits, classes)[0]
    else:
        probabilities = F.interpolate(probabilities, size, mode="bilinear", antialias=True)
        labels = (probabilities[0, 0] > 0.5).long() if classes == 1 else probabilities[0].argmax(dim=0)
    shown = probabilities[0].gather(0, labels[None])[0] if classes > 1 else probabilities[0, 0]
    return Predicted(picture.name, picture.pixels, labels.to(torch.uint8).cpu().numpy(), shown.cpu().numpy())
