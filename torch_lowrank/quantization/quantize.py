"""Rounds the weights of a network to few bits each."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from torch_lowrank.checks import check_network
from torch_lowrank.curvature.moments import Moments, Statistics
from torch_lowrank.layers.eligibility import survey
from torch_lowrank.layers.factorized import LowRank, replace_layers
from torch_lowrank.layers.unfolding import folding_of
from torch_lowrank.modes import undisturbed
from torch_lowrank.progress import tracked
from torch_lowrank.quantization.bits import BITS, HALF
from torch_lowrank.quantization.coding import Coding, coding_of, remember
from torch_lowrank.quantization.rounding import (
    choose_steps,
    conditional_variances,
    damped_for_rounding,
    round_to_nearest,
    round_with_feedback,
)
from torch_lowrank.quantization.thin_moments import (
    before_second,
    even_out,
    exact_in_second,
    first_moments,
    matrix_of,
    second_moments,
    weight_of,
)

_HALF_ERROR = 2.0**-10  # of the largest value; a tensor that half precision changes by more stays in float32
_DAMPING = 1e-8  # of the mean diagonal, where factors are refitted: they may be of less than full rank


@undisturbed()
def quantize_weights(
    network: nn.Module,
    bits: int | Mapping[str, int] = 8,
    *,
    statistics: Statistics | None = None,
    exclude: Collection[str] = (),
    other_bits: int = 32,
) -> nn.Module:
    """Returns a copy whose weights take few bits each in the file that `save_network` writes.

    It computes in float32, with weights that are scale * code, one scale for each output channel. So it is an ordinary
    network, and what is evaluated is what is loaded. Rounded are the weights of all layers that `survey` finds, both of
    a factorised layer; what it skips (embeddings, tied weights) stays in float32. A weight that is changed afterwards
    is refused by `save_network`. BatchNorm can be recalibrated before or after.

    Args:
        network: Any network with weights in float32, dense or compressed; it is not changed.
        bits: 2 to 8, or 16 for half precision; or patterns (`fnmatch`) of the names of the layers that hold a weight
            (of a factorised one `NAME.first` and `NAME.second`) to bits: the first that matches holds, and layers
            that none matches stay in float32.
        statistics: Result of `collect_statistics` for this network, or for the dense one that it was compressed from.
            Rounding then makes up for its own errors where the loss depends on them, see `rounding`; else each weight
            is rounded to the nearest value.
        exclude: Patterns of layer names that stay in float32.
        other_bits: Of biases, BatchNorm's parameters and statistics, and whatever else is float32: 32, or 16, which
            rounds to half precision every tensor that this changes by less than a thousandth of its largest value.

    Raises:
        ValueError: The bits are none of these, a pattern matches no layer, a weight is not finite or, for half
            precision, too large, or the statistics are of another network.
        TypeError: The network is no module, a `ScriptModule`, holds what cannot be copied, or a weight is not float32.
    """
    check_network(network)
    if other_bits not in (HALF, 32):
        raise ValueError(f"other_bits is {other_bits!r}; give 32, or 16 for half precision")
    quantized = replace_layers(network, {})
    layers = survey(quantized).layers
    chosen = _chosen_bits(layers, bits, exclude)
    for name in tracked(list(layers), "quantize"):
        layer = layers[name]
        moments = None
        if statistics is not None and name in statistics:
            moments = statistics.of_layer(name, layer, statistics.weighting)
        with torch.no_grad():
            _round_layer(name, layer, chosen, moments)
    if other_bits == HALF:
        _round_others(quantized)
    return quantized


def _round_layer(name: str, layer: nn.Module, bits: dict[str, int], moments: Moments | None) -> None:
    """Rounds the weight of a layer, or both weights of a factorised one."""
    if not isinstance(layer, LowRank):
        if name in bits:
            _round_weight(name, layer, bits[name], None if moments is None else moments.damped(layer))
        return
    first, second = f"{name}.first", f"{name}.second"
    if first in bits and second in bits:
        even_out(layer)
    dense = matrix_of(layer)
    if first in bits:
        _round_weight(first, layer.first, bits[first], None if moments is None else first_moments(layer, moments))
        if moments is not None and second in bits and exact_in_second(layer):
            _refit_second(layer, dense, moments)
    if second in bits:
        _round_weight(second, layer.second, bits[second], None if moments is None else second_moments(layer, moments))


def _round_weight(name: str, layer: nn.Module, bits: int, moments: tuple[Tensor, Tensor] | None) -> None:
    """Rounds a plain layer's weight, in place."""
    weight = layer.get_parameter("weight")
    if weight.dtype != torch.float32:
        raise TypeError(f"the weight of layer {name!r} is {weight.dtype}; quantize_weights takes network.float()")
    if not bool(weight.isfinite().all()):
        raise ValueError(f"the weight of layer {name!r} is not finite; the network has diverged")
    if bits == HALF:
        if not bool(weight.half().isfinite().all()):
            raise ValueError(f"the weight of layer {name!r} is too large for half precision; give it 8 bits or fewer")
        weight.copy_(weight.half().float())
        remember(layer, "weight", Coding(HALF))
        return
    matrices = matrix_of(layer)
    folding = folding_of(layer, "channel")
    taps = math.prod(layer.kernel_size) if folding.transposed else 1  # type: ignore[arg-type]
    if moments is None:
        steps = choose_steps(matrices, bits, per=taps)
        codes = round_to_nearest(matrices, steps, bits)
    else:
        rows, columns = (damped_for_rounding(each.cpu()) for each in moments)
        steps = choose_steps(matrices, bits, conditional_variances(columns), taps)
        codes = round_with_feedback(matrices, steps, bits, rows, columns)
    scale = steps[:, ::taps, 0]  # (groups, outputs)
    scale = scale[:, None] if folding.transposed else scale[:, :, None]
    coding = Coding(bits, scale.reshape(*scale.shape, *[1] * folding.dims).contiguous())
    values = coding.decode(weight_of(layer, codes).unflatten(0, (len(scale), -1)).numpy())
    weight.copy_(values.reshape(weight.shape))
    remember(layer, "weight", coding)


