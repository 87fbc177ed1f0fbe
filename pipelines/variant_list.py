"""The list of variants that a configuration asks for. Light: names are looked at before steps are imported."""

from __future__ import annotations

import dataclasses

from configs.schema import CompressionConfig
from models.variant_spec import BASELINE, VariantSpec


def variant_specs(settings: CompressionConfig) -> list[VariantSpec]:
    """Returns all variants of a comparison but the baseline, in the order in which they are made."""
    entropy = settings.distribution
    svd = [VariantSpec("svd", rank=rank, scheme=settings.scheme) for rank in settings.svd_ranks]
    arsvd = [VariantSpec("arsvd", tau=tau, distribution=entropy, scheme=settings.scheme) for tau in settings.arsvd_taus]
    solved = [
        VariantSpec(method, budget=budget, distribution=entropy if method == "arsvd" else None, scheme=settings.scheme)
        for budget in settings.budgets
        for method in ("svd", "arsvd")
    ]
    allocated = [
        VariantSpec("budget", budget=budget, mac_budget=macs, weighting="curvature", scheme="auto")
        for budget in settings.budgets
        for macs in (None, *settings.mac_budgets)
    ]
    if settings.max_dice_loss is not None:
        smallest = VariantSpec("budget", max_dice_loss=settings.max_dice_loss, weighting="curvature", scheme="auto")
        allocated.append(smallest)
    pruned = [
        VariantSpec("pruned", budget=budget, mac_budget=macs)
        for budget in settings.pruned
        for macs in (None, *settings.mac_budgets)
    ]
    in_float32 = [*svd, *arsvd, *solved, *allocated, *pruned]
    twins = [
        dataclasses.replace(spec, weight_bits=bits) for spec in (BASELINE, *in_float32) for bits in settings.weight_bits
    ]
    sizes = [VariantSpec("size", size=size, weighting="curvature", scheme="auto") for size in settings.size_budgets]
    return [*sizes, *in_float32, *twins]  # a size that is too small is told before the others are made
