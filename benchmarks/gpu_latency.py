"""Forward passes of dense and compressed U-Nets in several modes, for `benchmarks/gpu.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.gpu_timing import CHANNELS, STEPS, Setup, in_turns
from benchmarks.latency import compressed
from models.evaluation.cost import macs
from models.unet import UNet
from models.unet_inference import for_inference
from torch_lowrank.layers.factorized import count_parameters

BATCHES = {1: STEPS, 32: 2}  # and how many passes in a row are timed
GRAPH = "deployed bf16, CUDA graph"
MODES = ("float32", "deployed float32", "deployed bf16", GRAPH)
COMPILED = (GRAPH, "deployed bf16, compiled")
COMPILED_NETWORKS = ("dense", "svd, 12.5 % of parameters")


def measure_latency(
    setup: Setup, modes: tuple[str, ...] = MODES, only: tuple[str, ...] | None = None
) -> list[dict[str, Any]]:
    """Returns a row for each network: its size, and milliseconds a batch by mode and batch.

    Args:
        setup: What is measured where.
        modes: `float32` is eager PyTorch as a network comes from its constructor, `deployed` what
            `models.unet_inference.for_inference` makes of it. A CUDA graph starts all kernels of a pass at once.
        only: The networks; all without.
    """
    rows = []
    chosen = [mode for mode in modes if mode != GRAPH or setup.device == "cuda"]
    for name, network in networks(setup).items():
        if only is not None and name not in only:
            continue
        row: dict[str, Any] = {"network": name, "params": count_parameters(network)}
        row |= {"macs": macs(network, setup.image_shape), "ms": {}}
        for batch, steps in BATCHES.items():
            works = {mode: forward_passes(network, mode, (batch, steps), setup) for mode in chosen}
            for mode, seconds in in_turns(works, setup.rounds, setup.device).items():
                row["ms"][f"{mode}, batch {batch}"] = seconds / steps * 1e3
        rows.append(row)
    return rows


def networks(setup: Setup) -> dict[str, nn.Module]:
    """Returns the dense network and those of `benchmarks/latency.py`, on the device."""
    torch.manual_seed(0)
    dense = UNet(CHANNELS, 1, setup.base_filters).eval()
    found = {"dense": dense, **compressed(dense, setup.image_shape)}
    return {name: network.to(setup.device) for name, network in found.items()}


def forward_passes(network: nn.Module, mode: str, size: tuple[int, int], setup: Setup) -> Callable[[], None]:
    """Returns a function that calls a network on the same images; the size is (images, calls)."""
    batch, steps = size
    images = torch.rand(batch, *setup.image_shape, device=setup.device)
    called: Any = network
    if "deployed" in mode:
        called, images = for_inference(network), images.contiguous(memory_format=torch.channels_last)
    if "bf16" in mode:
        called, images = called.bfloat16(), images.bfloat16()
    if "compiled" in mode:
        called = torch.compile(called, mode="reduce-overhead")  # which uses CUDA graphs, too
    once = recorded(called, images) if mode == GRAPH else lambda: called(images)

    def passes() -> None:
        with torch.inference_mode():
            for _ in range(steps):
                once()

    return passes


@torch.inference_mode()
def recorded(network: nn.Module, images: Tensor) -> Callable[[], None]:
    """Returns a function that replays the network's kernels, recorded as a CUDA graph for these images."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):  # warm-up: libraries set up their kernels
        for _ in range(3):
            network(images)
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        network(images)
    return graph.replay
