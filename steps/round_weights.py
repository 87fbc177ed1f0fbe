"""Step: the weights of a network in few bits."""

from typing import Annotated

from zenml import ArtifactConfig, step

from materializers.variant import VariantMaterializer
from models.round_variant import round_as, round_variant
from models.variant import Variant
from steps.caching import cached_by_sources, sources_of
from torch_lowrank.curvature.moments import Statistics

sources = sources_of(__name__)


@step(cache_policy=cached_by_sources(__name__), output_materializers=VariantMaterializer)
def round_weights(
    statistics: Statistics, bits: int | None, rounded: Variant | None, network: Variant
) -> Annotated[Variant, ArtifactConfig(name="{network}")]:
    """Rounds where the data say that it costs least.

    Args:
        statistics: Of the baseline.
        bits: Of every weight; None where a network has been rounded before.
        rounded: That one, whose bits its weights get.
        network: What is rounded.

    Raises:
        ValueError: Neither is given.
    """
    if rounded is not None:
        return round_as(network, rounded.network, statistics)
    if bits is None:
        raise ValueError("neither bits nor a network that has some is given")
    return round_variant(network, bits, statistics)
