"""Step: recalibrate BatchNorm's statistics of a compressed network."""

from typing import Annotated

from zenml import ArtifactConfig, step

from dataset.store import Dataset
from materializers.variant import VariantMaterializer
from models.recalibrate_variant import recalibrate_variant
from models.variant import Variant
from steps.caching import cached_by_sources, sources_of

sources = sources_of(__name__)


@step(
    cache_policy=cached_by_sources(__name__),
    output_materializers=VariantMaterializer,
)
def recalibrate(
    compressed: Variant, dataset: Dataset, images: int, batch_size: int, seed: int, device: str
) -> Annotated[Variant, ArtifactConfig(name="{network}")]:
    """Estimates the statistics from so many training images, chosen at random."""
    compressed.check_input(dataset.manifest.channels, dataset.classes)
    train = dataset["train"]
    return recalibrate_variant(compressed, train.images, train.sample(images, seed), batch_size, device)
