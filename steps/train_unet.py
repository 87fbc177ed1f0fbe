"""Step: train the baseline."""

from typing import Annotated, Any

import torch
from zenml import step

from configs.sections import InputConfig, ModelConfig, TrainingConfig
from dataset.store import Dataset
from materializers.records import HistoryMaterializer
from materializers.variant import VariantMaterializer
from models.preprocessing import Preprocessing
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
def train_unet(
    dataset: Dataset, model: ModelConfig, training: TrainingConfig, inputs: InputConfig, seed: int, device: str
) -> tuple[Annotated[Variant, "baseline_network"], Annotated[dict[str, Any], "train_history"]]:
    """Trains a U-Net and keeps the weights of the best epoch, see `models.training.history`.

    A training that was cut off goes on from its last epoch when the same command runs again.
    """
    from models.training.fit import fit  # noqa: PLC0415 - Lightning: seconds, for a training alone

    now = runtime.current()
    torch.manual_seed(seed)
    stored = dataset.manifest
    network = UNet(stored.channels, dataset.classes, **model.model_dump())
    preprocessing = Preprocessing(
        **inputs.model_dump(),
        channels=stored.channels,
        image_size=stored.image_size,
        interpolation=stored.interpolation,
    )
    options = TrainingOptions(**training.model_dump(), seed=seed, num_workers=now.num_workers)
    settings = [part.model_dump() for part in (model, training, inputs)]
    history = fit(
        network,
        dataset["train"],
        dataset["valid"],
        preprocessing,
        options,
        classes=dataset.classes,
        checkpoint_dir=now.checkpoint_dir(dataset.content_digest(), sources(), settings, seed, device),
        device=device,
        resume=now.resume,
    )
    return Variant(BASELINE, network, preprocessing, dataset.classes), history.to_dict()