def _refit_second(layer: LowRank, dense: Tensor, moments: Moments) -> None:
    """Fits the second weight to a first one that was rounded, by least squares over the layer's inputs; in place."""
    _, columns = moments.damped(layer)
    before = before_second(layer)
    seen = before @ columns @ before.mT
    diagonal = seen.diagonal(dim1=1, dim2=2)
    diagonal.add_(_DAMPING * diagonal.mean(1, keepdim=True))
    fitted = torch.linalg.lstsq(seen, before @ columns @ dense.mT).solution.mT
    if bool(fitted.isfinite().all()):
        second = layer.second.get_parameter("weight")
        second.copy_(weight_of(layer.second, fitted).reshape(second.shape))


def _round_others(network: nn.Module) -> None:
    """Rounds to half precision all float32 tensors of a network's state that are not rounded yet; in place."""
    for module in network.modules():
        own = {**dict(module.named_parameters(recurse=False)), **dict(module.named_buffers(recurse=False))}
        for name, tensor in own.items():
            if coding_of(module, name) is not None or name in module._non_persistent_buffers_set:
                continue
            half = in_half_precision(tensor)
            if half is not None:
                tensor.data.copy_(half)
                remember(module, name, Coding(HALF))


def in_half_precision(tensor: Tensor) -> Tensor | None:
    """Returns a float32 tensor with its values rounded to half precision, None where that changes one by too much."""
    if tensor.dtype != torch.float32:
        return None
    values = tensor.detach()
    half = values.half().float()
    largest = values.abs().amax() if values.numel() else 0
    near = (half - values).abs() <= _HALF_ERROR * largest
    return half if bool(near.all()) else None


def _chosen_bits(
    layers: dict[str, nn.Module], bits: int | Mapping[str, int], exclude: Collection[str]
) -> dict[str, int]:
    """Returns the bits of each layer that holds a weight to round."""
    table = bits if isinstance(bits, Mapping) else {"*": bits}
    for pattern, value in table.items():
        if isinstance(value, bool) or value not in (*BITS, HALF):
            raise ValueError(f"bits of {pattern!r} are {value!r}; give {', '.join(map(str, BITS))} or {HALF}")
    if isinstance(exclude, str):
        raise ValueError(f"exclude is the string {exclude!r}; give a list of patterns, as [{exclude!r}]")
    holders = {
        holder: (name, holder)
        for name, layer in layers.items()
        for holder in ([f"{name}.first", f"{name}.second"] if isinstance(layer, LowRank) else [name])
    }
    for pattern in (*(bits if isinstance(bits, Mapping) else ()), *exclude):
        if not any(fnmatch.fnmatchcase(name, pattern) for names in holders.values() for name in names):
            raise ValueError(f"the pattern {pattern!r} matches no layer that holds a weight to round")
    return {
        holder: next(value for pattern, value in table.items() if _matches(names, pattern))
        for holder, names in holders.items()
        if not any(_matches(names, pattern) for pattern in exclude) and any(_matches(names, each) for each in table)
    }


def _matches(names: tuple[str, str], pattern: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for name in names)
