"""Step: the ranks that cost the least loss within a share of the network's parameters, and of its work where asked."""

import dataclasses
from typing import Annotated

from zenml import ArtifactConfig, step

from materializers.variant import VariantMaterializer
from models.compress_variant import budget_rule, compress_variant
from models.variant import Variant
from models.variant_spec import VariantSpec
from steps.caching import cached_by_sources, sources_of
from torch_lowrank.curvature.moments import Statistics
from torch_lowrank.decomposition.spectra import Spectra

sources = sources_of(__name__)


@step(cache_policy=cached_by_sources(__name__), output_materializers=VariantMaterializer)
def compress_budget(
    spectra: Spectra,
    statistics: Statistics,
    baseline: Variant,
    spec: VariantSpec,
    input_shape: tuple[int, int, int],
    device: str,
) -> Annotated[Variant, ArtifactConfig(name="{network}")]:
    """Allocates ranks over the whole network by weighted spectra, and refines the factors.

    Args:
        spectra: Weighted.
        statistics: What they were weighted with.
        baseline: The network.
        spec: What is made.
        input_shape: (channels, height, width) of one image, for budgets of multiply-accumulates.
        device: Where to refine.
    """
    spec = dataclasses.replace(spec, statistics_images=statistics.images)
    rule = budget_rule(spec, input_shape)
    return compress_variant(baseline, spectra, rule, spec, statistics=statistics, device=device)
