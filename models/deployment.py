"""Networks as they run best: the same outputs with less work. For use after training and loading, not for either."""

from __future__ import annotations

import copy
from collections import Counter

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models.lowrank import LowRank, replace_layers
from models.unet import Up

# Values of a skip connection (8 MB) from which on its copy takes longer than one more call of a thin convolution. With
# the copy and without, on a CPU core: 48 and 14 ms at 64 x 256 x 256; little or no gain at 2**20 values, slower below.
_LARGE = 2**21
_LANES = 8  # float32 values of an AVX2 register; convolutions to another multiple of channels waste the last one


def for_inference(network: nn.Module) -> nn.Module:
    """Returns a copy in evaluation mode that computes the same, faster; it cannot be trained, and is not for saving.

    - BatchNorm after a convolution in an `nn.Sequential` becomes part of it: gamma / sigma scales the filters, and
      beta - gamma mu / sigma is the bias (Jacob et al. 2018, arXiv 1712.05877, section 3.2). Of a factorised
      convolution it is the second layer that takes it.
    - The ranks of factorised convolutions are filled up with zeros to a multiple of eight channels.
    - A factorised convolution of an up block takes a large skip connection and the enlarged features one by one, and
      adds: to put them behind each other first takes longer than what the thin layer then computes.
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
        if isinstance(layer, LowRank) and _is_plain_convolution(layer.first) and _is_plain_convolution(layer.second):
            _fill_rank(layer)
    for name, block in list(deployed.named_modules()):
        if type(block) is Up and name and (first := _to_split(block)) is not None:
            deployed.set_submodule(name, _SplitUp(block, first))
    for parameter in deployed.parameters():
        parameter.requires_grad_(False)
    return deployed.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _fold_batch_norms(parent: nn.Sequential, used: Counter[int]) -> None:
    """Folds each BatchNorm that directly follows a convolution which nothing else uses."""
    for name, following in zip(list(parent._modules)[:-1], list(parent._modules)[1:], strict=True):
        layer, norm = parent.get_submodule(name), parent.get_submodule(following)
        last = layer.second if isinstance(layer, LowRank) else layer
        if not isinstance(last, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d) or norm.running_mean is None:
            continue
        if used[id(layer)] > 1 or used[id(norm)] > 1 or _is_watched(layer, last, norm):
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


class _SplitUp(Up):
    """`Up` that need not concatenate: W [s, x] = W_s s + W_x x, for the first factor W by its input channels."""

    def __init__(self, block: Up, layer: LowRank) -> None:
        nn.Module.__init__(self)  # `Up` would make weights of its own
        self.up, self.conv = block.up, block.conv
        self.of_skip, self.of_features = (_part(layer.first, number) for number in range(2))
        self.rest = nn.Sequential(layer.second, *list(block.conv.double_conv)[1:])

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """As `Up.forward`."""
        if skip.numel() < _LARGE:
            return super().forward(x, skip)
        return self.rest(self.of_skip(skip).add_(self.of_features(self.enlarged(x, skip))))


def _part(layer: nn.Module, number: int) -> nn.Module:
    """Returns the convolution of the first or the second half of the input channels."""
    part = copy.deepcopy(layer)
    weight = layer.get_parameter("weight").chunk(2, dim=1)[number]
    part.weight = nn.Parameter(weight.clone())
    part.in_channels = weight.shape[1]  # type: ignore[assignment]
    return part


def _to_split(block: Up) -> LowRank | None:
    """Returns the layer that an up block would apply by halves: a factorised convolution that nothing watches."""
    layer = block.conv.double_conv[0]
    if not isinstance(layer, LowRank) or not _is_plain_convolution(layer.first):
        return None
    return None if _is_watched(block, block.conv, block.conv.double_conv, layer, layer.first) else layer


def _is_plain_convolution(layer: nn.Module) -> bool:
    return type(layer) is nn.Conv2d and layer.groups == 1


def _is_watched(*modules: nn.Module) -> bool:
    """Whether hooks wait for a module's output, which folding would take from them."""
    return any(module._forward_hooks or module._forward_pre_hooks for module in modules)
