"""The pipeline's stages at any size: the library function behind each step, its inputs made beforehand."""

from __future__ import annotations

import dataclasses
import functools
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from analysis.comparison import Comparison
from benchmarks.recipe import RECIPE
from dataset.ingest import IngestOptions, ingest
from dataset.phantoms.write_phantoms import write_phantoms
from models.evaluation.evaluate import evaluate
from models.evaluation.results import Cost, EvaluationResult
from models.preprocessing import ImageBatches, Preprocessing
from models.training.fit import fit
from models.unet import UNet
from models.variant_spec import BASELINE, VariantSpec
from torch_lowrank.curvature.collect import collect_statistics
from torch_lowrank.curvature.moments import Statistics
from torch_lowrank.decomposition.decompose import decompose
from torch_lowrank.io import weights

PREPROCESSING = Preprocessing(0.18, 0.18)
_SMALL_SPLIT = 2  # images of the splits that a stage does not use


@dataclasses.dataclass(frozen=True)
class Size:
    """What stages grow with.

    Attributes:
        images: Of the split that a stage works on.
        side: Height and width.
        filters: Of the U-Net's first level.
        variants: Compared in the end.
    """

    images: int = 16
    side: int = 64
    filters: int = 8
    variants: int = 4


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        prepare: Makes the inputs, below a folder; returns the work, which returns the bytes that its result takes in
            the store, 0 where they are few whatever the size.
        grows_with: Fields of `Size` that it can depend on.
    """

    prepare: Callable[[Size, Path], Callable[[], int]]
    grows_with: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Images:
    """A split of random images."""

    images: np.ndarray
    masks: np.ndarray

    @classmethod
    def random(cls, number: int, side: int) -> Images:
        """Returns gray images and masks with a third of foreground."""
        generator = np.random.default_rng(0)
        images = generator.integers(0, 256, (number, side, side, 1), dtype=np.uint8)
        return cls(images, (images[..., 0] > 170).astype(np.uint8))


@functools.cache
def network(filters: int) -> UNet:
    """The network of all stages."""
    torch.manual_seed(0)
    return UNet(1, 1, filters).eval()


@functools.cache
def statistics(filters: int) -> Statistics:
    """Its moments, from few images; their size does not depend on the number of images."""
    images = Images.random(8, 64).images
    return collect_statistics(network(filters), ImageBatches(images, np.arange(8), PREPROCESSING, 4))


def ingesting(size: Size, folder: Path) -> Callable[[], int]:
    """Images and polygons to arrays; every image is stored at its own size."""
    counts = {"train": size.images, "valid": _SMALL_SPLIT, "test": _SMALL_SPLIT}
    root = write_phantoms(folder / f"phantoms_{size.images}_{size.side}", 0, counts, size.side)
    shape = (size.side, size.side)
    options = IngestOptions(image_size=shape, channels=1, multi_class=False, skip_bad_samples=False, num_workers=1)

    def work() -> int:
        place = Path(tempfile.mkdtemp(dir=folder))
        ingest(root, place / "arrays", options)
        stored = sum(file.stat().st_size for file in (place / "arrays").glob("train_*"))
        shutil.rmtree(place)
        return stored

    return work


def training(size: Size, folder: Path) -> Callable[[], int]:
    """One epoch."""
    train, valid = Images.random(size.images, size.side), Images.random(_SMALL_SPLIT, size.side)
    options = dataclasses.replace(RECIPE, batch_size=8, weight_decay=0, schedule="constant", loss="bce")

    def work() -> int:
        trained = UNet(1, 1, size.filters)
        place = Path(tempfile.mkdtemp(dir=folder))
        fit(trained, train, valid, PREPROCESSING, options, classes=1, checkpoint_dir=place, device="cpu", resume=False)
        shutil.rmtree(place, ignore_errors=True)
        return len(weights(trained))

    return work


def decomposing(size: Size, folder: Path) -> Callable[[], int]:
    """Plain spectra by one scheme."""

    def work() -> int:
        spectra = decompose(network(size.filters), "channel", device="cpu")
        spectra.save(folder / "spectra")
        return (folder / "spectra").stat().st_size

    return work


def collecting(size: Size, folder: Path) -> Callable[[], int]:
    """Second moments of all layers."""
    images = Images.random(size.images, size.side).images

    def work() -> int:
        batches = ImageBatches(images, np.arange(size.images), PREPROCESSING, 4)
        collect_statistics(network(size.filters), batches).save(folder / "statistics")
        return (folder / "statistics").stat().st_size

    return work


def decomposing_weighted(size: Size, folder: Path) -> Callable[[], int]:
    """Spectra in the norm of the loss, by both schemes."""
    moments = statistics(size.filters)

    def work() -> int:
        decompose(network(size.filters), "auto", device="cpu", statistics=moments).save(folder / "weighted")
        return (folder / "weighted").stat().st_size

    return work


def evaluating(size: Size, folder: Path) -> Callable[[], int]:
    """All metrics of one network."""
    test = Images.random(size.images, size.side)

    def work() -> int:
        evaluate(network(size.filters), test.images, test.masks, PREPROCESSING, classes=1, batch_size=8, device="cpu")
        return 0

    return work


def comparing(size: Size, folder: Path) -> Callable[[], int]:
    """Intervals of all variants and of their differences from the baseline, over ten times as many images."""
    generator = np.random.default_rng(0)

    def result(number: int) -> EvaluationResult:
        values = {name: generator.random(10 * size.images).tolist() for name in ("dice", "iou", "lesion_px")}
        spec = VariantSpec("svd", rank=number) if number else BASELINE
        metrics = {"dice": 0.7, "iou": 0.6, "pixel_accuracy": 0.9}
        return EvaluationResult(spec, Cost(1, 4, 1), metrics, values, [])

    results = [result(number) for number in range(size.variants)]

    def work() -> int:
        _ = Comparison(results).qualities  # computed when asked for
        return 0  # a few kilobytes of report a variant

    return work


STAGES = {
    "ingest": Stage(ingesting, ("images", "side")),
    "train, one epoch": Stage(training, ("images", "side", "filters")),
    "decompose": Stage(decomposing, ("filters",)),
    "statistics": Stage(collecting, ("images", "side", "filters")),
    "decompose, weighted": Stage(decomposing_weighted, ("filters",)),
    "evaluate, one variant": Stage(evaluating, ("images", "side", "filters")),
    "compare (intervals)": Stage(comparing, ("images", "variants")),
}
