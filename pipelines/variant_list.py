"""The list of variants that a configuration asks for. Light: names are looked at before steps are imported."""

from __future__ import annotations

import dataclasses

from configs.schema import CompressionConfig, RunConfig
from configs.trainings import Training, trainings_of
from models.variant_spec import BASELINE, VariantSpec


def variant_specs(settings: CompressionConfig) -> list[VariantSpec]:
    """Returns all variants of a comparison but the baseline, in the order in which they are made."""
    entropy = settings.distribution
    svd = [VariantSpec("svd", rank=rank, scheme=settings.scheme) for rank in settings.svd_ranks]
    arsvd = [VariantSpec("arsvd", tau=tau, distribution=entropy, scheme=settings.scheme) for tau in settings.arsvd_taus]
    rules = _rules(settings)
    solved = [
        VariantSpec(method, budget=budget, distribution=entropy if method == "arsvd" else None, scheme=settings.scheme)
        for budget in settings.budgets
        for method in dict.fromkeys(("svd", "arsvd", *(spec.method for spec in rules)))
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
    in_float32 = [*svd, *arsvd, *rules, *solved, *allocated, *pruned]
    twins = [
        dataclasses.replace(spec, weight_bits=bits) for spec in (BASELINE, *in_float32) for bits in settings.weight_bits
    ]
    sizes = [VariantSpec("size", size=size, weighting="curvature", scheme="auto") for size in settings.size_budgets]
    return [*sizes, *in_float32, *twins]  # a size that is too small is told before the others are made


def specs_of(config: RunConfig) -> list[VariantSpec]:
    """Returns all variants of a run but the baseline: those of the main training, then those of each further one."""
    return [spec for training in trainings_of(config) for spec in specs_of_training(training)]


def specs_of_training(training: Training) -> list[VariantSpec]:
    """Returns the variants of one training: of a further one, its dense network first; of the main one without it."""
    specs = [of_training(spec, training) for spec in variant_specs(training.config.compression)]
    return specs if training.is_main else [of_training(BASELINE, training), *specs]


def of_training(spec: VariantSpec, training: Training) -> VariantSpec:
    """Returns the same variant of another training."""
    return dataclasses.replace(spec, filters=training.filters, distilled=training.distilled, seed=training.seed)


def _rules(settings: CompressionConfig) -> list[VariantSpec]:
    """Returns the variants by other rank rules, each with what is given for it."""
    energies = [VariantSpec("energy", energy=energy, scheme=settings.scheme) for energy in settings.energies]
    ratios = [VariantSpec("rank_ratio", rank_ratio=ratio, scheme=settings.scheme) for ratio in settings.rank_ratios]
    return [*energies, *ratios, *(VariantSpec(rule, scheme=settings.scheme) for rule in settings.rank_rules)]
