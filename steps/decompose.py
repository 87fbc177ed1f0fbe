"""Step: decompose every layer, once for the whole sweep."""

import sys
from typing import Annotated

from zenml import step
from zenml.config.cache_policy import CachePolicy

from materializers.spectra import SpectraMaterializer
from models import spectra
from models.variant import Variant


@step(
    cache_policy=CachePolicy(cache_func="steps.caching.decompose_sources"),
    output_materializers=SpectraMaterializer,
)
def decompose(baseline: Variant, scheme: str, device: str) -> Annotated[spectra.Spectra, "spectra"]:
    """Computes the singular values and factors of all layers, on the chosen device."""
    return spectra.decompose(baseline.network, scheme, device, progress=sys.stderr.isatty())
