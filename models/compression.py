"""Compression: a network, its spectra and a rank rule give a smaller network."""

from __future__ import annotations

import dataclasses
from typing import Any

from torch import nn

from models.lowrank import LowRank, folding_of, replace_layers, why_not
from models.ranks import Candidate, RankRule
from models.results import LayerReport
from models.spectra import Spectra, Spectrum
from models.variant import Variant


@dataclasses.dataclass(frozen=True)
class Compressed:
    """A compressed network and what was done to each layer.

    Attributes:
        network: A new module; it shares no tensor with the one given.
        layers: One report for every layer that could have been factorised or nearly so.
    """

    network: nn.Module
    layers: list[LayerReport]


def compress(network: nn.Module, spectra: Spectra, rule: RankRule) -> Compressed:
    """Replaces each layer by two thinner ones of the rank that the rule gives, where that makes it smaller.

    Args:
        network: The network that `spectra` were computed from; it is not changed.
        spectra: Result of `spectra.decompose`.
        rule: Result of a constructor in `ranks`.

    Raises:
        ValueError: If the spectra belong to another network, or the rule cannot be met.
    """
    candidates = [
        Candidate(name, spectrum.singular_values, _weight_params(network, name, spectrum), spectrum.params_per_rank)
        for name, spectrum in spectra.layers.items()
    ]
    ranks = rule.allocate(candidates, sum(parameter.numel() for parameter in network.parameters()))
    replacements: dict[nn.Module, nn.Module] = {}
    reports = {name: _report_dense(network, name, 0, reason) for name, reason in spectra.skipped.items()}
    for candidate in candidates:
        name, rank = candidate.name, ranks[candidate.name]
        if rank > candidate.largest_rank:
            reason = f"rank {rank} would not make it smaller (up to {candidate.largest_rank} would)"
            reports[name] = _report_dense(network, name, spectra.layers[name].full_rank, reason)
            continue
        layer = network.get_submodule(name)
        replacements[layer] = _factorize(layer, spectra.layers[name], rank)
        reports[name] = _report_replaced(name, layer, replacements[layer], spectra.layers[name], rank)
    order = [name for name, _ in network.named_modules() if name in reports]
    return Compressed(replace_layers(network, replacements), [reports[name] for name in order])


def compress_variant(
    baseline: Variant, spectra: Spectra, rule: RankRule, *, name: str, method: str, setting: dict[str, Any]
) -> Variant:
    """Returns the variant that a rank rule makes of a baseline; see `compress`."""
    result = compress(baseline.network, spectra, rule)
    schemes = sorted({spectrum.scheme for spectrum in spectra.layers.values()})
    return dataclasses.replace(
        baseline,
        name=name,
        method=method,
        setting={**setting, "scheme": "+".join(schemes)},
        network=result.network,
        layers=result.layers,
    )


def _factorize(layer: nn.Module, spectrum: Spectrum, rank: int) -> LowRank:
    folding = folding_of(layer, spectrum.scheme)
    replacement = folding.build(layer, rank)
    folding.fill(replacement, layer, spectrum.left[:, :rank], spectrum.right[:rank])
    return replacement


def _weight_params(network: nn.Module, name: str, spectrum: Spectrum) -> int:
    """Returns m n, after a check that the layer is the one that was decomposed."""
    shape = (spectrum.left.shape[0], spectrum.right.shape[1])
    try:
        layer = network.get_submodule(name)
    except AttributeError as error:
        raise ValueError(f"the spectra have a layer {name!r} that the network lacks; decompose this network") from error
    found = None if why_not(layer) else tuple(folding_of(layer, spectrum.scheme).matrix(layer).shape)
    if found != shape:
        raise ValueError(f"layer {name!r}: the spectra are of a {shape} matrix, the network has {found}")
    return shape[0] * shape[1]


def _count(layer: nn.Module) -> int:
    return sum(parameter.numel() for parameter in layer.parameters())


def _report_dense(network: nn.Module, name: str, full_rank: int, reason: str) -> LayerReport:
    layer = network.get_submodule(name)
    params = _count(layer)
    return LayerReport(name, type(layer).__name__, None, None, full_rank, params, params, 0.0, reason)


def _report_replaced(name: str, layer: nn.Module, new: nn.Module, spectrum: Spectrum, rank: int) -> LayerReport:
    return LayerReport(
        name=name,
        kind=type(layer).__name__,
        scheme=spectrum.scheme,
        rank=rank,
        full_rank=spectrum.full_rank,
        params_before=_count(layer),
        params_after=_count(new),
        error=spectrum.relative_error(rank),
    )
