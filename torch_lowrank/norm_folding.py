"""Which BatchNorms can become part of the convolution before them: where nothing else reads what lies between.

Shown by tracing the network (torch.fx). A trace is one path through the forward pass, the one that placeholders take:
`isinstance(x, Tensor)` is false for them, and an argument left out is not None. So a trace counts alone only where no
code that it ran through decides by anything but what modules hold. Elsewhere an example is needed, and what the network
does with it is watched. Where neither shows it, nothing is folded.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
from torch.utils.hooks import RemovableHandle

from torch_lowrank.batches import Call
from torch_lowrank.branches import Ran, always_takes_the_same, decides
from torch_lowrank.layers.factorized import LowRank

_NORM_OF: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv1d: nn.BatchNorm1d,
    nn.Conv2d: nn.BatchNorm2d,
    nn.Conv3d: nn.BatchNorm3d,
}
# What a forward pass may raise when it is given placeholders instead of tensors.
_UNTRACEABLE = (ValueError, TypeError, RuntimeError, AttributeError, NameError, LookupError, AssertionError)


def fold_batch_norms(network: nn.Module, example: Call | None) -> None:
    """Makes BatchNorms part of the convolutions before them, in place, in a network in evaluation mode.

    Args:
        network: The network.
        example: A call of it; None folds only where the trace can be trusted.
    """
    candidates = _Candidates(network)
    pairs, trusted = _traced(network, candidates)
    if example is not None:
        watched = _watched(network, candidates, example)
        pairs = watched if pairs is None else [pair for pair in pairs if pair in watched]
    elif not trusted:
        pairs = []
    for name, norm in pairs or []:
        layer, fused = network.get_submodule(name), cast(Any, network.get_submodule(norm))
        if isinstance(layer, LowRank):
            layer.second = fuse_conv_bn_eval(layer.second, fused)  # type: ignore[type-var]
        else:
            network.set_submodule(name, fuse_conv_bn_eval(layer, fused))  # type: ignore[type-var]
        network.set_submodule(norm, nn.Identity())


def is_watched(*modules: nn.Module) -> bool:
    """Returns whether a module has hooks, which would see other values after folding."""
    # torch has no public way to ask
    return any(module._forward_hooks or module._forward_pre_hooks for module in modules)


class _Candidates:
    """The convolutions and BatchNorms that may be changed: each has one name, and nothing watches it.

    Attributes:
        layers: Name to convolution, dense or factorised.
        norms: Name to BatchNorm.
    """

    def __init__(self, network: nn.Module) -> None:
        names = Counter(id(module) for _, module in network.named_modules(remove_duplicate=False))
        aside = _held_aside(network)
        self.layers: dict[str, nn.Module] = {}
        self.norms: dict[str, nn.Module] = {}
        for name, module in network.named_modules():
            if not name or names[id(module)] > 1 or id(module) in aside or is_watched(module, _last(module)):
                continue
            if type(_last(module)) in _NORM_OF and "forward" not in vars(module):
                self.layers[name] = module
            elif type(module) in _NORM_OF.values() and module.running_mean is not None:
                self.norms[name] = module

    def fit(self, layer: str, norm: str) -> bool:
        """Returns whether both are candidates, and of the same number of axes."""
        if layer not in self.layers or norm not in self.norms:
            return False
        return _NORM_OF[type(_last(self.layers[layer]))] is type(self.norms[norm])


def _last(layer: nn.Module) -> nn.Module:
    return layer.second if isinstance(layer, LowRank) else layer


def _held_aside(network: nn.Module) -> set[int]:
    """Returns the modules that a network also keeps where they cannot be replaced, for example in a list."""
    held: set[int] = set()
    for module in network.modules():
        for key, value in vars(module).items():
            values = value.values() if isinstance(value, Mapping) else value
            values = values if isinstance(value, (list, tuple, set, Mapping)) else [value]
            held |= {id(each) for each in values if isinstance(each, nn.Module) and key != "_modules"}
    return held


class _Tracer(fx.Tracer):
    """Traces into modules in which there is something to fold."""

    proxy_buffer_attributes = True  # buffers that are read become nodes, as parameters do

    def __init__(self, candidates: _Candidates) -> None:
        super().__init__()
        self._inside = {name.rpartition(".")[0] for name in [*candidates.layers, *candidates.norms]}

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        prefix = f"{module_qualified_name}."
        holds = any(name == prefix[:-1] or name.startswith(prefix) for name in self._inside)
        return isinstance(m, LowRank) or not holds


def _traced(network: nn.Module, candidates: _Candidates) -> tuple[list[tuple[str, str]] | None, bool]:
    """Returns the names of convolutions and the BatchNorms that alone read them, and whether any call does the same.

    The names are None where tracing fails.
    """
    tensors = [*network.parameters(), *network.buffers()]
    structure = copy.deepcopy(network, {id(tensor): tensor for tensor in tensors})  # tracing may leave traces
    ran = Ran()
    try:
        with ran:
            nodes = list(_Tracer(candidates).trace(structure).nodes)
    except _UNTRACEABLE:
        return None, False
    trusted = always_takes_the_same(structure) and not any(decides(code) for code in ran.codes)
    return _pairs(nodes, candidates), trusted


def _pairs(nodes: list[fx.Node], candidates: _Candidates) -> list[tuple[str, str]]:
    """Returns the names of convolutions and of the BatchNorms that alone read them, in a trace."""
    calls = Counter(node.target for node in nodes if node.op == "call_module")
    read = {str(node.target).rpartition(".")[0] for node in nodes if node.op == "get_attr"}
    pairs = []
    for node in nodes:
        before = node.args[0] if node.op == "call_module" and node.args else None
        if not isinstance(before, fx.Node) or not candidates.fit(str(before.target), str(node.target)):
            continue
        names = str(before.target), str(node.target)
        once = calls[before.target] == calls[node.target] == len(before.users) == 1
        if once and before.op == "call_module" and not read & {*names, f"{names[0]}.second"}:
            pairs.append(names)
    return pairs


class _Reads(TorchFunctionMode):
    """Records what is read of the candidates, other than by themselves: outputs of convolutions, and all parameters.

    Attributes:
        outputs: Id to name and output of a convolution; kept, so that no other tensor gets the id.
        read: Names of the candidates of which something was read.
        inside: Whether a candidate is running.
    """

    def __init__(self, candidates: _Candidates) -> None:
        super().__init__()
        self.outputs: dict[int, tuple[str, Tensor]] = {}
        self.read: set[str] = set()
        self.inside = False
        self._held = {
            id(tensor): name
            for name, module in (candidates.layers | candidates.norms).items()
            for tensor in (*module.parameters(), *module.buffers())
        }

    def see(self, values: Any) -> None:
        """Records what is read by taking some values."""
        for value in tree_leaves(values):
            if id(value) in self.outputs:
                self.read.add(self.outputs[id(value)][0])
            elif id(value) in self._held:
                self.read.add(self._held[id(value)])

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        if not self.inside:
            self.see((args, kwargs))
        return func(*args, **(kwargs or {}))


def _watched(network: nn.Module, candidates: _Candidates, example: Call) -> list[tuple[str, str]]:
    """Returns the names of convolutions and of the BatchNorms that alone read them, in one call of the network."""
    reads, calls = _Reads(candidates), Counter[str]()
    pairs: dict[str, str] = {}

    def entered(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, kwargs: Any) -> None:
            calls[name] += 1
            layer, _ = reads.outputs.get(id(args[0]) if args else 0, ("", None))
            if candidates.fit(layer, name) and layer not in pairs:
                pairs[layer] = name
            else:  # a second BatchNorm, or another layer
                reads.see((args, kwargs))
            reads.inside = True

        return hook

    def left(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, output: Tensor) -> None:
            reads.inside = False
            if name in candidates.layers:
                reads.outputs[id(output)] = name, output

        return hook

    handles: list[RemovableHandle] = []
    for name, module in (candidates.layers | candidates.norms).items():
        handles.append(module.register_forward_pre_hook(entered(name), with_kwargs=True))
        handles.append(module.register_forward_hook(left(name)))
    try:
        with torch.no_grad(), reads:
            reads.see(example.apply(network, None))
    finally:
        for handle in handles:
            handle.remove()
    once = ((layer, norm) for layer, norm in pairs.items() if calls[layer] == calls[norm] == 1)
    return [pair for pair in once if not reads.read & {*pair}]
