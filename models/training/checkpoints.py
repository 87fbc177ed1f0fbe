"""The checkpoint file, which is written after every epoch and from which a training is resumed."""

from __future__ import annotations

import dataclasses
import io
import logging
import pickle
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from safetensors.torch import save
from torch import Tensor

from models.training.history import EpochRecord, History
from models.training.module import SegmentationModule
from models.training.options import TrainingError, TrainingOptions
from torch_lowrank.whole_files import write_whole

LAST_CHECKPOINT = "last.ckpt"
BEST_WEIGHTS = "best.safetensors"
# What a checkpoint of an earlier version is taken to say of the options that were added since.
_DEFAULTS = {
    field.name: field.default
    for field in dataclasses.fields(TrainingOptions)
    if field.default is not dataclasses.MISSING
}

_log = logging.getLogger(__name__)


class Recorder(pl.Callback):
    """Collects the history and the best weights, and writes the checkpoint after every epoch.

    History and best weights are stored in the checkpoint itself, so that this single file is always consistent.

    Args:
        path: The checkpoint file.
        identity: Settings that must be equal to resume from a checkpoint, as plain data.
        patience: Epochs without a better one after which training stops, or None.
    """

    def __init__(self, path: Path, identity: dict[str, Any], patience: int | None) -> None:
        self.path = path
        self.identity = identity
        self.patience = patience
        self.history = History()
        self.best_weights: dict[str, Tensor] = {}
        self._start = 0.0

    def state_dict(self) -> dict[str, Any]:
        """Returns the state of this object that is stored in the checkpoint."""
        return {
            "identity": self.identity,
            "history": self.history.to_dict(),
            "best_weights": self.best_weights,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores a state that `state_dict` has returned."""
        self.history = History.from_dict(state_dict["history"])
        self.best_weights = state_dict["best_weights"]

    def read_checkpoint(self) -> None:
        """Reads history and best weights from the checkpoint file.

        Raises:
            TrainingError: The file cannot be read, or was written by another training.
        """
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)["callbacks"][self.state_key]
        except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError) as error:
            raise TrainingError(
                f"{self.path} cannot be read as a checkpoint ({type(error).__name__}); "
                "delete that folder, or train without resuming"
            ) from error
        left = _DEFAULTS | state["identity"]
        for key, value in self.identity.items():
            if left.get(key) != value:
                raise TrainingError(
                    f"{self.path} was left by a training with {key} = {left.get(key)}, and this one has {value}; "
                    "delete that folder, or train without resuming"
                )
        self.load_state_dict(state)

    def keep_best(self) -> str:
        """Writes the best weights of a failed training beside the checkpoint; returns a sentence about the file."""
        if not self.history.epochs:
            return "no epoch was finished before"
        file = self.path.with_name(BEST_WEIGHTS)
        write_whole(file, save({key: weight.contiguous() for key, weight in self.best_weights.items()}))
        return f"the best network until then, of epoch {self.history.best_epoch}, is {file}"

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts to measure the time of the epoch."""
        self._start = time.perf_counter()

    def on_sanity_check_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts to measure the time of what counts as epoch 0."""
        self._start = time.perf_counter()

    def on_sanity_check_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Records the network as it was given, which Lightning has validated."""
        module, seconds = _checked(pl_module), time.perf_counter() - self._start
        means = module.epoch_means() | {"train_loss": None}
        self._keep(EpochRecord(epoch=0, lr=0.0, seconds=seconds, **means), module)  # type: ignore[arg-type]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Records the epoch, keeps its weights if they are the best so far, and writes the checkpoint."""
        module = _checked(pl_module)
        seconds = time.perf_counter() - self._start
        record = EpochRecord(epoch=trainer.current_epoch + 1, lr=module.lr, seconds=seconds, **module.epoch_means())
        self._keep(record, module)
        trainer.save_checkpoint(self.path)
        if trainer.is_global_zero and not sys.stderr.isatty():
            _log.info(
                "epoch %d/%s: train loss %.4f, valid loss %.4f, valid Dice on lesions %.4f, lr %.2e, %.1f s",
                record.epoch,
                trainer.max_epochs,
                record.train_loss,
                record.valid_loss,
                record.judged,
                record.lr,
                record.seconds,
            )
        if self.history.is_over(trainer.max_epochs or 0, self.patience):
            trainer.should_stop = True

    def _keep(self, record: EpochRecord, module: SegmentationModule) -> None:
        """Adds a record, and keeps the weights if they are the best so far."""
        self.history.epochs.append(record)
        if self.history.best is record:
            weights = module.network.state_dict()
            self.best_weights = {key: value.detach().cpu().clone() for key, value in weights.items()}


def _checked(module: pl.LightningModule) -> SegmentationModule:
    if not isinstance(module, SegmentationModule):
        raise TypeError(f"Recorder records a SegmentationModule, not a {type(module).__name__}")
    return module


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints whole or not at all.

    Lightning writes to the system's folder for temporary files and moves the file from there. On another disk that is a
    copy, which may be interrupted.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Writes a temporary file in the same folder, then renames it."""
        content = io.BytesIO()  # when torch writes a file itself, its error hides the reason
        torch.save(checkpoint, content)
        write_whole(Path(path), content.getbuffer())

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Callable | None = lambda storage, _: storage,
        weights_only: bool | None = True,
    ) -> dict[str, Any]:
        """Loads tensors and plain data; other objects are refused."""
        return torch.load(path, map_location=map_location, weights_only=True)
