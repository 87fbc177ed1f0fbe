"""Step: adaptive-rank SVD, a rank for each layer from the entropy of its spectrum."""

from typing import Annotated

from zenml import ArtifactConfig, step

from materializers.variant import VariantMaterializer
from models.compress_variant import arsvd_rule, compress_variant
from models.variant import Variant
from models.variant_spec import VariantSpec
from steps.caching import cached_by_sources, sources_of
from torch_lowrank.decomposition.spectra import Spectra

sources = sources_of(__name__)


@step(cache_policy=cached_by_sources(__name__), output_materializers=VariantMaterializer)
def compress_arsvd(
    spectra: Spectra, baseline: Variant, spec: VariantSpec
) -> Annotated[Variant, ArtifactConfig(name="{network}")]:
    """Truncates each layer where its spectrum reaches the share tau of its entropy, given or solved for a budget."""
    return compress_variant(baseline, spectra, arsvd_rule(spec), spec)
