"""Training steps of the U-Net in several modes, for `benchmarks/gpu.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from benchmarks.gpu_timing import CHANNELS, STEPS, Setup, in_turns
from models.unet import UNet

BATCH = 16
MODES = ("float32", "bf16", "bf16 channels_last")
COMPILED = ("bf16 channels_last", "bf16 channels_last, compiled")


def measure_training(setup: Setup, modes: tuple[str, ...] = MODES) -> dict[str, dict[str, float]]:
    """Returns images a second by mode, and the GiB of GPU memory that a step takes beside the weights."""
    works = {mode: training_steps(mode, setup) for mode in modes}
    seconds = in_turns(works, setup.rounds, setup.device)
    return {
        mode: {"images_per_s": BATCH * STEPS / seconds[mode], "gib": memory_of(work, setup.device)}
        for mode, work in works.items()
    }


def training_steps(mode: str, setup: Setup) -> Callable[[], None]:
    """Returns what takes some steps on the same batch, so that reading data counts for nothing."""
    torch.manual_seed(0)
    network: Any = UNet(CHANNELS, 1, setup.base_filters).train().to(setup.device)
    layout = torch.channels_last if "channels_last" in mode else torch.contiguous_format
    network = network.to(memory_format=layout)
    images = torch.rand(BATCH, *setup.image_shape, device=setup.device).contiguous(memory_format=layout)
    masks = (torch.rand(BATCH, 1, *setup.image_shape[1:], device=setup.device) > 0.5).float()
    optimizer = torch.optim.Adam(network.parameters())
    if "compiled" in mode:
        network = torch.compile(network)

    def steps() -> None:
        for _ in range(STEPS):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(setup.device, torch.bfloat16, enabled="bf16" in mode):
                loss = nn.functional.binary_cross_entropy_with_logits(network(images), masks)
            loss.backward()
            optimizer.step()

    return steps


def memory_of(work: Callable[[], object], device: str) -> float:
    """Returns the GiB that a work takes at its peak beside what is there before; 0 on the CPU."""
    if device != "cuda":
        return 0.0
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    work()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 2**30
