"""Low-rank layers: how a weight is unfolded into a matrix, and how two factors of it become two layers.

A weight matrix W (m x n) of rank r is a product L R of L (m x r) and R (r x n). Two thin layers, R first and then L,
compute the same as the layer with W. A `Folding` knows, for one kind of layer and one scheme, which matrix that is.

Sources: Jaderberg et al. 2014 (arXiv 1405.3866), Zhang et al. 2015 (arXiv 1505.06798).
"""

from __future__ import annotations

import abc
import copy
from collections import OrderedDict

from torch import Tensor, nn

SCHEMES = ("channel",)


class LowRank(nn.Sequential):
    """Two layers in the place of one: `first` reduces to `rank` channels, `second` restores the outputs.

    Attributes:
        scheme: How the weight of the dense layer was unfolded.
        rank: Number of channels between the two layers.
    """

    def __init__(self, first: nn.Module, second: nn.Module, *, scheme: str, rank: int) -> None:
        super().__init__(OrderedDict(first=first, second=second))
        self.scheme = scheme
        self.rank = rank


class Folding(abc.ABC):
    """Between a dense layer, the matrix of its weight, and the two layers that replace it."""

    @abc.abstractmethod
    def matrix(self, layer: nn.Module) -> Tensor:
        """Returns the layer's weight as the matrix W (m, n), detached."""

    @abc.abstractmethod
    def build(self, layer: nn.Module, rank: int) -> LowRank:
        """Returns the replacement of the layer at that rank, on the layer's device and dtype, weights not set."""

    @abc.abstractmethod
    def fill(self, replacement: LowRank, layer: nn.Module, left: Tensor, right: Tensor) -> None:
        """Sets the weights from W ~ left (m, r) @ right (r, n), and the bias from the dense layer."""


class LinearFolding(Folding):
    """Linear, W (O, I): a Linear I -> r without bias, then a Linear r -> O."""

    def matrix(self, layer: nn.Module) -> Tensor:
        """W is the weight itself, (O, I)."""
        return _weight(layer)

    def build(self, layer: nn.Module, rank: int) -> LowRank:
        """Parameters: r (I + O) and the bias."""
        if not isinstance(layer, nn.Linear):
            raise TypeError(f"expected a Linear layer, got {type(layer).__name__}")
        place = _place(layer)
        return LowRank(
            nn.Linear(layer.in_features, rank, bias=False, **place),
            nn.Linear(rank, layer.out_features, bias=layer.bias is not None, **place),
            scheme="channel",
            rank=rank,
        )

    def fill(self, replacement: LowRank, layer: nn.Module, left: Tensor, right: Tensor) -> None:
        """The first layer's weight is right (r, I), the second's left (O, r)."""
        _set_weights(replacement, layer, right, left)


class ConvChannelFolding(Folding):
    """Conv2d, W (O, I kh kw): a kh x kw convolution I -> r with the layer's geometry, then a 1x1 convolution r -> O."""

    def matrix(self, layer: nn.Module) -> Tensor:
        """W is the weight (O, I, kh, kw) with the last three axes flattened."""
        return _weight(layer).flatten(1)

    def build(self, layer: nn.Module, rank: int) -> LowRank:
        """Parameters: r (I kh kw + O) and the bias. Stride, padding and dilation stay in the first layer."""
        if not isinstance(layer, nn.Conv2d):
            raise TypeError(f"expected a Conv2d layer, got {type(layer).__name__}")
        place = _place(layer)
        first = nn.Conv2d(
            layer.in_channels,
            rank,
            layer.kernel_size,  # type: ignore[arg-type]
            stride=layer.stride,  # type: ignore[arg-type]
            padding=layer.padding,  # type: ignore[arg-type]
            dilation=layer.dilation,  # type: ignore[arg-type]
            padding_mode=layer.padding_mode,
            bias=False,
            **place,
        )
        second = nn.Conv2d(rank, layer.out_channels, 1, bias=layer.bias is not None, **place)
        return LowRank(first, second, scheme="channel", rank=rank)

    def fill(self, replacement: LowRank, layer: nn.Module, left: Tensor, right: Tensor) -> None:
        """The first layer's weight is right (r, I, kh, kw), the second's left (O, r, 1, 1)."""
        kernel = _weight(layer).shape[1:]
        _set_weights(replacement, layer, right.unflatten(1, kernel), left[:, :, None, None])


_FOLDINGS: dict[tuple[type[nn.Module], str], Folding] = {
    (nn.Conv2d, "channel"): ConvChannelFolding(),
    (nn.Linear, "channel"): LinearFolding(),
}
FACTORIZABLE = tuple({kind for kind, _ in _FOLDINGS})


def folding_of(layer: nn.Module, scheme: str) -> Folding:
    """Returns the folding for a layer and a scheme.

    Raises:
        KeyError: If `why_not` has a reason against the layer.
    """
    return _FOLDINGS[type(layer), scheme]


def why_not(layer: nn.Module) -> str | None:
    """Returns why a layer with a weight cannot be factorised, None where it can.

    The class must match exactly: a subclass may do something else in its forward pass.
    """
    if type(layer) not in FACTORIZABLE:
        return f"layers of type {type(layer).__name__} cannot be factorised"
    if "weight" not in layer._parameters:
        return "its weight is computed from other parameters (weight norm or another parametrisation)"
    if not layer.weight.dtype.is_floating_point:  # type: ignore[union-attr]
        return f"weights of type {layer.weight.dtype} cannot be factorised"
    if getattr(layer, "groups", 1) != 1:
        return f"grouped convolution ({layer.groups} groups)"
    return None


def replace_layers(network: nn.Module, replacements: dict[nn.Module, nn.Module]) -> nn.Module:
    """Returns a deep copy of the network in which the given layers are replaced, wherever they occur.

    A layer that is used in two places stays one layer. The replaced layers themselves are not copied.
    """
    memo: dict[int, nn.Module] = {id(layer): new for layer, new in replacements.items()}
    return copy.deepcopy(network, memo)


def _weight(layer: nn.Module) -> Tensor:
    return layer.get_parameter("weight").detach()


def _place(layer: nn.Module) -> dict:
    weight = _weight(layer)
    return {"device": weight.device, "dtype": weight.dtype}


def _set_weights(replacement: LowRank, layer: nn.Module, first: Tensor, second: Tensor) -> None:
    """Copies both factors and the bias; train or eval mode and requires_grad follow the dense layer."""
    replacement.first.get_parameter("weight").data.copy_(first)
    replacement.second.get_parameter("weight").data.copy_(second)
    replacement.requires_grad_(layer.get_parameter("weight").requires_grad)
    if layer.bias is not None:
        bias = layer.get_parameter("bias")
        replacement.second.get_parameter("bias").data.copy_(bias.detach())
        replacement.second.get_parameter("bias").requires_grad_(bias.requires_grad)
    replacement.train(layer.training)
