"""Steps through their entry point: no pipeline, no store."""

import pytest
import torch

from models.evaluation.cost import macs
from models.preprocessing import Preprocessing
from models.unet import UNet
from models.variant import Variant
from steps.compress_arsvd import compress_arsvd
from steps.compress_budget import compress_budget
from steps.compress_solved import compress_solved
from steps.compress_svd import compress_svd
from steps.decompose import decompose
from steps.decompose_weighted import decompose_weighted
from torch_lowrank.curvature.collect import collect_statistics

SHAPE = (1, 32, 32)


@pytest.fixture(scope="module")
def baseline() -> Variant:
    torch.manual_seed(0)
    return Variant("baseline", "baseline", {}, UNet(base_filters=4).eval(), Preprocessing(0.18, 0.18), 1)


@pytest.fixture(scope="module")
def spectra(baseline: Variant):
    return decompose.entrypoint(baseline, "channel", "cpu")


def test_svd_applies_one_rank_to_every_layer(baseline: Variant, spectra) -> None:
    variant = compress_svd.entrypoint(spectra, baseline, "svd_rank_2", 2)
    assert (variant.name, variant.method, variant.setting) == ("svd_rank_2", "svd", {"rank": 2, "scheme": "channel"})
    assert {layer.rank for layer in variant.layers} == {2, None}
    assert variant.params < baseline.params


def test_arsvd_ranks_grow_with_tau(baseline: Variant, spectra) -> None:
    variants = [compress_arsvd.entrypoint(spectra, baseline, f"t{tau}", tau, "energy") for tau in (0.5, 0.7, 0.9)]
    assert [variant.setting["tau"] for variant in variants] == [0.5, 0.7, 0.9]
    assert variants[0].params < variants[1].params < variants[2].params


def test_a_budget_is_kept(baseline: Variant) -> None:
    statistics = collect_statistics(baseline.network, [torch.randn(4, *SHAPE)])
    weighted = decompose_weighted.entrypoint(statistics, baseline, "cpu")
    given = weighted, statistics, baseline, "budget_0.4", 0.4
    variant = compress_budget.entrypoint(*given, None, SHAPE, "cpu")
    assert 0.39 * baseline.params < variant.params <= 0.4 * baseline.params
    about = {"weighting": "curvature", "statistics_images": 4, "scheme": "auto"}
    assert variant.setting == {"budget": 0.4, **about}
    limit = 0.8 * macs(variant.network, SHAPE) / macs(baseline.network, SHAPE)
    faster = compress_budget.entrypoint(*given, limit, SHAPE, "cpu")
    assert faster.params <= 0.4 * baseline.params
    assert macs(faster.network, SHAPE) <= limit * macs(baseline.network, SHAPE)
    assert faster.setting == {"budget": 0.4, "mac_budget": limit, **about}


@pytest.mark.parametrize("method", ["svd", "arsvd"])
def test_svd_and_arsvd_meet_the_same_budget(baseline: Variant, spectra, method: str) -> None:
    variant = compress_solved.entrypoint(spectra, baseline, f"{method}_budget_0.4", method, 0.4, "energy")
    assert 0.39 * baseline.params < variant.params <= 0.4 * baseline.params
    assert (variant.method, variant.setting["budget"]) == (method, 0.4)


def test_the_baseline_is_never_changed(baseline: Variant, spectra) -> None:
    before = baseline.digest()
    compress_svd.entrypoint(spectra, baseline, "svd_rank_1", 1)
    assert baseline.digest() == before
