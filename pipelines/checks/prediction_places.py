"""What is wrong with the images, the network and the folder of results of a run with `--predict`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from configs.schema import RunConfig
from dataset.pictures.find import find_pictures
from models.network_files import NetworkFilesError, check_network_files
from reporting.prediction_folder import MASKS, OVERLAYS, PredictionFolderError, check_replaceable

_MODEL_URIS = ("models:/", "runs:/")


def is_model_uri(network: str) -> bool:
    """Returns whether this is MLflow's name of a model, or of the files of a run, and no folder."""
    return network.startswith(_MODEL_URIS)


def prediction_looks(config: RunConfig) -> Iterator[Callable[[], object]]:
    """Yields what looks at each place that such a run names; each raises an error where it is wrong.

    Whether MLflow has a model is seen later, as to import MLflow takes seconds.
    """
    images, network = config.prediction.images, config.prediction.network
    if images is None or network is None:
        return
    yield partial(find_pictures, images)
    if not is_model_uri(network):
        yield partial(_check_folder, network)
    yield partial(_check_apart, images, config.out_dir)
    yield partial(check_replaceable, config.out_dir)


def prediction_outline(config: RunConfig) -> str:
    """Returns in a line what such a run is about; its places have been looked at."""
    images, network = config.prediction.images, config.prediction.network
    if images is None:
        raise ValueError("the run predicts nothing")
    pictures, what = find_pictures(images), str(images)
    if images.is_dir():
        others = f" ({pictures.others:,} other files left out)" if pictures.others else ""
        what = f"{len(pictures.names):,} images in {images}{others}"
    return f"predict: {what}; network: {network}; results: {config.out_dir}"


def _check_folder(network: str) -> None:
    if "://" in network or network.partition(":/")[0] in ("mlflow-artifacts", "s3", "gs"):
        raise NetworkFilesError(
            f"--model {network} is none of {', '.join(_MODEL_URIS)} and no folder of this machine: copy the network's "
            "folder here, or register it in MLflow"
        )
    check_network_files(network)


def _check_apart(images: Path, out_dir: Path) -> None:
    """Checks that results do not come to lie among the images, where the next run would take them for images.

    Raises:
        PredictionFolderError: They would, or images lie where results are written.
    """
    if images.is_dir() and out_dir.resolve().is_relative_to(images.resolve()):
        raise PredictionFolderError(
            f"results in {out_dir} would lie among the images of {images}, and be taken for some: choose an --out_dir "
            "outside of it"
        )
    for name in (MASKS, OVERLAYS):
        if images.resolve().is_relative_to((out_dir / name).resolve()):
            raise PredictionFolderError(
                f"{images} lies in {out_dir / name}, which is replaced: choose another --out_dir"
            )
