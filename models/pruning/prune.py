"""Removes the least important channels of a network until it keeps a share of its parameters, and of its work."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Mapping
from fractions import Fraction

import torch
from torch import Tensor, nn

from models.networks.errors import NetworkError, code_of_others
from models.pruning.channels import PruningError, removable, run, without
from torch_lowrank.layers.factorized import count_parameters
from torch_lowrank.narrowing import NarrowingError, differing_widths, narrow
from torch_lowrank.ranks.costs import count_macs

_TRACED = 64  # pixels of a side that networks are traced with, where they take images so small


@dataclasses.dataclass(frozen=True)
class Target:
    """What a pruned network may have, as shares of the network that it is made of.

    Attributes:
        parameters: Share of its parameters, in (0, 1].
        macs: Share of its multiply-accumulates, too, in (0, 1]; None where they do not matter.
    """

    parameters: float
    macs: float | None = None


def prune(
    network: nn.Module, importance: Mapping[str, Tensor], target: Target, input_shape: tuple[int, ...]
) -> nn.Module:
    """Returns a network without its least important channels, as large as a target allows; not one channel more.

    Channels of the whole network are ranked by importance, and the first of them removed, so few that the target is
    just met. Every layer keeps a channel.

    Args:
        network: The network; it is not changed.
        importance: Of its channels, see `importances`.
        target: What it may have; never exceeded.
        input_shape: (channels, height, width) of one image.

    Raises:
        PruningError: The network cannot be traced, no channel of it can be removed, or the target cannot be met.
    """
    dense = copy.deepcopy(network).cpu().eval()
    images = _images(dense, input_shape)
    order = _order(dense, images, importance)
    limits = _Limits(dense, target, input_shape)
    few, many = 0, len(order)
    if not limits.met_by(without(dense, images, _first(order, many))):
        raise PruningError(limits.refusal(without(dense, images, _first(order, many))))
    while few < many:
        middle = (few + many) // 2
        if limits.met_by(without(dense, images, _first(order, middle))):
            many = middle
        else:
            few = middle + 1
    return _rebuilt(dense, without(dense, images, _first(order, many)), images)


class _Limits:
    """A target in numbers."""

    def __init__(self, dense: nn.Module, target: Target, input_shape: tuple[int, ...]) -> None:
        self.target, self._shape = target, input_shape
        self._full = count_parameters(dense)
        self._full_macs = 0 if target.macs is None else count_macs(dense, input_shape)

    def met_by(self, network: nn.Module) -> bool:
        """Whether a network has no more."""
        if count_parameters(network) > _units(self.target.parameters, self._full):
            return False
        macs = self.target.macs
        return macs is None or count_macs(network, self._shape) <= _units(macs, self._full_macs)

    def refusal(self, smallest: nn.Module) -> str:
        """Returns the message for a target that the smallest network does not meet."""
        shares = [f"{_rounded_up(count_parameters(smallest), self._full):g} of the parameters"]
        asked = [f"{self.target.parameters:g} of {self._full:,} parameters"]
        if self.target.macs is not None:
            shares.append(f"{_rounded_up(count_macs(smallest, self._shape), self._full_macs):g} of the MACs")
            asked.append(f"{self.target.macs:g} of {self._full_macs:,} multiply-accumulates")
        return (
            f"{' and '.join(asked)} cannot be met by pruning: with one channel a layer, where channels can be removed, "
            f"the network has {' and '.join(shares)}"
        )


def _images(network: nn.Module, input_shape: tuple[int, ...]) -> Tensor:
    """Returns images to trace a network with: small ones where it takes them, as each trace is a forward pass."""
    channels, *sides = input_shape
    generator = torch.Generator().manual_seed(0)
    small = torch.rand(1, channels, *(min(side, _TRACED) for side in sides), generator=generator)
    full = torch.rand(1, *input_shape, generator=generator)
    try:
        with code_of_others("small images"):
            run(network, small)
    except NetworkError:
        return full
    return small


def _order(network: nn.Module, images: Tensor, importance: Mapping[str, Tensor]) -> list[tuple[str, tuple[int, ...]]]:
    """Returns what is removed first, second, and so on: layer and channels; of each layer one unit stays."""
    ranked: list[tuple[float, str, tuple[int, ...]]] = []
    for channels in removable(network, images, importance):
        scores = importance[channels.layer]
        found = [(float(scores[list(unit)].sum()), channels.layer, unit) for unit in channels.units]
        ranked += sorted(found)[:-1]
    if not ranked:
        raise PruningError("no channel of the network can be removed without breaking it")
    return [(layer, unit) for _, layer, unit in sorted(ranked)]


def _first(order: list[tuple[str, tuple[int, ...]]], count: int) -> dict[str, list[int]]:
    removed: dict[str, list[int]] = {}
    for layer, unit in order[:count]:
        removed.setdefault(layer, []).extend(unit)
    return removed


def _rebuilt(dense: nn.Module, pruned: nn.Module, images: Tensor) -> nn.Module:
    """Returns the pruned network as it will be loaded: the dense one, narrowed, with the pruned one's weights.

    Raises:
        PruningError: It is another one: something was changed that its description cannot hold.
    """
    network = copy.deepcopy(dense)
    try:
        narrow(network, differing_widths(dense, pruned))
        network.load_state_dict(pruned.state_dict())
    except (NarrowingError, RuntimeError) as error:
        raise PruningError(f"the pruned network cannot be described: {error}") from error
    with code_of_others("the pruned network does not run"):
        same = torch.allclose(run(network, images), run(pruned, images), rtol=1e-3, atol=1e-4)
    if not same:
        raise PruningError("the pruned network cannot be described: rebuilt, it computes something else")
    return network


def _units(share: float, total: int) -> int:
    """Returns a share of a total, rounded down; the share as written, since 0.1 is no exact float64."""
    return math.floor(Fraction(str(share)) * total)


def _rounded_up(part: int, total: int) -> float:
    return math.ceil(part / total * 1e4) / 1e4
