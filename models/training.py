"""Trains a segmentation network; a training that was interrupted goes on as if nothing had happened."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import shutil
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Protocol

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.utilities.warnings import PossibleUserWarning
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler

from models.distillation import check_teacher, teaching
from models.history import LAST_CHECKPOINT, AtomicCheckpointIO, EpochRecord, History, Recorder
from models.lightning_module import SegmentationModule, TrainingError, TrainingOptions, epoch_seed
from models.metrics import label_count
from models.preprocessing import Preprocessing

__all__ = ["EpochRecord", "History", "LabelledImages", "TrainingError", "TrainingOptions", "fit"]


class LabelledImages(Protocol):
    """A split: images uint8 (N, H, W, C) and masks uint8 (N, H, W), in memory or memory-mapped."""

    @property
    def images(self) -> np.ndarray:
        """Images, uint8 (N, H, W, C)."""

    @property
    def masks(self) -> np.ndarray:
        """Labels, uint8 (N, H, W)."""


def fit(  # noqa: PLR0913 - data, how to train, and where, each in one argument
    network: nn.Module,
    train: LabelledImages,
    valid: LabelledImages,
    preprocessing: Preprocessing,
    options: TrainingOptions,
    *,
    classes: int,
    checkpoint_dir: Path,
    device: str,
    resume: bool = True,
    teacher: nn.Module | None = None,
) -> History:
    """Trains a network in place, and leaves it with the weights of the epoch of the best validation Dice.

    One seed decides everything, and each epoch's randomness depends on seed and epoch alone, so that on the CPU a
    resumed training gives the same weights as one that was never interrupted.

    Args:
        network: Maps (N, C, H, W) to logits (N, classes, H, W). Given back on the CPU, in the mode it had.
        train: Images to train on.
        valid: Images to choose the epoch by.
        preprocessing: From stored images to network input.
        options: How to train.
        classes: 1 for foreground against background, else the number of labels.
        checkpoint_dir: Folder for `last.ckpt`, written after every epoch; nothing else is written. Its name should
            depend on data and teacher, since a checkpoint knows of the images only their number and size.
        device: `cpu`, `cuda` or `cuda:1`.
        resume: Go on from the checkpoint, if there is one. Otherwise the folder is removed first.
        teacher: Whose predictions are learned where `options.distillation` is above 0. Given back as it was.

    Raises:
        ValueError: The images cannot be trained on as they are, or teacher and distillation do not go together.
        TrainingError: The loss is not finite, or the checkpoint belongs to another training. Of the former, the best
            network until then is kept in `checkpoint_dir`.
    """
    check_teacher(network, teacher, options.distillation)
    batches = _loader("train", train, classes, options), _loader("valid", valid, classes, options)
    if not resume and checkpoint_dir.exists():
        shutil.rmtree(checkpoint_dir)
    identity = _identity(train, valid, preprocessing, options, classes)
    recorder = Recorder(checkpoint_dir / LAST_CHECKPOINT, identity, options.patience)
    if recorder.path.exists():
        recorder.read_checkpoint()
    if not recorder.history.is_over(options.epochs, options.patience):
        module = SegmentationModule(network, preprocessing, options, classes, len(batches[0]), teacher)
        try:
            with _quiet(), _randomness(device), _training(network), teaching(teacher, device):
                _run(_trainer(options, recorder, device), module, batches, recorder.path)
        except TrainingError as error:
            raise TrainingError(f"{error}; {recorder.keep_best()}") from error
    network.load_state_dict(recorder.best_weights)
    return recorder.history


def _run(
    trainer: pl.Trainer, module: SegmentationModule, batches: tuple[DataLoader, DataLoader], checkpoint: Path
) -> None:
    """Trains from the checkpoint on, if there is one."""
    start = checkpoint if checkpoint.exists() else None
    try:
        trainer.fit(module, *batches, ckpt_path=start, weights_only=True)
    except SystemExit as stop:  # what Lightning makes of an interrupt
        raise KeyboardInterrupt from stop


def _trainer(options: TrainingOptions, recorder: Recorder, device: str) -> pl.Trainer:
    where = torch.device(device)
    cuda = where.type == "cuda"
    callbacks: list[pl.Callback] = [recorder]
    if sys.stderr.isatty():
        callbacks.append(RichProgressBar(leave=True, console_kwargs={"stderr": True}))
    bf16 = options.precision == "bf16" or (options.precision == "auto" and cuda and torch.cuda.is_bf16_supported())
    return pl.Trainer(
        accelerator="gpu" if cuda else where.type,
        devices=[where.index or 0] if cuda else 1,
        precision="bf16-mixed" if bf16 else "32-true",
        max_epochs=options.epochs,
        callbacks=callbacks,
        plugins=[AtomicCheckpointIO()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=len(callbacks) > 1,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        default_root_dir=recorder.path.parent,
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences what Lightning says of hardware, workers and its own services; errors still show."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PossibleUserWarning)
        warnings.filterwarnings("ignore", module=r"lightning\.", category=FutureWarning)
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextlib.contextmanager
def _randomness(device: str) -> Iterator[None]:
    """Gives torch's global generators back as they were, since dropout draws from them."""
    where = torch.device(device)
    with torch.random.fork_rng(devices=[where.index or 0] if where.type == "cuda" else []):
        yield


