"""Step: recalibrate BatchNorm's statistics of a compressed network."""

from typing import Annotated

from zenml import ArtifactConfig, step

from dataset.store import Dataset
from materializers.variant import VariantMaterializer
from models.preprocessing import ImageBatches
from models.variant import Variant
from steps.caching import cached_by_sources, sources_of
from torch_lowrank import recalibration

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
    chosen = train.sample(images, seed)
    batches = ImageBatches(train.images, chosen, compressed.preprocessing, batch_size, min_batch=2)
    recalibration.recalibrate(compressed.network, batches, device=device)
    return compressed.with_spec(recalibrated=len(chosen))
