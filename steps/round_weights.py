"""Step: the twin of a network, with its weights in few bits."""

from typing import Annotated

from zenml import ArtifactConfig, step

from materializers.variant import VariantMaterializer
from models.round_variant import round_variant
from models.variant import Variant
from steps.caching import cached_by_sources, sources_of
from torch_lowrank.curvature.moments import Statistics

sources = sources_of(__name__)


@step(cache_policy=cached_by_sources(__name__), output_materializers=VariantMaterializer)
def round_weights(
    statistics: Statistics, bits: int, network: Variant
) -> Annotated[Variant, ArtifactConfig(name="{network}")]:
    """Rounds where the data say that it costs least.

    Args:
        statistics: Of the baseline.
        bits: Of every weight.
        network: What is rounded.
    """
    return round_variant(network, bits, statistics)
