"""The vectors that a layer's weight multiplies: patches of its input, for transposed ones of its output's gradient."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torch_lowrank.layers.padding import multiplied
from torch_lowrank.layers.unfolding import kind_of, layer_of_own_kind

_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_STRIDE = 1_000_003  # a prime, so that its multiples run through all offsets of any grid


def input_vectors(layer: nn.Module, values: Tensor, wanted: int, turn: int) -> Tensor:
    """Returns the vectors that the channel matrix W (m x n) is multiplied by, W a.

    Args:
        layer: A layer that can be factorised.
        values: Its input.
        wanted: About how many positions to take, on a regular grid; all where there are fewer.
        turn: Shifts the grid, so that several calls see different positions.

    Returns:
        (groups, n, positions), float32 or float64: a Linear layer's inputs; for a convolution patches (i, k_1 .. k_d),
        with the layer's stride, padding and dilation; for a transposed one its input channels.
    """
    own = layer_of_own_kind(layer)
    values = values if own is None else multiplied(own, values)
    if kind_of(layer) is nn.Linear:
        return _rows(values, wanted, turn)
    if _is_transposed(layer):
        return _patches(layer, values, _sizes(layer, values), wanted, turn, taps=False)
    return _patches(layer, _padded(layer, values), _output_sizes(layer, values), wanted, turn)


def output_vectors(layer: nn.Module, gradient: Tensor, input_sizes: Sequence[int], wanted: int, turn: int) -> Tensor:
    """Returns the gradients at the outputs of the channel matrix W (m x n).

    Args:
        layer: A layer that can be factorised.
        gradient: Of the loss, at the layer's output.
        input_sizes: Sizes of the kernel's axes in the layer's input.
        wanted: As for `input_vectors`.
        turn: As for `input_vectors`.

    Returns:
        (groups, m, positions), float32 or float64: the gradients of the output channels; for a transposed convolution
        the patches (o, k_1 .. k_d) of the output that one input position reaches.
    """
    if kind_of(layer) is nn.Linear:
        return _rows(gradient, wanted, turn)
    if _is_transposed(layer):
        return _patches(layer, _padded(layer, gradient), input_sizes, wanted, turn)
    return _patches(layer, gradient, _sizes(layer, gradient), wanted, turn, taps=False)


def positions(layer: nn.Module, input_sizes: Sequence[int], output_sizes: Sequence[int]) -> int:
    """Returns at how many positions of one image a layer's weight is used; see `Folding.dense_macs`."""
    return math.prod(input_sizes if _is_transposed(layer) else output_sizes)


def _rows(values: Tensor, wanted: int, turn: int) -> Tensor:
    rows = _exact(values).reshape(-1, values.shape[-1])
    step = max(1, len(rows) // wanted)
    return rows[turn % step :: step].mT[None]


def _patches(
    layer: nn.Module, values: Tensor, sizes: Sequence[int], wanted: int, turn: int, *, taps: bool = True
) -> Tensor:
    """Cuts patches out of (N, C, *spatial) with a slice for each tap of the kernel.

    Args:
        layer: The layer, for its kernel, stride, dilation and groups.
        values: Padded already.
        sizes: How many positions there are along each axis.
        wanted: About how many to take.
        turn: Shifts the grid.
        taps: Whether to cut whole patches; False takes single pixels.
    """
    dims = len(sizes)
    values = values if values.ndim == dims + 2 else values[None]  # layers also take images without a batch axis
    step = max(1, math.floor((len(values) * math.prod(sizes) / wanted) ** (1 / max(dims, 1))))
    kernel, stride, dilation = (
        (getattr(layer, name) if taps else (1,) * dims) for name in ("kernel_size", "stride", "dilation")
    )
    offset = turn * _STRIDE % step**dims
    starts = [offset // step**axis % min(step, size) for axis, size in enumerate(sizes)]
    cuts = []
    for tap in itertools.product(*map(range, kernel)):
        window = [
            slice(k * d + start * s, k * d + (size - 1) * s + 1, step * s)
            for k, d, s, start, size in zip(tap, dilation, stride, starts, sizes, strict=True)
        ]
        cuts.append(values[(slice(None), slice(None), *window)])
    stacked = _exact(torch.stack(cuts, 2))  # (N, C, K, *grid)
    vectors = stacked.flatten(3).permute(1, 2, 0, 3)  # (C, K, N, positions)
    return vectors.reshape(int(layer.groups), -1, vectors.shape[2] * vectors.shape[3])  # type: ignore[arg-type]


def _padded(layer: nn.Module, values: Tensor) -> Tensor:
    """Returns the values padded as by the layer; a transposed convolution crops where another one pads."""
    if layer_of_own_kind(layer) is not None:
        return values
    sides: list[int] = []
    for axis in reversed(range(len(layer.kernel_size))):  # type: ignore[arg-type]
        sides += _padding(layer, axis)
    mode = str(layer.padding_mode)
    return F.pad(values, sides) if mode == "zeros" else F.pad(values, sides, mode=mode)


def _padding(layer: nn.Module, axis: int) -> tuple[int, int]:
    if layer.padding == "valid" or layer_of_own_kind(layer) is not None:  # which has padded by itself
        return 0, 0
    if layer.padding == "same":
        total = int(layer.dilation[axis] * (layer.kernel_size[axis] - 1))  # type: ignore[index]
        return total // 2, total - total // 2
    side = int(layer.padding[axis])  # type: ignore[index]
    return side, side


def _sizes(layer: nn.Module, values: Tensor) -> list[int]:
    return list(values.shape[-len(layer.kernel_size) :])  # type: ignore[arg-type]


def _output_sizes(layer: nn.Module, values: Tensor) -> list[int]:
    return [
        (size + sum(_padding(layer, axis)) - dilation * (kernel - 1) - 1) // stride + 1
        for axis, (size, dilation, kernel, stride) in enumerate(
            zip(_sizes(layer, values), layer.dilation, layer.kernel_size, layer.stride, strict=True)  # type: ignore[arg-type]
        )
    ]


def _is_transposed(layer: nn.Module) -> bool:
    kind = kind_of(layer)
    return kind is not None and issubclass(kind, _TRANSPOSED)


def _exact(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))
