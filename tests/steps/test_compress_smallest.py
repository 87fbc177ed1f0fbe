"""The step that searches the smallest network within a loss, through its entry point."""

import pytest
import torch

from models.evaluation.evaluate import evaluate
from models.evaluation.results import EvaluationResult
from models.variant import Variant
from models.variant_spec import VariantSpec
from steps.compress_smallest import compress_smallest
from steps.decompose_weighted import decompose_weighted
from tests.steps.own_truth import HOW, Data, data_of, result_of, untrained
from torch_lowrank.curvature.collect import collect_statistics
from torch_lowrank.curvature.moments import Statistics
from torch_lowrank.decomposition.spectra import Spectra


@pytest.fixture(scope="module")
def baseline() -> Variant:
    return untrained()


@pytest.fixture(scope="module")
def dataset(baseline: Variant) -> Data:
    return data_of(baseline)


@pytest.fixture(scope="module")
def full(baseline: Variant, dataset: Data) -> EvaluationResult:
    return result_of(baseline, dataset)


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
