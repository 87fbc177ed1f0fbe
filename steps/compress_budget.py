"""Step: the ranks that cost the least loss within a share of the network's parameters, and perhaps of its work."""

from typing import Annotated

from zenml import ArtifactConfig, step
from zenml.config.cache_policy import CachePolicy

from materializers.variant import VariantMaterializer
from models.compress_variant import compress_variant
from models.variant import Variant
from torch_lowrank.curvature.moments import Statistics
from torch_lowrank.decomposition.spectra import Spectra
from torch_lowrank.ranks.budgets import JointBudget, ParameterBudget


@step(
    cache_policy=CachePolicy(cache_func="steps.caching.budget_sources"),
    output_materializers=VariantMaterializer,
)
def compress_budget(  # noqa: PLR0913, PLR0917 - a step takes plain values, by position
    spectra: Spectra,
    statistics: Statistics,
    baseline: Variant,
    variant: str,
    budget: float,
    mac_budget: float | None,
    input_shape: tuple[int, int, int],
    device: str,
) -> Annotated[Variant, ArtifactConfig(name="{network}")]:
    """Allocates ranks over the whole network by weighted spectra, and refines the factors.

    Args:
        spectra: Weighted.
        statistics: What they were weighted with.
        baseline: The network.
        variant: Name of what comes out.
        budget: Share of the parameters.
        mac_budget: Share of the multiply-accumulates, for one image; None where they do not matter.
        input_shape: (channels, height, width) of one image.
        device: Where to refine.
    """
    rule = ParameterBudget(budget) if mac_budget is None else JointBudget(budget, mac_budget, input_shape)
    limits = {"budget": budget} if mac_budget is None else {"budget": budget, "mac_budget": mac_budget}
    return compress_variant(
        baseline,
        spectra,
        rule,
        name=variant,
        method="budget",
        setting={**limits, "weighting": spectra.weighting, "statistics_images": statistics.images},
        statistics=statistics,
        device=device,
    )
