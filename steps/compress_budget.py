"""Step: the best ranks within a share of the network's parameters."""

from typing import Annotated

from zenml import ArtifactConfig, step
from zenml.config.cache_policy import CachePolicy

from materializers.variant import VariantMaterializer
from models.compression import compress_variant
from models.ranks import ParameterBudget
from models.spectra import Spectra
from models.variant import Variant


@step(
    cache_policy=CachePolicy(cache_func="steps.caching.budget_sources"),
    output_materializers=VariantMaterializer,
)
def compress_budget(
    spectra: Spectra, baseline: Variant, variant: str, budget: float
) -> Annotated[Variant, ArtifactConfig(name="{network}")]:
    """Allocates ranks over the whole network."""
    rule = ParameterBudget(budget)
    return compress_variant(baseline, spectra, rule, name=variant, method="budget", setting={"budget": budget})
