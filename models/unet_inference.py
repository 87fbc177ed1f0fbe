"""The U-Net as it runs best."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from models.unet import Up
from torch_lowrank.inference import for_inference as lowrank_for_inference
from torch_lowrank.inference import in_channels_last, is_plain_convolution
from torch_lowrank.layers.factorized import LowRank
from torch_lowrank.norm_folding import is_watched

# Values of a skip connection (8 MB) from which on its copy takes longer than one more call of a thin convolution. With
# the copy and without, on a CPU core: 48 and 14 ms at 64 x 256 x 256; little or no gain at 2**20 values, slower below.
_LARGE = 2**21


def for_inference(network: nn.Module) -> nn.Module:
    """Returns a copy of a network that computes the same, faster; see `torch_lowrank.inference.for_inference`.

    In our U-Net, a factorised convolution of an up block also takes a large skip connection and the enlarged features
    one by one, and adds: to put them behind each other first takes longer than what the thin layer then computes.

    Args:
        network: The network; it is not changed.
    """
    deployed = lowrank_for_inference(network)
    for name, block in list(deployed.named_modules()):
        if type(block) is Up and name and (first := _to_split(block)) is not None:
            deployed.set_submodule(name, _SplitUp(block, first))
    for parameter in deployed.parameters():
        parameter.requires_grad_(False)
    return in_channels_last(deployed)


class _SplitUp(Up):
    """`Up` that need not concatenate: W [s, x] = W_s s + W_x x, for the first factor W by its input channels."""

    def __init__(self, block: Up, layer: LowRank) -> None:
        nn.Module.__init__(self)  # `Up` would make weights of its own
        self.up, self.conv = block.up, block.conv
        self.of_skip, self.of_features = (_part(layer.first, number) for number in range(2))
        self.rest = nn.Sequential(layer.second, *list(block.conv.double_conv)[1:])

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """As `Up.forward`."""
        if skip.numel() < _LARGE or skip.shape[1] != self.of_skip.in_channels:  # of other halves, where it was pruned
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
    if not isinstance(layer, LowRank) or not is_plain_convolution(layer.first):
        return None
    return None if is_watched(block, block.conv, block.conv.double_conv, layer, layer.first) else layer
