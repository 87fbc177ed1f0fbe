"""The history of a training: loss, Dice and IoU of every epoch."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class EpochRecord:
    """One epoch of training.

    Attributes:
        epoch: Counted from 1; 0 is the network as it was given, where that was measured.
        train_loss: Mean over the augmented training images; includes the loss against a teacher, if there is one. None
            for epoch 0, which has not trained.
        valid_loss: Mean over the validation images, against their masks alone.
        valid_dice: Dice on the validation split, mean over images.
        valid_iou: Intersection over union on the validation split, mean over images.
        lr: Learning rate of the epoch's last step.
        seconds: Duration of the epoch, validation included.
        valid_dice_lesion: Dice on the validation images that have a lesion, mean over these; on all
            where none has one. None in a record of before it was measured.
    """

    epoch: int
    train_loss: float | None
    valid_loss: float
    valid_dice: float
    valid_iou: float
    lr: float
    seconds: float
    valid_dice_lesion: float | None = None

    @property
    def judged(self) -> float:
        """What epochs are chosen by: Dice on images with a lesion, as finding nothing is right on all others."""
        return self.valid_dice if self.valid_dice_lesion is None else self.valid_dice_lesion


@dataclasses.dataclass(frozen=True)
class History:
    """All epochs of a training, including those before it was resumed.

    Attributes:
        epochs: One record an epoch, that of epoch 0 first if there is one.
    """

    epochs: list[EpochRecord] = dataclasses.field(default_factory=list)

    @property
    def best(self) -> EpochRecord:
        """The epoch with the highest `judged` Dice; among equals, the one with the lowest validation loss.

        Raises:
            ValueError: There are no epochs.
        """
        if not self.epochs:
            raise ValueError("the history holds no epoch; train first")
        return max(self.epochs, key=lambda record: (record.judged, -record.valid_loss))

    @property
    def best_epoch(self) -> int:
        """Number of the best epoch, counted from 1; 0 where training made the network no better."""
        return self.best.epoch

    @property
    def best_valid_dice(self) -> float:
        """Validation Dice of the best epoch."""
        return self.best.valid_dice

    def is_over(self, epochs: int, patience: int | None) -> bool:
        """Whether `epochs` have passed, or `patience` epochs without a better one."""
        done = self.epochs[-1].epoch if self.epochs else 0
        return done >= epochs or (patience is not None and done > 0 and done - self.best_epoch >= patience)

    def to_dict(self) -> dict[str, Any]:
        """Returns the history as JSON-like data."""
        records = [dataclasses.asdict(record) for record in self.epochs]
        if not records:
            return {"epochs": []}
        best = {"best_epoch": self.best_epoch, "best_valid_dice": self.best_valid_dice}
        return {"epochs": records, **best, "best_valid_dice_lesion": self.best.valid_dice_lesion}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> History:
        """Rebuilds a history from `to_dict`."""
        return cls([EpochRecord(**record) for record in data["epochs"]])
