"""Trains a segmentation network, and resumes a training that was interrupted."""

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
from models.training.losses import check_teacher, teacher_ready
from models.training.module import SegmentationModule
from models.training.multiprocess import ProcessLostError, check_devices, run_together
from models.training.options import TrainingError, TrainingOptions
from models.training.time_left import TimeLeft
from torch_lowrank.quantization.training import round_while_training


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
    """Trains a network in place; it ends with the weights of the best epoch, see `History.best`.

    All random numbers of an epoch depend on seed and epoch alone. So a resumed training ends with the same weights as
    one that was not interrupted, on the CPU.

    Args:
        network: Maps (N, C, H, W) to logits (N, classes, H, W). It ends on the CPU, in the mode and bits it had before.
        train: Images to train on.
        valid: Images on which the best epoch is chosen.
        preprocessing: Turns stored images into network input.
        options: The options of the training.
        classes: 1 for foreground against background, else the number of labels.
        checkpoint_dir: Folder of `last.ckpt`, the only file written, after every epoch. Data and teacher should have a
            folder of their own, because the checkpoint records only the number and the size of the images.
        device: `cpu`, `cuda` or `cuda:1`; with several `options.devices`, `cpu` for as many processes, or `cuda`.
        resume: Continue from the checkpoint, if there is one; if False, the folder is removed first.
        teacher: Network whose predictions are learned too, if `options.distillation` is above 0. It is not changed.

    Raises:
        ValueError: Images, devices, teacher and options do not fit together.
        TrainingError: The loss is not finite, the checkpoint belongs to another training, or one of several processes
            was killed. If the loss is not finite, the best weights until then are written to `checkpoint_dir`.
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
        _run_job(_Job(network, (train, valid), preprocessing, options, classes, recorder, device, teacher))
    with round_while_training(network):
        network.load_state_dict(recorder.best_weights)
    return recorder.history


@dataclasses.dataclass(frozen=True)
class _Job:
    """All that a process needs to train, so that it can be passed to other processes."""

    network: nn.Module
    splits: tuple[LabelledImages, LabelledImages]
    preprocessing: Preprocessing
    options: TrainingOptions
    classes: int
    recorder: Recorder
    device: str
    teacher: nn.Module | None


def _run_job(job: _Job) -> None:
    """Trains in this process or in several; if training fails, keeps the best weights until then."""
    try:
        _train_together(job) if job.options.devices > 1 else _train(job)
    except ProcessLostError:  # the same command continues from the checkpoint
        raise
    except TrainingError as error:
        raise TrainingError(f"{error}; {job.recorder.keep_best()}") from error


def _train_together(job: _Job) -> None:
    """Trains in several processes, whose result is the checkpoint."""
    try:
        run_together(_train, job, job.options.devices)
    finally:
        if job.recorder.path.exists():
            job.recorder.read_checkpoint()


def _train(job: _Job, rank: int = 0) -> None:
    """Trains in this process, the one with this rank of `options.devices`."""
    options, recorder = job.options, job.recorder
    device = f"{job.device}:{rank}" if options.devices > 1 and job.device == "cuda" else job.device
    train = load_batches("train", job.splits[0], job.classes, options, rank)
    valid = load_batches("valid", job.splits[1], job.classes, options, rank)
    module = SegmentationModule(job.network, job.preprocessing, options, job.classes, len(train), job.teacher)
    rounded = round_while_training(job.network)  # within it, and in checkpoints, parameters have names of their own
    with _quiet(), _randomness(device), rounded, _training(job.network), teacher_ready(job.teacher, device):
        _run(_trainer(options, recorder, device), module, (train, valid), recorder.path)


def _run(
    trainer: pl.Trainer, module: SegmentationModule, batches: tuple[DataLoader, DataLoader], checkpoint: Path
) -> None:
    """Trains, from the checkpoint if there is one."""
    start = checkpoint if checkpoint.exists() else None
    try:
        trainer.fit(module, *batches, ckpt_path=start, weights_only=True)
    except SystemExit as stop:  # Lightning turns an interrupt into it
        raise KeyboardInterrupt from stop


def _trainer(options: TrainingOptions, recorder: Recorder, device: str) -> pl.Trainer:
    where = torch.device(device)
    cuda, together = where.type == "cuda", options.devices > 1
    callbacks: list[pl.Callback] = [recorder, TimeLeft()]
    bar = sys.stderr.isatty()
    if bar:  # with several processes, Lightning shows the bar of the first alone
        callbacks.append(RichProgressBar(leave=True, console_kwargs={"stderr": True}))
    bf16 = options.precision == "bf16" or (options.precision == "auto" and cuda and torch.cuda.is_bf16_supported())
    return pl.Trainer(
        accelerator="gpu" if cuda else where.type,
        devices=options.devices if together else [where.index or 0] if cuda else 1,
        strategy=DDPStrategy(process_group_backend="nccl" if cuda else "gloo") if together else "auto",
        sync_batchnorm=together and cuda,  # for CUDA alone; on the CPU each process normalises with its own share
        precision="bf16-mixed" if bf16 else "32-true",
        max_epochs=options.epochs,
        callbacks=callbacks,
        plugins=[AtomicCheckpointIO()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=bar,
        enable_model_summary=False,
        num_sanity_val_steps=-1 if options.keep_start and not recorder.path.exists() else 0,  # all of `valid`
        use_distributed_sampler=False,
        default_root_dir=recorder.path.parent,
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences messages of Lightning on hardware, workers and its own services, but not its errors."""
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
    """Restores the state of torch's global random generators, from which dropout draws."""
    where = torch.device(device)
    with torch.random.fork_rng(devices=[where.index or 0] if where.type == "cuda" else []):
        yield


@contextlib.contextmanager
def _training(network: nn.Module) -> Iterator[None]:
    """Puts a network in training mode and channels_last layout; afterwards restores modes, layout and the CPU."""
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
    """Returns the settings that must be equal to resume a training, as plain data."""
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
