"""The history of a training: loss, Dice and IoU of every epoch."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class EpochRecord:
    """One epoch of training.

    Attributes:
        epoch: Counted from 1.
        train_loss: Mean over the augmented training images; includes the loss against a teacher, if there is one.
        valid_loss: Mean over the validation images, against their masks alone.
        valid_dice: Dice on the validation split, mean over images.
        valid_iou: Intersection over union on the validation split, mean over images.
        lr: Learning rate of the epoch's last step.
        seconds: Duration of the epoch, validation included.
    """

    epoch: int
    train_loss: float
    valid_loss: float
    valid_dice: float
    valid_iou: float
    lr: float
    seconds: float


@dataclasses.dataclass(frozen=True)
class History:
    """All epochs of a training, including those before it was resumed.

    Attributes:
        epochs: One record an epoch.
    """

    epochs: list[EpochRecord] = dataclasses.field(default_factory=list)

    @property
    def best(self) -> EpochRecord:
        """The epoch with the highest validation Dice; among equals, the one with the lowest validation loss.

        Raises:
            ValueError: There are no epochs.
        """
        if not self.epochs:
            raise ValueError("the history holds no epoch; train first")
        return max(self.epochs, key=lambda record: (record.valid_dice, -record.valid_loss))

    @property
    def best_epoch(self) -> int:
        """Number of the best epoch, counted from 1."""
        return self.best.epoch

    @property
    def best_valid_dice(self) -> float:
        """Validation Dice of the best epoch."""
        return self.best.valid_dice

    def is_over(self, epochs: int, patience: int | None) -> bool:
        """Whether `epochs` have passed, or `patience` epochs without a better one."""
        done = len(self.epochs)
        return done >= epochs or (patience is not None and done > 0 and done - self.best_epoch >= patience)

    def to_dict(self) -> dict[str, Any]:
        """Returns the history as JSON-like data."""
        records = [dataclasses.asdict(record) for record in self.epochs]
        best = {"best_epoch": self.best_epoch, "best_valid_dice": self.best_valid_dice} if records else {}
        return {"epochs": records, **best}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> History:
        """Rebuilds a history from `to_dict`."""
        return cls([EpochRecord(**record) for record in data["epochs"]])
