"""What exported files achieve: each is opened again in its own runtime, and run over images with known masks."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from models.deployment.deployed import Deployed, deployed, labels_of
from models.deployment.records import Measured
from models.deployment.runtimes import Run, run_module
from models.evaluation.latency import this_machine, time_calls_in_turns
from models.evaluation.metrics import Counts, count_pixels, label_count, summarise
from models.evaluation.results import Latency
from models.unet_inference import for_inference
from models.variant import Variant
from torch_lowrank.progress import tracked

KEPT = ("dice", "dice_lesion")
IN_PYTORCH = "pytorch"


@dataclasses.dataclass(frozen=True)
class Opened:
    """A file that was opened again.

    Attributes:
        run: Maps images uint8 (N, H, W, C) to probabilities float32 (N, classes, H, W).
        batch: Whether it takes any number of images, and not one alone.
    """

    run: Run
    batch: bool


@dataclasses.dataclass(frozen=True)
class Judging:
    """The images that files are judged with, and how they are timed.

    Attributes:
        images: uint8 (N, H, W, C), memory-mapped or not.
        masks: Labels uint8 (N, H, W).
        batch_size: Images a pass.
        seconds: How long to time each file, about.
        threads: CPU threads to time with.
    """

    images: np.ndarray
    masks: np.ndarray
    batch_size: int
    seconds: float
    threads: int


class _Found:
    """What was seen of one file so far."""

    def __init__(self) -> None:
        self.counts: list[Counts] = []
        self.difference = 0.0
        self.changed = 0
        self.pixels = 0

    def add(self, probabilities: Tensor, expected: Tensor, truth: Tensor) -> None:
        """Adds a batch: probabilities (N, classes, H, W), those of the network in PyTorch, labels (N, H, W)."""
        labels = labels_of(probabilities)
        self.counts.append(count_pixels(labels, truth, label_count(probabilities.shape[1])))
        self.difference = max(self.difference, largest(probabilities - expected))
        self.changed += int((labels != labels_of(expected)).sum())
        self.pixels += labels.numel()

    def metrics(self) -> dict[str, float]:
        """Returns the metrics that are kept."""
        found = summarise(Counts.concatenate(self.counts)).metrics
        return {name: found[name] for name in KEPT if name in found}


def measure(
    variant: Variant,
    files: Mapping[str, Opened],
    judging: Judging,
) -> tuple[dict[str, float], Latency, dict[str, Measured]]:
    """Runs files and the network they were made of over the same images, on the CPU, and times them in turn.

    Memory does not grow with the number of images.

    Args:
        variant: The network.
        files: Format to file.
        judging: The images, and how to time; with as many threads as the files were opened with.

    Returns:
        Metrics and time of the network in PyTorch, and format to what was measured.
    """
    network = deployed(variant)
    found = {name: _Found() for name in (IN_PYTORCH, *files)}
    for first in tracked(range(0, len(judging.images), judging.batch_size), "run exported files"):
        rows = slice(first, first + judging.batch_size)
        batch, truth = np.array(judging.images[rows]), torch.from_numpy(np.array(judging.masks[rows]))
        expected = torch.from_numpy(run_module(network, batch))
        found[IN_PYTORCH].add(expected, expected, truth)
        for name, file in files.items():
            found[name].add(torch.from_numpy(_run(file, batch)), expected, truth)
    latencies = _timed(variant, files, judging)
    measured = {
        name: Measured(each.difference, each.changed / max(1, each.pixels), each.metrics(), latencies[name])
        for name, each in found.items()
    }
    reference = measured.pop(IN_PYTORCH)
    return reference.metrics, reference.latency, measured


def largest(differences: Tensor) -> float:
    """Returns the largest absolute value, infinity where one is NaN."""
    found = float(differences.abs().max())
    return math.inf if math.isnan(found) else found


def _run(file: Opened, batch: np.ndarray) -> np.ndarray:
    """Returns probabilities of a batch, one image after the other where the file takes no more."""
    if file.batch:
        return file.run(batch)
    return np.concatenate([file.run(batch[row : row + 1]) for row in range(len(batch))])


def _timed(variant: Variant, files: Mapping[str, Opened], judging: Judging) -> dict[str, Latency]:
    """Times one image, first by the network in PyTorch as it runs best."""
    image = np.array(judging.images[:1])
    best = Deployed(for_inference(variant.network), variant.preprocessing, variant.classes).eval()
    calls = {IN_PYTORCH: _pass(lambda images: run_module(best, images), image)}
    calls |= {name: _pass(file.run, image) for name, file in files.items()}
    return time_calls_in_turns(calls, this_machine("cpu", judging.threads), judging.seconds)


def _pass(run: Run, image: np.ndarray) -> Callable[[], object]:
    return lambda: run(image)
