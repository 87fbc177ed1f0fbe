"""Step: train a compressed network on."""

from typing import Annotated, Any

from zenml import ArtifactConfig, step

from configs.schema import FinetuneConfig
from configs.sections import TrainingConfig
from dataset.store import Dataset
from materializers.records import HistoryMaterializer
from materializers.variant import VariantMaterializer
from models.training.options import TrainingOptions
from models.variant import Variant
from steps import runtime
from steps.caching import cached_by_sources, sources_of

sources = sources_of(__name__)


@step(
    cache_policy=cached_by_sources(__name__),
    output_materializers={"{network}": VariantMaterializer, "{variant}_finetune_history": HistoryMaterializer},
)
def finetune(
    compressed: Variant,
    dataset: Dataset,
    teacher: Variant | None,
    training: TrainingConfig,
    tuning: FinetuneConfig,
    seed: int,
    device: str,
) -> tuple[
    Annotated[Variant, ArtifactConfig(name="{network}")],
    Annotated[dict[str, Any], ArtifactConfig(name="{variant}_finetune_history")],
]:
    """Trains as the baseline was trained, for fewer epochs at a lower rate; keeps the best epoch, or none of them.

    Weights in few bits stay in as many. With a teacher, which is the baseline, its predictions are learned beside the
    masks.
    """
    from models.training.fit import fit  # noqa: PLC0415 - Lightning: seconds, for a training alone

    now = runtime.current()
    settings = training.model_dump() | tuning.model_dump(exclude={"enabled"})
    taught_by = teacher.digest() if teacher else None
    identity = (compressed.digest(), dataset.content_digest(), taught_by, sources(), settings, seed, device)
    history = fit(
        compressed.network,
        dataset["train"],
        dataset["valid"],
        compressed.preprocessing,
        TrainingOptions(**settings, seed=seed, num_workers=now.num_workers, keep_start=True),
        classes=dataset.classes,
        checkpoint_dir=now.checkpoint_dir(*identity),
        device=device,
        resume=now.resume,
        teacher=teacher.network if teacher else None,
    )
    notes = {f"finetune_{key}": value for key, value in tuning.model_dump(exclude={"enabled"}).items()}
    return compressed.with_spec(**notes), history.to_dict()
