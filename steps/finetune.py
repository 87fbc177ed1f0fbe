"""Step: train a compressed network on."""

from typing import Annotated

from zenml import ArtifactConfig, step
from zenml.config.cache_policy import CachePolicy

from configs.schema import FinetuneConfig, TrainingConfig
from dataset.store import Dataset
from materializers.variant import VariantMaterializer
from models.training import TrainingOptions, fit
from models.variant import Variant
from steps import runtime
from steps.caching import finetune_sources


@step(
    cache_policy=CachePolicy(cache_func="steps.caching.finetune_sources"),
    output_materializers=VariantMaterializer,
)
def finetune(
    compressed: Variant, dataset: Dataset, training: TrainingConfig, tuning: FinetuneConfig, seed: int, device: str
) -> Annotated[Variant, ArtifactConfig(name="{variant}_finetuned_network")]:
    """Trains as the baseline was trained, for fewer epochs at a lower rate; keeps the best validation Dice."""
    now = runtime.current()
    settings = training.model_dump() | {"epochs": tuning.epochs, "lr": tuning.lr}
    identity = (compressed.digest(), dataset.content_digest(), finetune_sources(), settings, seed, device)
    fit(
        compressed.network,
        dataset["train"],
        dataset["valid"],
        compressed.preprocessing,
        TrainingOptions(**settings, seed=seed, num_workers=now.num_workers),
        classes=dataset.classes,
        checkpoint_dir=now.checkpoint_dir(*identity),
        device=device,
        resume=now.resume,
    )
    return compressed.finetuned(tuning.epochs, tuning.lr)
