"""Which layers of a network can be factorised, and for each of the others why not."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.utils import parametrize

from torch_lowrank.layers.factorized import LowRank
from torch_lowrank.layers.unfolding import FACTORIZABLE

_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
# The hooks of a module; torch has no public way to ask for them.
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
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
        reason = why_not(module) or _shared(module, name, owners) or _used_as_tensor(network, name)
        if reason:
            skipped[name] = reason
        else:
            layers[name] = module
    return Survey(layers, skipped)


def why_not(layer: nn.Module) -> str | None:
    """Returns why a layer with a weight cannot be factorised, None where it can, seen by itself.

    The class must match exactly: a subclass may do something else in its forward pass.
    """
    return _why_not_kind(layer) or _why_not_state(layer) or _why_not_weight(layer.get_parameter("weight"))


def _why_not_kind(layer: nn.Module) -> str | None:
    kind = type(layer).__name__
    if isinstance(layer, LowRank):
        return "it is of low rank already"
    if isinstance(layer, LazyModuleMixin):
        return "a lazy layer has no shape before the network's first forward pass; run one and decompose then"
    if parametrize.is_parametrized(layer):
        return _COMPUTED
    if type(layer) in FACTORIZABLE:
        return None
    parents = [parent.__name__ for parent in FACTORIZABLE if isinstance(layer, parent)]
    return f"{kind} is its own kind of {parents[0]}" if parents else f"a {kind} layer cannot be factorised"


def _why_not_state(layer: nn.Module) -> str | None:
    parameters = {name for name, _ in layer.named_parameters(recurse=False)}
    if "weight" not in parameters:
        return _COMPUTED
    if "forward" in vars(layer):
        return "its forward method was replaced"
    if any(getattr(layer, hooks) for hooks in _HOOKS):
        return "it has hooks, which may rely on the dense layer; remove them and decompose again"
    if parameters - {"weight", "bias"} or [*layer.buffers(), *layer.children()]:
        return "it holds more than a weight and a bias"
    return None


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
    for key in ("weight", "bias"):
        others = [other for other in owners.get(id(getattr(layer, key)), ()) if other != f"{name}.{key}".lstrip(".")]
        if others:
            return f"its {key} is shared with {others[0]}"
    return None


def _used_as_tensor(network: nn.Module, name: str) -> str | None:
    """Attention hands its projection's weight to a fused function and never calls the layer."""
    parent = network.get_submodule(name.rpartition(".")[0]) if name else network
    if parent is not network.get_submodule(name) and isinstance(parent, nn.MultiheadAttention):
        return "its attention reads the weight and never calls the layer"
    return None
