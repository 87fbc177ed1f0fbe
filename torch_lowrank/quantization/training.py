"""Trains weights that are stored in few bits, so that what is learned is what is stored.

In the forward pass a weight is rounded with the scales that it has; its gradient goes to the weight behind it as if it
were not rounded (straight-through estimator: Bengio et al. 2013, arXiv 1308.3432), and not at all where codes end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from torch_lowrank.quantization.coding import Coding, code_range, coding_of, round_again

_WEIGHT = "weight"


@contextlib.contextmanager
def round_while_training(network: nn.Module) -> Iterator[nn.Module]:
    """Lets a network with weights in few bits be trained within the block; its codings stay what they are.

    Any training loop will do: the parameters of the network are the weights behind the rounded ones. Make optimiser and
    checkpoints within the block, as parameters have other names there (`parametrizations.weight.original`). At its end,
    also after an error, the weights are the rounded ones, and what is stored in half precision is rounded to it.

    Args:
        network: Result of `quantize_weights`, or of `compress` to a `SizeBudget`, changed in place; any other network
            is trained as usual.
    """
    layers = [layer for layer in network.modules() if _in_few_bits(layer)]
    orders = [[*layer._parameters] for layer in layers]
    for layer in layers:
        parametrize.register_parametrization(layer, _WEIGHT, _Rounded(coding_of(layer)))  # type: ignore[arg-type]
    try:
        yield network
    finally:
        for layer, order in zip(layers, orders, strict=True):
            parametrize.remove_parametrizations(layer, _WEIGHT, leave_parametrized=True)
            for name in order:  # the weight would be the last one, and a state is stored in its order
                layer._parameters[name] = layer._parameters.pop(name)
        for module in network.modules():
            round_again(module)


def _in_few_bits(layer: nn.Module) -> bool:
    coding = coding_of(layer)
    return coding is not None and coding.scale is not None


class _Rounded(nn.Module):
    """Rounds a weight as it is stored."""

    def __init__(self, coding: Coding) -> None:
        super().__init__()
        self.coding = coding  # no buffer: its five axes have no channels_last layout, which networks are moved to

    def forward(self, weight: Tensor) -> Tensor:
        """Returns scale * code, float32, in the weight's shape."""
        scale = torch.as_tensor(self.coding.scale, device=weight.device)
        return _StraightThrough.apply(weight, scale, *code_range(self.coding.bits))


class _StraightThrough(torch.autograd.Function):
    """Rounds; its gradient is that of doing nothing where codes did not end."""

    @staticmethod
    def forward(context: Any, weight: Tensor, scale: Tensor, low: int, high: int) -> Tensor:
        """Rounds to the nearest code."""
        quotient = (weight.unflatten(0, (len(scale), -1)).double() / scale).nan_to_num(0, 0, 0).round()
        codes = quotient.clamp(low, high)
        context.save_for_backward((codes == quotient).flatten(0, 1))
        return (codes.float() * scale).flatten(0, 1)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        """Passes the gradient on."""
        (inside,) = context.saved_tensors
        return gradients[0] * inside, None, None, None
