"""Whether a subclass of a convolution or Linear layer only pads: multiplies something by its weight, once, and is done.

Then its output is P(x) * W + b, where P does not depend on the weight; with W = L R that is L (P(x) * R) + b. So a copy
of the layer with the kernels R, and without a bias, can be the first of the two thin layers.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from torch_lowrank.layers.unfolding import copy_with_outputs, kind_of

_ARGUMENTS = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_PRODUCTS: tuple[Callable, ...] = (F.linear, F.conv1d, F.conv2d, F.conv3d)
# What may be asked of a weight besides, as it is the same for fewer kernels: some compute their padding of the sizes.
_SIZES = (Tensor.size, Tensor.dim, Tensor.shape.__get__, Tensor.ndim.__get__)  # type: ignore[attr-defined]
# Of the examples, beyond the kernel, by the number of axes: some layers do something else from a certain size on.
_MORE_PIXELS = {0: (1, 6, 64), 1: (1, 6, 64), 2: (1, 6, 64), 3: (1, 6, 32)}  # 32: volumes would be of 600 MB


class _Watch(TorchFunctionMode):
    """Records what is done with a layer's weight and bias, and computes no product with them."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self._watched = {id(parameter) for parameter in layer.parameters(recurse=False)}
        self.calls: list[tuple[Any, tuple, dict[str, Any], Any]] = []

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        watched = func not in _SIZES and any(id(value) in self._watched for value in (*args, *kwargs.values()))
        result = torch.empty(0) if watched and func in _PRODUCTS else func(*args, **kwargs)
        if watched:
            self.calls.append((func, args, kwargs, result))
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
    if given.get("groups", 1) != layer.groups or any(
        _every(given.get(name, 1), axes) != getattr(layer, name) for name in ("stride", "dilation")
    ):
        raise ValueError(f"{type(layer).__name__} multiplies with another stride, dilation or groups than its own")
    sides = [side for pair in reversed(_sides(layer, given.get("padding", 0))) for side in pair]
    return F.pad(given["input"], sides)


def _sides(layer: nn.Module, padding: Any) -> list[tuple[int, int]]:
    """Returns the pixels before and behind each axis, for padding as torch's functions take it."""
    kernel: Any = list(zip(layer.dilation, layer.kernel_size, strict=True))  # type: ignore[arg-type]
    if padding == "same":
        totals = [step * (taps - 1) for step, taps in kernel]
        return [(total // 2, total - total // 2) for total in totals]
    return [(side, side) for side in _every(0 if padding == "valid" else padding, len(kernel))]


def _every(value: Any, axes: int) -> tuple[int, ...]:
    return (value,) * axes if isinstance(value, int) else tuple(value)


def multiplies_once(layer: nn.Module) -> bool:
    """Returns whether a layer only pads, as seen on examples of three sizes, and pads the same with fewer kernels."""
    outputs, fewer = len(layer.get_parameter("weight")), int(getattr(layer, "groups", 1))
    try:
        whole = copy_with_outputs(layer, outputs, biased=layer.bias is not None, device="cpu").eval()
        thin = copy_with_outputs(layer, fewer, device="cpu").eval()
        with warnings.catch_warnings(action="ignore"):
            examples = [_example(layer, more) for more in _MORE_PIXELS[len(getattr(layer, "kernel_size", ()))]]
            return all(torch.equal(multiplied(whole, x), multiplied(thin, x)) for x in examples)
    except (ValueError, TypeError, RuntimeError, LookupError, AttributeError):  # its forward pass takes no such example
        return False


def _example(layer: nn.Module, more: int) -> Tensor:
    """Returns an input of a layer that is `more` pixels larger than its kernel."""
    if kind_of(layer) is nn.Linear:
        shape = [2 + more, int(layer.in_features)]  # type: ignore[arg-type]
    else:
        kernel: Any = zip(layer.dilation, layer.kernel_size, strict=True)  # type: ignore[arg-type]
        shape = [1, int(layer.in_channels), *(step * (taps - 1) + 1 + more for step, taps in kernel)]  # type: ignore[arg-type]
    numbers = torch.randn(shape, generator=torch.Generator("cpu").manual_seed(more), dtype=torch.float32, device="cpu")
    return numbers.to(layer.get_parameter("weight").dtype)
