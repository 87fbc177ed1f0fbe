"""Step: the variant to export, the recommended one or one that is named."""

from typing import Annotated

from zenml import step
from zenml.materializers.built_in_materializer import BuiltInMaterializer

from analysis.ranking import recommended
from materializers.variant import VariantMaterializer
from models.evaluation.results import EvaluationResult
from models.variant import Variant
from steps.caching import cached_by_sources, sources_of

sources = sources_of(__name__)


@step(
    cache_policy=cached_by_sources(__name__),
    output_materializers=[VariantMaterializer, BuiltInMaterializer],
)
def choose_variant(
    results: list[EvaluationResult], compressed: list[Variant], baseline: Variant, name: str | None
) -> Annotated[Variant | None, "chosen_network"]:
    """Returns the variant; None where none is named and none recommended. What follows sees that one network alone.

    Args:
        results: Of all variants.
        compressed: All variants but the baseline.
        baseline: The baseline.
        name: The variant's name; None is the recommended one.
    """
    best = recommended(results)
    wanted = name if name is not None or best is None else best.name
    return next((variant for variant in (baseline, *compressed) if variant.name == wanted), None)
