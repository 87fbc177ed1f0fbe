"""Step: decompose every layer in the norm of the loss, once for all budgets."""

import sys
from typing import Annotated

from zenml import step
from zenml.config.cache_policy import CachePolicy

from materializers.spectra import SpectraMaterializer
from models import spectra
from models.moments import Statistics
from models.variant import Variant


@step(
    cache_policy=CachePolicy(cache_func="steps.caching.decompose_weighted_sources"),
    output_materializers=SpectraMaterializer,
)
def decompose_weighted(
    statistics: Statistics, baseline: Variant, device: str
) -> Annotated[spectra.Spectra, "weighted_spectra"]:
    """Decomposes by both schemes, of which the allocation takes the better one layer by layer."""
    return spectra.decompose(baseline.network, "auto", device, statistics=statistics, progress=sys.stderr.isatty())
