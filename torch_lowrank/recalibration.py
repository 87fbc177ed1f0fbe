"""Re-estimates BatchNorm's running statistics: those of the dense network do not fit a truncated one.

Truncation changes the outputs of every layer, while BatchNorm still subtracts the mean and divides by the standard
deviation that they had in the dense network. No weight is trained here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from torch_lowrank.batches import Inputs, call_of, check_batches
from torch_lowrank.checks import check_network
from torch_lowrank.modes import Device, device_of, evaluating, undisturbed
from torch_lowrank.progress import tracked
from torch_lowrank.quantization.coding import round_again

_BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d | nn.SyncBatchNorm


@undisturbed()
def recalibrate(network: nn.Module, batches: Iterable[Any], *, inputs: Inputs = None, device: Device = None) -> None:
    """Replaces the running statistics of every BatchNorm by those of the batches, in place.

    A layer's mean is the mean over batches of the batch's mean, its variance the mean over batches of the batch's
    unbiased variance. All batches count alike, so they should be equal in size as far as possible (`drop_last=True`
    in a DataLoader), and the variance between the means of batches is left out, as in training. Everything but the
    BatchNorms is in evaluation mode. A BatchNorm that tracks nothing, or that the network does not reach, is left
    alone; a network without BatchNorm is not run. Statistics that are stored in half precision are rounded to it.

    Args:
        network: Any network; what it returns is not used. Its weights, modes and device are left as they were.
        batches: A list, a DataLoader or any other iterable of batches, read once; see `batches.call_of`. A few
            hundred images of the training data are enough.
        inputs: What of a batch the network takes; None is the usual, see `batches.call_of`.
        device: Where to compute; None is where the network lies.

    Raises:
        TypeError: A tensor or a mapping was given in place of batches, or no network.
        ValueError: There are no batches, a batch has no input, or the network cannot take it. The network is as it was.
        FloatingPointError: A statistic is not finite. The network is as it was.
    """
    check_network(network)
    check_batches(batches)
    norms = _norms(network)
    if not norms:
        return
    with evaluating(network, device), _estimating(norms):
        place, seen = device_of(network), 0
        for batch in tracked(batches, "recalibrate"):
            call_of(batch, inputs).apply(network, place)
            seen += 1
        if not seen:
            raise ValueError("there are no batches to estimate BatchNorm's statistics from; give at least one batch")


def _norms(network: nn.Module) -> dict[str, _BatchNorm]:
    """Returns the BatchNorms that keep statistics, by name."""
    modules = network.named_modules()
    return {
        name: module for name, module in modules if isinstance(module, _BatchNorm) and module.running_mean is not None
    }


@contextlib.contextmanager
def _estimating(norms: dict[str, _BatchNorm]) -> Iterator[None]:
    """Lets these BatchNorms average over all batches of the block; an error restores the statistics they had."""
    before = {norm: _statistics(norm) for norm in norms.values()}
    with contextlib.ExitStack() as always, contextlib.ExitStack() as after_errors:
        for norm, statistics in before.items():
            always.callback(setattr, norm, "momentum", norm.momentum)
            after_errors.callback(_restore, norm, statistics)
            norm.reset_running_stats()
            norm.momentum = None  # a plain mean over batches, where a number forgets the earlier ones
            norm.train()
        yield
        for norm in norms.values():
            round_again(norm)
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
