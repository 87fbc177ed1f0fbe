"""Step: the ranks that cost the least loss within a share of the network's parameters."""

from typing import Annotated

from zenml import ArtifactConfig, step
from zenml.config.cache_policy import CachePolicy

from materializers.variant import VariantMaterializer
from models.compression import compress_variant
from models.moments import Statistics
from models.ranks import ParameterBudget
from models.spectra import Spectra
from models.variant import Variant


@step(
    cache_policy=CachePolicy(cache_func="steps.caching.budget_sources"),
    output_materializers=VariantMaterializer,
)
def compress_budget(
    spectra: Spectra, statistics: Statistics, baseline: Variant, variant: str, budget: float, device: str
) -> Annotated[Variant, ArtifactConfig(name="{network}")]:
    """Allocates ranks over the whole network by weighted spectra, and refines the factors."""
    return compress_variant(
        baseline,
        spectra,
        ParameterBudget(budget),
        name=variant,
        method="budget",
        setting={"budget": budget, "weighting": spectra.weighting, "statistics_images": statistics.images},
        statistics=statistics,
        device=device,
    )
