"""Step: train a compressed network on."""

from typing import Annotated, Any

from zenml import ArtifactConfig, step

from configs.schema import FinetuneConfig
from configs.sections import TrainingConfig
from dataset.store import Dataset
from materializers.records import HistoryMaterializer
from materializers.variant import VariantMaterializer
from models.training.options import TrainingOptions
from models.training.recovery import recovery_rate
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
    dense: Variant,
    training: TrainingConfig,
    tuning: FinetuneConfig,
    seed: int,
    device: str,
) -> tuple[
    Annotated[Variant, ArtifactConfig(name="{network}")],
    Annotated[dict[str, Any], ArtifactConfig(name="{variant}_finetune_history")],
]:
    """Trains as the dense network was trained, for fewer epochs at a lower rate; keeps the best epoch, or none of them.

    The rate grows with compression, see `recovery_rate`; not for weights in few bits, which stay in as many and would
    leave at a high rate what they were rounded to. With distillation, the dense network's predictions are learned
    beside the masks.

    Args:
        compressed: The network to train on.
        dataset: The data set.
        dense: What was compressed.
        training: How that was trained.
        tuning: What is done otherwise.
        seed: Seed of shuffling, augmentation and dropout.
        device: Where to train.
    """
    from models.training.fit import fit  # noqa: PLC0415 - Lightning: seconds, for a training alone

    now = runtime.current()
    lr = tuning.lr if compressed.spec.in_few_bits else recovery_rate(tuning.lr, compressed.params / dense.params)
    own = tuning.model_dump(exclude={"enabled"}) | {"lr": lr}
    settings = training.model_dump() | own
    teacher = dense if tuning.distillation > 0 else None
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
    return compressed.with_spec(**{f"finetune_{key}": value for key, value in own.items()}), history.to_dict()
