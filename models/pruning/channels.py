"""The channels of a network that can only be removed together: the dependency graph of Torch-Pruning.

Fang et al. 2023, "DepGraph: Towards Any Structural Pruning" (arXiv 2301.12900). A layer's output channels take with
them the entries of its normalisation, and the input channels of all layers that read them, also through concatenations
and sums. The library is imported where a graph is made: only who prunes needs it.
"""

from __future__ import annotations

import copy
import dataclasses
import warnings
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from models.networks.errors import NetworkError, code_of_others
from torch_lowrank.narrowing import width_of

# For each layer, its output channels that are removed.
Removed = Mapping[str, Sequence[int]]


class PruningError(ValueError):
    """A network cannot be pruned, or not so far."""


@dataclasses.dataclass(frozen=True)
class Channels:
    """Output channels of a layer, with all that depends on them.

    Attributes:
        layer: The layer's name.
        units: What is removed at once: single channels, or one channel of each of the parts that a grouped convolution
            or GroupNorm divides them into.
    """

    layer: str
    units: tuple[tuple[int, ...], ...]

    @property
    def width(self) -> int:
        """The number of channels."""
        return sum(map(len, self.units))


class ChannelGraph:
    """Which channels of a network depend on which.

    Args:
        network: The network, in evaluation mode; `remove` changes it.
        images: (N, C, H, W), which it is traced with.

    Raises:
        PruningError: The network cannot be traced.
    """

    def __init__(self, network: nn.Module, images: Tensor) -> None:
        import torch_pruning  # noqa: PLC0415 - for those who prune alone

        self._library, self._network = torch_pruning, network
        self._names = {module: name for name, module in network.named_modules()}
        for parameter in network.parameters():
            parameter.requires_grad_(True)  # of frozen layers the graph would be unknown
        for module in network.modules():
            if isinstance(module, nn.PReLU):
                module.weight.requires_grad_(False)  # its view would be taken for a second input
            if getattr(module, "inplace", False) is True:
                module.inplace = False  # type: ignore[assignment]  # it hides which layer a tensor comes from
        try:
            with warnings.catch_warnings(), torch.enable_grad(), code_of_others("Torch-Pruning cannot trace it"):
                warnings.simplefilter("ignore")
                self._graph = torch_pruning.DependencyGraph().build_dependency(network, images, verbose=False)
        except NetworkError as error:
            raise PruningError(str(error)) from error

    def groups(self) -> list[tuple[Channels, Any]]:
        """Returns the channels that can be removed, each with the library's group, which importances take.

        Channels of the network's output are not among them, and no others that reach a module whose width cannot be
        stored.
        """
        return [
            (Channels(name, _units(len(group[0].idxs), self._parts(group))), group)
            for group in self._graph.get_all_groups()
            if self._can_be_narrowed(group) and (name := self._names.get(group[0].dep.target.module)) is not None
        ]

    def remove(self, removed: Removed) -> None:
        """Removes channels from the network, in place."""
        for layer, indices in removed.items():
            if indices:
                module = self._network.get_submodule(layer)
                prune = self._graph.get_pruner_of_module(module).prune_out_channels
                self._graph.get_pruning_group(module, prune, sorted(indices)).prune()

    def _can_be_narrowed(self, group: Any) -> bool:
        types = self._library.ops.OPTYPE
        targets = [dep.target for dep, _ in group]
        if any(target.type in (types.OUTPUT, types.PARAMETER) for target in targets):
            return False
        inside = [target.module for target in targets if target.module in self._names]  # others are operations
        return all(width_of(module) is not None for module in inside)

    def _parts(self, group: Any) -> int:
        """Returns how many equal parts channels are divided into, from each of which as many must go."""
        return max(self._parts_of(dep) for dep, _ in group)

    def _parts_of(self, dep: Any) -> int:
        module = dep.target.module
        if module not in self._names or (isinstance(module, nn.Conv2d) and module.groups == module.out_channels):
            return 1  # an operation, or a depthwise convolution, of which each channel is by itself
        pruner = self._graph.get_pruner_of_module(module)
        outputs = self._graph.is_out_channel_pruning_fn(dep.handler)
        return int(pruner.get_out_channel_groups(module) if outputs else pruner.get_in_channel_groups(module))


def without(network: nn.Module, images: Tensor, removed: Removed) -> nn.Module:
    """Returns a copy of a network without some channels.

    Args:
        network: The network, in evaluation mode; it is not changed.
        images: (N, C, H, W), which it is traced with.
        removed: The channels.

    Raises:
        PruningError: The network cannot be traced.
    """
    copied = copy.deepcopy(network)
    ChannelGraph(copied, images).remove(removed)
    return copied


def removable(network: nn.Module, images: Tensor, layers: Container[str]) -> Iterator[Channels]:
    """Yields the channels of some layers without which the network still runs.

    Others stay: where a network adds its input to features, or computes with a number of channels that is written in
    its code, and where an output that only training has would lose its input.
    """
    for channels, _ in ChannelGraph(copy.deepcopy(network), images).groups():
        if len(channels.units) < 2 or channels.layer not in layers:
            continue
        try:
            with code_of_others("without a channel"):
                run(without(network, images, {channels.layer: channels.units[0]}), images)
        except (NetworkError, PruningError):
            continue
        yield channels


def run(network: nn.Module, images: Tensor) -> Tensor:
    """Returns a network's output, after it has run as in training, too; the network stays as it is."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        copy.deepcopy(network).train()(torch.cat([images, images]))
        return network.eval()(images)


def _units(width: int, parts: int) -> tuple[tuple[int, ...], ...]:
    size = width // parts
    return tuple(tuple(place + part * size for part in range(parts)) for place in range(size))
