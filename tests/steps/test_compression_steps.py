"""Steps through their entry point: no pipeline, no store."""

import dataclasses

import pytest
import torch

from models.evaluation.cost import weights_size_bytes
from models.preprocessing import Preprocessing
from models.unet import UNet
from models.variant import Variant
from models.variant_spec import BASELINE, ESTIMATES, VariantSpec
from steps.compress_arsvd import compress_arsvd
from steps.compress_rule import compress_rule, rule_of
from steps.compress_size import compress_size
from steps.compress_svd import compress_svd
from steps.decompose import decompose
from steps.decompose_weighted import decompose_weighted
from steps.round_weights import round_weights
from torch_lowrank.compression import compress
from torch_lowrank.curvature.collect import collect_statistics
from torch_lowrank.layers.factorized import count_parameters
from torch_lowrank.quantization.bits import BITS
from torch_lowrank.ranks.budgets import BudgetError
from torch_lowrank.ranks.estimates import EffectiveRank, StableRank
from torch_lowrank.ranks.noise import EVBMF, HardThreshold
from torch_lowrank.ranks.rules import Energy, RankRatio

SHAPE = (1, 32, 32)


@pytest.fixture(scope="module")
def baseline() -> Variant:
    torch.manual_seed(0)
    return Variant(BASELINE, UNet(base_filters=4).eval(), Preprocessing(0.18, 0.18), 1)


@pytest.fixture(scope="module")
def spectra(baseline: Variant):
    return decompose.entrypoint(baseline, "channel", "cpu")


def test_svd_applies_one_rank_to_every_layer(baseline: Variant, spectra) -> None:
    spec = VariantSpec("svd", rank=2, scheme="channel")
    variant = compress_svd.entrypoint(spectra, baseline, spec)
    assert (variant.name, variant.spec) == ("svd_rank_2", spec)
    assert {layer.rank for layer in variant.layers} == {2, None}
    assert variant.params < baseline.params


def test_arsvd_ranks_grow_with_tau(baseline: Variant, spectra) -> None:
    specs = [VariantSpec("arsvd", tau=tau, distribution="energy") for tau in (0.5, 0.7, 0.9)]
    variants = [compress_arsvd.entrypoint(spectra, baseline, spec) for spec in specs]
    assert [variant.spec for variant in variants] == specs
    assert variants[0].params < variants[1].params < variants[2].params


@pytest.fixture(scope="module")
def statistics(baseline: Variant):
    torch.manual_seed(1)
    return collect_statistics(baseline.network, [torch.randn(4, *SHAPE)])


def test_a_size_is_kept_header_included(baseline: Variant, statistics) -> None:
    weighted = decompose_weighted.entrypoint(statistics, baseline, "cpu")
    spec = VariantSpec("size", size=0.1, weighting="curvature", scheme="auto")
    variant = compress_size.entrypoint(weighted, statistics, baseline, spec, "cpu")
    assert weights_size_bytes(variant.network) <= 0.1 * weights_size_bytes(baseline.network)
    assert variant.spec == dataclasses.replace(spec, statistics_images=4)
    assert {layer.bits for layer in variant.layers if layer.rank} <= {*BITS}
    with pytest.raises(BudgetError, match=r"size_0\.001: a file of 0\.001 of .* cannot be made; the smallest possible"):
        compress_size.entrypoint(weighted, statistics, baseline, dataclasses.replace(spec, size=0.001), "cpu")


def test_a_twin_has_few_bits_and_is_otherwise_what_it_was_rounded_from(baseline: Variant, spectra, statistics) -> None:
    svd = compress_svd.entrypoint(spectra, baseline, VariantSpec("svd", rank=2, scheme="channel"))
    twin = round_weights.entrypoint(statistics, 8, svd)
    assert twin.name == "svd_rank_2_w8"
    assert twin.spec.unrounded == svd.spec
    assert [dataclasses.replace(layer, bits=None) for layer in twin.layers] == svd.layers
    assert {layer.bits for layer in twin.layers} == {8}
    assert weights_size_bytes(twin.network) < 0.4 * weights_size_bytes(svd.network)
    assert round_weights.entrypoint(statistics, 4, baseline).name == "baseline_w4"


