"""Step: structured pruning to a share of the network's parameters, and of its work where asked."""

from typing import Annotated

from zenml import ArtifactConfig, step

from dataset.store import Dataset
from materializers.variant import VariantMaterializer
from models.pruning.prune_variant import Samples, prune_variant
from models.training.options import Loss
from models.variant import Variant
from models.variant_spec import VariantSpec
from steps.caching import cached_by_sources, sources_of

sources = sources_of(__name__, libraries=("torch-pruning",))


@step(cache_policy=cached_by_sources(__name__), output_materializers=VariantMaterializer)
def compress_pruned(
    dataset: Dataset, baseline: Variant, spec: VariantSpec, loss: Loss, images: int, seed: int, device: str
) -> Annotated[Variant, ArtifactConfig(name="{network}")]:
    """Removes the channels that the loss depends on least.

    Args:
        dataset: Its training images tell how much the loss depends on each.
        baseline: The network.
        spec: What is made.
        loss: What the baseline was trained by.
        images: So many of them, chosen at random.
        seed: Of that choice.
        device: Where to compute.
    """
    baseline.check_input(dataset.manifest.channels, dataset.classes)
    train = dataset["train"]
    samples = Samples(train.images, train.masks, train.sample(images, seed))
    return prune_variant(baseline, samples, loss, spec, device)
