"""What layers cost, dense and for each rank, and what the whole network costs: parameters or multiply-accumulates."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
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


def smallest_share(network: nn.Module, scheme: str) -> float:
    """Returns the share of its parameters that a network keeps when every layer has rank 1, where that is smaller."""
    layers = survey(network).layers
    saved = 0
    for layer in layers.values():
        dense = layer.get_parameter("weight").numel()
        shapes = [folding_of(layer, each).matrix(layer).shape for each in schemes_of(layer, scheme)]
        saved += max(0, *(dense - groups * (rows + columns) for groups, rows, columns in shapes))
    total = count_parameters(network)
    return (total - saved) / total if total else 1.0


def mac_costs(network: nn.Module, spectra: Spectra, input_shape: tuple[int, ...]) -> Costs:
    """Counts the multiply-accumulates of one forward pass of zeros on a copy of the network.

    `torch.utils.flop_counter` counts the whole network: convolutions, matrix products, attention. A layer that is
    called several times costs as often; one that is never called costs nothing.

    Raises:
        ValueError: If the network cannot take an input of that shape.
    """
    copy = replace_layers(getattr(network, "_orig_mod", network), {}).eval()
    prefix = "_orig_mod." if hasattr(network, "_orig_mod") else ""
    dense = dict.fromkeys(spectra.layers, 0)
    per_rank = {(name, spectrum.scheme): 0 for name in dense for spectrum in spectra.options(name)}

    def counter_of(name: str) -> Callable[[nn.Module, Any, Any, Tensor], None]:
        def count(layer: nn.Module, args: Any, kwargs: Any, output: Tensor) -> None:
            shapes = (args[0] if args else kwargs["input"]).shape, output.shape
            dense[name] += folding_of(layer, spectra.layers[name].scheme).dense_macs(layer, *shapes)
            for spectrum in spectra.options(name):
                folding = folding_of(layer, spectrum.scheme)
                per_rank[name, spectrum.scheme] += folding.macs_per_rank(layer, *shapes)

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
