"""What the parts of `benchmarks/gpu.py` share: the network, where it runs, and how calls are timed."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable

import torch

CHANNELS = 3
STEPS = 10  # in a row, of which the mean counts: of a single short one much is waiting for the GPU


@dataclasses.dataclass(frozen=True)
class Setup:
    """What is measured where.

    Attributes:
        device: `cuda` or `cpu`.
        base_filters: Of the U-Net.
        image_size: Height and width.
        rounds: In which modes take turns; the median counts.
    """

    device: str
    base_filters: int
    image_size: int
    rounds: int

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """One image, (C, H, W)."""
        return CHANNELS, self.image_size, self.image_size


def in_turns(works: dict[str, Callable[[], object]], rounds: int, device: str) -> dict[str, float]:
    """Runs works in turns, once before that counts, and returns the median seconds of each."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, work in works.items():
            finish(device)
            start = time.perf_counter()
            work()
            finish(device)
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def finish(device: str) -> None:
    """Waits until a device has done what it was told to."""
    if device == "cuda":
        torch.cuda.synchronize()
