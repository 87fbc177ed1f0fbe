"""One training step and one validation step of a segmentation network, for Lightning."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn

from models.augmentation import Augmentation, augment
from models.convolution import FastWeightGradients
from models.distillation import Distillation
from models.metrics import Counts, count_pixels, dice, iou, label_count, predicted_labels
from models.preprocessing import Preprocessing

# Epochs without a lower validation loss after which `plateau` divides the learning rate by ten.
_PLATEAU_PATIENCE = 3

_ALLOWED = {
    "optimizer": ("adamw", "adam"),
    "schedule": ("one_cycle", "plateau", "constant"),
    "loss": ("dice_ce", "bce"),
    "augment": ("none", "flips", "full"),
    "precision": ("auto", "32", "bf16"),
}
_AUGMENTATIONS = {
    "none": None,
    "flips": Augmentation(degrees=0, scale=0, shift=0, gain=0, offset=0, noise=0),
    "full": Augmentation(),
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


class SegmentationModule(pl.LightningModule):
    """Trains `network` on batches of stored images: uint8 (N, H, W, C) with masks uint8 (N, H, W).

    Args:
        network: Maps (N, C, H, W) to logits (N, classes, H, W).
        preprocessing: From stored images to network input.
        options: How to train.
        classes: 1 for foreground against background, else the number of labels.
        steps_per_epoch: Number of training batches an epoch.
        teacher: Whose predictions on the same images are learned, in evaluation mode on the same device; wanted where
            `options.distillation` is above 0.
    """

    def __init__(
        self,
        network: nn.Module,
        preprocessing: Preprocessing,
        options: TrainingOptions,
        classes: int,
        steps_per_epoch: int,
        teacher: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.preprocessing = preprocessing
        self.options = options
        self.classes = classes
        self.steps_per_epoch = steps_per_epoch
        self.lr = options.lr
        self._loss = build_loss(options.loss, classes)
        self._distillation = None if teacher is None else Distillation(teacher, options.distillation)
        self._augmentation = _AUGMENTATIONS[options.augment]
        self._generator = torch.Generator()
        self._train_sum = self._valid_sum = 0.0
        self._train_images = self._valid_images = 0
        self._counts: list[Counts] = []

    def on_train_epoch_start(self) -> None:
        """Seeds all that is random in this epoch."""
        seed, epoch, rank = self.options.seed, self.current_epoch, self.global_rank
        torch.manual_seed(epoch_seed(seed, epoch, "dropout", rank))
        self._generator = torch.Generator(self.device).manual_seed(epoch_seed(seed, epoch, "augment", rank))
        self._train_sum, self._train_images = 0.0, 0

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Returns the loss of one batch.

        Raises:
            TrainingError: The loss is not finite.
        """
        images, masks = self.preprocessing(batch[0]), batch[1].long()
        if self._augmentation is not None:
            images, masks = augment(images, masks, self._generator, self._augmentation)
        with FastWeightGradients():
            logits = self.network(images).float()
        loss = self._loss(logits, masks)
        if self._distillation is not None:
            loss = self._distillation(loss, logits, images)
        self.lr = self.trainer.optimizers[0].param_groups[0]["lr"]
        self._train_sum += self._checked(loss, "loss", batch_idx) * len(images)
        self._train_images += len(images)
        return loss * self._weight(batch_idx)

    def on_validation_epoch_start(self) -> None:
        """Starts counting."""
        self._valid_sum, self._valid_images = 0.0, 0
        self._counts = []

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Counts the pixels of one batch.

        Raises:
            TrainingError: The loss is not finite.
        """
        masks = batch[1].long()
        logits = self.network(self.preprocessing(batch[0])).float()
        loss = self._checked(self._loss(logits, masks), "validation loss", batch_idx)
        self._valid_sum += loss * len(masks)
        self._valid_images += len(masks)
        self._counts.append(count_pixels(predicted_labels(logits, self.classes), masks, label_count(self.classes)))

    def on_validation_epoch_end(self) -> None:
        """Hands the validation means to the schedule and the progress bar."""
        means = self.epoch_means()
        self.log_dict({name: means[name] for name in ("valid_loss", "valid_dice")}, prog_bar=True)

    def epoch_means(self) -> dict[str, float]:
        """The means of the epoch: `train_loss`, `valid_loss`, `valid_dice`, `valid_iou`."""
        counts = Counts.concatenate(self._counts)
        sums = [self._train_sum, self._train_images, self._valid_sum, self._valid_images]
        total = torch.tensor([*sums, float(dice(counts).sum()), float(iou(counts).sum())], dtype=torch.float64)
        if self.options.devices > 1:  # each process has counted its share of the images
            total = self.trainer.strategy.reduce(total.to(self.device), reduce_op="sum").cpu()
        train_sum, train_images, valid_sum, valid_images, dice_sum, iou_sum = total.tolist()
        return {
            "train_loss": train_sum / max(1, train_images),
            "valid_loss": valid_sum / valid_images,
            "valid_dice": dice_sum / valid_images,
            "valid_iou": iou_sum / valid_images,
        }

    def configure_optimizers(self) -> Any:
        """Builds optimiser and schedule."""
        options = self.options
        kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[options.optimizer]
        optimizer = kind(self.network.parameters(), lr=options.lr, weight_decay=options.weight_decay)
        if options.schedule == "constant":
            return optimizer
        if options.schedule == "one_cycle":
            steps = options.epochs * self.steps_per_epoch
            cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=options.lr, total_steps=steps)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=_PLATEAU_PATIENCE)
        # By steps, though once an epoch: Lightning steps those after validation and before the checkpoint is written,
        # and the ones by epoch after it, so that a resumed training would miss one.
        schedule = {"scheduler": plateau, "interval": "step", "frequency": self.steps_per_epoch}
        return {"optimizer": optimizer, "lr_scheduler": {**schedule, "monitor": "valid_loss"}}

    def _weight(self, batch_idx: int) -> float:
        """What the loss of this process's share counts, as gradients are averaged over processes and not images."""
        if self.options.devices == 1:
            return 1.0
        loader: Any = self.trainer.train_dataloader
        return loader.sampler.weight(batch_idx)

    def _checked(self, loss: Tensor, name: str, batch_idx: int) -> float:
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"the {name} is {value} in epoch {self.current_epoch + 1}, batch {batch_idx + 1}; "
                f"train with a lower lr than {self.options.lr}, or with precision 32"
            )
        return value