@pytest.mark.parametrize(
    ("step", "spec", "solved"),
    [
        (compress_svd, VariantSpec("svd", budget=0.4), "rank"),
        (compress_arsvd, VariantSpec("arsvd", budget=0.4, distribution="energy"), "tau"),
        (compress_rule, VariantSpec("energy", budget=0.4), "energy"),
        (compress_rule, VariantSpec("rank_ratio", budget=0.4), "rank_ratio"),
    ],
)
def test_rules_meet_the_same_budget(baseline: Variant, spectra, step, spec: VariantSpec, solved: str) -> None:
    variant = step.entrypoint(spectra, baseline, spec)
    assert 0.39 * baseline.params < variant.params <= 0.4 * baseline.params
    value = getattr(variant.spec, solved)
    assert variant.spec == dataclasses.replace(spec, **{solved: value})
    assert variant.name == spec.name
    # The value that was solved is the largest that the budget allows to all layers.
    by_hand = {**spec.to_dict(), "budget": None}
    largest, too_large = (
        step.entrypoint(spectra, baseline, VariantSpec(**{**by_hand, solved: value + more}))
        for more in (0, 1 if solved == "rank" else 1e-6)
    )
    assert largest.params <= 0.4 * baseline.params < too_large.params


RULES = {
    VariantSpec("energy", energy=0.6): Energy(0.6),
    VariantSpec("rank_ratio", rank_ratio=0.3): RankRatio(0.3),
    VariantSpec("evbmf"): EVBMF(),
    VariantSpec("hard_threshold"): HardThreshold(),
    VariantSpec("effective_rank"): EffectiveRank(),
    VariantSpec("stable_rank"): StableRank(),
}


@pytest.mark.parametrize("spec", RULES, ids=lambda spec: spec.name)
def test_a_rank_rule_is_the_engines(baseline: Variant, spectra, spec: VariantSpec) -> None:
    variant = compress_rule.entrypoint(spectra, baseline, spec)
    assert (variant.name, variant.spec) == (spec.name, spec)
    assert variant.layers == compress(baseline.network, RULES[spec], spectra=spectra).layers


@pytest.mark.parametrize("method", ESTIMATES)
def test_estimated_ranks_meet_a_budget_by_one_multiplier(baseline: Variant, spectra, method: str) -> None:
    spec = VariantSpec(method, budget=0.4)
    variant = compress_rule.entrypoint(spectra, baseline, spec)
    assert 0.39 * baseline.params < variant.params <= 0.4 * baseline.params
    assert variant.spec == dataclasses.replace(spec, scale=variant.spec.scale)
    rule = dataclasses.replace(rule_of(VariantSpec(method)), scale=variant.spec.scale)
    larger = dataclasses.replace(rule, scale=1.001 * variant.spec.scale)
    fits, exceeds = (
        count_parameters(compress(baseline.network, each, spectra=spectra).network) for each in (rule, larger)
    )
    assert fits <= 0.4 * baseline.params < exceeds


def test_a_budget_that_no_multiplier_meets_names_the_variant(baseline: Variant, spectra) -> None:
    with pytest.raises(BudgetError, match=r"evbmf_budget_0\.01: a budget of 0\.01 .* cannot be met; the smallest"):
        compress_rule.entrypoint(spectra, baseline, VariantSpec("evbmf", budget=0.01))


def test_other_methods_have_steps_of_their_own() -> None:
    with pytest.raises(ValueError, match="svd is no rank rule of this step; it makes energy, rank_ratio, evbmf"):
        rule_of(VariantSpec("svd", rank=3))


def test_the_baseline_is_never_changed(baseline: Variant, spectra) -> None:
    before = baseline.digest()
    compress_svd.entrypoint(spectra, baseline, VariantSpec("svd", rank=1))
    assert baseline.digest() == before
