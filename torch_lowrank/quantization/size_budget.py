"""A budget of bytes: scheme, rank and bits of all layers are chosen together, for the smallest rise of the loss."""

from __future__ import annotations

import dataclasses
import glob
import math
from collections.abc import Collection, Mapping
from fractions import Fraction

import torch
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from torch_lowrank.curvature.moments import Statistics
from torch_lowrank.decomposition.spectra import Spectra
from torch_lowrank.progress import tracked
from torch_lowrank.quantization.quantize import in_half_precision
from torch_lowrank.quantization.size_allocation import allocate_bytes
from torch_lowrank.quantization.size_options import StoredAs, options_of
from torch_lowrank.ranks.budgets import BudgetError
from torch_lowrank.ranks.plan import excluded_layers, pinned_layers
from torch_lowrank.ranks.rules import check_share

_HEADER = 96  # bytes of a safetensors header of one tensor, at most


@dataclasses.dataclass(frozen=True)
class SizeBudget:
    """At most a fraction of the bytes of the network's own file in float32, header included.

    Weights are stored in 2 to 8 bits, every other tensor in half precision where that changes it by less than a
    thousandth of its largest value. It needs statistics with curvature, whose predicted rise of the loss is what is
    minimised.
    """

    fraction: float

    def __post_init__(self) -> None:
        check_share("fraction", self.fraction)


def plan_size(
    network: nn.Module,
    spectra: Spectra,
    statistics: Statistics | None,
    budget: SizeBudget,
    exclude: Collection[str] = (),
    pin: Mapping[str, int] | None = None,
) -> dict[str, StoredAs]:
    """Returns how each layer is stored, for all layers with a spectrum; for the arguments see `compression.compress`.

    Raises:
        BudgetError: The smallest file that is possible is larger.
        ValueError: Statistics are missing, or without curvature; a pattern matches no layer.
    """
    if statistics is None or spectra.weighting != "curvature":
        raise ValueError(
            "a SizeBudget weighs ranks against bits by the predicted rise of the loss; give it "
            "statistics=collect_statistics(network, batches) with curvature"
        )
    pinned, excluded = pinned_layers(pin or {}, spectra), excluded_layers(exclude, spectra)
    both = [name for name in pinned if name in excluded]
    if both:
        raise ValueError(f"layer {both[0]!r} is both excluded and pinned; drop one of the two patterns")
    points = {}
    for name in tracked(list(spectra.layers), "sizes"):
        layer = network.get_submodule(name)
        moments = statistics.of_layer(name, layer, "curvature")
        ranks = (pinned[name],) if name in pinned else None
        points[name] = options_of(layer, () if name in excluded else spectra.options(name), moments, ranks)
    whole = float_size(network)
    rest = _rest(network, list(spectra.layers))
    left = math.floor(Fraction(str(budget.fraction)) * whole) - rest
    smallest = sum(int(each.cost[0]) for each in points.values())
    if smallest > left:
        reachable = math.ceil((smallest + rest) / whole * 1e4) / 1e4
        raise BudgetError(
            f"a file of {budget.fraction:g} of {whole:,} bytes cannot be made; the smallest possible has about "
            f"{smallest + rest:,} bytes, a fraction of {reachable:g}",
            reachable,
        )
    at = allocate_bytes(list(points.values()), left)
    return {name: each.choices[position] for (name, each), position in zip(points.items(), at, strict=True)}


def bits_by_name(choices: Mapping[str, StoredAs]) -> dict[str, int]:
    """Returns the bits of every layer that holds a weight, by pattern, as `quantize_weights` takes them."""
    found: dict[str, int] = {}
    for name, choice in choices.items():
        pattern = glob.escape(name)
        patterns = (pattern,) if len(choice.bits) == 1 else (f"{pattern}.first", f"{pattern}.second")
        found.update(zip(patterns, choice.bits, strict=True))
    return found


def float_size(network: nn.Module) -> int:
    """Returns the bytes of the file that `save_network` writes with all weights in float32, header included."""
    state = {name: tensor for name, tensor in network.state_dict().items() if isinstance(tensor, Tensor)}
    return len(
        save_tensors(
            {
                name: torch.zeros(
                    each.shape, dtype=torch.float32 if each.is_floating_point() else each.dtype, device="cpu"
                )
                for name, each in state.items()
            }
        )
    )


def _rest(network: nn.Module, chosen: list[str]) -> int:
    """Returns the bytes of everything but the weights of these layers, the header included."""
    layers = ((name, network.get_submodule(name)) for name in chosen)
    counted = {
        f"{name}.{own}".lstrip(".")
        for name, layer in layers
        for own, _ in layer.named_parameters()
        if own.endswith("weight")
    }
    others = {name: tensor for name, tensor in network.state_dict().items() if name not in counted}
    return _HEADER + sum(
        tensor.nbytes // 2 if in_half_precision(tensor) is not None else tensor.nbytes for tensor in others.values()
    )
