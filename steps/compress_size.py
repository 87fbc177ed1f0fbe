"""Step: schemes, ranks and bits that cost the least loss within a share of the bytes of the baseline's file."""

import dataclasses
from typing import Annotated

from zenml import ArtifactConfig, step

from materializers.variant import VariantMaterializer
from models.compress_variant import compress_variant, size_rule
from models.variant import Variant
from models.variant_spec import VariantSpec
from steps.caching import cached_by_sources, sources_of
from torch_lowrank.curvature.moments import Statistics
from torch_lowrank.decomposition.spectra import Spectra

sources = sources_of(__name__)


@step(cache_policy=cached_by_sources(__name__), output_materializers=VariantMaterializer)
def compress_size(
    spectra: Spectra, statistics: Statistics, baseline: Variant, spec: VariantSpec, device: str
) -> Annotated[Variant, ArtifactConfig(name="{network}")]:
    """Chooses by weighted spectra and what rounding costs, refines the factors, and rounds them.

    Args:
        spectra: Weighted.
        statistics: What they were weighted with.
        baseline: The network.
        spec: What is made.
        device: Where to refine.
    """
    spec = dataclasses.replace(spec, statistics_images=statistics.images)
    return compress_variant(baseline, spectra, size_rule(spec), spec, statistics=statistics, device=device)
