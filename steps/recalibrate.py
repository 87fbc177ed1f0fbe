"""Step: BatchNorm's statistics of a compressed network, estimated anew."""

from typing import Annotated

from zenml import ArtifactConfig, step
from zenml.config.cache_policy import CachePolicy

from dataset.store import Dataset
from materializers.variant import VariantMaterializer
from models.preprocessing import ImageBatches
from models.variant import Variant
from torch_lowrank import recalibration


@step(
    cache_policy=CachePolicy(cache_func="steps.caching.recalibrate_sources"),
    output_materializers=VariantMaterializer,
)
def recalibrate(
    compressed: Variant, dataset: Dataset, images: int, batch_size: int, seed: int, device: str
) -> Annotated[Variant, ArtifactConfig(name="{network}")]:
    """Takes the statistics of so many training images, chosen at random."""
    compressed.check_input(dataset.manifest.channels, dataset.classes)
    train = dataset["train"]
    chosen = train.sample(images, seed)
    batches = ImageBatches(train.images, chosen, compressed.preprocessing, batch_size, min_batch=2)
    recalibration.recalibrate(compressed.network, batches, device=device)
    return compressed.noted(recalibrated=len(chosen))
