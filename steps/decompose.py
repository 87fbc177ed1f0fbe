"""Step: decompose every layer, once for the whole sweep."""

from typing import Annotated

from zenml import step
from zenml.config.cache_policy import CachePolicy

from materializers.spectra import SpectraMaterializer
from models.variant import Variant
from steps.caching import sources_of
from torch_lowrank.decomposition import decompose as decomposition
from torch_lowrank.decomposition.spectra import Spectra

sources = sources_of(__name__)


@step(
    cache_policy=CachePolicy(cache_func=f"{__name__}.sources"),
    output_materializers=SpectraMaterializer,
)
def decompose(baseline: Variant, scheme: str, device: str) -> Annotated[Spectra, "spectra"]:
    """Computes the singular values and factors of all layers, on the chosen device."""
    return decomposition.decompose(baseline.network, scheme, device=device)
