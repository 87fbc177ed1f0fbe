"""What holds for the time of a block: a network's mode and device, and that no context of torch's reaches in."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator

import torch
from torch import Tensor, nn

_AUTOCAST = ("cpu", "cuda", "mps", "xpu")
Device = str | torch.device | None  # None: where the network, or the layer, lies


@contextlib.contextmanager
def evaluation_mode(network: nn.Module, device: Device = None) -> Iterator[None]:
    """Puts a network in evaluation mode and on a device; restores every module's mode and the device.

    Args:
        network: The network.
        device: Where to put it; None leaves it where it lies, on one device or several.
    """
    modes = {module: module.training for module in network.modules()}
    before = device_of(network)
    try:
        if device is not None:
            network.to(device)
        network.eval()
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        if device is not None and before is not None:
            network.to(before)


@contextlib.contextmanager
def evaluating(network: nn.Module, device: Device = None) -> Iterator[None]:
    """Does the same as `evaluation_mode`, without gradients."""
    with evaluation_mode(network, device), torch.inference_mode():
        yield


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Leaves autocast and inference mode, in which factors would be rounded and parameters could not be trained.

    Also a decorator.
    """
    with contextlib.ExitStack() as left:
        for kind in _AUTOCAST:
            if torch.is_autocast_enabled(kind):
                left.enter_context(torch.autocast(kind, enabled=False))
        if torch.is_inference_mode_enabled():
            left.enter_context(torch.inference_mode(False))
        yield


@contextlib.contextmanager
def layers_called() -> Iterator[None]:
    """Switches off torch's fused transformer layers, which read weights and call no layers."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


def device_of(network: nn.Module) -> torch.device | None:
    """Returns where a network's first parameter or buffer lies, None where it has none."""
    first: Tensor | None = next(itertools.chain(network.parameters(), network.buffers()), None)
    return None if first is None else first.device


def exact_device(lies: torch.device | None, device: Device = None) -> torch.device:
    """Returns where to compute in float64: on the device given, else where the weights lie, if that is CUDA.

    On all other devices the CPU computes: they have no float64, or no eigenvectors.
    """
    place = torch.device(device or lies or "cpu")
    return place if place.type == "cuda" else torch.device("cpu")
