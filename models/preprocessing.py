"""From stored images to network input."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

_WHITE = 255.0


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """Normalises images: (x / 255 - mean) / std. Also says how they were read, for whoever uses the network.

    Attributes:
        mean: Mean intensity of the training images, in [0, 1] units.
        std: Their standard deviation, in the same units.
        channels: 1 where images are read as gray, 3 as red, green, blue; None where it is not known.
        image_size: Height and width that images are resized to; None where it is not known.
        interpolation: How they are resized, one of `dataset.options.Interpolation`.

    Raises:
        ValueError: A value is not finite, or `std` is not positive.
    """

    mean: float
    std: float
    channels: int | None = None
    image_size: tuple[int, int] | None = None
    interpolation: str = "area"

    @classmethod
    def of_saved(cls, fields: Mapping[str, Any]) -> Preprocessing:
        """Returns what `dataclasses.asdict` made of one, read from JSON; fields that older files lack have defaults."""
        size = fields.get("image_size")
        return cls(**{**fields, "image_size": size and tuple(size)})

    def __post_init__(self) -> None:
        if not math.isfinite(self.mean):
            raise ValueError(f"mean is {self.mean}; give a finite number, in units where white is 1")
        if not (math.isfinite(self.std) and self.std > 0):
            raise ValueError(f"std is {self.std}; give a positive number (images of one single value have none)")

    def __call__(self, images: Tensor | np.ndarray) -> Tensor:
        """Maps uint8 images (N, H, W, C) to float32 (N, C, H, W) in channels_last layout, on the same device.

        Raises:
            ValueError: The images are not uint8, or not of four dimensions.
        """
        # A copy of an array, since torch warns of memory-mapped ones that it must not write.
        batch = torch.from_numpy(np.array(images)) if isinstance(images, np.ndarray) else images
        if batch.dtype != torch.uint8 or batch.ndim != 4:
            raise ValueError(f"images are {batch.dtype} of shape {tuple(batch.shape)}; give uint8 (N, H, W, C)")
        scale, shift = 1.0 / (_WHITE * self.std), -self.mean / self.std
        # (N, H, W, C) in memory is (N, C, H, W) in channels_last: the permutation moves nothing.
        values = batch.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.channels_last)
        return values.mul_(scale).add_(shift)


class ImageBatches(Sequence[Tensor]):
    """Stored images as network inputs, read batch by batch.

    Args:
        images: uint8 (N, H, W, C), memory-mapped or not.
        chosen: Indices of the images to use.
        preprocessing: From stored images to network input.
        batch_size: Images a batch. Sizes differ by one at most.
        min_batch: Images of the smallest batch, where there are so many; batches grow beyond `batch_size` for it.
            BatchNorm needs two to have a variance where a map is one pixel.

    Raises:
        ValueError: A size is not positive.
    """

    def __init__(
        self,
        images: np.ndarray,
        chosen: np.ndarray,
        preprocessing: Preprocessing,
        batch_size: int,
        *,
        min_batch: int = 1,
    ) -> None:
        for name, value in (("batch_size", batch_size), ("min_batch", min_batch)):
            if value < 1:
                raise ValueError(f"{name} is {value}; give an integer of at least 1")
        self._images, self._preprocessing = images, preprocessing
        number = min(-(-len(chosen) // batch_size), max(1, len(chosen) // min_batch))
        self._parts = np.array_split(chosen, number) if len(chosen) else []

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, index: Any) -> Any:
        return self._preprocessing(torch.from_numpy(np.array(self._images[self._parts[index]])))
