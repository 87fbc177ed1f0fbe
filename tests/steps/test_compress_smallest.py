"""The step that searches the smallest network within a loss, through its entry point."""

import types

import numpy as np
import pytest
import torch

from models.evaluation.evaluate import evaluate, predict
from models.evaluation.results import Cost, EvaluationResult
from models.preprocessing import Preprocessing
from models.unet import UNet
from models.variant import Variant
from models.variant_spec import BASELINE, VariantSpec
from steps.compress_smallest import compress_smallest
from steps.decompose_weighted import decompose_weighted
from torch_lowrank.curvature.collect import collect_statistics
from torch_lowrank.curvature.moments import Statistics
from torch_lowrank.decomposition.spectra import Spectra

HOW = {"classes": 1, "batch_size": 4, "device": "cpu"}


class Images:
    """A split of stored images whose truth is what the baseline predicts: its Dice is 1."""

    def __init__(self, baseline: Variant, seed: int) -> None:
        random = np.random.default_rng(seed)
        smooth = torch.from_numpy(random.random((12, 1, 4, 4), dtype=np.float32))
        large = torch.nn.functional.interpolate(smooth, 32, mode="bilinear")
        self.images = (255 * large).to(torch.uint8).permute(0, 2, 3, 1).numpy()
        self.masks = predict(baseline.network, self.images, baseline.preprocessing, **HOW)

    def sample(self, number: int, seed: int) -> np.ndarray:
        return np.arange(min(number, len(self.images)))


@pytest.fixture(scope="module")
def baseline() -> Variant:
    """A network that has learned nothing and marks about half of every image."""
    torch.manual_seed(0)
    network = UNet(base_filters=4).eval()
    with torch.no_grad():
        logits = network(torch.rand(8, 1, 32, 32) * 5)
        network.outc.conv.bias -= logits.median()
    return Variant(BASELINE, network, Preprocessing(0.18, 0.18), 1)


class Data(dict):
    """Splits, as a stored data set has them."""

    manifest = types.SimpleNamespace(channels=1, image_size=(32, 32))
    classes = 1


@pytest.fixture(scope="module")
def dataset(baseline: Variant) -> Data:
    return Data({name: Images(baseline, seed) for seed, name in enumerate(("train", "valid"))})


@pytest.fixture(scope="module")
def full(baseline: Variant, dataset: Data) -> EvaluationResult:
    valid = evaluate(baseline.network, dataset["valid"].images, dataset["valid"].masks, baseline.preprocessing, **HOW)
    assert valid.metrics["dice_lesion"] == 1
    return EvaluationResult(BASELINE, Cost(1, 1, 1), {}, {}, [], valid=valid.metrics)


@pytest.fixture(scope="module")
def weighted(baseline: Variant) -> tuple[Spectra, Statistics]:
    statistics = collect_statistics(baseline.network, [torch.randn(4, 1, 32, 32)])
    return decompose_weighted.entrypoint(statistics, baseline, "cpu"), statistics


def searched(
    limit: float, weighted: tuple, full: EvaluationResult, dataset: Data, baseline: Variant, images: int = 0
) -> Variant:
    spec = VariantSpec("budget", max_dice_loss=limit, weighting="curvature", scheme="auto")
    return compress_smallest.entrypoint(*weighted, full, dataset, baseline, spec, images, 4, 0, "cpu")


def test_the_loss_on_valid_stays_within_the_limit(
    weighted: tuple, full: EvaluationResult, dataset: Data, baseline: Variant
) -> None:
    small, smaller = (searched(limit, weighted, full, dataset, baseline) for limit in (0.02, 0.2))
    for variant, limit in ((small, 0.02), (smaller, 0.2)):
        valid = dataset["valid"]
        measured = evaluate(variant.network, valid.images, valid.masks, baseline.preprocessing, **HOW)
        assert measured.metrics["dice_lesion"] >= 1 - limit
        assert variant.spec.budget is not None
        assert variant.params <= variant.spec.budget * baseline.params
        assert (variant.name, variant.spec.max_dice_loss, variant.spec.statistics_images) == ("smallest", limit, 4)
    assert smaller.params < small.params < baseline.params


def test_networks_are_judged_recalibrated_and_returned_as_they_were_truncated(
    weighted: tuple, full: EvaluationResult, dataset: Data, baseline: Variant
) -> None:
    variant = searched(0.2, weighted, full, dataset, baseline, images=8)
    given, made = (
        {k: v for k, v in each.network.state_dict().items() if "running" in k} for each in (baseline, variant)
    )
    assert given.keys() == made.keys()
    assert given
    assert all(torch.equal(given[name], made[name]) for name in given)
    assert variant.spec.recalibrated is None
    assert variant.spec.budget != searched(0.2, weighted, full, dataset, baseline).spec.budget
