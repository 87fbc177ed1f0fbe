"""Batches of stored images: shuffled by seed and epoch, read in one piece, divided among processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from models.evaluation.metrics import label_count
from models.training.options import TrainingOptions, epoch_seed


class LabelledImages(Protocol):
    """A split: images uint8 (N, H, W, C) and masks uint8 (N, H, W), in memory or memory-mapped."""

    @property
    def images(self) -> np.ndarray:
        """Images, uint8 (N, H, W, C)."""

    @property
    def masks(self) -> np.ndarray:
        """Labels, uint8 (N, H, W)."""


class Batches(Sampler[list[int]]):
    """The image indices of each batch, in another order each epoch; Lightning calls `set_epoch`.

    Processes that train together divide every batch among them.

    Args:
        images: Number of images.
        batch_size: Images a step, of all processes together.
        seed: Seed of the order; None keeps the images in their own order.
        rank: Number of this process, from 0.
        processes: Number of processes.
    """

    def __init__(self, images: int, batch_size: int, seed: int | None, rank: int = 0, processes: int = 1) -> None:
        self.images = images
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.processes = processes
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch, which the order of the images depends on."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self._starts())

    def __iter__(self) -> Iterator[list[int]]:
        order = np.arange(self.images)
        if self.seed is not None:
            order = np.random.default_rng(epoch_seed(self.seed, self.epoch, "shuffle")).permutation(self.images)
        for start, end in self._ranges():
            yield np.sort(order[start:end][self.rank :: self.processes]).tolist()  # sorted, as they are stored on disk

    def weight(self, batch: int) -> float:
        """Returns the factor of this process's mean loss with which the mean over processes is the mean over images."""
        start, end = self._ranges()[batch]
        share = len(range(start + self.rank, end, self.processes))
        return share * self.processes / (end - start)

    def _ranges(self) -> list[tuple[int, int]]:
        starts = self._starts()
        return list(zip(starts, [*starts[1:], self.images], strict=True))

    def _starts(self) -> list[int]:
        starts = list(range(0, self.images, self.batch_size))
        # A last batch of one image a process, on which BatchNorm may be unable to train, is merged with the one before.
        min_images = 2 * self.processes if self.batch_size > self.processes else self.processes
        if len(starts) > 1 and self.images - starts[-1] < min_images:
            starts.pop()
        return starts


class _WholeBatches(Dataset[tuple[Tensor, Tensor]]):
    """Reads a whole batch at once: one copy from the memory-mapped file, and no collating."""

    def __init__(self, split: LabelledImages, labels: int) -> None:
        self.split = split
        self.labels = labels

    def __getitem__(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        images, masks = np.array(self.split.images[indices]), np.array(self.split.masks[indices])
        if masks.max() >= self.labels:
            worst = indices[int(masks.max(axis=(1, 2)).argmax())]
            raise ValueError(
                f"the mask of image {worst} holds label {masks.max()}; with {self.labels} labels give 0 to "
                f"{self.labels - 1}"
            )
        return torch.from_numpy(images), torch.from_numpy(masks)


def load_batches(
    name: Literal["train", "valid"], split: LabelledImages, classes: int, options: TrainingOptions, rank: int = 0
) -> DataLoader:
    """Builds a loader of batches (images uint8 (n, H, W, C), masks uint8 (n, H, W)); those of `train` are shuffled."""
    seed = options.seed if name == "train" else None
    return DataLoader(
        _WholeBatches(split, label_count(classes)),
        sampler=Batches(len(split.images), options.batch_size, seed, rank, options.devices),
        batch_size=None,
        num_workers=options.num_workers,
        persistent_workers=options.num_workers > 0,
        generator=torch.Generator(),  # by default it would draw from the global generator, which dropout uses
    )


def check_split(name: Literal["train", "valid"], split: LabelledImages, devices: int) -> None:
    """Checks shapes, types and the number of images of a split.

    Raises:
        ValueError: They do not allow to train on it.
    """
    images, masks = split.images, split.masks
    if images.ndim != 4 or images.shape[:3] != masks.shape or len(images) == 0:
        raise ValueError(
            f"{name}: images have shape {images.shape} and masks {masks.shape}; give (N, H, W, C) and (N, H, W), N > 0"
        )
    if images.dtype != np.uint8 or masks.dtype != np.uint8:
        raise ValueError(f"{name}: images are {images.dtype} and masks {masks.dtype}; give uint8 for both")
    if len(images) < devices:
        raise ValueError(f"{name}: {len(images)} images cannot be shared by {devices} devices; train on fewer devices")
