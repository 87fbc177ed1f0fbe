"""Step: decompose every layer in the norm of the loss, once for all budgets."""

from typing import Annotated

from zenml import step

from materializers.spectra import SpectraMaterializer
from models.variant import Variant
from steps.caching import cached_by_sources, sources_of
from torch_lowrank.curvature.moments import Statistics
from torch_lowrank.decomposition import decompose as decomposition
from torch_lowrank.decomposition.spectra import Spectra

sources = sources_of(__name__)


@step(
    cache_policy=cached_by_sources(__name__),
    output_materializers=SpectraMaterializer,
)
def decompose_weighted(
    statistics: Statistics, baseline: Variant, device: str
) -> Annotated[Spectra, "weighted_spectra"]:
    """Decomposes by both schemes, of which the allocation takes the better one layer by layer."""
    return decomposition.decompose(baseline.network, "auto", statistics=statistics, device=device)
