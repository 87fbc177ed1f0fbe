"""Step: train a U-Net that a wider one teaches."""

import dataclasses
from typing import Annotated, Any

import torch
from zenml import step

from configs.sections import InputConfig, ModelConfig, TrainingConfig
from dataset.store import Dataset
from materializers.records import HistoryMaterializer
from materializers.variant import VariantMaterializer
from models.training.options import TrainingOptions
from models.unet import UNet
from models.variant import Variant
from models.variant_spec import BASELINE
from steps import runtime
from steps.caching import COMPRESSION_ONLY, cached_by_sources, sources_of

sources = sources_of(__name__, without=COMPRESSION_ONLY)


@step(
    cache_policy=cached_by_sources(__name__),
    output_materializers={"baseline_network": VariantMaterializer, "train_history": HistoryMaterializer},
)
def train_distilled(  # noqa: PLR0913, PLR0917 - what `train_unet` has, and the teacher
    dataset: Dataset,
    teacher: Variant,
    share: float,
    model: ModelConfig,
    training: TrainingConfig,
    inputs: InputConfig,
    seed: int,
    device: str,
) -> tuple[Annotated[Variant, "baseline_network"], Annotated[dict[str, Any], "train_history"]]:
    """Trains as `train_unet` does, from the same first weights, with a teacher's predictions in the loss.

    Outputs and settings have the names that they have there, so that the network can be reused as any other one.

    Args:
        dataset: The data set.
        teacher: The dense network of the main width.
        share: Weight of its predictions in the loss, in (0, 1].
        model: The width, and what else the U-Net is made with.
        training: The recipe, the same as without a teacher.
        inputs: How stored images become input, the same as the teacher's.
        seed: Seed of first weights, shuffling, augmentation and dropout.
        device: Where to train.
    """
    from models.training.fit import fit  # noqa: PLC0415 - Lightning: seconds, for a training alone

    now = runtime.current()
    torch.manual_seed(seed)
    network = UNet(
        dataset.manifest.channels, dataset.classes, model.base_filters, bilinear=model.bilinear, dropout=model.dropout
    )
    preprocessing = dataclasses.replace(teacher.preprocessing, **inputs.model_dump())
    settings = [share, *(part.model_dump(mode="json") for part in (model, training, inputs))]
    identity = (dataset.content_digest(), teacher.digest(), sources(), settings, seed, device)
    with runtime.watched("train_history"):
        history = fit(
            network,
            dataset["train"],
            dataset["valid"],
            preprocessing,
            TrainingOptions(**training.model_dump(), seed=seed, num_workers=now.num_workers, distillation=share),
            classes=dataset.classes,
            checkpoint_dir=now.checkpoint_dir(*identity),
            device=device,
            resume=now.resume,
            teacher=teacher.network,
        )
    return Variant(BASELINE, network, preprocessing, dataset.classes), history.to_dict()
