"""Whether a subclass of a convolution or Linear layer only pads: multiplies something by its weight, once, and is done.

Then its output is P(x) * W + b, where P does not depend on the weight; with W = L R that is L (P(x) * R) + b. So a copy
of the layer with the kernels R, and without a bias, can be the first of the two thin layers.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from torch_lowrank.layers.factorized import LowRank
from torch_lowrank.layers.unfolding import folding_of, kind_of

_ARGUMENTS = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_PRODUCTS: tuple[Callable, ...] = (F.linear, F.conv1d, F.conv2d, F.conv3d)
# What may be asked of a weight besides, as it is the same for fewer kernels: some compute their padding of the sizes.
_SIZES = (Tensor.size, Tensor.dim, Tensor.shape.__get__, Tensor.ndim.__get__)  # type: ignore[attr-defined]
_TOLERANCE = 1e-9  # of float64
_MORE_PIXELS = (1, 6)  # of the examples, beyond the kernel


class _Watch(TorchFunctionMode):
    """Records what is done with a layer's weight and bias."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self._watched = {id(parameter) for parameter in layer.parameters(recurse=False)}
        self.calls: list[tuple[Any, tuple, dict[str, Any], Any]] = []

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func not in _SIZES and any(id(value) in self._watched for value in (*args, *(kwargs or {}).values())):
            self.calls.append((func, args, kwargs or {}, result))
        return result


def multiplied(layer: nn.Module, values: Tensor) -> Tensor:
    """Returns what a layer that only pads multiplies by its weight: the input with all padding.

    Raises:
        ValueError: It does more than pad.
    """
    with torch.no_grad(), _Watch(layer) as watch:
        output = layer.forward(values)  # not a call, which hooks would see
    (func, args, kwargs, result), *others = watch.calls or [(None, (), {}, None)]
    given = {**dict(zip(_ARGUMENTS, args, strict=False)), **kwargs}
    right = given.get("weight") is layer.weight and given.get("bias") is layer.bias
    if others or func not in _PRODUCTS or not right or result is not output:
        raise ValueError(f"{type(layer).__name__} does more with its weight than to multiply by it once")
    if func is F.linear:
        return given["input"]
    axes = len(layer.kernel_size)  # type: ignore[arg-type]
    if any(_every(given.get(name, 1), axes) != getattr(layer, name) for name in ("stride", "dilation")):
        raise ValueError(f"{type(layer).__name__} multiplies with another stride or dilation than its own")
    sides = (side for side in reversed(_every(given.get("padding", 0), axes)) for _ in range(2))
    return F.pad(given["input"], tuple(sides))


def _every(value: Any, axes: int) -> tuple[int, ...]:
    return (value,) * axes if isinstance(value, int) else tuple(value)


def multiplies_once(layer: nn.Module) -> bool:
    """Returns whether a layer only pads, as seen on examples of two sizes with weights that are products."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return all(_is_product(layer, more) for more in _MORE_PIXELS)
    except (
        ValueError,
        TypeError,
        RuntimeError,
        IndexError,
        KeyError,
        AttributeError,
    ):  # its forward pass takes no such
        return False  # example


def _is_product(layer: nn.Module, more: int) -> bool:
    """Returns whether a layer with a weight L R computes the same as one with R, followed by L and the bias."""
    numbers = torch.Generator("cpu").manual_seed(more)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=numbers, dtype=torch.float64, device="cpu")

    folding = folding_of(layer, "channel")
    groups, rows, columns = folding.shape(layer)
    left, right = drawn(groups, rows, 1), drawn(groups, 1, columns)
    whole = copy.deepcopy(
        layer,
        {
            id(layer.weight): nn.Parameter(folding.dense_weight(layer, *folding.weights(layer, left, right))),
            id(layer.bias): None if layer.bias is None else nn.Parameter(drawn(groups * rows)),
        },
    ).eval()
    thin = LowRank.from_factors(whole, "channel", left, right)
    x = _example(layer, more, drawn)
    if multiplied(whole, x).dtype != x.dtype or multiplied(thin.first, x).dtype != x.dtype:
        return False
    with torch.no_grad():
        expected, got = whole(x), thin(x)
    return got.shape == expected.shape and torch.allclose(got, expected, rtol=0, atol=_TOLERANCE * columns)


def _example(layer: nn.Module, more: int, drawn: Callable[..., Tensor]) -> Tensor:
    if kind_of(layer) is nn.Linear:
        return drawn(2 + more, int(layer.in_features))  # type: ignore[arg-type]
    kernel: Any = zip(layer.dilation, layer.kernel_size, strict=True)  # type: ignore[arg-type]
    return drawn(1, int(layer.in_channels), *(step * (taps - 1) + 1 + more for step, taps in kernel))  # type: ignore[arg-type]
