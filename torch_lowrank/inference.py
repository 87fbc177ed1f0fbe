"""A network prepared for inference: the same outputs in less time. It cannot be trained or saved any more."""

from __future__ import annotations

import itertools
from collections import Counter

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from torch_lowrank.layers.factorized import LowRank, replace_layers

_LANES = 8  # float32 values of an AVX2 register; convolutions to another multiple of channels waste the last one


def for_inference(network: nn.Module) -> nn.Module:
    """Returns a copy in evaluation mode that computes the same in less time, for use, not for training or saving.

    - BatchNorm that follows a convolution in an `nn.Sequential` becomes part of it: gamma / sigma scales the filters,
      and beta - gamma mu / sigma is the bias (Jacob et al. 2018, arXiv 1712.05877, section 3.2). Of a factorised
      convolution the second layer changes.
    - The ranks of factorised convolutions are filled up with zeros to a multiple of eight channels.
    - Weights lie in channels_last.

    Args:
        network: The network; it is not changed.
    """
    deployed = replace_layers(network, {}).eval()
    used = Counter(id(module) for _, module in deployed.named_modules(remove_duplicate=False))
    for parent in list(deployed.modules()):
        if type(parent) is nn.Sequential:
            _fold_batch_norms(parent, used)
    for layer in list(deployed.modules()):
        if isinstance(layer, LowRank) and is_plain_convolution(layer.first) and is_plain_convolution(layer.second):
            _fill_rank(layer)
    for parameter in deployed.parameters():
        parameter.requires_grad_(False)
    return deployed.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _fold_batch_norms(parent: nn.Sequential, used: Counter[int]) -> None:
    """Folds each BatchNorm that directly follows a convolution which nothing else uses."""
    # `named_children` would leave out a module's second place
    names = [name for name, _ in parent.named_modules(remove_duplicate=False) if name and "." not in name]
    for name, following in itertools.pairwise(names):
        layer, norm = parent.get_submodule(name), parent.get_submodule(following)
        last = layer.second if isinstance(layer, LowRank) else layer
        if not isinstance(last, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d) or norm.running_mean is None:
            continue
        if used[id(layer)] > 1 or used[id(norm)] > 1 or is_watched(layer, last, norm):
            continue
        fused = fuse_conv_bn_eval(last, norm)
        if isinstance(layer, LowRank):
            layer.second = fused
        else:
            parent.register_module(name, fused)
        parent.register_module(following, nn.Identity())


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


def is_watched(*modules: nn.Module) -> bool:
    """Returns whether a module has hooks, which would see other values after folding."""
    # torch has no public way to ask
    return any(module._forward_hooks or module._forward_pre_hooks for module in modules)
