"""Random changes of training images and their masks, for a whole batch at once on its device."""

from __future__ import annotations

import dataclasses
import math

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """The largest changes; the change of each image is drawn at random.

    Attributes:
        flips: Mirror left-right and upside-down, each with probability 1/2.
        quarter_turns: Rotate square images by a multiple of 90 degrees.
        degrees: Largest further rotation, in both directions.
        scale: Largest relative change of size, in both directions: 0.1 draws from [0.9, 1.1].
        shift: Largest shift along each axis, in both directions, as a share of the side.
        gain: Largest relative change of contrast, in both directions.
        offset: Largest change of brightness, in both directions, in units of the input's standard deviation.
        noise: Largest standard deviation of the added noise, in the same units.
    """

    flips: bool = True
    quarter_turns: bool = True
    degrees: float = 5.0
    scale: float = 0.1
    shift: float = 0.05
    gain: float = 0.1
    offset: float = 0.1
    noise: float = 0.05


def augment(
    images: Tensor, masks: Tensor, generator: torch.Generator, augmentation: Augmentation
) -> tuple[Tensor, Tensor]:
    """Changes each image at random, and its mask with it.

    All geometric changes of an image are combined in one affine map, so each pixel is interpolated once. Pixels from
    outside the image repeat its border.

    Args:
        images: float (N, C, H, W), normalised.
        masks: Integer labels (N, H, W); interpolated by nearest neighbour, so that they stay labels.
        generator: Source of all random numbers; fastest on the device of the images.
        augmentation: The largest changes.

    Returns:
        New images and masks, with the shapes, types and memory layout of the given ones.

    Raises:
        ValueError: The shapes of images and masks do not match.
    """
    if images.ndim != 4 or masks.shape != (len(images), *images.shape[2:]):
        shapes = f"{tuple(images.shape)} and {tuple(masks.shape)}"
        raise ValueError(f"images and masks have shapes {shapes}; give (N, C, H, W) and (N, H, W)")
    theta = _affine_maps(images, generator, augmentation)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    labels = masks.unsqueeze(1).to(images.dtype)
    moved_labels = F.grid_sample(labels, grid, mode="nearest", padding_mode="border", align_corners=False)
    changed = _change_intensity(moved, generator, augmentation)
    layout = torch.channels_last if images.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
    return changed.contiguous(memory_format=layout), moved_labels[:, 0].to(masks.dtype)


def _affine_maps(images: Tensor, generator: torch.Generator, augmentation: Augmentation) -> Tensor:
    """Draws one affine map (2, 3) an image, from output to input positions, in the [-1, 1] coordinates of torch."""
    number, _, height, width = images.shape
    angle = _uniform(number, augmentation.degrees, images, generator) * (math.pi / 180)
    if augmentation.quarter_turns and height == width:  # other shapes allow a half turn alone, which is two flips
        turns = torch.randint(4, (number,), generator=generator, device=generator.device)
        angle = angle + turns.to(images) * (math.pi / 2)
    zoom = 1 + _uniform(number, augmentation.scale, images, generator)
    mirror = torch.ones(2, number, dtype=images.dtype, device=images.device)
    if augmentation.flips:
        mirror = 1 - 2 * torch.randint(2, (2, number), generator=generator, device=generator.device).to(images)
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    # Coordinates run from -1 to 1 along both axes, so a rotation must take the image's aspect ratio into account.
    aspect = height / width
    rows = [
        torch.stack(
            [mirror[0] * cos, -mirror[0] * sin * aspect, 2 * _uniform(number, augmentation.shift, images, generator)]
        ),
        torch.stack(
            [mirror[1] * sin / aspect, mirror[1] * cos, 2 * _uniform(number, augmentation.shift, images, generator)]
        ),
    ]
    return torch.stack(rows).permute(2, 0, 1)


def _change_intensity(images: Tensor, generator: torch.Generator, augmentation: Augmentation) -> Tensor:
    shape = (len(images), 1, 1, 1)
    gain = 1 + _uniform(len(images), augmentation.gain, images, generator).view(shape)
    offset = _uniform(len(images), augmentation.offset, images, generator).view(shape)
    changed = images * gain + offset
    if augmentation.noise == 0:
        return changed
    deviation = _uniform(len(images), augmentation.noise, images, generator).view(shape)
    noise = torch.randn(images.shape, generator=generator, device=generator.device).to(images)
    return changed + noise * deviation


def _uniform(number: int, limit: float, like: Tensor, generator: torch.Generator) -> Tensor:
    """Draws `number` values from [-limit, limit], with type and device of `like`."""
    draw = torch.rand(number, generator=generator, device=generator.device)
    return (2 * draw - 1).to(like) * limit
