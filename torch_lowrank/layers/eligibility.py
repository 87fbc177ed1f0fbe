"""Which layers of a network can be factorised, and for each of the others why not."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.utils import parametrize

from torch_lowrank.layers.factorized import LowRank, kind_name
from torch_lowrank.layers.padding import multiplies_once
from torch_lowrank.layers.unfolding import FACTORIZABLE, has_folding, kind_of, layer_of_own_kind

_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
# The hooks of a module; torch has no public way to ask for them.
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_HOOKED = "it has hooks, which may rely on the dense layer; remove them and decompose again"
_COMPUTED = "its weight is computed from other parameters (weight norm, pruning or another parametrisation)"


@dataclasses.dataclass(frozen=True)
class Survey:
    """The layers with a weight matrix.

    Attributes:
        layers: Layer name to layer, those that can be factorised. A layer used in several places has its first name.
        skipped: Layer name to the reason why the layer cannot be factorised.
    """

    layers: dict[str, nn.Module]
    skipped: dict[str, str]


def survey(network: nn.Module) -> Survey:
    """Sorts the layers of a network."""
    layers: dict[str, nn.Module] = {}
    skipped: dict[str, str] = {}
    owners = _owners(network)
    inside = {id(thin) for module in network.modules() if isinstance(module, LowRank) for thin in module.children()}
    for name, module in network.named_modules():
        if id(module) in inside or not _has_weight_matrix(module):
            continue
        reason = _used_as_tensor(network, name) or why_not(module) or _shared(module, name, owners)
        if reason:
            skipped[name] = reason
        else:
            layers[name] = module
    return Survey(layers, skipped)


def why_not(layer: nn.Module) -> str | None:
    """Returns why a layer with a weight cannot be factorised, None where it can, seen by itself.

    Of a subclass, which may do anything in its forward pass, it is tried out whether it does what its parent does, with
    another padding perhaps. A layer that is factorised already can be factorised again, from the product of its two.
    """
    stored = list(layer.children()) if isinstance(layer, LowRank) else [layer]
    reasons = (
        _why_not_kind(each) or _why_not_state(each) or _why_not_weight(each.get_parameter("weight")) for each in stored
    )
    return next(filter(None, reasons), None) or _why_not_forward(layer)


def _why_not_kind(layer: nn.Module) -> str | None:
    if isinstance(layer, LazyModuleMixin):
        return "a lazy layer has no shape before the network's first forward pass; run one and decompose then"
    if parametrize.is_parametrized(layer):
        return _COMPUTED
    if isinstance(layer, nn.MultiheadAttention):
        return f"a {kind_name(layer)} layer hands its projections to one function, and calls no layer for them"
    return None if kind_of(layer) else f"a {kind_name(layer)} layer cannot be factorised"


def _why_not_forward(layer: nn.Module) -> str | None:
    """Returns what hinders in the layer's own forward pass, and in being watched where it is factorised already."""
    if isinstance(layer, LowRank) and any(getattr(layer, hooks) for hooks in _HOOKS):
        return _HOOKED
    own = layer_of_own_kind(layer)
    if own is None or (has_folding(layer, "channel") and multiplies_once(own)):
        return None
    parent = kind_of(layer)
    return f"{kind_name(layer)} is its own kind of {parent.__name__ if parent else 'layer'}, and does more than pad"


def _why_not_state(layer: nn.Module) -> str | None:
    parameters = {name for name, _ in layer.named_parameters(recurse=False)}
    if "weight" not in parameters:
        return _COMPUTED
    if "forward" in vars(layer):
        return "its forward method was replaced"
    if any(getattr(layer, hooks) for hooks in _HOOKS):
        return _HOOKED
    inside = layer.children() if type(layer) in FACTORIZABLE else (each for each in layer.children() if _holds(each))
    if parameters - {"weight", "bias"} or [*layer.buffers(), *inside]:
        return "it holds more than a weight and a bias"
    return None


def _holds(module: nn.Module) -> bool:
    """Returns whether a module has tensors or hooks; a subclass keeps its padding in one without."""
    watched = any(getattr(each, hooks) for each in module.modules() for hooks in _HOOKS)
    return watched or bool([*module.parameters(), *module.buffers()])


def _why_not_weight(weight: nn.Parameter) -> str | None:
    if type(weight) is not nn.Parameter or weight.layout is not torch.strided or weight.is_quantized:
        return f"its weight is no plain tensor but a {type(weight).__name__} of layout {weight.layout}"
    if weight.dtype not in _DTYPES:
        return f"weights of type {weight.dtype} cannot be factorised"
    return "its weight is empty" if weight.numel() == 0 else None


def _has_weight_matrix(module: nn.Module) -> bool:
    if isinstance(module, (*FACTORIZABLE, LowRank, LazyModuleMixin)):
        return True
    quantized = "quantized" in type(module).__module__ and callable(getattr(module, "weight", None))
    return quantized or any(
        "weight" in name and isinstance(parameter, Tensor) and parameter.ndim > 1
        for name, parameter in module.named_parameters(recurse=False)
    )


def _owners(network: nn.Module) -> dict[int, list[str]]:
    """Returns, for each parameter's id, the names under which different modules hold it."""
    owners: dict[int, list[str]] = {}
    for name, module in network.named_modules():
        for key, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            owners.setdefault(id(parameter), []).append(f"{name}.{key}".lstrip("."))
    return owners


def _shared(layer: nn.Module, name: str, owners: dict[int, list[str]]) -> str | None:
    for key, parameter in layer.named_parameters():
        others = [other for other in owners.get(id(parameter), ()) if other != f"{name}.{key}".lstrip(".")]
        if others:
            return f"its {key.rpartition('.')[2]} is shared with {others[0]}"
    return None


def _used_as_tensor(network: nn.Module, name: str) -> str | None:
    """Attention hands its projection's weight to a fused function and never calls the layer."""
    parent = network.get_submodule(name.rpartition(".")[0]) if name else network
    if parent is not network.get_submodule(name) and isinstance(parent, nn.MultiheadAttention):
        return "its attention reads the weight and never calls the layer"
    return None
