"""Step: decompose every layer, once for the whole sweep."""

from typing import Annotated

from zenml import step

from materializers.spectra import SpectraMaterializer
from models.variant import Variant
from steps.caching import cached_by_sources, sources_of
from torch_lowrank.decomposition import decompose as decomposition
from torch_lowrank.decomposition.spectra import Spectra

sources = sources_of(__name__)


@step(
    cache_policy=cached_by_sources(__name__),
    output_materializers=SpectraMaterializer,
)
def decompose(baseline: Variant, scheme: str, device: str) -> Annotated[Spectra, "spectra"]:
    """Computes the singular values and factors of all layers, on the chosen device."""
    return decomposition.decompose(baseline.network, scheme, device=device)
