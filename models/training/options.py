"""The options of a training, and the seeds of its epochs."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal, get_args

Optimizer = Literal["adamw", "adam"]
Schedule = Literal["one_cycle", "plateau", "constant"]
Loss = Literal["dice_ce", "bce"]
Augment = Literal["none", "flips", "full"]
Precision = Literal["auto", "32", "bf16"]
WeightGradients = Literal["winograd", "torch"]

_ALLOWED = {
    "optimizer": get_args(Optimizer),
    "schedule": get_args(Schedule),
    "loss": get_args(Loss),
    "augment": get_args(Augment),
    "precision": get_args(Precision),
    "cpu_weight_gradients": get_args(WeightGradients),
}
_MINIMUM = {"epochs": 1, "batch_size": 1, "patience": 1, "seed": 0, "num_workers": 0, "devices": 1}


class TrainingError(RuntimeError):
    """Training cannot start or continue."""


@dataclasses.dataclass(frozen=True)
class TrainingOptions:
    """The options of a training.

    Attributes:
        epochs: Number of passes over the training images.
        batch_size: Images a step, of all devices together.
        lr: Learning rate; with `one_cycle` its maximum.
        weight_decay: Decoupled from the gradient with `adamw`, added to it with `adam`.
        optimizer: `adamw` or `adam`.
        schedule: `one_cycle` (updated every step), `plateau` (divided by ten when the validation loss stops falling) or
            `constant`.
        loss: `dice_ce` (soft Dice plus cross entropy) or `bce` (cross entropy alone).
        augment: Random changes of the training images: `none`; `flips` (and quarter turns, so that axis-aligned boxes
            stay axis-aligned); or `full`, which adds small affine maps and changes of intensity.
        patience: Epochs without a better validation Dice after which training stops; None never stops early.
        precision: `32`, `bf16` (mixed), or `auto`: `bf16` on CUDA devices that support it, else `32`.
        seed: Seed of shuffling, augmentation and dropout.
        num_workers: Processes that read data; does not change the result.
        distillation: Weight of a teacher's predictions in the training loss, from 0 (masks alone) to 1 (teacher alone).
        devices: CUDA devices, or processes on the CPU, that share each batch.
        cpu_weight_gradients: What computes the weight gradients of convolutions on the CPU. `winograd` is several times
            faster, because oneDNN's kernels for AVX2 are slow at it in channels_last layout. It is used for float32,
            kernel 3x3, stride 1, padding 1, at least 32 channels and 512 pixels, and differs from torch by about 1e-5
            of the largest gradient (`models/training/winograd.py`). `torch` uses torch for all of them.
        keep_start: Whether the network as it was given counts as epoch 0, so that it is kept where no epoch is better.

    Raises:
        ValueError: A value is not allowed.
    """

    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    optimizer: Optimizer
    schedule: Schedule
    loss: Loss
    augment: Augment
    patience: int | None
    precision: Precision
    seed: int
    num_workers: int
    distillation: float = 0
    devices: int = 1
    cpu_weight_gradients: WeightGradients = "winograd"
    keep_start: bool = False

    def __post_init__(self) -> None:
        for name, values in _ALLOWED.items():
            if getattr(self, name) not in values:
                raise ValueError(f"{name} is {getattr(self, name)!r}; give one of {', '.join(values)}")
        for name, minimum in _MINIMUM.items():
            value = getattr(self, name)
            if value is not None and value < minimum:
                raise ValueError(f"{name} is {value}; give an integer of at least {minimum}")
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise ValueError(f"lr is {self.lr}; give a positive number")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise ValueError(f"weight_decay is {self.weight_decay}; give a number of at least 0")
        if not 0 <= self.distillation <= 1:
            raise ValueError(f"distillation is {self.distillation}; give a number from 0 to 1")
        if self.batch_size < self.devices:
            raise ValueError(f"batch_size is {self.batch_size} and devices {self.devices}; give each an image at least")


def epoch_seed(seed: int, epoch: int, purpose: Literal["shuffle", "augment", "dropout"], rank: int = 0) -> int:
    """Returns the seed of one epoch and purpose, so that an epoch is the same whether or not training was resumed.

    Processes that train together have different seeds, by their rank.
    """
    stream = ("shuffle", "augment", "dropout").index(purpose)
    import numpy as np  # noqa: PLC0415 - the configuration takes its choices from this module, before anything slow

    return int(np.random.SeedSequence([seed, epoch, stream, rank]).generate_state(1)[0])
