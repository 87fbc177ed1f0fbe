"""Unfolding: how a layer's weight becomes a matrix, and how two factors of the matrix become two thin layers.

A weight matrix W (m x n) of rank r is a product L R of L (m x r) and R (r x n). Two thin layers, R first and then L,
compute the same as the layer with W. Every layer here is a convolution over d axes, plain or transposed (a Linear
layer has d = 0), so one description serves all of them: the first layer takes the kernel's leading `axes` axes, the
second the others. With the weight as a grid (group, output o, input i, kernel k_1 .. k_d), p = `axes`:

    W[(o, k_p+1 .. k_d), (i, k_1 .. k_p)], one matrix a group

| layer, scheme | p | first layer | second layer |
|---|---|---|---|
| convolution, channel | d | the whole kernel, I -> r | 1x1, r -> O |
| convolution, spatial | 1 | k_1 x 1, I -> r | 1 x k_2, r -> O |
| transposed, channel | 0 | 1x1, I -> r | the whole kernel, r -> O |
| transposed, spatial | 1 | k_1 x 1, I -> r | 1 x k_2, r -> O |

Stride, padding, dilation and output padding act on each axis by itself, and so does every padding mode; each axis
keeps them in the layer that has its kernel. Grouped layers become two layers with the same groups, r channels a group.

Sources: Jaderberg et al. 2014 (arXiv 1405.3866), Zhang et al. 2015 (arXiv 1505.06798).
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

SCHEMES = ("channel", "spatial")
_PLAIN: dict[int, type[nn.Module]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED: dict[int, type[nn.Module]] = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


@dataclasses.dataclass(frozen=True)
class Folding:
    """Converts between a dense layer, the matrices of its weight, and the two thin layers in its place.

    Attributes:
        dims: Number d of kernel axes; 0 is a Linear layer.
        axes: How many leading kernel axes the first layer takes, p.
        transposed: The layer is a transposed convolution.
    """

    dims: int
    axes: int
    transposed: bool = False

    def matrix(self, layer: nn.Module) -> Tensor:
        """Returns the layer's weight as matrices (groups, m, n), detached; of a factorised layer the product."""
        return self.unfold(exact_weight(layer), _groups(layer))

    def shape(self, layer: nn.Module) -> tuple[int, int, int]:
        """Returns the shape of `matrix`, (groups, m, n), which it does not compute."""
        if self.dims == 0:
            return 1, int(layer.out_features), int(layer.in_features)  # type: ignore[arg-type]
        groups, kernel = _groups(layer), layer.kernel_size
        outputs, inputs = (int(each) // groups for each in (layer.out_channels, layer.in_channels))  # type: ignore[arg-type]
        rows, columns = outputs * math.prod(kernel[self.axes :]), inputs * math.prod(kernel[: self.axes])  # type: ignore[index]
        return groups, rows, columns

    def unfold(self, weight: Tensor, groups: int) -> Tensor:
        """Returns a weight of this kind of layer as matrices (groups, m, n)."""
        grid = _grid(weight, groups, self.transposed)
        taps = range(3, 3 + self.dims)
        grid = grid.permute(0, 1, *taps[self.axes :], 2, *taps[: self.axes])
        rows = math.prod(grid.shape[1 : 2 + self.dims - self.axes])
        return grid.reshape(grid.shape[0], rows, -1)

    def build(self, layer: nn.Module, rank: int) -> tuple[nn.Module, nn.Module]:
        """Returns the two thin layers of that rank, on the layer's device, in its dtype; their weights are not set."""
        weight = stored_weight(layer)
        options = {"device": weight.device, "dtype": weight.dtype, "bias": False}
        biased = {**options, "bias": layer.bias is not None}
        own = layer_of_own_kind(layer)
        if self.dims == 0:
            return (
                _without_weights(nn.Linear, layer.in_features, rank, **options)
                if own is None
                else copy_with_outputs(own, rank),
                _without_weights(nn.Linear, rank, layer.out_features, **biased),
            )
        inputs, inner, outputs = int(layer.in_channels), rank * _groups(layer), int(layer.out_channels)  # type: ignore[arg-type]
        first = copy_with_outputs(own, inner) if own else self._thin(layer, (inputs, inner), range(self.axes), options)
        return first, self._thin(layer, (inner, outputs), range(self.axes, self.dims), biased)

    def weights(self, layer: nn.Module, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the weights of both thin layers from W ~ left (groups, m, r) @ right (groups, r, n)."""
        groups = _groups(layer)
        kernel: tuple[int, ...] = layer.kernel_size if self.dims else ()  # type: ignore[assignment]
        first = right.reshape(groups, right.shape[1], -1, *kernel[: self.axes], *[1] * (self.dims - self.axes))
        second = left.reshape(groups, -1, math.prod(kernel[self.axes :]), left.shape[2]).transpose(2, 3)
        second = second.reshape(*second.shape[:3], *[1] * self.axes, *kernel[self.axes :])
        return _ungrid(first, self.transposed and self.axes > 0), _ungrid(second, self.transposed)

    def dense_weight(self, layer: nn.Module, first: Tensor, second: Tensor) -> Tensor:
        """Returns the weight of the dense layer that two thin layers replace.

        Args:
            layer: Anything with `groups` and `kernel_size`, where the kind of layer has them.
            first: Weight of the first layer.
            second: Weight of the second layer.
        """
        groups = _groups(layer)
        inputs = _grid(first, groups, self.transposed and self.axes > 0)
        outputs = _grid(second, groups, self.transposed)
        product = torch.einsum("gria,gorb->goiab", _flat_kernel(inputs), _flat_kernel(outputs))
        kernel = layer.kernel_size if self.dims else ()
        return _ungrid(product.reshape(*product.shape[:3], *kernel), self.transposed)  # type: ignore[misc]

    def dense_macs(self, layer: nn.Module, inputs: Sequence[int], outputs: Sequence[int]) -> int:
        """Returns the multiply-accumulates of one call with these input and output shapes."""
        batch, before, after = self._sizes(inputs, outputs)
        return batch * math.prod(before if self.transposed else after) * math.prod(self.shape(layer))

    def macs_per_rank(self, layer: nn.Module, inputs: Sequence[int], outputs: Sequence[int]) -> int:
        """Returns the multiply-accumulates that one more rank costs in a call with these shapes.

        A weight is used once for every position: of the output in a convolution, of the input in a transposed one.
        Between the two layers the leading axes have the size of the output already, the others that of the input.
        """
        batch, before, after = self._sizes(inputs, outputs)
        between = math.prod(after[: self.axes] + before[self.axes :])
        groups, rows, columns = self.shape(layer)
        at_first = math.prod(before) if self.transposed else between
        at_second = between if self.transposed else math.prod(after)
        return batch * groups * (columns * at_first + rows * at_second)

    def _sizes(self, inputs: Sequence[int], outputs: Sequence[int]) -> tuple[int, list[int], list[int]]:
        """Returns batch size and the sizes of the kernel's axes; a Linear layer has positions in the place of both."""
        if self.dims == 0:
            return math.prod(inputs[:-1]), [], []
        return math.prod(inputs[: -self.dims - 1]), list(inputs[-self.dims :]), list(outputs[-self.dims :])

    def _thin(self, layer: nn.Module, channels: tuple[int, int], axes: range, options: dict[str, Any]) -> nn.Module:
        """Returns the layer with other channels, and with the kernel, stride and padding of the given axes only."""
        if not axes:
            return _without_weights(_PLAIN[self.dims], *channels, 1, groups=layer.groups, **options)

        def kept(name: str, neutral: int) -> tuple[int, ...]:
            return tuple(value if axis in axes else neutral for axis, value in enumerate(getattr(layer, name)))

        geometry: dict[str, Any] = {
            "stride": kept("stride", 1),
            "dilation": kept("dilation", 1),
            # "same" pads an axis by its own kernel, and so by nothing where the kernel has one tap
            "padding": layer.padding if isinstance(layer.padding, str) else kept("padding", 0),
            "padding_mode": layer.padding_mode,
            "groups": layer.groups,
        }
        if self.transposed:
            geometry["output_padding"] = kept("output_padding", 0)
        kind = (_TRANSPOSED if self.transposed else _PLAIN)[self.dims]
        return _without_weights(kind, *channels, kept("kernel_size", 1), **geometry, **options)


FOLDINGS: dict[tuple[type[nn.Module], str], Folding] = {
    (nn.Linear, "channel"): Folding(0, 0),
    **{(kind, "channel"): Folding(dims, dims) for dims, kind in _PLAIN.items()},
    **{(kind, "channel"): Folding(dims, 0, transposed=True) for dims, kind in _TRANSPOSED.items()},
    **{(_PLAIN[dims], "spatial"): Folding(dims, 1) for dims in (2, 3)},
    **{(_TRANSPOSED[dims], "spatial"): Folding(dims, 1, transposed=True) for dims in (2, 3)},
}
KINDS = {kind.__name__: kind for kind, _ in FOLDINGS}
FACTORIZABLE = tuple(KINDS.values())


def kind_of(layer: nn.Module) -> type[nn.Module] | None:
    """Returns which of the kinds a layer is, also as a subclass; of a factorised layer what the dense one was."""
    own = getattr(layer, "dense_kind", None)
    return own or next((kind for kind in type(layer).__mro__ if kind in FACTORIZABLE), None)


def layer_of_own_kind(layer: nn.Module) -> nn.Module | None:
    """Returns the layer, or the first of a factorised one, where it is a subclass with a forward pass of its own."""
    inner = layer.get_submodule("first") if hasattr(layer, "dense_kind") else layer
    return None if type(inner) in FACTORIZABLE else inner


def has_folding(layer: nn.Module, scheme: str) -> bool:
    """Returns whether that kind of layer can be factorised by that scheme.

    A subclass, whose forward pass has to stay whole, by the channel scheme alone, and no transposed one.
    """
    folding = FOLDINGS.get((kind_of(layer), scheme))  # type: ignore[arg-type]
    return folding is not None and (layer_of_own_kind(layer) is None or folding.axes == folding.dims)


def folding_of(layer: nn.Module, scheme: str) -> Folding:
    """Returns the folding for a layer and a scheme.

    Raises:
        KeyError: If that kind of layer cannot be factorised by that scheme.
    """
    if not has_folding(layer, scheme):
        raise KeyError(f"no {scheme} scheme for a {type(layer).__name__}")
    return FOLDINGS[kind_of(layer), scheme]  # type: ignore[index]


def stored_weight(layer: nn.Module) -> nn.Parameter:
    """Returns the layer's weight; of a factorised layer that of its first."""
    return layer.get_parameter("first.weight" if hasattr(layer, "dense_kind") else "weight")


def exact_weight(layer: nn.Module) -> Tensor:
    """Returns the layer's weight, detached; of a factorised layer the product, in float64."""
    return layer.product() if hasattr(layer, "dense_kind") else stored_weight(layer).detach()  # type: ignore[operator]


def copy_with_outputs(layer: nn.Module, outputs: int, *, biased: bool = False, device: Any = None) -> nn.Module:
    """Returns a copy of a subclass's layer with another number of outputs; its weights are not set."""
    weight = layer.get_parameter("weight")
    where: dict[str, Any] = {"dtype": weight.dtype, "device": device or weight.device}
    memo: dict[int, Any] = {id(layer.bias): nn.Parameter(torch.empty(outputs, **where)) if biased else None}
    memo[id(weight)] = nn.Parameter(torch.empty(outputs, *weight.shape[1:], **where))
    copied = copy.deepcopy(layer, memo)
    setattr(copied, "out_channels" if hasattr(layer, "out_channels") else "out_features", outputs)
    return copied


def schemes_of(layer: nn.Module, scheme: str) -> tuple[str, ...]:
    """Returns the schemes to decompose a layer by when `scheme` is asked for: one, or two for `auto`.

    Layers without a spatial scheme (Linear, Conv1d, ConvTranspose1d, subclasses) fall back to `channel`. Where both
    schemes unfold to the same matrix, as for 1x1 kernels, `auto` keeps `channel` alone.
    """
    if scheme == "channel" or not has_folding(layer, "spatial"):
        return ("channel",)
    if scheme == "spatial":
        return ("spatial",)
    kernel = layer.kernel_size
    channel, spatial = (folding_of(layer, name) for name in SCHEMES)
    moved = slice(min(channel.axes, spatial.axes), max(channel.axes, spatial.axes))
    return ("channel",) if math.prod(kernel[moved]) == 1 else SCHEMES  # type: ignore[index]


def _without_weights(kind: type[nn.Module], *args: Any, **options: Any) -> nn.Module:
    """Returns a layer whose weights are not set. `nn.utils.skip_init` does so, too, but loads SymPy for a second."""
    device = options.pop("device")
    layer = kind(*args, device="meta", **options)
    for name, parameter in list(layer.named_parameters()):
        setattr(layer, name, nn.Parameter(torch.empty(parameter.shape, dtype=parameter.dtype, device=device)))
    return layer


def _groups(layer: nn.Module) -> int:
    return int(getattr(layer, "groups", 1))


def _grid(weight: Tensor, groups: int, transposed: bool) -> Tensor:
    """Returns a weight as (groups, outputs a group, inputs a group, *kernel)."""
    grid = weight.unflatten(0, (groups, -1))
    return grid.transpose(1, 2) if transposed else grid


def _ungrid(grid: Tensor, transposed: bool) -> Tensor:
    return (grid.transpose(1, 2) if transposed else grid).flatten(0, 1)


def _flat_kernel(grid: Tensor) -> Tensor:
    return grid.reshape(*grid.shape[:3], -1)
