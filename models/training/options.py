"""How to train, checked; and the seeds of an epoch."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import numpy as np

_ALLOWED = {
    "optimizer": ("adamw", "adam"),
    "schedule": ("one_cycle", "plateau", "constant"),
    "loss": ("dice_ce", "bce"),
    "augment": ("none", "flips", "full"),
    "precision": ("auto", "32", "bf16"),
}


class TrainingError(RuntimeError):
    """Training cannot go on."""


@dataclasses.dataclass(frozen=True)
class TrainingOptions:
    """How to train.

    Attributes:
        epochs: How often each training image is seen.
        batch_size: Images a step.
        lr: Learning rate; with `one_cycle` the highest.
        weight_decay: Decoupled from the gradient with `adamw`, added to it with `adam`.
        optimizer: `adamw` or `adam`.
        schedule: `one_cycle` (a step at a time), `plateau` (a tenth after validation loss stops falling) or `constant`.
        loss: `dice_ce` (soft Dice plus cross entropy) or `bce` (cross entropy alone).
        augment: How training images are changed at random: `none`; `flips`, which keeps axis-aligned boxes what they
            are (flips and quarter turns); or `full`, which adds small affine maps and changes of intensity.
        patience: Epochs without a better validation Dice after which training stops; None to go on.
        precision: `32`, `bf16` (mixed), or `auto`: `bf16` on CUDA devices that have it, else `32`.
        seed: Decides shuffling, augmentation and dropout.
        num_workers: Processes that read data; it does not change the result.
        distillation: Weight of a teacher's predictions in the training loss, from 0 (no teacher) to 1 (masks do not
            count).
        devices: CUDA devices, or processes on the CPU, that share each batch.

    Raises:
        ValueError: A value is not allowed.
    """

    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    optimizer: Literal["adamw", "adam"]
    schedule: Literal["one_cycle", "plateau", "constant"]
    loss: Literal["dice_ce", "bce"]
    augment: Literal["none", "flips", "full"]
    patience: int | None
    precision: Literal["auto", "32", "bf16"]
    seed: int
    num_workers: int
    distillation: float = 0
    devices: int = 1

    def __post_init__(self) -> None:
        for name, values in _ALLOWED.items():
            if getattr(self, name) not in values:
                raise ValueError(f"{name} is {getattr(self, name)!r}; give one of {', '.join(values)}")
        for name, least in (
            ("epochs", 1),
            ("batch_size", 1),
            ("patience", 1),
            ("seed", 0),
            ("num_workers", 0),
            ("devices", 1),
        ):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} is {value}; give an integer of at least {least}")
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise ValueError(f"lr is {self.lr}; give a positive number")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise ValueError(f"weight_decay is {self.weight_decay}; give a number of at least 0")
        if not 0 <= self.distillation <= 1:
            raise ValueError(f"distillation is {self.distillation}; give a number from 0 to 1")
        if self.batch_size < self.devices:
            raise ValueError(f"batch_size is {self.batch_size} and devices {self.devices}; give each an image at least")


def epoch_seed(seed: int, epoch: int, purpose: Literal["shuffle", "augment", "dropout"], rank: int = 0) -> int:
    """Derives an independent seed, so that an epoch is the same whether or not training was resumed before it.

    Of processes that train together, each has its own, by its rank.
    """
    stream = ("shuffle", "augment", "dropout").index(purpose)
    return int(np.random.SeedSequence([seed, epoch, stream, rank]).generate_state(1)[0])
