"""A training of seconds, for the tests that need one."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from models.preprocessing import Preprocessing
from models.training.fit import fit
from models.training.options import TrainingOptions
from models.unet import UNet

PLAIN = Preprocessing(mean=0.3, std=0.3)
OPTIONS = TrainingOptions(
    epochs=4,
    batch_size=4,
    lr=1e-2,
    weight_decay=1e-4,
    optimizer="adamw",
    schedule="one_cycle",
    loss="dice_ce",
    augment="full",
    patience=None,
    precision="32",
    seed=3,
    num_workers=0,
)


@dataclasses.dataclass
class Split:
    images: np.ndarray
    masks: np.ndarray


def make_split(number, seed, labels=2):
    """Bright squares on noise; the label of a square tells its brightness."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 60, (number, 16, 16, 1), dtype=np.uint8)
    masks = np.zeros((number, 16, 16), np.uint8)
    for index in range(number):
        row, column = random.integers(0, 9, 2)
        label = 1 + index % (labels - 1)
        masks[index, row : row + 7, column : column + 7] = label
        images[index, row : row + 7, column : column + 7, 0] += np.uint8(150 // (labels - 1) * label)
    return Split(images, masks)


TRAIN, VALID = make_split(9, 0), make_split(4, 1)


def train(folder, options=OPTIONS, classes=1, train=TRAIN, valid=VALID, device="cpu", **arguments):
    torch.manual_seed(0)
    network = UNet(1, classes, 4, dropout=0.2)
    result = fit(
        network, train, valid, PLAIN, options, classes=classes, checkpoint_dir=folder, device=device, **arguments
    )
    return network, result


def same_weights(first, second):
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


def without_seconds(result):
    return [dataclasses.replace(record, seconds=0.0) for record in result.epochs]
