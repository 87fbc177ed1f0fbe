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
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities.warnings import PossibleUserWarning
from torch import nn
from torch.utils.data import DataLoader

from models.preprocessing import Preprocessing
from models.training.batches import LabelledImages, check_split, load_batches
from models.training.checkpoints import LAST_CHECKPOINT, AtomicCheckpointIO, Recorder
from models.training.history import History
from models.training.losses import check_teacher, teaching
from models.training.module import SegmentationModule
from models.training.multiprocess import ProcessLostError, check_devices, run_together
from models.training.options import TrainingError, TrainingOptions


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
        device: `cpu`, `cuda` or `cuda:1`; with several `options.devices`, `cpu` for as many processes, or `cuda`.
        resume: Go on from the checkpoint, if there is one. Otherwise the folder is removed first.
        teacher: Whose predictions are learned where `options.distillation` is above 0. Given back as it was.

    Raises:
        ValueError: The images cannot be trained on as they are, or teacher and distillation do not go together.
        TrainingError: The loss is not finite, the checkpoint belongs to another training, or one of several processes
            was killed. Of the first, the best network until then is kept in `checkpoint_dir`.
    """
    check_teacher(network, teacher, options.distillation)
    check_split("train", train, options.devices)
    check_split("valid", valid, options.devices)
    check_devices(device, options.devices)
    if not resume and checkpoint_dir.exists():
        shutil.rmtree(checkpoint_dir)
    identity = _identity(train, valid, preprocessing, options, classes)
    recorder = Recorder(checkpoint_dir / LAST_CHECKPOINT, identity, options.patience)
    if recorder.path.exists():
        recorder.read_checkpoint()
    if not recorder.history.is_over(options.epochs, options.patience):
        job = _Job(network, (train, valid), preprocessing, options, classes, recorder, device, teacher)
        try:
            _train_together(job) if options.devices > 1 else _train(job)
        except ProcessLostError:
            raise
        except TrainingError as error:
            raise TrainingError(f"{error}; {recorder.keep_best()}") from error
    network.load_state_dict(recorder.best_weights)
    return recorder.history


@dataclasses.dataclass(frozen=True)
class _Job:
    """A training, as one process hands it to others."""

    network: nn.Module
    splits: tuple[LabelledImages, LabelledImages]
    preprocessing: Preprocessing
    options: TrainingOptions
    classes: int
    recorder: Recorder
    device: str
    teacher: nn.Module | None


def _train_together(job: _Job) -> None:
    """Trains in several processes; what they leave is the checkpoint."""
    try:
        run_together(_train, job, job.options.devices)
    finally:
        if job.recorder.path.exists():
            job.recorder.read_checkpoint()


def _train(job: _Job, rank: int = 0) -> None:
    """Trains in this process, which is one of `options.devices`."""
    options, recorder = job.options, job.recorder
    device = f"{job.device}:{rank}" if options.devices > 1 and job.device == "cuda" else job.device
    train = load_batches("train", job.splits[0], job.classes, options, rank)
    valid = load_batches("valid", job.splits[1], job.classes, options, rank)
    module = SegmentationModule(job.network, job.preprocessing, options, job.classes, len(train), job.teacher)
    with _quiet(), _randomness(device), _training(job.network), teaching(job.teacher, device):
        _run(_trainer(options, recorder, device), module, (train, valid), recorder.path)


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
    cuda, together = where.type == "cuda", options.devices > 1
    callbacks: list[pl.Callback] = [recorder]
    if sys.stderr.isatty():  # of several processes, Lightning lets the first alone show it
        callbacks.append(RichProgressBar(leave=True, console_kwargs={"stderr": True}))
    bf16 = options.precision == "bf16" or (options.precision == "auto" and cuda and torch.cuda.is_bf16_supported())
    return pl.Trainer(
        accelerator="gpu" if cuda else where.type,
        devices=options.devices if together else [where.index or 0] if cuda else 1,
        strategy=DDPStrategy(process_group_backend="nccl" if cuda else "gloo") if together else "auto",
        sync_batchnorm=together and cuda,  # torch has it for CUDA alone; on the CPU each process normalises its share
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
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
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
