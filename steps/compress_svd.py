"""Step: truncated SVD, the same rank for every layer."""

from typing import Annotated

from zenml import ArtifactConfig, step
from zenml.config.cache_policy import CachePolicy

from materializers.variant import VariantMaterializer
from models.compress_variant import compress_variant
from models.variant import Variant
from torch_lowrank.decomposition.spectra import Spectra
from torch_lowrank.ranks.rules import FixedRank


@step(
    cache_policy=CachePolicy(cache_func="steps.caching.svd_sources"),
    output_materializers=VariantMaterializer,
)
def compress_svd(
    spectra: Spectra, baseline: Variant, variant: str, rank: int
) -> Annotated[Variant, ArtifactConfig(name="{network}")]:
    """Truncates every layer to one rank."""
    return compress_variant(baseline, spectra, FixedRank(rank), name=variant, method="svd", setting={"rank": rank})
