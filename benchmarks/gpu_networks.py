"""Training steps and forward passes of the U-Net in three modes, for `benchmarks/gpu.py`."""

from __future__ import annotations

import copy
import dataclasses
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from models.compression import compress
from models.profile import macs
from models.ranks import MacBudget, ParameterBudget
from models.spectra import decompose
from models.unet import UNet

CHANNELS = 3
FRACTIONS = (0.25, 0.125)
BATCHES = (1, 32)
TRAINING_BATCH = 16
_STEPS = 10  # in a row, of which the mean counts: a single one ends before the GPU's queue does


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


@dataclasses.dataclass(frozen=True)
class Mode:
    """How a network computes."""

    name: str
    bf16: bool
    compiled: bool

    def prepared(self, network: nn.Module) -> nn.Module:
        """Returns a copy in the mode's layout, compiled if the mode says so."""
        network = copy.deepcopy(network)
        if self.bf16:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return torch.compile(network) if self.compiled else network  # type: ignore[return-value]

    def images(self, batch: int, setup: Setup) -> Tensor:
        """Returns random images in the mode's layout."""
        layout = torch.channels_last if self.bf16 else torch.contiguous_format
        images = torch.rand(batch, CHANNELS, setup.image_size, setup.image_size, device=setup.device)
        return images.contiguous(memory_format=layout)


MODES = (
    Mode("float32", bf16=False, compiled=False),
    Mode("bf16 channels_last", bf16=True, compiled=False),
    Mode("bf16 channels_last, compiled", bf16=True, compiled=True),
)


def measure_training(setup: Setup) -> dict[str, float]:
    """Returns images a second of training by mode."""
    torch.manual_seed(0)
    network = UNet(CHANNELS, 1, setup.base_filters).to(setup.device)
    works = {mode.name: _training_steps(network, mode, setup) for mode in MODES}
    seconds = in_turns(works, setup.rounds, setup.device)
    return {name: TRAINING_BATCH * _STEPS / value for name, value in seconds.items()}


def measure_latency(setup: Setup) -> list[dict[str, Any]]:
    """Returns a row for each network: its size, and milliseconds a batch and images a second by mode and batch."""
    rows = []
    for name, network in networks(setup).items():
        row: dict[str, Any] = {"network": name, "params": sum(each.numel() for each in network.parameters())}
        row["macs"] = macs(network, (CHANNELS, setup.image_size, setup.image_size))
        for batch in BATCHES:
            works = {mode.name: _forward(network, mode, batch, setup) for mode in MODES}
            for mode, value in in_turns(works, setup.rounds, setup.device).items():
                milliseconds = value / _STEPS * 1e3
                row[f"{mode}, batch {batch}"] = {"ms": milliseconds, "images_per_s": batch / milliseconds * 1e3}
        rows.append(row)
    return rows


def networks(setup: Setup) -> dict[str, nn.Module]:
    """Returns the dense network and those compressed to shares of its parameters and multiply-accumulates."""
    torch.manual_seed(0)
    dense = UNet(CHANNELS, 1, setup.base_filters).eval().to(setup.device)
    spectra = decompose(dense, "auto", setup.device)
    shape = (CHANNELS, setup.image_size, setup.image_size)
    found: dict[str, nn.Module] = {"dense": dense}
    for fraction in FRACTIONS:
        for what, rule in (("parameters", ParameterBudget(fraction)), ("MACs", MacBudget(fraction, shape))):
            found[f"{fraction:.1%} of the {what}"] = compress(dense, spectra, rule).network.eval().to(setup.device)
    return found


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


def _training_steps(network: nn.Module, mode: Mode, setup: Setup) -> Callable[[], None]:
    trained = mode.prepared(network.train())
    images = mode.images(TRAINING_BATCH, setup)
    masks = (torch.rand(TRAINING_BATCH, 1, *images.shape[2:], device=setup.device) > 0.5).float()
    optimizer = torch.optim.Adam(trained.parameters(), fused=setup.device == "cuda")

    def steps() -> None:
        for _ in range(_STEPS):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(setup.device, torch.bfloat16, enabled=mode.bf16):
                loss = nn.functional.binary_cross_entropy_with_logits(trained(images), masks)
            loss.backward()
            optimizer.step()

    return steps


def _forward(network: nn.Module, mode: Mode, batch: int, setup: Setup) -> Callable[[], None]:
    evaluated, images = mode.prepared(network), mode.images(batch, setup)

    def passes() -> None:
        with torch.inference_mode(), torch.autocast(setup.device, torch.bfloat16, enabled=mode.bf16):
            for _ in range(_STEPS):
                evaluated(images)

    return passes
