"""Step: SVD or ARSVD at a given size, by the parameter that meets it."""

from typing import Annotated, Literal

from zenml import ArtifactConfig, step
from zenml.config.cache_policy import CachePolicy

from materializers.variant import VariantMaterializer
from models.compress_variant import compress_variant
from models.variant import Variant
from torch_lowrank.decomposition.spectra import Spectra
from torch_lowrank.ranks.budgets import ParameterBudget
from torch_lowrank.ranks.rules import Entropy, FixedRank


@step(
    cache_policy=CachePolicy(cache_func="steps.caching.solved_sources"),
    output_materializers=VariantMaterializer,
)
def compress_solved(
    spectra: Spectra,
    baseline: Variant,
    variant: str,
    method: Literal["svd", "arsvd"],
    budget: float,
    distribution: str,
) -> Annotated[Variant, ArtifactConfig(name="{network}")]:
    """Solves the one rank, or the tau, for which the whole network meets the budget."""
    entropy = method == "arsvd"
    rule = ParameterBudget(budget, Entropy(1.0, distribution) if entropy else FixedRank(1))
    setting = {"budget": budget, **({"distribution": distribution} if entropy else {})}
    return compress_variant(baseline, spectra, rule, name=variant, method=method, setting=setting)
