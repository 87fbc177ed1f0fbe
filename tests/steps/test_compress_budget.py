"""The step that allocates within a budget and keeps the best of a few networks, through its entry point."""

import copy
import dataclasses

import numpy as np
import pytest
import torch

from models.evaluation.cost import macs
from models.evaluation.evaluate import evaluate
from models.evaluation.results import EvaluationResult
from models.preprocessing import ImageBatches
from models.variant import Variant
from models.variant_spec import VariantSpec
from steps.compress_budget import compress_budget
from steps.decompose_weighted import decompose_weighted
from tests.steps.own_truth import HOW, Data, Images, data_of, result_of, untrained
from torch_lowrank.compression import compress
from torch_lowrank.curvature.collect import collect_statistics
from torch_lowrank.ranks.budgets import BudgetError, ParameterBudget
from torch_lowrank.recalibration import recalibrate

SHAPE = (1, 32, 32)
SPEC = VariantSpec("budget", budget=0.4, weighting="curvature", scheme="auto")


@pytest.fixture(scope="module")
def baseline() -> Variant:
    """A network whose BatchNorms know the images, and that marks half of every one."""
    variant = untrained()
    batches = ImageBatches(Images(variant, 7).images, np.arange(12), variant.preprocessing, 4)
    recalibrate(variant.network, batches)
    with torch.no_grad():
        variant.network.outc.conv.bias -= variant.network(torch.cat(list(batches))).median()
    return variant


@pytest.fixture(scope="module")
def dataset(baseline: Variant) -> Data:
    return data_of(baseline)


@pytest.fixture(scope="module")
def given(baseline: Variant, dataset: Data) -> tuple:
    train = dataset["train"]
    batches = ImageBatches(train.images, train.sample(8, 0), baseline.preprocessing, 4)
    statistics = collect_statistics(baseline.network, batches)
    weighted = decompose_weighted.entrypoint(statistics, baseline, "cpu")
    return weighted, statistics, result_of(baseline, dataset), dataset, baseline


def made(given: tuple, spec: VariantSpec, images: int = 0) -> Variant:
    return compress_budget.entrypoint(*given, spec, images, 4, 0, "cpu")


def dice(variant: Variant, dataset: Data, images: int = 0) -> float:
    network, valid, train = copy.deepcopy(variant.network), dataset["valid"], dataset["train"]
    if images:
        recalibrate(network, ImageBatches(train.images, np.arange(images), variant.preprocessing, 4))
    return evaluate(network, valid.images, valid.masks, variant.preprocessing, **HOW).metrics["dice_lesion"]


def truncated(given: tuple, spec: VariantSpec) -> Variant:
    rule = ParameterBudget(spec.budget)
    network = compress(given[4].network, rule, spectra=given[0], statistics=given[1]).network
    return dataclasses.replace(given[4], network=network)


def test_a_budget_is_kept(given: tuple, baseline: Variant) -> None:
    variant = made(given, SPEC)
    assert 0.38 * baseline.params < variant.params <= 0.4 * baseline.params
    assert variant.name == "budget_0.4"
    limit = 0.8 * macs(variant.network, SHAPE) / macs(baseline.network, SHAPE)
    faster = made(given, dataclasses.replace(SPEC, mac_budget=limit))
    assert faster.params <= 0.4 * baseline.params
    assert macs(faster.network, SHAPE) <= limit * macs(baseline.network, SHAPE)
    assert faster.spec.allocation == "global"


@pytest.fixture(scope="module")
def small(given: tuple) -> Variant:
    """At a budget at which truncation costs Dice; judged after recalibration by 8 images."""
    return made(given, dataclasses.replace(SPEC, budget=0.1), images=8)


def test_it_is_not_behind_the_mere_truncation_judged_as_it_is_used(small: Variant, given: tuple, dataset: Data) -> None:
    mere = dice(truncated(given, small.spec), dataset, images=8)
    assert mere <= dice(small, dataset, images=8) < 1
    assert small.params <= 0.1 * given[4].params


def test_the_description_says_what_was_kept(small: Variant, given: tuple) -> None:
    assert (small.spec.statistics_images, small.spec.reconstructed, small.spec.recalibrated) == (8, 8, None)
    mere = compress(given[4].network, ParameterBudget(0.1), spectra=given[0], statistics=given[1])
    same = [layer.rank for layer in small.layers] == [layer.rank for layer in mere.layers]
    assert small.spec.allocation == ("global" if same else "one rank")


def test_where_truncation_costs_nothing_no_other_network_is_made(given: tuple) -> None:
    useless = EvaluationResult(given[2].spec, given[2].cost, {}, {}, [], valid={"dice_lesion": 0.0})
    variant = made((*given[:2], useless, *given[3:]), SPEC)
    assert variant.spec == dataclasses.replace(SPEC, statistics_images=8, allocation="global")
    kept, wanted = variant.network.state_dict(), truncated(given, SPEC).network.state_dict()
    assert all(torch.equal(kept[name], value) for name, value in wanted.items())


def test_a_budget_that_cannot_be_met_is_told_by_name(given: tuple) -> None:
    with pytest.raises(BudgetError, match=r"budget_0\.001: a budget of 0\.001 .* cannot be met"):
        made(given, dataclasses.replace(SPEC, budget=0.001))
