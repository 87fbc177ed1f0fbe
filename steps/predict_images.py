"""Step: the masks of images, by a network that exists."""

from collections.abc import Iterable, Iterator
from typing import Annotated

from zenml import step

from configs.sections import ReadingConfig
from dataset.errors import DatasetError, Refusal, combined_error
from dataset.pictures.find import find_pictures, none_usable
from dataset.pictures.read import Picture, StoredAs, digest_pictures, read_pictures
from materializers.folders import folder_to_fill
from materializers.predictions import FILES, PredictionsMaterializer
from materializers.variant import networks_of_this_step
from models.network_files import network_files_digest
from models.prediction import predict_masks, read_as
from models.variant import Variant, VariantError
from reporting.prediction_folder import Predictions
from reporting.predictions import write_left_out, write_predictions
from steps import runtime
from steps.caching import cached_by_sources, sources_of
from torch_lowrank.progress import tracked
from torch_lowrank.whole_files import whole_folder

sources = sources_of(__name__)


@step(
    cache_policy=cached_by_sources(__name__),
    output_materializers=PredictionsMaterializer,
)
def predict_images(
    images: str, network: str, reading: ReadingConfig, device: str
) -> Annotated[Predictions, "predictions"]:
    """Predicts all masks, and writes them with overlays and a table.

    Args:
        images: Digest of the images' names and content; their place is not part of the cache key.
        network: Digest of the network's files, whose place is not part of it either.
        reading: How images are read.
        device: Where to compute.
    """
    now = runtime.current()
    pictures = find_pictures(now.data_root)
    variant = Variant.load(now.network_folder, networks_of_this_step())
    variant = read_as(variant, reading.image_size, reading.channels, reading.interpolation)
    refused: list[Refusal] = []
    stored_as = StoredAs(reading.channels, reading.image_size, reading.interpolation, reading.exif)
    read = tracked(read_pictures(pictures, stored_as, now.num_workers), "predict", len(pictures.names))
    usable = _usable(read, refused, reading.skip_bad_samples)
    predicted = predict_masks(variant, usable, batch_size=reading.batch_size, device=device)
    place = folder_to_fill(FILES)
    with whole_folder(place) as folder:
        write_predictions(predicted, pictures.names, folder, variant.classes, now.num_workers)
        if len(refused) == len(pictures.names):
            raise none_usable(now.data_root, refused)
        if refused and not reading.skip_bad_samples:
            raise combined_error([], refused)
        if refused:
            write_left_out(((str(each.file_name), each.reason) for each in refused), folder)
    if digest_pictures(find_pictures(now.data_root), now.num_workers) != images:
        raise DatasetError(f"{now.data_root} was changed while it was read; run again")
    if network_files_digest(now.network_folder) != network:
        raise VariantError(f"{now.network_folder} was changed while it was read; run again")
    return Predictions(place)


def _usable(read: Iterable[Picture | Refusal], refused: list[Refusal], skip_bad: bool) -> Iterator[Picture]:
    """Yields the images that can be used; after one that cannot, and is not skipped, the rest is only looked at."""
    for each in read:
        if isinstance(each, Refusal):
            refused.append(each)
        elif skip_bad or not refused:
            yield each
