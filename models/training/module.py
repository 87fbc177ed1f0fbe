"""The LightningModule: training step, validation step, optimiser and schedule of a segmentation network."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from models.evaluation.metrics import Counts, count_pixels, dice, iou, label_count, lesion_pixels, predicted_labels
from models.preprocessing import Preprocessing
from models.training.augmentation import Augmentation, augment
from models.training.losses import Distillation, build_loss
from models.training.options import TrainingError, TrainingOptions, epoch_seed
from models.training.winograd import FastWeightGradients

# Epochs without a lower validation loss after which `plateau` divides the learning rate by ten.
_PLATEAU_PATIENCE = 3

_AUGMENTATIONS = {
    "none": None,
    "flips": Augmentation(degrees=0, scale=0, shift=0, gain=0, offset=0, noise=0),
    "full": Augmentation(),
}

# What the forward pass of a training step runs in.
_WEIGHT_GRADIENTS: dict[str, Callable[[], contextlib.AbstractContextManager]] = {
    "winograd": FastWeightGradients,
    "torch": contextlib.nullcontext,
}


class SegmentationModule(pl.LightningModule):
    """Trains `network` on batches of stored images uint8 (N, H, W, C) and masks uint8 (N, H, W).

    Args:
        network: Maps (N, C, H, W) to logits (N, classes, H, W).
        preprocessing: From stored images to network input.
        options: How to train.
        classes: 1 for foreground against background, else the number of labels.
        steps_per_epoch: Number of training batches an epoch.
        teacher: Network whose predictions for the same images are learned too; needed if `options.distillation` is
            above 0. In evaluation mode and on the same device.
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
        self._weight_gradients = _WEIGHT_GRADIENTS[options.cpu_weight_gradients]
        self._generator = torch.Generator()
        self._train_sum = self._valid_sum = 0.0
        self._train_images = self._valid_images = 0
        self._counts: list[Counts] = []

    def on_train_epoch_start(self) -> None:
        """Seeds dropout and augmentation for this epoch, and resets the sums."""
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
        with self._weight_gradients():
            logits = self.network(images).float()
        loss = self._loss(logits, masks)
        if self._distillation is not None:
            loss = self._distillation(loss, logits, images)
        self.lr = self.trainer.optimizers[0].param_groups[0]["lr"]
        self._train_sum += self._checked(loss, "loss", batch_idx) * len(images)
        self._train_images += len(images)
        return loss * self._weight(batch_idx)

    def on_validation_epoch_start(self) -> None:
        """Resets the sums."""
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
        """Logs the validation means, for the schedule and the progress bar."""
        means = self.epoch_means()
        self.log_dict({name: means[name] for name in ("valid_loss", "valid_dice_lesion")}, prog_bar=True)

    def epoch_means(self) -> dict[str, float]:
        """Returns the means of the epoch over images: fields of `EpochRecord`."""
        counts = Counts.concatenate(self._counts)
        dices, lesion = dice(counts), lesion_pixels(counts) > 0
        of_images = [dices.sum(), iou(counts).sum(), dices[lesion].sum(), lesion.sum()]
        sums = [self._train_sum, self._train_images, self._valid_sum, self._valid_images, *map(float, of_images)]
        total = torch.tensor(sums, dtype=torch.float64)
        if self.options.devices > 1:  # each process has counted only its share of the images
            total = self.trainer.strategy.reduce(total.to(self.device), reduce_op="sum").cpu()
        train_sum, train_images, valid_sum, valid_images, dice_sum, iou_sum, lesion_sum, lesions = total.tolist()
        return {
            "train_loss": train_sum / max(1, train_images),
            "valid_loss": valid_sum / valid_images,
            "valid_dice": dice_sum / valid_images,
            "valid_iou": iou_sum / valid_images,
            "valid_dice_lesion": lesion_sum / lesions if lesions else dice_sum / valid_images,
        }

    def configure_optimizers(self) -> Any:
        """Builds the optimiser and the schedule of the learning rate."""
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
        # Once an epoch, but with the interval `step`: Lightning updates schedules with the interval `epoch` after the
        # checkpoint has been written, and a resumed training would miss that update.
        schedule = {"scheduler": plateau, "interval": "step", "frequency": self.steps_per_epoch}
        return {"optimizer": optimizer, "lr_scheduler": {**schedule, "monitor": "valid_loss"}}

    def _weight(self, batch_idx: int) -> float:
        """Returns the factor of this process's loss; gradients are averaged over processes, not over images."""
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
