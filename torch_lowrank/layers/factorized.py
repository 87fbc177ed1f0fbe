"""Low-rank layers: two thin layers in the place of one, and how they are put into a network."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from torch_lowrank.checks import check_module
from torch_lowrank.layers.unfolding import FOLDINGS, folding_of, kind_of, stored_weight

_NO_COPY = (TypeError, ValueError, RuntimeError, AttributeError, copy.Error, pickle.PickleError)


class LowRank(nn.Sequential):
    """Two layers in the place of one: `first` reduces to `rank` channels a group, `second` restores the outputs.

    It has the attributes of the dense layer: `weight` and `bias`, and its geometry (`in_channels`, `stride`,
    `kernel_size`, ...), since some networks read them in their forward pass.

    Args:
        layer: The dense layer, or a factorised one in its place; it is not kept.
        scheme: How its weight is unfolded.
        rank: Channels between the two layers, for each group.

    Attributes:
        kind: Class name of the dense layer.
        dense_kind: The kind of layer that it is one of, for example `nn.Conv2d`.
        scheme: As given.
        rank: As given.
    """

    __jit_unused_properties__ = ("weight", "bias")  # torch.jit.script would compile them

    if TYPE_CHECKING:  # torch.jit.script knows no modules as types
        first: nn.Module
        second: nn.Module

    def __init__(self, layer: nn.Module, scheme: str, rank: int) -> None:
        first, second = folding_of(layer, scheme).build(layer, rank)
        super().__init__(OrderedDict(first=first, second=second))
        self.kind = kind_name(layer)
        self.dense_kind = kind_of(layer)
        self.scheme = scheme
        self.rank = rank
        for name in self.dense_kind.__constants__:  # type: ignore[union-attr]
            setattr(self, name, getattr(layer, name))
        self.train(layer.training)

    @classmethod
    def from_factors(cls, layer: nn.Module, scheme: str, left: Tensor, right: Tensor) -> LowRank:
        """Returns the replacement with weight left (groups, m, r) @ right (groups, r, n), and the layer's bias.

        Device, dtype, memory format, requires_grad and training mode are the layer's.
        """
        low_rank = cls(layer, scheme, left.shape[2])
        weight = stored_weight(layer)
        weights = folding_of(layer, scheme).weights(layer, left, right)
        for thin, values in zip(low_rank, weights, strict=True):
            parameter = thin.get_parameter("weight")
            parameter.data.copy_(values)
            parameter.data = parameter.data.contiguous(memory_format=_memory_format(layer))
            parameter.requires_grad_(weight.requires_grad)
        bias = layer.bias
        if isinstance(bias, nn.Parameter):
            new = low_rank.second.get_parameter("bias")
            new.data.copy_(bias.detach())
            new.requires_grad_(bias.requires_grad)
        return low_rank

    @property
    def weight(self) -> Tensor:
        """The dense layer's weight as the product of the two, computed at each access."""
        return self._product(self.first.get_parameter("weight"), self.second.get_parameter("weight"))

    @property
    def bias(self) -> nn.Parameter | None:
        """The dense layer's bias."""
        return self.second.bias  # type: ignore[return-value]

    def product(self) -> Tensor:
        """Returns `weight` in float64, detached: rounded to another type it would have full rank."""
        first, second = self.first.get_parameter("weight"), self.second.get_parameter("weight")
        return self._product(first.detach().double(), second.detach().double())

    def _product(self, first: Tensor, second: Tensor) -> Tensor:
        return FOLDINGS[self.dense_kind, self.scheme].dense_weight(self, first, second)  # type: ignore[index]

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Applies both layers.

        Args:
            input: As for the dense layer.
            output_size: As for a transposed convolution; other layers do not take it.
        """
        if output_size is None:
            return self.second(self.first(input))
        if torch.jit.is_scripting():  # in which a layer that takes no size cannot be given one
            raise NotImplementedError("a scripted low-rank layer takes no output_size")
        else:  # noqa: RET506 - torch.jit.script leaves out a branch, not what follows it
            return self._of_size(input, output_size)

    def extra_repr(self) -> str:
        """Names kind, scheme and rank in the printed network."""
        return f"{self.kind}, scheme={self.scheme}, rank={self.rank}"

    def _of_size(self, input: Tensor, output_size: list[int]) -> Tensor:
        if self.scheme == "channel":
            return self.second(self.first(input), output_size)
        return self.second(self.first(input, self._size_between(input, output_size)), output_size)

    def _size_between(self, input: Tensor, output_size: list[int]) -> list[int]:
        """The spatial scheme enlarges the first axis in its first layer, the others in its second."""
        axes = len(self.kernel_size)  # type: ignore[arg-type]
        return [list(output_size)[-axes], *input.shape[input.ndim - axes + 1 :]]


def full_rank(layer: nn.Module, scheme: str) -> int:
    """Returns the full rank of a layer's weight by a scheme.

    Raises:
        KeyError: If that kind of layer cannot be factorised by that scheme.
    """
    return min(folding_of(layer, scheme).shape(layer)[1:])


def kind_name(layer: nn.Module) -> str:
    """Returns the layer's class name; of a factorised layer that of the dense one."""
    return layer.kind if isinstance(layer, LowRank) else type(layer).__name__


