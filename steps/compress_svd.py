"""Step: truncated SVD, the same rank for every layer."""

from typing import Annotated

from zenml import ArtifactConfig, step

from materializers.variant import VariantMaterializer
from models.compress_variant import compress_variant, svd_rule
from models.variant import Variant
from models.variant_spec import VariantSpec
from steps.caching import cached_by_sources, sources_of
from torch_lowrank.decomposition.spectra import Spectra

sources = sources_of(__name__)


@step(cache_policy=cached_by_sources(__name__), output_materializers=VariantMaterializer)
def compress_svd(
    spectra: Spectra, baseline: Variant, spec: VariantSpec
) -> Annotated[Variant, ArtifactConfig(name="{network}")]:
    """Truncates every layer to one rank: the one asked for, or the largest that meets a budget."""
    return compress_variant(baseline, spectra, svd_rule(spec), spec)
