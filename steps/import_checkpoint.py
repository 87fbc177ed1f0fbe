"""Step: a network that was trained elsewhere, as the baseline."""

from typing import Annotated, Any

from zenml import step

from configs.sections import DataConfig, InputConfig, ModelConfig
from materializers.records import HistoryMaterializer
from materializers.variant import VariantMaterializer, recipe_of_run
from models.checkpoint import checkpoint_digest, load_checkpoint
from models.checkpoint_file import CheckpointError
from models.networks.trial import likely_classes, output_classes
from models.preprocessing import Preprocessing
from models.training.history import History
from models.variant import Variant
from models.variant_spec import BASELINE
from steps import runtime
from steps.caching import COMPRESSION_ONLY, cached_by_sources, sources_of

sources = sources_of(__name__, without=COMPRESSION_ONLY)


@step(
    cache_policy=cached_by_sources(__name__),
    output_materializers={"baseline_network": VariantMaterializer, "train_history": HistoryMaterializer},
)
def import_checkpoint(
    fingerprint: str, inputs: InputConfig, data: DataConfig, model: ModelConfig
) -> tuple[Annotated[Variant, "baseline_network"], Annotated[dict[str, Any], "train_history"]]:
    """Loads a state dict; the architecture of our U-Net follows from its keys and shapes.

    Args:
        fingerprint: Digest of the file's content; the file's place is no part of the cache key.
        inputs: How the network's input is normalised.
        data: How the images are read that it is used on.
        model: The network, where it is not ours.
    """
    file = runtime.current().checkpoint_file
    recipe = recipe_of_run(model.network, model.arguments, model.output)
    if recipe is not None:
        # Whether the data have as many is checked by each step that uses it on them.
        recipe = recipe.filled(data.channels, likely_classes(data.multi_class, len(data.categories)))
    network = load_checkpoint(file, recipe.build() if recipe is not None else None)
    if checkpoint_digest(file) != fingerprint:
        raise CheckpointError(f"{file} was changed while it was read; run again")
    read = data.model_dump(include={"channels", "image_size", "interpolation"})
    preprocessing = Preprocessing(**inputs.model_dump(), **read)
    classes = output_classes(network, data.channels, data.image_size)
    variant = Variant(BASELINE, network, preprocessing, classes, recipe=recipe)
    return variant, History().to_dict()
