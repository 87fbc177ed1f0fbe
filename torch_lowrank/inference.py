"""A network prepared for inference: the same outputs in less time. It cannot be trained or saved any more."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from torch_lowrank.batches import Inputs, call_of
from torch_lowrank.checks import PREPARED, check_network
from torch_lowrank.layers.factorized import LowRank, replace_layers
from torch_lowrank.modes import undisturbed
from torch_lowrank.norm_folding import fold_batch_norms

_LANES = 8  # float32 values of an AVX2 register; convolutions to another multiple of channels waste the last one


@undisturbed()
def for_inference(network: nn.Module, example: Any = None, *, inputs: Inputs = None) -> nn.Module:
    """Returns a copy in evaluation mode that computes the same in less time, for use, not for training or saving.

    - BatchNorm that follows a convolution becomes part of it: gamma / sigma scales the filters, and
      beta - gamma mu / sigma is the bias (Jacob et al. 2018, arXiv 1712.05877, section 3.2). Of a factorised
      convolution the second layer changes. This is done only where nothing else reads the convolution's output: as
      torch.fx traces the network, where no code of it decides by its inputs; else as an example shows, without which
      such a network keeps them.
    - The ranks of factorised convolutions are filled up with zeros to a multiple of eight channels.
    - Weights of two-dimensional convolutions lie in channels_last.

    Args:
        network: The network; it is not changed.
        example: A batch, where the network lies, see `batches.call_of`; where a trace is not enough it decides.
        inputs: What of the example the network takes; None is the usual, see `batches.call_of`.

    Raises:
        TypeError: The network is no module, a `ScriptModule`, or holds what cannot be copied.
        ValueError: The network has lazy layers, or cannot take the example.
    """
    check_network(network)
    deployed = replace_layers(network, {}).eval()
    call = None if example is None else call_of(example, inputs)
    fold_batch_norms(getattr(deployed, "_orig_mod", deployed), call)  # without the wrapper of torch.compile
    for layer in list(deployed.modules()):
        if isinstance(layer, LowRank) and is_plain_convolution(layer.first) and is_plain_convolution(layer.second):
            _fill_rank(layer)
    for parameter in deployed.parameters():
        parameter.requires_grad_(False)
    setattr(deployed, PREPARED, True)
    return in_channels_last(deployed)


def in_channels_last(network: nn.Module) -> nn.Module:
    """Stores the weights of two-dimensional convolutions in channels_last, in place; returns the network."""
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network


def _fill_rank(layer: LowRank) -> None:
    """Adds channels of zeros between the two layers, up to the next multiple of `_LANES`."""
    missing = -layer.rank % _LANES
    if not missing:
        return
    first, second = layer.first.get_parameter("weight"), layer.second.get_parameter("weight")
    first.data = torch.cat([first.data, first.data.new_zeros(missing, *first.shape[1:])], dim=0)
    second.data = torch.cat([second.data, second.data.new_zeros(len(second), missing, *second.shape[2:])], dim=1)
    layer.rank += missing
    layer.first.out_channels = layer.second.in_channels = layer.rank  # type: ignore[assignment]


def is_plain_convolution(layer: nn.Module) -> bool:
    """Returns whether a layer is a two-dimensional convolution of one group."""
    return type(layer) is nn.Conv2d and layer.groups == 1
