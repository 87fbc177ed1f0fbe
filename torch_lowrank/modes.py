"""A network in evaluation mode and where it is needed, for a while."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn


@contextlib.contextmanager
def evaluation_mode(network: nn.Module, device: str | torch.device) -> Iterator[None]:
    """Puts a network on a device and in evaluation mode; restores every module's mode and the device."""
    modes = {module: module.training for module in network.modules()}
    before = next((parameter.device for parameter in network.parameters()), torch.device(device))
    try:
        network.to(device).eval()
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        network.to(before)


@contextlib.contextmanager
def evaluating(network: nn.Module, device: str | torch.device) -> Iterator[None]:
    """Does the same without gradients, whatever the network computes in the block."""
    with evaluation_mode(network, device), torch.inference_mode():
        yield


@contextlib.contextmanager
def layers_called() -> Iterator[None]:
    """Keeps torch from fused transformer layers, which read weights and call no layers."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
