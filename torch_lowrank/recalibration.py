"""Estimates BatchNorm's statistics anew: those of the dense network do not fit a truncated one.

Truncation changes what every layer gives out, and BatchNorm goes on to subtract the mean and to divide by the standard
deviation that the dense network's layers had. No weight is trained here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from models.preprocessing import Preprocessing
from torch_lowrank.modes import evaluating
from torch_lowrank.progress import tracked


def recalibrate(
    network: nn.Module,
    images: np.ndarray,
    preprocessing: Preprocessing,
    *,
    batch_size: int,
    device: str | torch.device,
    chosen: np.ndarray | None = None,
) -> None:
    """Replaces the running statistics of every BatchNorm by those of stored images, in place.

    A layer's mean is the mean over batches of the batch's mean, its variance the mean over batches of the batch's
    unbiased variance, all batches weighing alike; so batches are as equal in size as possible, and variances between
    the means of batches are left out, as they are in training. Everything but the BatchNorms stays in evaluation mode.
    A BatchNorm that tracks nothing, or that the network does not reach, is left alone.

    Args:
        network: Maps (N, C, H, W) to anything. It is given back in the mode and on the device it had; a network
            without BatchNorm as it was.
        images: uint8 (N, H, W, C), memory-mapped or not; read batch by batch.
        preprocessing: From stored images to network input.
        batch_size: Images a forward pass; one more where a batch would otherwise be a single image, which has no
            variance where a map is one pixel.
        device: Where to compute.
        chosen: Indices of the images to use; None is all.

    Raises:
        ValueError: There are no images, or they are not as above. The network is as it was.
        FloatingPointError: A statistic is not finite. The network is as it was.
    """
    indices = np.arange(len(images)) if chosen is None else chosen
    if len(indices) == 0:
        raise ValueError("there are no images to estimate BatchNorm's statistics from; give at least one")
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; give an integer of at least 1")
    norms = _norms(network)
    if not norms:
        return
    batches = _batches(indices, batch_size)
    with evaluating(network, device), _estimating(norms):
        for number in tracked(range(len(batches)), "recalibrate"):
            # A copy of what is read: torch warns of memory-mapped arrays that it must not write.
            network(preprocessing(torch.from_numpy(np.array(images[batches[number]])).to(device)))


def _norms(network: nn.Module) -> dict[str, _BatchNorm]:
    """Returns the BatchNorms that keep statistics, by name."""
    modules = network.named_modules()
    return {
        name: module for name, module in modules if isinstance(module, _BatchNorm) and module.running_mean is not None
    }


def _batches(indices: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Splits indices into batches whose sizes differ by one at most, none of a single image unless there is but one."""
    number = min(-(-len(indices) // batch_size), max(1, len(indices) // 2))
    return np.array_split(indices, number)


@contextlib.contextmanager
def _estimating(norms: dict[str, _BatchNorm]) -> Iterator[None]:
    """Lets these BatchNorms average over all batches of the block; an error leaves the statistics they had."""
    before = {norm: _statistics(norm) for norm in norms.values()}
    with contextlib.ExitStack() as always, contextlib.ExitStack() as after_errors:
        for norm, statistics in before.items():
            always.callback(setattr, norm, "momentum", norm.momentum)
            after_errors.callback(_restore, norm, statistics)
            norm.reset_running_stats()
            norm.momentum = None  # a plain mean over batches, where a number forgets the earlier ones
            norm.train()
        yield
        _check_finite(norms)
        after_errors.pop_all()
    for norm, statistics in before.items():
        if not norm.num_batches_tracked:
            _restore(norm, statistics)


def _statistics(norm: _BatchNorm) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in norm.named_buffers(recurse=False)}


def _restore(norm: _BatchNorm, statistics: dict[str, Tensor]) -> None:
    for name, value in statistics.items():
        norm.get_buffer(name).copy_(value)


def _check_finite(norms: dict[str, _BatchNorm]) -> None:
    for name, norm in norms.items():
        if not all(bool(torch.isfinite(buffer).all()) for buffer in _statistics(norm).values()):
            raise FloatingPointError(
                f"the input of {name or 'the network'} ({type(norm).__name__}) is not finite; the weights before it "
                "have diverged or overflowed: train with a lower lr, or compress less"
            )
