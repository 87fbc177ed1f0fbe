"""Costs of layers, dense and for each rank, and of whole networks: parameters or multiply-accumulates."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from torch_lowrank.checks import check_module
from torch_lowrank.layers.eligibility import survey
from torch_lowrank.layers.factorized import LowRank, count_parameters, replace_layers
from torch_lowrank.layers.unfolding import folding_of, schemes_of
from torch_lowrank.modes import layers_called
from torch_lowrank.ranks.options import InputShape, as_input_shape, several


@dataclasses.dataclass(frozen=True)
class Costs:
    """The costs of a network.

    Attributes:
        total: Of the whole network.
        dense: Layer name to the cost of the layer's weight as it is, dense or factorised.
        per_rank: Layer name and scheme to the cost of one more rank.
    """

    total: int
    dense: dict[str, int]
    per_rank: dict[tuple[str, str], int]


def parameter_costs(network: nn.Module, schemes: Mapping[str, Sequence[str]]) -> Costs:
    """Counts parameters, shared ones once.

    Args:
        network: The network.
        schemes: Layer name to the schemes that it may be factorised by.
    """
    dense, per_rank = {}, {}
    for name in schemes:
        layer = network.get_submodule(name)
        dense[name] = sum(weight.numel() for weight in layer.parameters() if weight is not layer.bias)
        for scheme in schemes[name]:
            groups, rows, columns = folding_of(layer, scheme).shape(layer)
            per_rank[name, scheme] = groups * (rows + columns)
    return Costs(count_parameters(network), dense, per_rank)


def mac_costs(network: nn.Module, schemes: Mapping[str, Sequence[str]], input_shape: InputShape) -> Costs:
    """Counts the multiply-accumulates of one forward pass of zeros on a copy of the network.

    `torch.utils.flop_counter` counts the whole network: convolutions, matrix products, attention. A layer that is
    called several times costs as often; one that is never called costs nothing.

    Args:
        network: The network; on the device `meta` nothing is computed.
        schemes: Layer name to the schemes that it may be factorised by.
        input_shape: Of one input without the batch, or of each of several.

    Raises:
        ValueError: If the network cannot take an input of that shape.
    """
    copy = replace_layers(getattr(network, "_orig_mod", network), {}).eval()
    prefix = "_orig_mod." if hasattr(network, "_orig_mod") else ""
    dense = dict.fromkeys(schemes, 0)
    per_rank = {(name, scheme): 0 for name in dense for scheme in schemes[name]}

    def counter_of(name: str) -> Callable[[nn.Module, Any, Any, Tensor], None]:
        def count(layer: nn.Module, args: Any, kwargs: Any, output: Tensor) -> None:
            shapes = (args[0] if args else kwargs["input"]).shape, output.shape
            dense[name] += _macs(layer, *shapes)
            for scheme in schemes[name]:
                per_rank[name, scheme] += folding_of(layer, scheme).macs_per_rank(layer, *shapes)

        return count

    for name in dense:
        copy.get_submodule(name.removeprefix(prefix)).register_forward_hook(counter_of(name), with_kwargs=True)
    first = next((parameter for parameter in copy.parameters() if parameter.is_floating_point()), torch.zeros(()))
    zeros = [torch.zeros(1, *shape, device=first.device, dtype=first.dtype) for shape in several(input_shape)]
    try:
        with torch.no_grad(), layers_called(), FlopCounterMode(display=False) as counter:
            copy(*zeros)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise ValueError(
            f"the network cannot take one input of shape {tuple(input_shape)}: {error}; "
            "give the budget the shape of an input without the batch"
        ) from error
    return Costs(counter.get_total_flops() // 2, dense, per_rank)


def _macs(layer: nn.Module, inputs: torch.Size, outputs: torch.Size) -> int:
    """Returns the multiply-accumulates of one call of a layer as it is."""
    if isinstance(layer, LowRank):
        return layer.rank * folding_of(layer, layer.scheme).macs_per_rank(layer, inputs, outputs)
    return folding_of(layer, "channel").dense_macs(layer, inputs, outputs)


def count_macs(network: nn.Module, input_shape: InputShape) -> int:
    """Returns the multiply-accumulates of one forward pass, as `MacBudget` counts them.

    Args:
        network: Any network; it is not changed.
        input_shape: Of one input without the batch, for example (channels, height, width), or of each of several.

    Raises:
        TypeError: If the network is no module.
        ValueError: If the network cannot take an input of that shape.
    """
    check_module(network)
    return mac_costs(network, {}, as_input_shape(input_shape)).total


def smallest_share(costs: Costs) -> float:
    """Returns the share of its cost that a network keeps when every layer has rank 1, where that is smaller."""
    cheapest = dict(costs.dense)
    for (name, _), cost in costs.per_rank.items():
        cheapest[name] = min(cheapest[name], cost)
    left = costs.total - sum(costs.dense.values()) + sum(cheapest.values())
    return left / costs.total if costs.total else 1.0


def possible_schemes(network: nn.Module, scheme: str) -> dict[str, tuple[str, ...]]:
    """Returns for every layer that can be factorised the schemes that apply; `scheme` as for `decompose`."""
    return {name: tuple(schemes_of(layer, scheme)) for name, layer in survey(network).layers.items()}
