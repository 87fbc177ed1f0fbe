"""Layers of fewer channels than their constructor gave them, as pruning leaves them: their widths as plain data.

A network remembers what was narrowed in it, so that `save_network` writes it down: by the name of a module, the numbers
that say how wide it is. `load_network` builds the network as its constructor does and narrows it before the weights are
read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase  # of BatchNorm and InstanceNorm
from torch.nn.modules.conv import _ConvNd

from torch_lowrank.layers.factorized import replace_layers

Widths = Mapping[str, Mapping[str, int]]
_REMEMBERED = "narrowed_widths"  # attribute of the network


class NarrowingError(ValueError):
    """Widths do not fit a network."""


def _of_convolution(layer: nn.Module, width: Mapping[str, int], tensor: Tensor) -> list[int]:
    if tensor.ndim == 1:
        return [width["out_channels"]]
    rows, columns = width["out_channels"], width["in_channels"]
    if layer.transposed:
        rows, columns = columns, rows
    return [rows, columns // width["groups"]]


def _of_linear(layer: nn.Module, width: Mapping[str, int], tensor: Tensor) -> list[int]:
    return [width["out_features"], width["in_features"]][: tensor.ndim]


def _of_one(layer: nn.Module, width: Mapping[str, int], tensor: Tensor) -> list[int]:
    return [next(iter(width.values()))]


_Leading = Callable[[nn.Module, Mapping[str, int], Tensor], list[int]]
# Kind of module: the attributes that say how wide it is, and the leading sizes of each of its tensors that follow.
_KINDS: dict[type[nn.Module], tuple[tuple[str, ...], _Leading]] = {
    _ConvNd: (("in_channels", "out_channels", "groups"), _of_convolution),
    nn.Linear: (("in_features", "out_features"), _of_linear),
    _NormBase: (("num_features",), _of_one),
    nn.GroupNorm: (("num_channels",), _of_one),
    nn.PReLU: (("num_parameters",), _of_one),
}


def width_of(module: nn.Module) -> dict[str, int] | None:
    """Returns the numbers that say how wide a module is; None where it is of no kind that can be narrowed.

    Modules whose weights are computed from others, by a parametrisation or weight norm, cannot.
    """
    attributes = next((names for kind, (names, _) in _KINDS.items() if isinstance(module, kind)), None)
    if attributes is None or ("weight" not in module._parameters):
        return None
    return {name: int(getattr(module, name)) for name in attributes}


def differing_widths(network: nn.Module, narrower: nn.Module) -> dict[str, dict[str, int]]:
    """Returns the widths of all modules of the second network that are not those of the first, by name."""
    full = {name: width_of(module) for name, module in network.named_modules()}
    found = {name: width_of(module) for name, module in narrower.named_modules()}
    return {name: width for name, width in found.items() if width is not None and width != full.get(name)}


def narrow(network: nn.Module, widths: Widths) -> None:
    """Narrows modules of a network, in place, and lets it remember that.

    Of every tensor the first channels are kept: what the weights are is for the caller to load.

    Args:
        network: The network as its constructor makes it.
        widths: As `differing_widths` returns them.

    Raises:
        NarrowingError: They name a module that is not there, or that has no such widths, or are no widths between one
            and the module's own.
    """
    known = widths_in(network)
    for name, width in widths.items():
        _narrow(network, name, width)
    for module in network.modules():
        if hasattr(module, _REMEMBERED):
            delattr(module, _REMEMBERED)  # the network as a whole remembers from now on
    setattr(network, _REMEMBERED, known | {name: dict(width) for name, width in widths.items()})


def widths_in(network: nn.Module) -> dict[str, dict[str, int]]:
    """Returns the widths of all modules that were narrowed in a network, or in networks that it is made of, by name."""
    return {
        f"{prefix}.{name}".lstrip("."): dict(width)
        for prefix, module in network.named_modules()
        for name, width in getattr(module, _REMEMBERED, {}).items()
    }


def describe_widths(network: nn.Module) -> list[dict[str, Any]]:
    """Returns the same as JSON-like data, which `narrowed_as_described` reads."""
    return [{"name": name, "width": width} for name, width in sorted(widths_in(network).items())]


def narrowed_as_described(network: nn.Module, entries: object) -> nn.Module:
    """Returns a copy of a network, narrowed by what `describe_widths` returned for one like it.

    Args:
        network: The network as its constructor makes it; it is not changed, and returned itself where nothing is said.
        entries: From a file: anything.

    Raises:
        NarrowingError: The entries are of another form, or do not fit the network.
    """
    if not isinstance(entries, list):
        raise NarrowingError(f"what was narrowed is {entries!r}, and no list")
    widths: dict[str, Mapping[str, int]] = {}
    for entry in entries:
        if not isinstance(entry, dict) or {*entry} != {"name", "width"} or not isinstance(entry["name"], str):
            raise NarrowingError(f"{entry!r} does not hold the name and the width of a module")
        widths[entry["name"]] = entry["width"]
    if not widths:
        return network
    copied = replace_layers(network, {})
    narrow(copied, widths)
    return copied


def _narrow(network: nn.Module, name: str, width: object) -> None:
    try:
        module = network.get_submodule(name)
    except AttributeError as error:
        raise NarrowingError(f"the network has no module {name!r}") from error
    full = width_of(module)
    if full is None:
        raise NarrowingError(f"module {name!r} is a {type(module).__name__}, which cannot be narrowed")
    if not isinstance(width, Mapping) or {*width} != {*full}:
        raise NarrowingError(f"module {name!r} has the widths {full}, and {width!r} does not give these")
    bad = next((key for key, size in width.items() if type(size) is not int or not 1 <= size <= full[key]), None)
    if bad is not None:
        raise NarrowingError(
            f"{bad} of module {name!r} is {width[bad]!r}; give a whole number from 1 to {full[bad]}, its width before"
        )
    parts = _parts(module, width)
    if any(width[key] % parts for key in full if key in ("in_channels", "out_channels", "num_channels")):
        raise NarrowingError(f"the channels of module {name!r}, {dict(width)}, do not divide into its {parts} groups")
    leading = next(leading for kind, (_, leading) in _KINDS.items() if isinstance(module, kind))
    with torch.no_grad():
        for key, tensor in [*module._parameters.items(), *module._buffers.items()]:
            if tensor is not None and tensor.ndim:  # the count of batches has no axis
                kept = tensor[tuple(slice(size) for size in leading(module, width, tensor))].clone()
                setattr(module, key, nn.Parameter(kept, tensor.requires_grad) if key in module._parameters else kept)
    for key, size in width.items():
        setattr(module, key, size)


def _parts(module: nn.Module, width: Mapping[str, int]) -> int:
    """Returns the number of groups that channels are divided into, once the module is so wide."""
    return module.num_groups if isinstance(module, nn.GroupNorm) else width.get("groups", 1)