def count_parameters(module: nn.Module) -> int:
    """Returns the number of parameters, shared ones once; those of lazy layers that have no shape yet count nothing."""
    check_module(module)
    return sum(parameter.numel() for parameter in module.parameters() if not is_lazy(parameter))


def replace_layers(network: nn.Module, replacements: dict[nn.Module, nn.Module]) -> nn.Module:
    """Returns a deep copy of the network in which the given layers are replaced, wherever they occur.

    A layer that is used in two places stays one layer. The replaced layers themselves are not copied.

    Raises:
        TypeError: If the network holds something that cannot be copied.
    """
    memo: dict[int, Any] = {id(layer): new for layer, new in replacements.items()}
    for module in network.modules():
        if module not in replacements:
            memo.update({id(tensor): tensor.detach().clone() for tensor in _computed_tensors(module)})
    try:
        replaced = copy.deepcopy(network, dict(memo))
    except _NO_COPY as error:
        raise TypeError(
            f"the network cannot be copied: {_uncopied(network, memo)} ({error}); delete it before, and set it again "
            "on both networks"
        ) from error
    for module in replaced.modules():
        if isinstance(module, (nn.TransformerEncoder, nn.TransformerEncoderLayer)):
            _call_layers(module)
    return replaced


def _uncopied(network: nn.Module, memo: dict[int, Any]) -> str:
    """Returns the name of what a network holds that cannot be copied."""
    memo = memo | {id(module): module for module in network.modules()}
    for name, module in network.named_modules():
        for key, value in vars(module).items():
            try:
                copy.deepcopy(value, dict(memo))
            except _NO_COPY:
                return f"attribute {f'{name}.{key}'.lstrip('.')!r}, a {type(value).__name__}"
    return "one of its modules"


def _call_layers(module: nn.TransformerEncoder | nn.TransformerEncoderLayer) -> None:
    """Keeps a transformer from torch's fused kernel, which reads weights and never calls layers.

    With low-rank layers the kernel would multiply by the product of the factors. It is used for ReLU and GELU only,
    which an attribute of the layer names by 1 and 2; 0 is any other activation. Nested tensors, to which an encoder
    converts padded inputs, are for the kernel alone.
    """
    if not any(isinstance(layer, LowRank) for layer in module.modules()):
        return
    if isinstance(module, nn.TransformerEncoder):
        module.use_nested_tensor = False
    else:
        module.activation_relu_or_gelu = 0


def _computed_tensors(module: nn.Module) -> list[Tensor]:
    """Returns tensors that torch refuses to copy: weights of old-style weight norm, outputs kept in a list."""
    kept = [*vars(module).values(), *module.buffers(recurse=False)]
    kept += [each for value in kept if isinstance(value, (list, tuple)) for each in value]
    return [value for value in kept if isinstance(value, Tensor) and not value.is_leaf]


def _memory_format(layer: nn.Module) -> torch.memory_format:
    """Returns channels-last where a weight of the layer is stored so and in no other way."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    for weight in layer.parameters():
        wanted = formats.get(weight.ndim, torch.contiguous_format)
        if not weight.is_contiguous() and weight.is_contiguous(memory_format=wanted):
            return wanted
    return torch.contiguous_format
