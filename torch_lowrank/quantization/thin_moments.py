"""Second moments of the two thin layers in the place of a dense one, from those of the dense layer.

The dense weight depends linearly on the weight of each thin layer, unfolded as that thin layer's own: W = A_1 F X_1 for
the first and W = A_2 G X_2 for the second. The rise of the loss is then that of a dense layer with rows A^T R A and
columns X C X^T. Exact are both layers of the channel scheme; of the spatial scheme the second one of a convolution and
the first one of a transposed convolution. For the other one the moments of the scheme's matrix stand in
(`Moments.weights`).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from torch_lowrank.curvature.moments import Moments
from torch_lowrank.layers.factorized import LowRank
from torch_lowrank.layers.unfolding import folding_of


def matrix_of(layer: nn.Module) -> Tensor:
    """Returns a layer's weight as matrices (groups, m, n), float64, on the CPU: unfolded by the channel scheme."""
    return folding_of(layer, "channel").matrix(layer).cpu().double()


def weight_of(layer: nn.Module, matrices: Tensor) -> Tensor:
    """Returns the weight of a plain layer that `matrix_of` unfolds to these matrices.

    Args:
        layer: The layer, or one that differs in the number of outputs.
        matrices: (groups, m, n).
    """
    folding = folding_of(layer, "channel")
    kernel = tuple(getattr(layer, "kernel_size", ())) if folding.dims else ()
    if not folding.transposed:
        return matrices.reshape(matrices.shape[0] * matrices.shape[1], -1, *kernel)
    grid = matrices.reshape(matrices.shape[0], -1, math.prod(kernel), matrices.shape[2]).permute(0, 3, 1, 2)
    return grid.reshape(matrices.shape[0] * matrices.shape[2], -1, *kernel)


def first_moments(layer: LowRank, moments: Moments) -> tuple[Tensor, Tensor]:
    """Returns the damped moments (rows, columns) for the first layer's own matrices, float64, on the CPU."""
    if folding_of(layer, layer.scheme).transposed and layer.scheme == "spatial":
        rows, columns = moments.damped(layer)
        after = _dense(layer, _identity(layer.first, inputs=False), _exact(layer.second))
    else:
        rows, columns = moments.weights(layer, layer.scheme)
        after = left_factor(layer)
    return after.mT @ rows @ after, columns


def second_moments(layer: LowRank, moments: Moments) -> tuple[Tensor, Tensor]:
    """Returns the same for the second layer."""
    before = right_factor(layer)
    if layer.scheme == "channel" or not exact_in_second(layer):
        rows, columns = moments.weights(layer, layer.scheme)
        return rows, before @ columns @ before.mT
    rows, columns = moments.damped(layer)
    return rows, _through_first(layer, before, columns)


def _through_first(layer: LowRank, before: Tensor, columns: Tensor) -> Tensor:
    """Returns X C X^T with X = `before_second`, for the spatial scheme of a convolution.

    The first layer has the first kernel axis alone, so X has the same block for each tap of the others, and zeros
    elsewhere: most of the product need not be computed.

    Args:
        layer: The layer.
        before: That block, (groups, rank, a).
        columns: C, (groups, a * taps, a * taps).
    """
    taps = math.prod(layer.second.kernel_size)  # type: ignore[arg-type]
    groups, rank, size = before.shape
    half = (before @ columns.reshape(groups, size, -1)).view(groups, rank, taps, size, taps)
    return torch.einsum("grtas,gqa->grtqs", half, before).reshape(groups, rank * taps, -1)


def exact_in_second(layer: LowRank) -> bool:
    """Returns whether W = G X with the second layer's own matrices G."""
    return layer.scheme == "channel" or not folding_of(layer, layer.scheme).transposed


def before_second(layer: LowRank) -> Tensor:
    """Returns X of W = G X, (groups, columns of G, columns of W), where `exact_in_second`."""
    if layer.scheme == "channel":
        return right_factor(layer)
    return _dense(layer, _exact(layer.first), _identity(layer.second, inputs=True))


def left_factor(layer: LowRank) -> Tensor:
    """Returns the left factor of the scheme's matrix, (groups, m, rank), float64."""
    grid = _exact(layer.second)
    folding = folding_of(layer, layer.scheme)
    groups = int(getattr(layer, "groups", 1))
    grid = grid.unflatten(0, (groups, -1))
    grid = grid if folding.transposed else grid.transpose(1, 2)  # (groups, rank, outputs, *kernel)
    return grid.flatten(2).mT


def right_factor(layer: LowRank) -> Tensor:
    """Returns the right factor, (groups, rank, n), float64."""
    grid = _exact(layer.first)
    folding = folding_of(layer, layer.scheme)
    groups = int(getattr(layer, "groups", 1))
    grid = grid.unflatten(0, (groups, -1))
    grid = grid.transpose(1, 2) if folding.transposed and folding.axes else grid  # (groups, rank, inputs, *kernel)
    return grid.flatten(2)


def even_out(layer: LowRank) -> None:
    """Makes the second layer's weights for every input equally large, so that one scale suits all; in place.

    The first layer's scales, one for each of these channels, take up the difference.
    """
    first, second = layer.first.get_parameter("weight"), layer.second.get_parameter("weight")
    transposed = folding_of(layer.second, "channel").transposed
    groups = int(getattr(layer, "groups", 1))
    of_second = second.double().unflatten(0, (groups, -1))
    axis = 1 if transposed else 2
    others = [each for each in range(1, of_second.ndim) if each != axis]
    size = of_second.square().mean(others).sqrt()
    size = torch.where(size > 0, size, 1.0)  # (groups, rank)
    second.copy_((of_second / _along(size, axis, of_second.ndim)).reshape(second.shape))
    of_first = first.double().unflatten(0, (groups, -1))
    axis = 2 if folding_of(layer.first, "channel").transposed else 1
    first.copy_((of_first * _along(size, axis, of_first.ndim)).reshape(first.shape))


def _along(values: Tensor, axis: int, dims: int) -> Tensor:
    """Returns values (groups, size) with size at one of several axes."""
    return values.reshape(len(values), *[values.shape[1] if each == axis else 1 for each in range(1, dims)])


def _exact(layer: nn.Module) -> Tensor:
    return layer.get_parameter("weight").detach().cpu().double()


def _dense(layer: LowRank, first: Tensor, second: Tensor) -> Tensor:
    """Returns the matrices by the channel scheme of the weight that two thin weights make."""
    weight = folding_of(layer, layer.scheme).dense_weight(layer, first, second)
    return folding_of(layer, "channel").unfold(weight, int(getattr(layer, "groups", 1)))


def _identity(layer: nn.Module, *, inputs: bool) -> Tensor:
    """Returns a weight whose matrices are I, of the size of the layer's inputs or outputs."""
    groups, outputs, columns = folding_of(layer, "channel").shape(layer)
    eye = torch.eye(columns if inputs else outputs, dtype=torch.float64, device="cpu")
    return weight_of(layer, eye.expand(groups, *eye.shape))