@contextlib.contextmanager
def _training(network: nn.Module) -> Iterator[None]:
    """Puts a network in training mode and channels_last layout; restores every module's mode and the usual layout."""
    modes = {module: module.training for module in network.modules()}
    network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        network.to("cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]


class _Batches(Sampler[list[int]]):
    """The indices of each batch, shuffled anew each epoch; Lightning calls `set_epoch`."""

    def __init__(self, images: int, batch_size: int, seed: int | None) -> None:
        self.images = images
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self._starts())

    def __iter__(self) -> Iterator[list[int]]:
        order = np.arange(self.images)
        if self.seed is not None:
            order = np.random.default_rng(epoch_seed(self.seed, self.epoch, "shuffle")).permutation(self.images)
        starts = self._starts()
        for start, end in zip(starts, [*starts[1:], self.images], strict=True):
            yield np.sort(order[start:end]).tolist()  # in the order they lie on disk

    def _starts(self) -> list[int]:
        starts = list(range(0, self.images, self.batch_size))
        # A last batch of one image, on which BatchNorm may be unable to train, joins the one before it.
        if self.batch_size > 1 and len(starts) > 1 and self.images - starts[-1] == 1:
            starts.pop()
        return starts


class _WholeBatches(Dataset[tuple[Tensor, Tensor]]):
    """Reads a whole batch at once: one copy out of the mapped file, no collating."""

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


def _loader(
    name: Literal["train", "valid"], split: LabelledImages, classes: int, options: TrainingOptions
) -> DataLoader:
    _check_split(name, split)
    sampler = _Batches(len(split.images), options.batch_size, options.seed if name == "train" else None)
    return DataLoader(
        _WholeBatches(split, label_count(classes)),
        sampler=sampler,
        batch_size=None,
        num_workers=options.num_workers,
        persistent_workers=options.num_workers > 0,
        generator=torch.Generator(),  # its own, or every iterator would draw from the one dropout uses
    )


def _check_split(name: str, split: LabelledImages) -> None:
    images, masks = split.images, split.masks
    if images.ndim != 4 or images.shape[:3] != masks.shape or len(images) == 0:
        raise ValueError(
            f"{name}: images have shape {images.shape} and masks {masks.shape}; give (N, H, W, C) and (N, H, W), N > 0"
        )
    if images.dtype != np.uint8 or masks.dtype != np.uint8:
        raise ValueError(f"{name}: images are {images.dtype} and masks {masks.dtype}; give uint8 for both")


def _identity(
    train: LabelledImages, valid: LabelledImages, preprocessing: Preprocessing, options: TrainingOptions, classes: int
) -> dict[str, Any]:
    """What must be equal for a training to be resumed, as plain data."""
    settings = dataclasses.asdict(options)
    del settings["num_workers"]
    return {
        **settings,
        "classes": classes,
        "mean": preprocessing.mean,
        "std": preprocessing.std,
        "train shape": list(train.images.shape),
        "valid shape": list(valid.images.shape),
    }
