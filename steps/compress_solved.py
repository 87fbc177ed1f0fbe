"""Step: SVD or ARSVD at a given size, by the parameter that meets it."""

from typing import Annotated, Literal

from zenml import ArtifactConfig, step
from zenml.config.cache_policy import CachePolicy

from materializers.variant import VariantMaterializer
from models.compression import compress_variant
from models.ranks import Entropy, FixedRank, ParameterBudget
from models.spectra import Spectra
from models.variant import Variant


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
