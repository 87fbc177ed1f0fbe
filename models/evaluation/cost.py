"""The cost of a network: parameters, bytes, multiply-accumulates."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from models.evaluation.results import Cost
from torch_lowrank.io import weights
from torch_lowrank.layers.factorized import count_parameters
from torch_lowrank.modes import evaluating, layers_called


def macs(network: nn.Module, input_shape: tuple[int, int, int]) -> int:
    """Returns the multiply-accumulates of all convolutions and matrix products for one image (C, H, W).

    Counted by `torch.utils.flop_counter`, which counts a multiply-accumulate as two operations. Normalisation,
    activations and interpolation are not counted.

    Raises:
        ValueError: `input_shape` is not (C, H, W).
    """
    first = next(network.parameters(), None)
    device = torch.device("cpu") if first is None else first.device
    image = one_image(input_shape, device)
    with evaluating(network, device), layers_called(), FlopCounterMode(display=False) as counter:
        network(image)
    return counter.get_total_flops() // 2


def weights_size_bytes(network: nn.Module) -> int:
    """Returns the size of the safetensors file that `save_network` writes, header included."""
    return len(weights(network))


def measure_cost(network: nn.Module, input_shape: tuple[int, int, int]) -> Cost:
    """Measures the cost of a network on images (C, H, W); the network is not changed."""
    return Cost(
        params=count_parameters(network),
        size_bytes=weights_size_bytes(network),
        macs=macs(network, input_shape),
    )


def one_image(input_shape: tuple[int, int, int], device: torch.device) -> Tensor:
    """Returns a black image (1, C, H, W).

    Raises:
        ValueError: `input_shape` is not (C, H, W).
    """
    if len(input_shape) != 3 or min(input_shape) < 1:
        raise ValueError(f"input_shape is {tuple(input_shape)}; give (channels, height, width) of one image")
    return torch.zeros(1, *input_shape, device=device)
