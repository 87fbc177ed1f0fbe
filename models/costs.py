"""What layers cost, dense and for each rank, and what the whole network costs: parameters or multiply-accumulates."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from models.eligibility import survey
from models.lowrank import count_parameters, folding_of, replace_layers, schemes_of
from models.modes import layers_called
from models.spectra import Spectra


@dataclasses.dataclass(frozen=True)
class Costs:
    """The costs of a network.

    Attributes:
        total: Of the whole network.
        dense: Layer name to the cost of the layer's weight as it is.
        per_rank: Layer name and scheme to the cost of one more rank.
    """

    total: int
    dense: dict[str, int]
    per_rank: dict[tuple[str, str], int]


def parameter_costs(network: nn.Module, spectra: Spectra) -> Costs:
    """Counts parameters, shared ones once."""
    dense = {name: math.prod(spectrum.shape) for name, spectrum in spectra.layers.items()}
    per_rank = {
        (name, spectrum.scheme): spectrum.params_per_rank for name in dense for spectrum in spectra.options(name)
    }
    return Costs(count_parameters(network), dense, per_rank)


def blended(costs: Sequence[Costs], scales: Sequence[float]) -> Costs:
    """Returns the sum of several costs of the same layers, each times its scale, in whole units."""

    def blend(values: Sequence[int]) -> int:
        return round(sum(scale * value for scale, value in zip(scales, values, strict=True)))

    return Costs(
        blend([each.total for each in costs]),
        {name: blend([each.dense[name] for each in costs]) for name in costs[0].dense},
        {key: blend([each.per_rank[key] for each in costs]) for key in costs[0].per_rank},
    )


def smallest_share(network: nn.Module, scheme: str, input_shape: tuple[int, ...] | None = None) -> float:
    """Returns the share of its cost that a network keeps when every layer has rank 1, where that is smaller.

    Args:
        network: The network; its weights do not matter.
        scheme: As in `spectra.decompose`.
        input_shape: Of one input, where multiply-accumulates are the cost; None for parameters.
    """
    layers = survey(network).layers
    schemes = {name: schemes_of(layer, scheme) for name, layer in layers.items()}
    if input_shape is not None:
        costs = mac_costs(network, schemes, input_shape)
        total, dense, per_rank = costs.total, costs.dense, costs.per_rank
    else:
        total = count_parameters(network)
        dense = {name: layer.get_parameter("weight").numel() for name, layer in layers.items()}
        per_rank = {(name, each): _params_per_rank(layers[name], each) for name in layers for each in schemes[name]}
    saved = sum(max(0, *(dense[name] - per_rank[name, each] for each in schemes[name])) for name in layers)
    return (total - saved) / total if total else 1.0


def _params_per_rank(layer: nn.Module, scheme: str) -> int:
    groups, rows, columns = folding_of(layer, scheme).matrix(layer).shape
    return groups * (rows + columns)


def mac_costs(network: nn.Module, schemes: Mapping[str, Sequence[str]], input_shape: tuple[int, ...]) -> Costs:
    """Counts the multiply-accumulates of one forward pass of zeros on a copy of the network.

    Layers and the schemes that they may be factorised by are given by name.

    `torch.utils.flop_counter` counts the whole network: convolutions, matrix products, attention. A layer that is
    called several times costs as often; one that is never called costs nothing.

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
            dense[name] += folding_of(layer, schemes[name][0]).dense_macs(layer, *shapes)
            for scheme in schemes[name]:
                per_rank[name, scheme] += folding_of(layer, scheme).macs_per_rank(layer, *shapes)

        return count

    for name in dense:
        copy.get_submodule(name.removeprefix(prefix)).register_forward_hook(counter_of(name), with_kwargs=True)
    first = next((parameter for parameter in copy.parameters() if parameter.is_floating_point()), torch.zeros(()))
    image = torch.zeros(1, *input_shape, device=first.device, dtype=first.dtype)
    try:
        with torch.no_grad(), layers_called(), FlopCounterMode(display=False) as counter:
            copy(image)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise ValueError(
            f"the network cannot take one input of shape {tuple(input_shape)}: {error}; "
            "give MacBudget the shape of an input without the batch"
        ) from error
    return Costs(counter.get_total_flops() // 2, dense, per_rank)
