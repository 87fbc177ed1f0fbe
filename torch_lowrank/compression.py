"""Compression: makes a smaller network of a network by a rank rule."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping

from torch import nn

from torch_lowrank.checks import check_network
from torch_lowrank.curvature.moments import Statistics
from torch_lowrank.decomposition.decompose import decompose
from torch_lowrank.decomposition.refine import refine
from torch_lowrank.decomposition.spectra import Spectra, Spectrum
from torch_lowrank.decomposition.svd import balanced, frobenius_norm
from torch_lowrank.layers.eligibility import why_not
from torch_lowrank.layers.factorized import LowRank, count_parameters, kind_name, replace_layers
from torch_lowrank.layers.unfolding import exact_weight, folding_of, has_folding
from torch_lowrank.modes import Device, undisturbed
from torch_lowrank.progress import tracked
from torch_lowrank.quantization.bits import HALF
from torch_lowrank.quantization.quantize import quantize_weights
from torch_lowrank.quantization.size_budget import SizeBudget, bits_by_name, plan_size
from torch_lowrank.quantization.size_options import StoredAs
from torch_lowrank.ranks.budgets import JointBudget
from torch_lowrank.ranks.options import Choice
from torch_lowrank.ranks.plan import plan
from torch_lowrank.ranks.rules import RankRule
from torch_lowrank.report import LayerReport

_SAME_NORM = 1e-6  # relative; sums in another order differ by 1e-15, an optimiser step by more than 1e-5


@dataclasses.dataclass(frozen=True)
class Compressed:
    """A compressed network and what was done to each layer.

    Attributes:
        network: A new module; it shares no tensor with the one given.
        layers: One report for every layer with a weight matrix.
    """

    network: nn.Module
    layers: list[LayerReport]


@undisturbed()
def compress(  # noqa: PLR0913 - options, all by name
    network: nn.Module,
    rule: RankRule | JointBudget | SizeBudget,
    *,
    spectra: Spectra | None = None,
    statistics: Statistics | None = None,
    scheme: str | None = None,
    exclude: Collection[str] = (),
    pin: Mapping[str, int] | None = None,
    device: Device = None,
) -> Compressed:
    """Replaces each layer by two thinner ones of the rank that the rule chooses, where that makes it smaller.

    Args:
        network: Any network; it is not changed.
        rule: A rule or budget of `ranks`; or a `SizeBudget`, which needs statistics, and rounds weights to few bits.
        spectra: Result of `decompose` for this network; decompose once to compress by many rules. None decomposes
            here, weighted by the statistics if there are any.
        statistics: Result of `collect_statistics`. Given spectra must have been weighted by the same statistics. The
            factors of each layer are then refined, see `decomposition.refine`.
        scheme: `channel`, `spatial` or `auto` as for `decompose`, without spectra; None is `auto`.
        exclude: Patterns of layer names (`fnmatch`, for example `outc.*`) that stay dense.
        pin: Pattern to rank: these layers get that rank, whatever the rule says, where it makes them smaller. A
            budget counts excluded and pinned layers as they become. The first pattern that matches holds.
        device: Where to decompose and to refine; None is where each weight lies. CUDA is used, for all other devices
            the CPU.

    Raises:
        ValueError: If the spectra belong to another network, a pattern matches no layer, a pinned rank is above the
            full rank, two settings contradict, or a layer is lazy.
        TypeError: If the network is no module, a `ScriptModule`, or holds what cannot be copied.
        BudgetError: If a budget cannot be met; it is a ValueError, too, and names what is not factorised.
    """
    check_network(network)
    if not isinstance(rule, (RankRule, JointBudget, SizeBudget)):
        raise TypeError(f"the rule is a {type(rule).__name__}; give a rank rule or a budget, then spectra=...")
    if spectra is None:
        spectra = decompose(network, scheme or "auto", statistics=statistics, device=device)
    else:
        _check_given(network, spectra, statistics, scheme)
    if isinstance(rule, SizeBudget):
        return _to_size(
            network, spectra, statistics, plan_size(network, spectra, statistics, rule, exclude, pin), device
        )
    return _apply(network, spectra, plan(network, spectra, rule, exclude, pin), statistics, device)


def _to_size(
    network: nn.Module,
    spectra: Spectra,
    statistics: Statistics | None,
    choices: dict[str, StoredAs],
    device: Device,
) -> Compressed:
    """Returns the network with each layer replaced and its weights rounded as chosen, the rest in half precision."""
    ranks = {name: Choice(choice.scheme, choice.rank, "the budget lets it stay") for name, choice in choices.items()}
    made = _apply(network, spectra, ranks, statistics, device)
    bits = bits_by_name(choices)
    quantized = quantize_weights(made.network, bits, statistics=statistics, other_bits=HALF)
    layers = [
        dataclasses.replace(each, bits=max(choices[each.name].bits) if each.name in choices else None)
        for each in made.layers
    ]
    return Compressed(quantized, layers)


def _apply(
    network: nn.Module, spectra: Spectra, choices: dict[str, Choice], statistics: Statistics | None, device: Device
) -> Compressed:
    """Returns the network with each layer replaced as chosen."""
    replacements: dict[nn.Module, nn.Module] = {}
    reports = {name: _report_dense(network, name, 0, reason) for name, reason in spectra.skipped.items()}
    for name in tracked(list(spectra.layers), "compress"):
        choice, layer = choices[name], network.get_submodule(name)
        if choice.scheme is None:
            full_rank = max(spectrum.full_rank for spectrum in spectra.options(name))
            reports[name] = _report_dense(network, name, full_rank, choice.reason or "left dense")
            continue
        spectrum = next(each for each in spectra.options(name) if each.scheme == choice.scheme)
        factors = spectrum.left[:, :, : choice.rank], spectrum.right[:, : choice.rank]
        if statistics is not None:
            moments = statistics.of_layer(name, layer, spectra.weighting)
            factors = refine(layer, choice.scheme, *factors, moments, device)
        new = LowRank.from_factors(layer, choice.scheme, *balanced(*factors))
        replacements[layer] = new
        reports[name] = _report_replaced(name, layer, new, spectrum, choice.rank, spectra.weighting)
    order = [name for name, _ in network.named_modules() if name in reports]
    return Compressed(replace_layers(network, replacements), [reports[name] for name in order])


def _check_given(network: nn.Module, spectra: Spectra, statistics: Statistics | None, scheme: str | None) -> None:
    """Checks that given spectra fit the other arguments.

    Raises:
        ValueError: If they do not.
    """
    for name in spectra.layers:
        _check_same(network, name, spectra)
    if statistics is not None and spectra.weighting == "none":
        raise ValueError("the spectra are not weighted by the statistics; decompose(network, statistics=...) does that")
    if scheme not in (None, spectra.scheme):
        raise ValueError(f"scheme is {scheme!r}, the spectra are by {spectra.scheme!r}; drop one of the two")


def _check_same(network: nn.Module, name: str, spectra: Spectra) -> None:
    """Checks that a layer is the one that was decomposed.

    Raises:
        ValueError: If it is missing, of another kind or shape, or its weight was changed since.
    """
    try:
        layer = network.get_submodule(name)
    except AttributeError as error:
        raise ValueError(f"the spectra have a layer {name!r} that the network lacks; decompose this network") from error
    reason = why_not(layer)
    if reason:
        raise ValueError(f"layer {name!r} was decomposed but cannot be factorised now: {reason}")
    for spectrum in spectra.options(name):
        shape = None
        if has_folding(layer, spectrum.scheme):
            shape = folding_of(layer, spectrum.scheme).shape(layer)
        if shape != spectrum.shape:
            raise ValueError(f"layer {name!r}: the spectra are of a {spectrum.shape} matrix, the network has {shape}")
    norm, wanted = float(frobenius_norm(exact_weight(layer))), spectra.layers[name].norm
    if abs(norm - wanted) > _SAME_NORM * wanted:
        raise ValueError(f"the weight of layer {name!r} was changed after the network was decomposed; decompose again")


def _report_dense(network: nn.Module, name: str, full_rank: int, reason: str) -> LayerReport:
    layer = network.get_submodule(name)
    if isinstance(layer, LowRank):
        reason = f"it keeps its rank of {layer.rank}: {reason}"
    params = count_parameters(layer)
    return LayerReport(name, kind_name(layer), None, None, full_rank, params, params, 0.0, reason)


def _report_replaced(
    name: str, layer: nn.Module, new: LowRank, spectrum: Spectrum, rank: int, weighting: str
) -> LayerReport:
    error = spectrum.relative_error(rank)
    if weighting != "none":  # then the tail is in another norm
        dense = exact_weight(layer)
        norm = float(frobenius_norm(dense))
        error = float(frobenius_norm(new.weight.detach() - dense)) / norm if norm else 0.0
    return LayerReport(
        name=name,
        kind=kind_name(layer),
        scheme=spectrum.scheme,
        rank=rank,
        full_rank=spectrum.full_rank,
        params_before=count_parameters(layer),
        params_after=count_parameters(new),
        error=error,
    )
