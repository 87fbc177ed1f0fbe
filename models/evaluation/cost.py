"""The cost of a network: parameters, bytes, multiply-accumulates, latency."""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn
from torch.utils.benchmark import Timer
from torch.utils.flop_counter import FlopCounterMode

from models.evaluation.results import Cost
from models.unet_inference import for_inference
from torch_lowrank.io import weights
from torch_lowrank.layers.factorized import count_parameters
from torch_lowrank.modes import evaluating

# Warm-up and measurement take about a second together, unless a single forward pass takes longer.
_WARM_UP_SECONDS = 0.2
_MEASURE_SECONDS = 0.6


def macs(network: nn.Module, input_shape: tuple[int, int, int]) -> int:
    """Returns the multiply-accumulates of all convolutions and matrix products for one image (C, H, W).

    Counted by `torch.utils.flop_counter`, which counts a multiply-accumulate as two operations. Normalisation,
    activations and interpolation are not counted.

    Raises:
        ValueError: `input_shape` is not (C, H, W).
    """
    first = next(network.parameters(), None)
    device = torch.device("cpu") if first is None else first.device
    image = _image(input_shape, device)
    with evaluating(network, device), FlopCounterMode(display=False) as counter:
        network(image)
    return counter.get_total_flops() // 2


def weights_size_bytes(network: nn.Module) -> int:
    """Returns the size of the safetensors file that `save_network` writes, header included."""
    return len(weights(network))


def latency_ms(network: nn.Module, input_shape: tuple[int, int, int], device: str | torch.device) -> float:
    """Returns the median time in milliseconds of a forward pass of one image (C, H, W).

    The network is prepared by `for_inference` (BatchNorm folded, channels_last) and runs in float32 and inference mode,
    after a warm-up, with as many threads as torch is set to. Measured by `torch.utils.benchmark`, which waits for CUDA.

    Raises:
        ValueError: `input_shape` is not (C, H, W).
    """
    image = _image(input_shape, torch.device(device)).contiguous(memory_format=torch.channels_last)
    deployed = for_inference(network)
    with evaluating(deployed, device):
        timer = Timer(
            "network(image)", globals={"network": deployed, "image": image}, num_threads=torch.get_num_threads()
        )
        end = time.perf_counter() + _WARM_UP_SECONDS
        while True:
            timer.timeit(1)
            if time.perf_counter() >= end:
                break
        measurement = timer.blocked_autorange(min_run_time=_MEASURE_SECONDS)
    return float(measurement.median) * 1e3


def measure_cost(network: nn.Module, input_shape: tuple[int, int, int], device: str | torch.device) -> Cost:
    """Measures the cost of a network on images (C, H, W); the network is not changed."""
    return Cost(
        params=count_parameters(network),
        size_bytes=weights_size_bytes(network),
        macs=macs(network, input_shape),
        latency_ms=latency_ms(network, input_shape, device),
    )


def _image(input_shape: tuple[int, int, int], device: torch.device) -> Tensor:
    if len(input_shape) != 3 or min(input_shape) < 1:
        raise ValueError(f"input_shape is {tuple(input_shape)}; give (channels, height, width) of one image")
    return torch.zeros(1, *input_shape, device=device)
