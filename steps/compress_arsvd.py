"""Step: adaptive-rank SVD, a rank for each layer from the entropy of its spectrum."""

from typing import Annotated

from zenml import ArtifactConfig, step
from zenml.config.cache_policy import CachePolicy

from materializers.variant import VariantMaterializer
from models.compress_variant import compress_variant
from models.variant import Variant
from torch_lowrank.decomposition.spectra import Spectra
from torch_lowrank.ranks.rules import Entropy


@step(
    cache_policy=CachePolicy(cache_func="steps.caching.arsvd_sources"),
    output_materializers=VariantMaterializer,
)
def compress_arsvd(
    spectra: Spectra, baseline: Variant, variant: str, tau: float, distribution: str
) -> Annotated[Variant, ArtifactConfig(name="{network}")]:
    """Truncates each layer where its spectrum has reached the share tau of its entropy."""
    setting = {"tau": tau, "distribution": distribution}
    return compress_variant(
        baseline, spectra, Entropy(tau, distribution), name=variant, method="arsvd", setting=setting
    )
