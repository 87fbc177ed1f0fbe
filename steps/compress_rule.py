"""Step: truncated SVD by another rank rule than SVD's and ARSVD's: a share of energy or rank, or an estimated rank."""

from collections.abc import Mapping
from typing import Annotated

from zenml import ArtifactConfig, step

from materializers.variant import VariantMaterializer
from models.compress_variant import compress_variant
from models.variant import Variant
from models.variant_spec import VariantSpec
from steps.caching import cached_by_sources, sources_of
from torch_lowrank.decomposition.spectra import Spectra
from torch_lowrank.ranks.budgets import ParameterBudget
from torch_lowrank.ranks.estimates import EffectiveRank, EstimatedRank, StableRank
from torch_lowrank.ranks.noise import EVBMF, HardThreshold
from torch_lowrank.ranks.rules import Energy, LayerRule, RankRatio, RankRule

sources = sources_of(__name__)

ESTIMATED: Mapping[str, type[EstimatedRank]] = {
    "evbmf": EVBMF,
    "hard_threshold": HardThreshold,
    "effective_rank": EffectiveRank,
    "stable_rank": StableRank,
}


@step(cache_policy=cached_by_sources(__name__), output_materializers=VariantMaterializer)
def compress_rule(
    spectra: Spectra, baseline: Variant, spec: VariantSpec
) -> Annotated[Variant, ArtifactConfig(name="{network}")]:
    """Truncates each layer to the rank of a rule; under a budget, its share or multiplier is solved."""
    return compress_variant(baseline, spectra, rule_of(spec), spec)


def rule_of(spec: VariantSpec) -> RankRule:
    """Returns the rule of a description, or the budget that solves it, from whatever value.

    Raises:
        ValueError: The description's method is another one.
    """
    rule: LayerRule
    if spec.method in ESTIMATED:
        rule = ESTIMATED[spec.method]()
    elif spec.method in ("energy", "rank_ratio"):
        kind, share = (Energy, spec.energy) if spec.method == "energy" else (RankRatio, spec.rank_ratio)
        rule = kind(1.0 if share is None else share)
    else:
        known = ", ".join(("energy", "rank_ratio", *ESTIMATED))
        raise ValueError(f"{spec.method} is no rank rule of this step; it makes {known}")
    return rule if spec.budget is None else ParameterBudget(spec.budget, rule)
