"""What measurements of Dice share: one network on one data set, and results on disk."""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.recipe import RECIPE
from dataset.ingest import IngestOptions, ingest
from dataset.store import Dataset
from models.checkpoint import load_checkpoint
from models.evaluation.evaluate import evaluate
from models.preprocessing import ImageBatches, Preprocessing
from models.training.fit import fit
from models.training.history import History
from models.variant import Variant
from torch_lowrank.curvature.collect import collect_statistics
from torch_lowrank.curvature.moments import Statistics
from torch_lowrank.io import network_digest
from torch_lowrank.layers.factorized import count_parameters
from torch_lowrank.recalibration import recalibrate
from torch_lowrank.whole_files import write_whole

STATISTICS_IMAGES, RECALIBRATION_IMAGES, SEED, BATCH = 64, 256, 0, 16
TUNING = dataclasses.replace(RECIPE, epochs=3, batch_size=BATCH, lr=1e-3, augment="flips", seed=SEED, distillation=0.5)
EVALUATION = "evaluation of the test split"


class Bench:
    """Measures one network on one data set; each result is written to disk before the next is measured.

    Args:
        arguments: `network`, `data`, `image_size` and `device` of the command line.
        file: Of the results; what it holds is not measured again.
        folder: For the data set and checkpoints.
    """

    def __init__(self, arguments: argparse.Namespace, file: Path, folder: Path) -> None:
        self.file, self.device = file, arguments.device
        self.network, self.preprocessing = load(arguments.network)
        channels = int(getattr(self.network, "arguments", {}).get("in_channels", 1))
        self.data = read_data(arguments, channels, folder)
        self.checkpoints = folder / "checkpoints"
        self.tuning = dataclasses.replace(TUNING, epochs=getattr(arguments, "finetune_epochs", TUNING.epochs))
        about = {
            "network": arguments.network.name,
            "network_digest": network_digest(self.network),
            "data": arguments.data.name,
            "data_digest": self.data.content_digest(),
            "image_size": list(arguments.image_size),
            "parameters": count_parameters(self.network),
            "machine": torch.cuda.get_device_name() if self.device == "cuda" else platform.machine(),
            "torch": torch.__version__,
            "images": {"statistics": STATISTICS_IMAGES, "recalibration": RECALIBRATION_IMAGES, "seed": SEED},
            "tuning": dataclasses.asdict(self.tuning),
            "test_images": len(self.data["test"]),
            **self.more_about(),
        }
        self.record: dict[str, Any] = {"about": about, "seconds": {}, "results": {}}
        if file.exists():
            stored = json.loads(file.read_bytes())
            if stored["about"] != about:
                raise SystemExit(f"{file} is of another network, data set or setting; use --fresh or another --name")
            self.record = stored

    def more_about(self) -> dict[str, Any]:
        """Returns what else the page says of network and data."""
        return {}

    def statistics(self, network: nn.Module | None = None) -> Statistics:
        """Collects the second moments of the network, or of another one, on training images."""
        return collect_statistics(network or self.network, self.batches(), seed=SEED, device=self.device)

    def batches(self) -> ImageBatches:
        """Returns the training images that statistics are collected from, and networks reconstructed with."""
        train = self.data["train"]
        return ImageBatches(train.images, train.sample(STATISTICS_IMAGES, SEED), self.preprocessing, 8)

    def recalibrate(self, network: nn.Module) -> None:
        """Re-estimates BatchNorm's statistics on training images."""
        train = self.data["train"]
        chosen = train.sample(RECALIBRATION_IMAGES, SEED)
        batches = ImageBatches(train.images, chosen, self.preprocessing, BATCH, min_batch=2)
        recalibrate(network, batches, device=self.device)

    def dice(self, network: nn.Module, split: str = "test") -> list[float]:
        """Returns the Dice of every image of a split."""
        images = self.data[split]
        options = {"classes": self.data.classes, "batch_size": BATCH, "device": self.device}
        return evaluate(network, images.images, images.masks, self.preprocessing, **options).per_image["dice"]  # type: ignore[arg-type]

    def tune(self, network: nn.Module, name: str, **changes: Any) -> History:
        """Trains a network for some more epochs, with the baseline as teacher; it ends with the best one.

        Args:
            network: To train.
            name: Of its checkpoint.
            changes: Of `TUNING`.
        """
        return fit(
            network,
            self.data["train"],
            self.data["valid"],
            self.preprocessing,
            dataclasses.replace(self.tuning, **changes),
            classes=self.data.classes,
            checkpoint_dir=self.checkpoints / name,
            device=self.device,
            teacher=self.network,
        )

    def keep(self, name: str, result: dict[str, Any]) -> None:
        """Writes a result to disk."""
        self.record["results"][name] = result
        self.file.parent.mkdir(exist_ok=True)
        write_whole(self.file, (json.dumps(self.record) + "\n").encode())
        means = {key: round(float(np.mean(value)), 4) for key, value in result.items() if isinstance(value, list)}
        rest = {key: value for key, value in result.items() if not isinstance(value, list)}
        print(f"{name:<24} {means} {rest}", flush=True)


def key(method: str, share: float) -> str:
    """Returns the name of a result."""
    return f"{method} {share:g}"


def load(place: Path) -> tuple[nn.Module, Preprocessing]:
    """Loads a state dict, or a network folder that the pipeline has written."""
    if place.is_dir():
        variant = Variant.load(place)
        return variant.network.eval(), variant.preprocessing
    return load_checkpoint(place), Preprocessing(mean=0.18, std=0.18)


def read_data(arguments: argparse.Namespace, channels: int, folder: Path) -> Dataset:
    """Reads the data set as the pipeline does."""
    height, width = arguments.image_size
    options = IngestOptions((height, width), channels, multi_class=False, skip_bad_samples=False, num_workers=0)
    return ingest(arguments.data, folder / "data", options)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Returns the seconds that a function took, and its result."""
    start = time.perf_counter()
    done = work()
    return time.perf_counter() - start, done
