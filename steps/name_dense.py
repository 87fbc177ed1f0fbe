"""Step: the dense network of a further training, by its name in the comparison."""

import dataclasses
from typing import Annotated

from zenml import ArtifactConfig, step

from materializers.variant import VariantMaterializer
from models.variant import Variant
from models.variant_spec import VariantSpec
from steps.caching import cached_by_sources, sources_of

sources = sources_of(__name__)


@step(cache_policy=cached_by_sources(__name__), output_materializers=VariantMaterializer)
def name_dense(baseline: Variant, spec: VariantSpec) -> Annotated[Variant, ArtifactConfig(name="{network}")]:
    """Returns the same network by another description.

    The training itself knows none: it is the same whether it is the main one of its comparison or not, and is not run
    again where it has been the other.

    Args:
        baseline: The network as its training made it.
        spec: Which training of the comparison that is.
    """
    return dataclasses.replace(baseline, spec=spec)
