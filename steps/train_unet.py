"""Step: train the baseline, our U-Net or a network that is named."""

from typing import Annotated, Any

import torch
from torch import nn
from zenml import step

from configs.sections import InputConfig, ModelConfig, TrainingConfig
from dataset.store import Dataset
from materializers.records import HistoryMaterializer
from materializers.variant import VariantMaterializer, recipe_of_run
from models.networks.trial import check_classes, output_classes
from models.preprocessing import Preprocessing
from models.training.options import TrainingOptions
from models.unet import UNet
from models.variant import Variant
from models.variant_spec import BASELINE
from steps import runtime
from steps.caching import COMPRESSION_ONLY, cached_by_sources, sources_of

_OF_UNET = {"base_filters", "bilinear", "dropout"}
sources = sources_of(__name__, without=COMPRESSION_ONLY)


@step(
    cache_policy=cached_by_sources(__name__),
    output_materializers={"baseline_network": VariantMaterializer, "train_history": HistoryMaterializer},
)
def train_unet(
    dataset: Dataset, model: ModelConfig, training: TrainingConfig, inputs: InputConfig, seed: int, device: str
) -> tuple[Annotated[Variant, "baseline_network"], Annotated[dict[str, Any], "train_history"]]:
    """Trains a network and keeps the weights of the best epoch, see `models.training.history`.

    A training that was cut off goes on from its last epoch when the same command runs again.
    """
    from models.training.fit import fit  # noqa: PLC0415 - Lightning: seconds, for a training alone

    now = runtime.current()
    torch.manual_seed(seed)
    stored = dataset.manifest
    recipe = recipe_of_run(model.network, model.arguments, model.output)
    if recipe is None:
        network: nn.Module = UNet(stored.channels, dataset.classes, **model.model_dump(include=_OF_UNET))
    else:
        recipe = recipe.filled(stored.channels, dataset.classes)
        network = recipe.build()
        check_classes(output_classes(network, stored.channels, stored.image_size), dataset.classes, recipe)
    preprocessing = Preprocessing(
        **inputs.model_dump(),
        channels=stored.channels,
        image_size=stored.image_size,
        interpolation=stored.interpolation,
    )
    options = TrainingOptions(**training.model_dump(), seed=seed, num_workers=now.num_workers)
    settings = [part.model_dump(mode="json") for part in (model, training, inputs)]
    with runtime.watched("train_history"):
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
    return Variant(BASELINE, network, preprocessing, dataset.classes, recipe=recipe), history.to_dict()