class _Loss(nn.Module):
    """A loss of logits (N, classes, H, W) against labels (N, H, W), in the shapes it wants."""

    def __init__(self, loss: nn.Module, classes: int, channel: bool) -> None:
        super().__init__()
        self.loss = loss
        self.binary = classes == 1
        self.channel = channel

    def forward(self, logits: Tensor, masks: Tensor) -> Tensor:
        """Returns the loss, a scalar."""
        target = masks.unsqueeze(1) if self.binary or self.channel else masks
        return self.loss(logits, target.to(logits.dtype) if self.binary else target)


def build_loss(name: Literal["dice_ce", "bce"], classes: int) -> nn.Module:
    """Builds the loss of logits (N, classes, H, W) against labels int64 (N, H, W).

    Raises:
        ImportError: `dice_ce` without MONAI.
    """
    if name == "bce":
        return _Loss(nn.BCEWithLogitsLoss() if classes == 1 else nn.CrossEntropyLoss(), classes, channel=False)
    try:
        from monai.losses import DiceCELoss  # noqa: PLC0415 - compression and evaluation do without MONAI
    except ImportError as error:
        raise ImportError("loss dice_ce needs MONAI: `pip install monai`, or train with loss bce") from error
    if classes == 1:
        return _Loss(DiceCELoss(sigmoid=True), classes, channel=True)
    # Over the whole batch, since most images lack most labels, and Dice says little of a label that is absent.
    return _Loss(DiceCELoss(softmax=True, to_onehot_y=True, batch=True), classes, channel=True)
